"""Virtual environments, made and filled with uv, or else with venv and the pip of the running Python.

Whatever the interpreter of an environment runs is a child of :mod:`wheelfuse.processes`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Event

from wheelfuse import processes
from wheelfuse.errors import JobFailed, Problem
from wheelfuse.processes import Finished

_CREATION = 300.0
"""Seconds within which an empty environment is made, on the slowest disk."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment: its directory, and the interpreter in it."""

    directory: Path
    python: Path

    def variables(self, **changes: str | None) -> dict[str, str]:
        """The variables of a process that works in it, as after ``source bin/activate``, and with *changes*.

        Nothing that steers the running Python (``PYTHONPATH`` and the like) is handed on.
        """
        path = os.environ.get("PATH", os.defpath)
        active: dict[str, str | None] = {
            "VIRTUAL_ENV": str(self.directory),
            "PATH": f"{self.python.parent}{os.pathsep}{path}",
            "PYTHONNOUSERSITE": "1",
        }
        return processes.environment({**active, **changes})


def create(python: Path, directory: Path, *, stop: Event | None = None) -> Environment:
    """Make an empty environment of the interpreter *python* in *directory*, which must be empty or not exist.

    Another thread may set *stop*, which ends the child, here and in `install`.

    Raises:
        JobFailed: it could not be made; the message has the end of what the tool said.
    """
    directory = directory.absolute()
    command = creation(python, directory)
    finished = _run(command, timeout=_CREATION, cwd=Path("/"), stop=stop)
    if not finished.ok:
        what = f"no environment could be made with it: {command[0]} {finished.why()}\n{finished.tail(10)}"
        raise JobFailed(Problem(what.rstrip(), str(python)))
    return Environment(directory, directory / "bin" / "python")


def creation(python: Path, directory: Path) -> list[str]:
    """The command by which `create` makes an environment."""
    if tool := uv():
        options = ["--quiet", "--no-config", "--offline", "--no-project"]
        return [tool, "venv", *options, "--python", str(python), str(directory)]
    return [str(python), "-I", "-m", "venv", "--without-pip", str(directory)]


def install(
    environment: Environment,
    requirements: Iterable[str],
    *,
    no_deps: bool = False,
    offline: bool = False,
    cached: bool = True,
    find_links: Iterable[Path] = (),
    timeout: float | None = None,
    log: Path | None = None,
    stop: Event | None = None,
) -> Finished:
    """Install *requirements* (PEP 508, or paths of wheels) into an environment.

    Index and credentials are those that the user configured for uv or pip. *offline* asks no index: what is
    needed must lie in *find_links*, or in uv's cache. Without *cached* files are read anew: caches know a local
    wheel by path and time, which are the same when it was built twice in a moment. *timeout* in seconds.

    Raises:
        JobFailed: there is neither uv nor pip.
    """
    links = [option for place in find_links for option in ("--find-links", str(place.absolute()))]
    options = [*(["--no-deps"] if no_deps else []), *links, *requirements]
    command = installation(environment, options, offline=offline, cached=cached)
    return _run(command, timeout=timeout, log=log, stop=stop)


def installation(
    environment: Environment, arguments: Iterable[str], *, offline: bool = False, cached: bool = True
) -> list[str]:
    """The command by which `install` works; *arguments* are requirements, and options that uv and pip both know.

    Raises:
        JobFailed: there is neither uv nor pip.
    """
    return [*_installer(environment, offline=offline, cached=cached), *arguments]


def _installer(environment: Environment, *, offline: bool, cached: bool) -> list[str]:
    cache_options = [] if cached else [("--no-cache" if uv() else "--no-cache-dir")]
    if tool := uv():
        command = [tool, "pip", "install", "--quiet", "--python", str(environment.python)]
        return [*command, *(["--offline"] if offline else []), *cache_options]
    if not find_spec("pip"):
        what = f"{sys.executable} has neither uv nor pip, so nothing can be installed"
        raise JobFailed(Problem(what, todo="Install uv (the extra `build` has it), or pip."))
    command = [sys.executable, "-m", "pip", "--python", str(environment.python), "install", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--root-user-action=ignore"]
    return [*command, *(["--no-index"] if offline else []), *cache_options]


@cache
def uv() -> str:
    """The path of uv: beside the running Python, or else on PATH; empty if there is none."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("uv") or ""


def _run(
    command: Sequence[str],
    *,
    timeout: float | None,
    cwd: Path | None = None,
    log: Path | None = None,
    stop: Event | None = None,
) -> Finished:
    env = processes.environment()
    return processes.run(command, timeout=timeout, cwd=cwd, env=env, log=log, stop=stop)
