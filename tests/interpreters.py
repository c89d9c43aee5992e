"""The CPythons of this machine that tests and the demo install wheels on, and environments made with them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Event
from typing import Literal

from wheelfuse import processes
from wheelfuse.interpreters import environments
from wheelfuse.interpreters.probe import TIMEOUT, Interpreter, Unusable, probe
from wheelfuse.interpreters.search import find
from wheelfuse.target import Target

OLDEST = Target(10)
"""The oldest CPython that tests run on, the oldest that wheelfuse itself supports."""

_exercised: set[Target] = set()
_answers: dict[tuple[Path, int], Interpreter | Unusable] = {}


class CommandFailed(RuntimeError):
    """A program ended with another exit status than 0; the message holds the command and what it printed."""


def available() -> dict[Target, Path]:
    """The interpreter to use for each target found on this machine, in the order of the targets."""
    return {target: interpreter.path for target, interpreter in _search()[0].items()}


def version(target: Target) -> str:
    """The full version of the interpreter that `available` gives for *target*: ``3.13.0``, ``3.15.0rc1``."""
    return _search()[0][target].version


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
        JobFailed: it could not be created.
    """
    _exercised.add(target)
    return environments.create(available()[target], directory).python


def install(env_python: Path, wheel: Path, *, installer: Literal["uv", "pip"] = "uv") -> None:
    """Install *wheel* alone into the environment of *env_python*, with uv or with the pip of the running Python.

    Raises:
        CommandFailed: the installer refused the wheel or failed.
    """
    python, file = env_python.absolute(), str(wheel.absolute())
    if installer == "uv":
        environment = environments.Environment(python.parents[1], python)
        done = environments.install(environment, [file], no_deps=True, offline=True, cached=False)
        if not done.ok:
            raise CommandFailed(f"{file}: uv {done.why()}\n{done.output}")
    else:
        options = ["--no-deps", "--disable-pip-version-check", "--no-input", "--no-index"]
        _run([sys.executable, "-m", "pip", "--python", str(python), "install", *options, file])


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
    if not (found := environments.uv()):
        raise CommandFailed("uv is neither in this environment nor on PATH: install the extra `test`")
    return found


def _run(command: list[str], timeout: float = 600) -> str:
    env = processes.environment()  # settings of the run that tests belong to must not leak
    try:
        done = subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(f"{command[0]}: {error}") from error
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def remembered(
    path: Path, source: str = "", *, timeout: float = TIMEOUT, stop: Event | None = None
) -> Interpreter | Unusable:
    """`wheelfuse.interpreters.probe.probe`, which asks each program only once, for tests that search all the time."""
    key = (path, path.resolve().stat().st_mtime_ns) if path.exists() else (path, 0)
    if key not in _answers:
        _answers[key] = probe(path, timeout=timeout, stop=stop)
    return replace(_answers[key], source=source)


@cache
def _search() -> tuple[dict[Target, Interpreter], dict[Path, str]]:
    found = find(headers=False)
    passed_over = {unusable.path: unusable.reason for unusable in found.passed_over}
    for interpreter in (*found.interpreters, *found.twins):
        if interpreter.target < OLDEST:
            passed_over[interpreter.path] = f"is {interpreter.target}, older than {OLDEST}"
    return {t: i for t, i in found.by_target.items() if t >= OLDEST}, passed_over
