"""The compilers of this machine: nvcc with its headers and libraries, a C++ compiler, and a cache for both."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wheelfuse.errors import JobFailed, Problem
from wheelfuse.processes import run

INSTALLED = Path("/usr/local/cuda")
"""Where the installer of CUDA and NVIDIA's images have it."""

_TIMEOUT = 60.0  # seconds
_CACHES = ("ccache", "sccache")
_HOMES = ("CUDA_HOME", "CUDA_PATH")
_VARIABLES = ("CUDACXX", *_HOMES)
_INSTALL = (
    "Set CUDA_HOME to the directory of CUDA, or bring nvcc and its headers into this environment: "
    "pip install 'wheelfuse[cuda]'."
)
_RELEASE = re.compile(r"\brelease (\d+\.\d+)")
_DRY_RUN = re.compile(r"^#\$ (\w+)=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Cuda:
    """An installed CUDA: its compiler, the version of it (``13.0``), and the directories to compile with.

    *runtime* is the shared run-time library, if it is there: the packages of the index have it under its soname
    alone, where the linker does not look for ``-lcudart``.
    """

    nvcc: Path
    version: str
    include_directories: tuple[Path, ...]
    library_directories: tuple[Path, ...]
    runtime: Path | None = None


def find_nvcc(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The nvcc to use, or None.

    ``CUDACXX`` (a program, as CMake reads it), ``CUDA_HOME`` or ``CUDA_PATH`` say which, if one of them is set. Else
    it is that of the nvidia-cuda-nvcc packages of the running environment, or on ``PATH``, or in ``/usr/local/cuda``.
    """
    if compiler := environ.get("CUDACXX"):
        found = shutil.which(compiler, path=environ.get("PATH"))
    else:
        homes = [Path(environ[name]) / "bin" for name in _HOMES if environ.get(name)]
        found = shutil.which("nvcc", path=os.pathsep.join(map(str, homes[:1] or _places(environ))))
    return Path(found) if found else None


def _places(environ: Mapping[str, str]) -> Iterator[Path]:
    for library in dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")):
        # the packages of the index: nvidia/cu13/bin for CUDA 13
        yield from sorted(Path(library, "nvidia").glob("cu*/bin"), reverse=True)
    yield from (Path(name) for name in environ.get("PATH", "").split(os.pathsep) if name)
    yield INSTALLED / "bin"


def find_cuda(environ: Mapping[str, str] = os.environ) -> Cuda:
    """The CUDA of `find_nvcc`, which is asked for its version and directories.

    Raises:
        JobFailed: there is no nvcc, or it does not run.
    """
    nvcc = find_nvcc(environ)
    if nvcc is None:
        named = next((name for name in _VARIABLES if environ.get(name)), None)
        what = (
            f"there is no nvcc where {named} says: {environ[named]}"
            if named
            else "there is no nvcc: neither in this environment, nor on PATH or in /usr/local/cuda"
        )
        raise JobFailed(Problem(what, todo=_INSTALL))
    release = _RELEASE.search(_asked(nvcc, "--version"))
    said = dict(_DRY_RUN.findall(_asked(nvcc, "--dryrun", "-x", "cu", os.devnull, "-o", os.devnull)))
    top = Path(said.get("TOP") or nvcc.parents[1])
    # nvcc looks for libraries in lib64 alone, but the packages of the index have them in lib.
    places = [*_directories(said.get("LIBRARIES", "")), top / "lib64", top / "lib"]
    libraries = _existing(directory for directory in places if directory.name != "stubs")
    return Cuda(
        nvcc,
        release[1] if release else "",
        _existing([*_directories(said.get("INCLUDES", "")), *_directories(said.get("SYSTEM_INCLUDES", ""))]),
        libraries,
        next((path for each in libraries for path in sorted(each.glob("libcudart.so*"))), None),
    )


def _asked(program: Path, *arguments: str) -> str:
    try:
        finished = run([program, *arguments], timeout=_TIMEOUT)
    except OSError as error:
        raise JobFailed(Problem(f"cannot be run: {error.strerror or error}", str(program))) from error
    if not finished.ok:
        raise JobFailed(Problem(f"{finished.why()}\n{finished.tail(5)}", str(program)))
    return finished.output


def _directories(flags: str) -> list[Path]:
    """The directories in ``"-I/a" "-isystem" "/b" -L/c``."""
    return [
        Path(word.removeprefix("-I").removeprefix("-L"))
        for word in _words(flags, "nvcc: what it says of its directories makes no sense")
        if word != "-isystem"
    ]


def _words(text: str, otherwise: str) -> list[str]:
    """The words of a shell's command line.

    Raises:
        JobFailed: with *otherwise* as what is wrong, if a quote is left open.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise JobFailed(f"{otherwise}: {error}: {text}") from error


def _existing(directories: Iterator[Path] | list[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(each.resolve() for each in directories if each.is_dir()))


def find_cxx(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The command of the C++ compiler: that of ``CXX``, or else c++, g++ or clang++ on ``PATH``.

    Raises:
        JobFailed: there is none, or ``CXX`` is no command.
    """
    named = _words(environ.get("CXX", ""), "CXX is not the command of a program")
    for name in named[:1] or ("c++", "g++", "clang++"):
        if found := shutil.which(name, path=environ.get("PATH")):
            return (found, *named[1:])
    what = f"there is no C++ compiler: CXX is {named[0]}" if named else "there is no C++ compiler on PATH"
    raise JobFailed(Problem(what, todo="Install g++ or clang++, or name one in CXX."))


def find_cache(environ: Mapping[str, str] = os.environ) -> Path | None:
    """ccache or sccache on ``PATH``, to be put before the command of a compiler; None without one."""
    for name in _CACHES:
        if found := shutil.which(name, path=environ.get("PATH")):
            return Path(found)
    return None


def through_cache(command: tuple[str, ...], cache: Path | None) -> tuple[str, ...]:
    """The command of a compiler, run through the cache unless it is already (``CXX="ccache g++"``, or a link)."""
    return (str(cache), *command) if cache and not _is_cache(command[0]) else command


def without_cache(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command of a compiler, not run through a cache."""
    return command[1:] if _is_cache(command[0]) and len(command) > 1 else command


def _is_cache(program: str) -> bool:
    return Path(program).resolve().name in _CACHES
