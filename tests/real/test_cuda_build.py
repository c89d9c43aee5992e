"""One more CPython compiles no kernel again: the jobs of a build share a compile cache, by equal paths."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from tests.building.projects import pythons
from tests.cuda import nvcc
from tests.fuse.merging import command
from tests.interpreters import environment, install, run_python
from tests.native import soabi
from tests.wheels import contents
from wheelfuse.building import cmake
from wheelfuse.elf.fatbin import read_device_code
from wheelfuse.elf.image import read_image
from wheelfuse.target import Target

pytestmark = pytest.mark.real

TWO, THREE = (tuple(map(Target.parse, names)) for names in (("cp310", "cp312"), ("cp310", "cp312", "cp313")))

FILES = {
    "pyproject.toml": """\
[build-system]
requires = ["scikit-build-core>=0.11"]
build-backend = "scikit_build_core.build"

[project]
name = "kern"
version = "0.1"
requires-python = ">=3.10"

[tool.scikit-build]
wheel.packages = ["kern"]
""",
    "CMakeLists.txt": f"""\
cmake_minimum_required(VERSION 3.25)
project(kern LANGUAGES CXX)
list(APPEND CMAKE_MODULE_PATH "{Path(cmake.__file__).parent}")
include(WheelfuseExtension)
wheelfuse_enable_cuda()
set(CMAKE_CUDA_ARCHITECTURES 80-real)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
wheelfuse_add_extension(TARGET _C SOURCES module.cpp first.cu second.cu CUDA DESTINATION kern)
""",
    "module.cpp": """\
#include <Python.h>
int first(); int second();
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_C"};
PyMODINIT_FUNC PyInit__C(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddIntConstant(module, "minor", PY_MINOR_VERSION + 0 * (first() + second()))) return NULL;
    return module;
}
""",
    "kern/__init__.py": "",
    **{
        f"{name}.cu": "namespace { __device__ float table[20000] = {1}; }  // its name is made of the path\n"
        f"__global__ void kernel_{name}(float *x) {{ x[threadIdx.x] += table[threadIdx.x]; }}\n"
        f"int {name}() {{ kernel_{name}<<<1, 1>>>(nullptr); return cudaGetLastError() == cudaSuccess; }}\n"
        for name in ("first", "second")
    },
}


@pytest.fixture
def launches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line for each launch of nvcc, whoever launches it; the compile cache is empty at first."""
    assert shutil.which("ccache"), "ccache is not installed (apt-get install ccache)"
    log, wrapper = tmp_path / "launches", tmp_path / "nvcc"
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> "{log}"\nexec "{nvcc()}" "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CUDACXX", str(wrapper))
    monkeypatch.setenv("CCACHE_DIR", str(tmp_path / "cache"))
    return log


def compiled(launches: Path) -> int:
    """How often nvcc was launched for one of the project's files, since this was asked last."""
    lines = launches.read_text().splitlines()
    launches.write_text("")
    return sum("first.cu" in line or "second.cu" in line for line in lines)


def device_code(module: bytes) -> list[tuple[str, int]]:
    """Kind and size of each entry of the GPU code in a shared object."""
    code = read_device_code(module, read_image(module))
    return [(entry.kind, entry.size) for c in (code.containers if code else ()) for entry in c.entries]


def test_one_more_cpython_runs_nvcc_zero_more_times(launches: Path, tmp_path: Path) -> None:
    sources = tmp_path / "p"
    for name, text in FILES.items():
        path = sources / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    build = ("build", sources, "-d", tmp_path / "w", "--jobs", "1")
    code, out, err = command(*build, *pythons(*TWO))
    assert code == 0, out + err
    assert compiled(launches) > 0
    code, out, err = command(*build, "--resume", *pythons(*THREE))
    assert code == 0, out + err
    assert compiled(launches) == 0
    wheels = sorted((tmp_path / "w").glob("*.whl"))
    assert len(wheels) == 3
    code, out, err = command(
        "merge", *wheels, "-o", tmp_path / "d", "--share-device-code", "--expect", ",".join(map(str, THREE))
    )
    assert code == 0, out + err
    (fused,) = (tmp_path / "d").glob("*.whl")
    files = {name: content for name, content in contents(fused).items() if ".so" in name}
    (carrier,) = (name for name in files if "-device-" in name)
    assert {name for name, content in files.items() if device_code(content)} == {carrier}
    assert device_code(files[carrier]) == device_code(contents(wheels[0])["kern/" + soabi("_C", THREE[0])])
    for target in THREE:
        python = environment(target, tmp_path / str(target))
        install(python, fused)
        assert run_python(python, "import kern._C as c; print(c.minor)").split() == [str(target.minor)]
