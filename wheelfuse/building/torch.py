"""What the torch of one interpreter, the driver, says about itself. It is asked in a process of its own.

Extension modules for several CPythons can be compiled against one installed torch: its headers and libraries do not
depend on the CPython, but for ``libtorch_python``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from wheelfuse import processes
from wheelfuse.errors import JobFailed, Problem, UsageError

VARIABLE = "WHEELFUSE_TORCH_PYTHON"
"""The environment variable that names the driver, read here and set for every build job."""

INSTALL = f"Install torch there, or name an interpreter that has it with --torch-python or {VARIABLE}."
"""What to do where an interpreter has no torch."""

_TIMEOUT = 300.0  # seconds; importing torch from a slow disk takes long
_MARK = "wheelfuse-torch:"
_PROBE = f"""
import json, pathlib, torch
from torch.utils import cmake_prefix_path
print({_MARK!r} + json.dumps(dict(
    version=torch.__version__,
    directory=str(pathlib.Path(torch.__file__).resolve().parent),
    cmake_prefix=str(cmake_prefix_path),
    cxx11_abi=bool(torch._C._GLIBCXX_USE_CXX11_ABI),
    cuda=torch.version.cuda or "",
    hip=torch.version.hip or "",
)))
"""


@dataclass(frozen=True)
class Torch:
    """An installed torch: the interpreter that imports it, its version, and the directories to compile against.

    *cmake_prefix* is for ``CMAKE_PREFIX_PATH``; *cxx11_abi* is the value of ``_GLIBCXX_USE_CXX11_ABI`` it was built
    with; *cuda* is the version of CUDA it was built for (``13.0``), empty for CPU-only builds.
    """

    python: Path
    version: str
    directory: Path
    cmake_prefix: Path
    cxx11_abi: bool
    cuda: str = ""
    hip: str = ""

    @property
    def include_directories(self) -> tuple[Path, ...]:
        """Where its headers are, in the order of ``torch.utils.cpp_extension.include_paths``."""
        include = self.directory / "include"
        return include, include / "torch" / "csrc" / "api" / "include"

    @property
    def library_directory(self) -> Path:
        """Where ``libtorch.so``, ``libc10.so`` and ``libtorch_python.so`` are."""
        return self.directory / "lib"

    def variables(self, given: Mapping[str, str]) -> dict[str, str]:
        """What a build job finds in its environment, beside what is *given* there."""
        prefixes = [str(self.cmake_prefix), *filter(None, [given.get("CMAKE_PREFIX_PATH", "")])]
        return {
            VARIABLE: str(self.python),
            "WHEELFUSE_TORCH_VERSION": self.version,
            "WHEELFUSE_TORCH_INCLUDE": os.pathsep.join(map(str, self.include_directories)),
            "WHEELFUSE_TORCH_LIB": str(self.library_directory),
            "WHEELFUSE_TORCH_CXX11_ABI": str(int(self.cxx11_abi)),
            "WHEELFUSE_TORCH_CUDA": self.cuda,
            "Torch_DIR": str(self.cmake_prefix / "Torch"),
            "CMAKE_PREFIX_PATH": os.pathsep.join(prefixes),
        }


def find(python: str | os.PathLike[str] | None = None) -> Torch | None:
    """The torch of *python*, or of ``WHEELFUSE_TORCH_PYTHON``, or of the running interpreter if it has one.

    Raises:
        UsageError: an interpreter was named that does not exist.
        JobFailed: torch cannot be imported there.
    """
    named = python or os.environ.get(VARIABLE)
    if named:
        return ask(Path(named))
    return ask(Path(sys.executable)) if find_spec("torch") else None


def ask(python: Path) -> Torch:
    """The torch of one interpreter; what :func:`find` raises."""
    path = python.absolute()  # links are not followed: one into an environment is that environment
    try:
        finished = processes.run([path, "-c", _PROBE], cwd="/", env=processes.environment(), timeout=_TIMEOUT)
    except OSError as error:
        what = f"no Python that could be asked for torch: {error.strerror}"
        raise UsageError(Problem(what, str(path), todo=INSTALL)) from error
    answer = finished.output.rpartition(_MARK)[2].partition("\n")[0]
    if not finished.ok or not answer:
        what = f"torch could not be imported: the interpreter {finished.why()}\n{finished.tail(10)}"
        raise JobFailed(Problem(what.rstrip(), str(path), todo=INSTALL))
    said = json.loads(answer)
    return Torch(
        path, said["version"], Path(said["directory"]), Path(said["cmake_prefix"]),
        said["cxx11_abi"], said["cuda"], said["hip"],
    )  # fmt: skip
