"""What the pages of the documentation find in the working directory."""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.native import module
from tests.real.download import brought, pins
from tests.wheels import build_wheel, wheelfuse

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures" / "wheels"
EXAMPLE = ROOT / "tests" / "pipelines" / "example"


def project(directory: Path) -> None:
    """A project that needs nothing but a C compiler, for CPython 3.12 and 3.13, and another one beside it."""
    shutil.copytree(EXAMPLE, directory, dirs_exist_ok=True)
    (directory / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(x LANGUAGES NONE)\n"
    )
    other = directory / "path" / "to"
    other.mkdir(parents=True)
    shutil.copy(EXAMPLE / "pyproject.toml", other)


def matrix(directory: Path) -> None:
    """The settings of two projects, of which one is in a directory of its own."""
    for place in (directory, directory / "python"):
        place.mkdir(exist_ok=True)
        (place / "pyproject.toml").write_text('[project]\nname = "pkg"\nrequires-python = ">=3.10,<3.14"\n')


def wheels(directory: Path) -> None:
    """The wheels of one release in wheelhouse/, and the wheel that they become in dist/."""
    (directory / "wheelhouse").mkdir()
    for wheel in FIXTURES.glob("wheelfuse_fixture_c-*-cp31[123]-cp31[123]-*.whl"):
        shutil.copy(wheel, directory / "wheelhouse")
    done = wheelfuse("merge", "wheelhouse", "-o", "dist", "--expect", "cp311,cp312,cp313", cwd=directory)
    assert done.returncode == 0, done.stderr


def artifacts(directory: Path) -> None:
    """What else can be audited: a build directory, a module for the stable ABI, and an archive with wheels."""
    [wheel] = (directory / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory / "build" / "lib")
    with zipfile.ZipFile(directory / "artifact.zip", "w") as archive:
        archive.write(wheel, wheel.name)
    (directory / "pkg").mkdir()
    (directory / "pkg" / "_C.abi3.so").write_bytes(module("_C", "abi3"))


def tests(directory: Path) -> None:
    """The tests of a project."""
    (directory / "tests").mkdir()
    (directory / "tests" / "test_fusec.py").write_text("def test_import():\n    import fusec\n")


def environment(directory: Path) -> None:
    """An environment as people have it, in .venv."""
    (directory / ".venv").symlink_to(sys.prefix)


def fake_abi3(directory: Path) -> None:
    """A wheel whose module is named abi3, and is not."""
    symbols = ("PyFrame_GetBack", "_PyObject_GetDictPtr", "_PyType_Lookup")
    build_wheel(directory, files={"pkg/_C.abi3.so": module("_C", "abi3", *symbols)}, tag="cp39-abi3")


def many(directory: Path) -> None:
    """The wheels of several projects in wheelhouse/, beside those of `wheels`; two ask for what CPython took away."""
    place = directory / "wheelhouse"
    symbols = ("_PyThreadState_UncheckedGet", "PyObject_Call")
    abi3 = module("_C", "abi3", *symbols)
    build_wheel(place, files={"speed/_C.abi3.so": abi3}, tag="cp39-abi3", name="speed")
    path = "quick/_q.cpython-312-x86_64-linux-gnu.so"
    build_wheel(place, "cp312", {path: module("_q", "cp312", "_PyUnicode_FastCopyCharacters")}, name="quick")
    (place / "cut_off-1.0-cp313-cp313-manylinux_2_17_x86_64.whl").write_bytes(b"PK\3\4")


def regex(directory: Path) -> None:
    """A release on the index, as it was downloaded."""
    for path in brought(*pins("projects", "regex")):
        shutil.copy(path, directory)


def release(name: str) -> Callable[[Path], None]:
    """A release on the index, the wheels for builds with the GIL, in a directory of its name."""

    def given(directory: Path) -> None:
        (directory / name).mkdir()
        for path in brought(*(pin for pin in pins("projects", name) if not pin.tags[1].endswith("t"))):
            shutil.copy(path, directory / name)

    return given


GIVEN: dict[str, Callable[[Path], None]] = {
    "artifacts": artifacts,
    "cffi": release("cffi"),
    "environment": environment,
    "fake-abi3": fake_abi3,
    "kiwisolver": release("kiwisolver"),
    "many": many,
    "matrix": matrix,
    "project": project,
    "regex": regex,
    "tests": tests,
    "wheels": wheels,
}
