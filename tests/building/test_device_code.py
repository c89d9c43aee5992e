"""Jobs that run at a time make the same GPU code, byte for byte, and a merge stores it once."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

import wheelfuse
from tests.building.projects import TARGETS, project
from tests.cuda import nvcc
from tests.interpreters import available
from wheelfuse.building import placing
from wheelfuse.building.options import BuildOptions
from wheelfuse.building.placing import possible_way
from wheelfuse.interpreters.matrix import MatrixOptions

KERNEL = """
#include <cstdio>
namespace { __device__ int counter; }  // gets a name that nvcc makes of the path of this file
__global__ void count() { printf("%s", __FILE__); counter += 1; }
extern "C" void run() { count<<<1, 1>>>(); }
"""
COMPILE = """\
subprocess.run([os.environ["TINY_NVCC"], "-shared", "-Xcompiler=-fPIC", "-cudart=none", "-arch=sm_80",
                os.path.abspath("kernel.cu"), "-o", "kernel.so"], check=True)
files["tiny/kernel.bin"] = open("kernel.so", "rb").read()
"""


def device_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """The GPU code in the wheels of two jobs that run at a time."""
    monkeypatch.setenv("TINY_NVCC", nvcc())
    sources = project(tmp_path / "p", COMPILE, files={"kernel.cu": KERNEL})
    options = BuildOptions(MatrixOptions(TARGETS[:2]), jobs=2)
    outcome = wheelfuse.build(
        sources, tmp_path / "w", options, interpreters=[available()[target] for target in TARGETS[:2]]
    )
    return {_section(wheel, tmp_path) for wheel in outcome.wheels}


def _section(wheel: Path, scratch: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        (scratch / "kernel.so").write_bytes(archive.read("tiny/kernel.bin"))
    command = ["objcopy", "-O", "binary", "-j", ".nv_fatbin", "--set-section-flags", ".nv_fatbin=alloc"]
    subprocess.run([*command, "kernel.so", "fatbin"], cwd=scratch, check=True)
    return (scratch / "fatbin").read_bytes()


def test_jobs_make_equal_gpu_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = device_code(tmp_path, monkeypatch)
    assert all(len(code) > 500 for code in found)
    assert len(found) == (1 if possible_way() else 2)


def test_jobs_that_work_apart_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above tests something, and the note of such a build tells the truth."""
    monkeypatch.setattr(placing, "possible_way", lambda: ())
    assert len(device_code(tmp_path, monkeypatch)) == 2
