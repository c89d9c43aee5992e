#!/bin/sh
# Build the sdist and, from it, the wheel; check both; install the wheel alone and try it.
#   distributions.sh PYTHON DIRECTORY      PYTHON has build, twine and check-wheel-contents
set -eu
python=$1 directory=$2
fixtures=$(dirname "$0")/../fixtures/wheels
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" -m build --outdir "$directory" .
"$python" -m twine check --strict "$directory"/*
"$python" -m check_wheel_contents "$directory"/*.whl

"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$directory"/*.whl
wheelfuse=$scratch/venv/bin/wheelfuse
"$wheelfuse" --version
"$wheelfuse" explain WF305 > /dev/null
"$wheelfuse" merge --quiet --expect cp312,cp313 -o "$scratch/fused" \
    "$fixtures"/wheelfuse_fixture_c-*-cp312-*.whl "$fixtures"/wheelfuse_fixture_c-*-cp313-*.whl
"$wheelfuse" audit "$scratch/fused"
"$wheelfuse" split -d "$scratch/split" "$scratch"/fused/*.whl
