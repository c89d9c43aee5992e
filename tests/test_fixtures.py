"""The wheels under fixtures/ are those that were checked in, work, and can be made again from sources."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fixtures import build
from fixtures.build import PROJECTS, PYBIND11, TARGETS, WHEELS, C, Project
from tests.interpreters import available, environment, install, run_python
from wheelfuse.target import Target

CASES = [
    pytest.param(project, target, id=f"{project.package}-{target}")
    for project in PROJECTS
    for target in TARGETS
]
USES = {
    C: "from fusec import *; assert gcd(12, 18) == 6; assert greeting().startswith('Grüße');"
    "print(*compiled_for())",
    PYBIND11: "from fusepb import *; a, b = Accumulator(1), Accumulator(start=2); a.add(3).absorb(b);"
    "assert (a.total, b.total) == (6, 0); print(*compiled_for())",
}


def interpreter(target: Target) -> Path:
    """The CPython of *target*; skips the test where there is none."""
    if target not in available():
        pytest.skip(f"no CPython for {target} on this machine")
    return available()[target]


def compiler_and_headers(project: Project, target: Target) -> Path:
    """The CPython of *target*; skips the test where *project* cannot be compiled for it."""
    python = interpreter(target)
    if not shutil.which(project.compiler):
        pytest.skip(f"no compiler ({project.compiler}) on this machine")
    if not build.tools(project).get("pybind11", "not needed"):
        pytest.skip("no pybind11 in this environment")
    if not build.header_version(python):
        pytest.skip(f"no headers (Python.h) of {target} on this machine")
    return python


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheels_are_those_of_the_checksum_file() -> None:
    found = {wheel.name: hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in WHEELS.iterdir()}
    assert found == build.sums()
    assert sorted(found) == sorted(project.wheel_name(target) for project in PROJECTS for target in TARGETS)


@pytest.mark.parametrize(("project", "target"), CASES)
def test_a_wheel_installs_and_works_on_its_interpreter(
    project: Project, target: Target, tmp_path: Path
) -> None:
    interpreter(target)
    python = environment(target, tmp_path / "environment")
    install(python, WHEELS / project.wheel_name(target))
    compiled, free_threaded = run_python(python, USES[project]).split()
    assert int(compiled) >> 16 == 0x0300 + target.minor
    assert free_threaded == str(target.free_threaded)
    if target.free_threaded:
        assert run_python(python, f"import sys, {project.package}; print(sys._is_gil_enabled())") == "False\n"
    script = subprocess.run([python.with_name(project.package)], capture_output=True, text=True, check=True)
    assert f"0x{int(compiled):08x}" in script.stdout


@pytest.mark.parametrize(
    ("project", "target"),
    [*((C, target) for target in TARGETS), (PYBIND11, TARGETS[0]), (PYBIND11, TARGETS[-1])],
    ids=lambda value: value.package if isinstance(value, Project) else str(value),
)
def test_the_sources_give_the_wheel_again(project: Project, target: Target, tmp_path: Path) -> None:
    python = compiler_and_headers(project, target)
    again = build.build(project, target, python, tmp_path)
    committed = WHEELS / again.name
    here = build.tools(project) | {f"headers {target}": build.header_version(python)}
    if here.items() <= build.recorded().items():
        assert again.read_bytes() == committed.read_bytes()
    else:  # another compiler makes another module, but nothing else may change
        expected, found = contents(committed), contents(again)
        assert list(found) == list(expected)
        assert {n for n in found if found[n] != expected[n]} <= {
            n for n in found if n.endswith((".so", "/RECORD"))
        }


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    target = Target(sys.version_info.minor, "t" in sys.abiflags)
    python = compiler_and_headers(C, target)
    first = build.build(C, target, python, tmp_path).read_bytes()
    second = build.build(C, target, python, tmp_path).read_bytes()
    assert first == second


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.package)
def test_the_platform_tag_is_true(project: Project) -> None:
    """auditwheel names the oldest manylinux that the symbols of a wheel allow; the tag claims none older."""
    for target in TARGETS:
        command = [sys.executable, "-m", "auditwheel", "show", str(WHEELS / project.wheel_name(target))]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        oldest = re.search(r"tag:\s+\"manylinux_2_(\d+)_x86_64\"", shown)
        claimed = re.search(r"manylinux_2_(\d+)_x86_64", project.platform)
        assert oldest and claimed, shown
        assert int(oldest[1]) <= int(claimed[1]), shown
