#!/bin/sh
# Install into a virtual environment, made first if there is none that works:  set-up.sh PYTHON VENV PIP-ARGUMENT...
set -eu
python=$1 venv=$2
shift 2

fail() { printf 'set-up: %s\n' "$@" >&2; exit 1; }

if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    command -v "$python" >/dev/null || fail "there is no program $python." \
        "Install CPython 3.10 or newer, or name the one to use: make PYTHON=/path/to/python3 ..."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail \
        "$python does not run or is too old ($("$python" --version 2>&1 || true)); CPython 3.10 or newer is needed." \
        "Name another one: make PYTHON=/path/to/python3.12 ..."
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail \
        "$python cannot make virtual environments: its modules venv and ensurepip are missing." \
        "On Debian and Ubuntu: apt-get install python3-venv. Or name another one: make PYTHON=/path/to/python3 ..."
    echo "Making $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv" || fail "$python -m venv $venv failed; see above."
fi
echo "Installing $* into $venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" || fail \
    "pip could not install $*; see above." \
    "It needs the package index, or the settings of pip that lead to a copy of it."
