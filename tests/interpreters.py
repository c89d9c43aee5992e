"""The CPythons of this machine that tests and the demo install wheels on, and environments made with them."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from wheelfuse.target import Target

OLDEST = Target(10)
"""The oldest CPython that tests run on, the oldest that wheelfuse itself supports."""

_log = logging.getLogger(__name__)
_exercised: set[Target] = set()
_LEVELS = {"alpha": "a", "beta": "b", "candidate": "rc"}
_NAME = re.compile(r"python3(\.\d+t?)?")
_PROBE = """\
import json, sys, sysconfig
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": list(sys.version_info),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "suffix": sysconfig.get_config_var("EXT_SUFFIX"),
}))
"""


class CommandFailed(RuntimeError):
    """A program ended with another exit status than 0; the message holds the command and what it printed."""


class Rejected(ValueError):
    """A file that looks like an interpreter is none that tests can use; the message says why."""


@dataclass(frozen=True)
class Interpreter:
    """A CPython that was run and told what it is."""

    path: Path
    target: Target
    version: tuple[int | str, ...]
    """``sys.version_info``: major, minor, micro, release level, serial."""


def available() -> dict[Target, Path]:
    """The interpreter to use for each target found on this machine, in the order of the targets."""
    return {target: interpreter.path for target, interpreter in _search()[0].items()}


def version(target: Target) -> str:
    """The full version of the interpreter that `available` gives for *target*: ``3.13.0``, ``3.15.0rc1``."""
    major, minor, micro, level, serial = _search()[0][target].version
    pre = "" if level == "final" else f"{_LEVELS[str(level)]}{serial}"
    return f"{major}.{minor}.{micro}{pre}"


def rejected() -> dict[Path, str]:
    """The files that looked like an interpreter and were passed over, each with the reason."""
    return dict(_search()[1])


def take_exercised() -> set[Target]:
    """The targets for which an environment was created since the last call of this function."""
    taken = set(_exercised)
    _exercised.clear()
    return taken


def environment(target: Target, directory: Path) -> Path:
    """Create a fresh virtual environment for *target* in *directory*; returns the path of its interpreter.

    Raises:
        CommandFailed: uv could not create it.
    """
    python = available()[target]
    directory = directory.absolute()
    _exercised.add(target)
    _run([uv(), "venv", "--no-config", "--offline", "--no-project", "--python", str(python), str(directory)])
    return directory / "bin" / "python"


def install(
    env_python: Path,
    wheel: Path,
    *,
    installer: Literal["uv", "pip"] = "uv",
    offline: bool = True,
    no_deps: bool = True,
) -> None:
    """Install *wheel* into the environment of *env_python*, with uv or with the pip of the running Python.

    Raises:
        CommandFailed: the installer refused the wheel or failed.
    """
    python, file = str(env_python.absolute()), str(wheel.absolute())
    options = ["--no-deps"] if no_deps else []
    if installer == "uv":
        # uv knows a local wheel by path and modification time, and tests write many wheels in one second
        options += ["--no-config", "--no-cache", *(["--offline"] if offline else [])]
        _run([uv(), "pip", "install", "--python", python, *options, file])
    else:
        options += ["--disable-pip-version-check", "--no-input", *(["--no-index"] if offline else [])]
        _run([sys.executable, "-m", "pip", "--python", python, "install", *options, file])


def run_python(python: Path, code: str) -> str:
    """What *code* prints on *python*, run outside the working directory and without the settings of this run.

    Raises:
        CommandFailed: it ended with another exit status than 0.
    """
    return _run([str(python), "-c", code], timeout=120)


def uv() -> str:
    """The path of uv: the one of the running environment, or else the one on PATH.

    Raises:
        CommandFailed: there is none.
    """
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise CommandFailed("uv is neither in this environment nor on PATH: install the extra `test`")
    return found


def _run(command: list[str], timeout: float = 600) -> str:
    _log.info(shlex.join(command))
    # Settings of the run that tests belong to must not leak into the interpreter that is asked.
    leaky = ("PYTHON", "VIRTUAL_ENV", "UV_PYTHON")
    env = {name: value for name, value in os.environ.items() if not name.startswith(leaky)}
    try:
        done = subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(f"{command[0]}: {error}") from error
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


@cache
def _search() -> tuple[dict[Target, Interpreter], dict[Path, str]]:
    candidates = list(dict.fromkeys(path.resolve() for path in _candidates()))
    best: dict[Target, Interpreter] = {}
    passed_over: dict[Path, str] = {}
    with ThreadPoolExecutor() as pool:
        for path, answer in zip(candidates, pool.map(_ask_or_reason, candidates), strict=True):
            if isinstance(answer, str):
                passed_over[path] = answer
            elif (seen := best.get(answer.target)) is None or seen.version < answer.version:
                best[answer.target] = answer
    return dict(sorted(best.items())), passed_over


def _ask_or_reason(path: Path) -> Interpreter | str:
    try:
        return _ask(path)
    except Rejected as reason:
        return str(reason)


def _ask(path: Path) -> Interpreter:
    """Run *path* and let it say what it is.

    Raises:
        Rejected: it does not run, or is no CPython that tests are made for.
    """
    try:
        answer = json.loads(_run([str(path), "-c", _PROBE], timeout=30))
    except (CommandFailed, ValueError) as error:
        raise Rejected(f"does not run: {error}") from error
    if answer["implementation"] != "cpython":
        raise Rejected(f"is {answer['implementation']}, not CPython")
    target = Target(answer["version"][1], answer["free_threaded"])
    if target < OLDEST:
        raise Rejected(f"is {target}, older than {OLDEST}")
    if Target.of_extension_suffix(answer["suffix"]) != target:
        raise Rejected(f"is {target}, but imports {answer['suffix']}: a debug or foreign build")
    return Interpreter(path, target, tuple(answer["version"]))


def _candidates() -> Iterator[Path]:
    """Files that look like an interpreter by name and place; the earlier ones win among equal versions."""
    home = Path.home()
    for entry in filter(None, os.environ.get("WHEELFUSE_PYTHONS", "").split(os.pathsep)):
        yield from _interpreters_at(Path(entry))
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    for directory in (pyenv / "versions", cache_home / "wheelfuse" / "pythons"):
        if directory.is_dir():
            yield from _interpreters_at(directory)
    yield Path(sys.executable)
    for entry in filter(None, os.environ.get("PATH", "").split(os.pathsep)):
        yield from _interpreters_in(Path(entry))
    yield from _uv_managed()


def _interpreters_at(path: Path) -> Iterator[Path]:
    """*path* itself, or the interpreters in it, in its ``bin``, and in the prefixes that lie in it."""
    if not path.is_dir():
        yield path
        return
    for directory in (path, path / "bin", *sorted(path.glob("*/bin"))):
        yield from _interpreters_in(directory)


def _interpreters_in(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.glob("python3*")):
        if _NAME.fullmatch(path.name) and path.is_file() and os.access(path, os.X_OK):
            yield path


def _uv_managed() -> Iterator[Path]:
    command = ("python", "list", "--only-installed", "--managed-python", "--offline", "--no-config")
    try:
        listing = _run([uv(), *command, "--output-format", "json"], timeout=60)
    except CommandFailed:  # without uv there are none that it manages
        return
    yield from (Path(entry["path"]) for entry in json.loads(listing) if entry["path"])
