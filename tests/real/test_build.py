"""A project with scikit-build-core and CMake, which are downloaded, goes the whole way to one audited wheel."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.building.projects import pythons
from tests.fuse.merging import command
from tests.interpreters import environment, install, run_python
from wheelfuse.target import Target

pytestmark = pytest.mark.real

TARGETS = tuple(map(Target.parse, ("cp310", "cp313", "cp314t")))

PYPROJECT = """\
[build-system]
requires = ["scikit-build-core>=0.11", "pybind11==3.1.0"]
build-backend = "scikit_build_core.build"

[project]
name = "skb"
version = "0.1"
requires-python = ">=3.10"

[tool.scikit-build]
build-dir = "build"
wheel.packages = ["skb"]
"""
LISTS = """\
cmake_minimum_required(VERSION 3.20)
project(skb LANGUAGES CXX)
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
find_package(pybind11 CONFIG REQUIRED)
pybind11_add_module(_C module.cpp)
install(TARGETS _C DESTINATION skb)
"""
MODULE = """\
#include <pybind11/pybind11.h>
PYBIND11_MODULE(_C, module, pybind11::mod_gil_not_used()) {
    module.attr("minor") = PY_MINOR_VERSION;
    module.def("twice", [](int value) { return 2 * value; });
}
"""


def test_from_sources_to_one_wheel(tmp_path: Path) -> None:
    sources = tmp_path / "p"
    for name, text in {
        "pyproject.toml": PYPROJECT, "CMakeLists.txt": LISTS, "module.cpp": MODULE, "skb/__init__.py": "",
    }.items():  # fmt: skip
        path = sources / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    code, out, err = command(
        "build", sources, "-d", tmp_path / "w", "--merge", "-o", tmp_path / "d", *pythons(*TARGETS)
    )
    assert code == 0, out + err
    (fused,) = (tmp_path / "d").glob("*.whl")
    with zipfile.ZipFile(fused) as archive:
        assert len([name for name in archive.namelist() if name.startswith("skb/_C.cpython-")]) == 3
    for target in TARGETS:
        python = environment(target, tmp_path / str(target))
        install(python, fused)
        said = run_python(python, "import skb._C as c; print(c.minor, c.twice(21))").split()
        assert said == [str(target.minor), "42"]
