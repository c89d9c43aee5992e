"""A CUDA extension for tests, compiled by nvcc from ``fixtures/cuda_ext`` for any CPython with headers.

Import needs neither a GPU nor a library of CUDA; the functions that say so in ``kernels.h`` work without, too.
What was compiled is kept in a cache on disk, so that the processes of a parallel test run compile it once.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pybind11

from fixtures.build import header_version, include_directory
from tests.interpreters import available
from tests.native import soabi
from tests.real.download import CACHE
from tests.wheels import build_wheel
from wheelfuse.building.toolchain import find_cuda, find_nvcc
from wheelfuse.target import Target

SOURCES = Path(__file__).parents[1] / "fixtures" / "cuda_ext"
PACKAGE, MODULE, NAMES = "spamcuda", "_kernels", "_names"
PLATFORM = "manylinux_2_34_x86_64"

_GPUS = ("-gencode", "arch=compute_80,code=sm_80", "-gencode", "arch=compute_90,code=[sm_90,compute_90]")
_OLDEST_GPU = ("-gencode", "arch=compute_80,code=compute_80")
_FLAGS = ("-O1", "-DNDEBUG", "-std=c++17", "-Xcompiler", "-fPIC,-fvisibility=hidden")
UNITS = {
    "plain.cu": _GPUS,
    "table.cu": (*_GPUS, "--compress-mode=size"),
    "relocatable.cu": (*_GPUS, "-rdc=true"),
    "relocatable_part.cu": (*_GPUS, "-rdc=true"),
    "ptx.cu": _OLDEST_GPU,
    "bindings.cpp": (),
}
"""The translation units, and what each is compiled with besides what all are."""


def nvcc() -> str:
    """The path of nvcc: see `wheelfuse.building.toolchain.find_nvcc`."""
    found = find_nvcc()
    assert found, "there is no nvcc: see .ci/run"
    return str(found)


@cache
def build(target: Target) -> bytes:
    """The extension module for *target*, of which there must be an interpreter with headers.

    Raises:
        AssertionError: there is no nvcc, or it refused the sources.
    """
    return _kept(target, "", _compile)


@cache
def build_names(target: Target, directory: str, *flags: str) -> bytes:
    """The extension module `_names` for *target*, compiled in a directory: its GPU code has names of its own there.

    *flags* are for nvcc, in place of those that compress PTX by LZ4.

    Raises:
        AssertionError: there is no nvcc, or it refused the source.
    """

    def compile_names(python: Path, scratch: Path) -> Path:
        place = scratch.parent / directory  # the same for all CPythons: the names are made of it
        shutil.copytree(SOURCES, place, dirs_exist_ok=True)
        try:
            options = flags or ("--compress-mode=speed",)
            return _link(scratch, *options, *_GPUS, f"-I{include_directory(python)}", str(place / "names.cu"))
        finally:
            shutil.rmtree(place)

    return _kept(target, f"-names-{'-'.join((directory, *flags)).replace('/', '_')}", compile_names)


def _kept(target: Target, suffix: str, make: Callable[[Path, Path], Path]) -> bytes:
    """The module that *make* compiles for a Python in a scratch directory, or did before."""
    python = available()[target]
    directory = CACHE.with_name("cuda")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{_digest(python)}-{target}{suffix}.so"
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=directory) as scratch:
                make(python, Path(scratch)).replace(path)
    return path.read_bytes()


def wheel(directory: Path, target: Target) -> Path:
    """A wheel for *target* with the extension module in a package."""
    files: dict[str, str | bytes] = {
        f"{PACKAGE}/__init__.py": f"from .{MODULE} import *\n",
        f"{PACKAGE}/{soabi(MODULE, target)}": build(target),
    }
    return build_wheel(directory, str(target), files, name=PACKAGE, platform=PLATFORM)


def wheel_of_names(directory: Path, target: Target, built_in: str, *flags: str) -> Path:
    """A wheel for *target* with the module `_names`, compiled in a directory of that name."""
    files: dict[str, str | bytes] = {
        f"{PACKAGE}/__init__.py": f"from .{NAMES} import *\n",
        f"{PACKAGE}/{soabi(NAMES, target)}": build_names(target, built_in, *flags),
    }
    return build_wheel(directory, str(target), files, name=PACKAGE, platform=PLATFORM)


def _digest(python: Path) -> str:
    """What decides about the module: sources, flags, compilers, headers."""
    versions = [
        nvcc(),  # the packages of the index bring other headers than the installer, in one version
        _run(nvcc(), "--version"),
        _run("g++", "--version"),
        header_version(python),
        pybind11.__version__,
    ]
    contents = [path.read_bytes() for path in (Path(__file__), *sorted(SOURCES.iterdir()))]
    return hashlib.sha256(repr((versions, contents)).encode()).hexdigest()[:16]


def _compile(python: Path, scratch: Path) -> Path:
    includes = [f"-I{path}" for path in (include_directory(python), pybind11.get_include())]

    def compile_unit(unit: str) -> str:
        output = f"{scratch / unit}.o"
        _run(nvcc(), "-c", *_FLAGS, *UNITS[unit], *includes, unit, "-o", output)
        return output

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile_unit, reversed(UNITS)))
    return _link(scratch, *_GPUS, *sorted(objects))


def _link(scratch: Path, *arguments: str) -> Path:
    module = scratch / "module.so"
    libraries = [f"-L{directory}" for directory in find_cuda().library_directories]
    _run(nvcc(), "-shared", "-cudart=static", *libraries, *_FLAGS, *arguments, "-o", str(module))
    return module


def _run(*command: str) -> str:
    # The names of the sources become part of the GPU code: they are the same on every machine.
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout
