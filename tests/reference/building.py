"""The reference package as wheels, and a Python that has the torch to build them against and to try them with.

Both are kept in a cache on disk, so that the processes of a parallel test run make them once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

from tests.cuda import nvcc
from tests.interpreters import available, environment
from tests.real.download import CACHE
from tools.demo import TORCH as TORCH_REQUIREMENT
from wheelfuse.target import Target

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "fixtures" / "wheelfuse-reference"
SOURCES = (ROOT / "csrc", ROOT / "vendor" / "headers", PROJECT, ROOT / "wheelfuse" / "building" / "cmake")

TORCH = TORCH_REQUIREMENT.removeprefix("torch==")
DRIVER = Target(11)
"""The torch that everything is built against, and the CPython that has it."""

Binding = Literal["pybind11", "torch-library", "torch-stable"]


@cache
def driver() -> Path:
    """The Python of an environment with torch, which pip brings from where it is configured to look.

    Raises:
        AssertionError: pip did not bring it.
    """
    directory = CACHE.with_name(f"torch-{TORCH}-{DRIVER}")
    python = directory / "bin" / "python"
    with _locked(directory):
        if not (directory / "complete").exists():
            shutil.rmtree(directory, ignore_errors=True)
            environment(DRIVER, directory)
            _run(
                sys.executable,
                "-m",
                "pip",
                "--python",
                python,
                "install",
                "-q",
                "--no-compile",
                f"torch=={TORCH}",
            )
            (directory / "complete").touch()
    return python


def build(binding: Binding, target: Target = DRIVER, cuda: Literal["required", "off"] = "off") -> Path:
    """The wheel that `wheelfuse build` makes of the package.

    Raises:
        AssertionError: the build failed.
    """
    directory = CACHE.with_name("reference") / f"{_digest()}-{binding}-{target}-{cuda}"
    with _locked(directory):
        if not directory.exists():
            with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
                settings = {"WHEELFUSE_REFERENCE_BINDING": binding, "WHEELFUSE_REFERENCE_CUDA": cuda}
                if cuda == "required":
                    settings["CUDA_HOME"] = str(Path(nvcc()).parents[1])
                command = [sys.executable, "-m", "wheelfuse", "build", PROJECT, "-d", f"{scratch}/wheels"]
                pythons = ["--python", available()[target], "--python", target.python_version]
                _run(*command, *pythons, "--torch-python", driver(), **settings)
                (Path(scratch) / "wheels").replace(directory)
    (wheel,) = directory.glob("*.whl")
    return wheel


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock beside *path* among the processes of a parallel test run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@cache
def _digest() -> str:
    """What decides about a wheel: sources and the compiler."""
    files = [file for source in SOURCES for file in sorted(source.rglob("*")) if file.suffix != ".pyc"]
    contents = [(str(file.relative_to(ROOT)), file.read_bytes()) for file in files if file.is_file()]
    return hashlib.sha256(repr((contents, _run("g++", "--version"), TORCH)).encode()).hexdigest()[:16]


def _run(*command: str | Path, **variables: str) -> str:
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-6000:]}{done.stderr[-6000:]}"
    return done.stdout
