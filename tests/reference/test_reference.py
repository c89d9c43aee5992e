"""The reference package in its three bindings: what its operators give, and what the audit says of its wheels."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import zipfile
from pathlib import Path

import pytest

import wheelfuse
from tests.interpreters import available
from tests.reference.building import DRIVER, PROJECT, ROOT, Binding, build, driver
from wheelfuse.auditing.report import Outcome
from wheelfuse.auditing.road import ABI3, TORCH
from wheelfuse.target import Target

pytestmark = pytest.mark.real

OTHER = Target(12)
"""A CPython for which there is no torch here."""

UNSTABLE = re.compile(r"_Z(T[ISV])?N?[rVKRO]*(2at|3c10|5torch|6caffe2)(?=[0-9])|.*11type_casterIN2at")
"""The mangled name of something in a namespace of libtorch, or of what pybind11 gets from it for its tensors."""

PRELOAD = """
import ctypes, sys
libraries, package = sys.argv[1:]
ld = ctypes.CDLL(None)
ld.dlopen.argtypes, ld.dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
for name in ("libtorch.so", "libtorch_python.so"):
    # Lazily: the half that is for Python needs functions of its own CPython, but not to be loaded.
    assert ld.dlopen(f"{libraries}/{name}".encode(), 1), name
sys.path.insert(0, package)
import _C
print(*sorted(name for name in dir(_C) if not name.startswith("_")))
"""


def wheels(binding: Binding) -> list[Path]:
    """What a release of the package has: one wheel for each CPython, or one for all. With CUDA once, for its time."""
    if binding == "pybind11":
        return [build(binding, target) for target in (DRIVER, OTHER)]
    return [build(binding, cuda="required" if binding == "torch-stable" else "off")]


def unpacked(wheel: Path, directory: Path) -> Path:
    zipfile.ZipFile(wheel).extractall(directory)
    return directory


def run(python: Path, *arguments: str | Path) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([python, *arguments], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("binding", ["pybind11", "torch-library", "torch-stable"])
def test_operators_do_on_the_cpu_what_torch_says(binding: Binding, tmp_path: Path) -> None:
    """As one fused wheel where there are several."""
    made = wheels(binding)
    if len(made) > 1:
        outcome = wheelfuse.merge(made, tmp_path / "fused", wheelfuse.MergeOptions(expect=(DRIVER, OTHER)))
        assert outcome.written
        made = [outcome.written.path]
    package = unpacked(made[0], tmp_path / "package")
    out = run(driver(), "-m", "tests.reference.checks", package, "cpu")
    assert dict(line.split(": ") for line in out.splitlines()) == {
        "every_length": "120",
        "every_shape": "84",
        "empty_inputs": "24",
        "special_values": "648",
        "every_e4m3_number": "1010",
        "refused_arguments": "10",
        "opcheck_and_compile": "5",
    }


def test_the_road_from_a_file_for_each_cpython_to_one_for_all_and_for_every_torch() -> None:
    figures = {}
    for binding in ("pybind11", "torch-library", "torch-stable"):
        report = wheelfuse.audit(wheels(binding))
        symbols = {road.goal: road.count for road in report.roads}
        figures[binding] = (len(wheels(binding)), symbols.get(ABI3, 0), symbols.get(TORCH, 0))
        seen = {name for wheel in wheels(binding) for name in undefined(wheel) if UNSTABLE.match(name)}
        assert len(seen) == symbols.get(TORCH, 0), binding
    print("files, symbols outside of the limited API, unstable symbols of libtorch:", figures)
    files, private, unstable = zip(*figures.values(), strict=True)
    assert files == (2, 1, 1)
    assert private[0] > 0 and private[1:] == (0, 0)
    assert unstable[0] > 0 and unstable[1] > 0 and unstable[2] == 0


def test_the_last_one_loads_on_every_cpython_and_every_torch_since_its_target_version() -> None:
    (subject,) = wheelfuse.audit(wheels("torch-stable")).subjects
    answer = subject.answer
    (row,) = answer.modules
    assert {cell.target.minor for cell in row.cells if cell.outcome is Outcome.SUPPLIED} >= set(range(10, 16))
    assert answer.torch is not None and answer.torch[0] == "2.10" and {"2.11", "2.13"} <= set(answer.torch)
    assert answer.architectures == ("sm_80", "sm_90a", "compute_90")
    assert not any("cuda" in library for library in answer.assumed), "the CUDA runtime is linked in"


def test_a_module_of_another_cpython_is_imported_wherever_a_libtorch_is_loaded(tmp_path: Path) -> None:
    package = unpacked(build("pybind11", OTHER), tmp_path) / "wheelfuse_reference"
    (libraries,) = (driver().parents[1] / "lib").glob("python3.*/site-packages/torch/lib")
    out = run(available()[OTHER], "-c", PRELOAD, libraries, package)
    assert out.split() == ["mxfp8", "mxfp8_out", "rms_norm_fp8", "rms_norm_fp8_out", "schemas"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("WHEELFUSE_REFERENCE_BINDING=nanobind", "it must be pybind11, torch-library or torch-stable"),
        ("WHEELFUSE_REFERENCE_CUDA=maybe", "it must be auto, required or off"),
    ],
)
def test_settings_that_there_are_not(setting: str, message: str, tmp_path: Path) -> None:
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    command = [
        "cmake",
        "-S",
        PROJECT,
        "-B",
        tmp_path,
        "-G",
        "Ninja",
        f"-D{setting}",
        "-DWHEELFUSE_REFERENCE_CUDA=off",
    ]
    command = command[:-1] if "CUDA" in setting else command
    done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode and message in " ".join(done.stderr.split())


def undefined(wheel: Path) -> list[str]:
    """The symbols that the extension module in a wheel does not define, as binutils see them."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".so"))
        path = Path(archive.extract(name, wheel.parent / "unpacked"))
    out = subprocess.run(
        ["nm", "-D", "-u", "-P", str(path)], capture_output=True, text=True, check=True
    ).stdout
    return [line.split()[0].partition("@")[0] for line in out.splitlines()]
