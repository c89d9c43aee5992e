"""Where the CPythons of this machine are, and which one to use of several for one target.

Places, in this order: what the caller gives; ``WHEELFUSE_PYTHONS`` (files or directories, separated by ":");
``/opt/python`` of the manylinux and musllinux images; pyenv; ``wheelfuse/pythons`` in the user's cache directory;
those that uv manages; the Python that runs wheelfuse; PATH.

Of several for one target, one that the caller gives wins, then one of ``WHEELFUSE_PYTHONS``, then the newest
release, then the earlier place.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from wheelfuse.errors import Problem, UsageError
from wheelfuse.interpreters.probe import TIMEOUT, Interpreter, Unusable, probe
from wheelfuse.target import Target
from wheelfuse.workers import processors

GIVEN, VARIABLE = "given", "WHEELFUSE_PYTHONS"
"""Sources of interpreters that the user named."""

_RANK = {GIVEN: 0, VARIABLE: 1}
_NAME = re.compile(r"python3(\.\d+t?d?)?")
_MANYLINUX = Path("/opt/python")


@dataclass(frozen=True)
class Found:
    """The interpreters to use, one for each target, in the order of the targets, and the others.

    *twins* are as good, but for a target that has one already; *passed_over* are not usable, with the reason.
    """

    interpreters: tuple[Interpreter, ...]
    twins: tuple[Interpreter, ...] = ()
    passed_over: tuple[Unusable, ...] = ()

    @property
    def by_target(self) -> Mapping[Target, Interpreter]:
        """The interpreter to use for each target."""
        return {interpreter.target: interpreter for interpreter in self.interpreters}


@dataclass(frozen=True)
class Candidate:
    """A file that is an interpreter by its name and place, and where it was found."""

    path: Path
    source: str


def find(extra: Iterable[Path] = (), *, headers: bool = True, timeout: float = TIMEOUT) -> Found:
    """The CPythons of this machine that share machine and C library with the Python that runs wheelfuse.

    *extra* are interpreters, or directories: with interpreters in them, in their ``bin``, or with prefixes side
    by side. With *headers*, those without are passed over, for nothing can be built for them. *timeout* is in
    seconds, for each.
    """
    running = Candidate(Path(sys.executable), "")
    home, *answers = _answers([running, *_distinct(_candidates(tuple(extra)))], timeout)
    judged = [_judged(answer, home, headers) for answer in answers]
    return choose(
        (answer for answer in judged if isinstance(answer, Interpreter)),
        (answer for answer in judged if isinstance(answer, Unusable)),
    )


def choose(interpreters: Iterable[Interpreter], passed_over: Iterable[Unusable] = ()) -> Found:
    """One interpreter for each target: one that the user named, or else the newest release, or else the first."""
    best: dict[Target, Interpreter] = {}
    twins = []
    by_release = sorted(interpreters, key=lambda i: i.release, reverse=True)
    for interpreter in sorted(by_release, key=lambda i: _RANK.get(i.source, len(_RANK))):
        if best.setdefault(interpreter.target, interpreter) is not interpreter:
            twins.append(interpreter)
    return Found(tuple(best[target] for target in sorted(best)), tuple(twins), tuple(passed_over))


def require_named(found: Found, extra: Iterable[Path]) -> None:
    """Nothing, if each of the paths given to `find` is a usable interpreter, or has one in it.

    Raises:
        UsageError: some are not; every one is told.
    """
    named = {_absolute(path) for path in extra}
    if in_vain := [one for one in found.passed_over if one.source == GIVEN and one.path in named]:
        todo = "--python takes an interpreter, a directory with some, or a version (3.13t)."
        raise UsageError(Problem(one.reason, str(one.path), todo=todo) for one in in_vain)


def parse_python(text: str) -> Path | Target:
    """Which CPython is meant: a path, or a version (``3.13t``, ``cp313t``), unless a file has that name."""
    target = Target.of_name(text)
    return target if target and not Path(text).exists() else Path(text)


def parted(pythons: Iterable[Path | Target]) -> tuple[tuple[Path, ...], tuple[Target, ...]]:
    """The paths and the targets among the CPythons that a user named."""
    pythons = tuple(pythons)
    return (
        tuple(one for one in pythons if isinstance(one, Path)),
        tuple(one for one in pythons if isinstance(one, Target)),
    )


def _answers(candidates: list[Candidate], timeout: float) -> list[Interpreter | Unusable]:
    stop = Event()

    def ask(candidate: Candidate) -> Interpreter | Unusable:
        if candidate.path.is_dir():  # one that the user named, and nothing in it looks like an interpreter
            return Unusable(candidate.path, "has no python3 in it, in its bin, or in */bin", candidate.source)
        return probe(candidate.path, candidate.source, timeout=timeout, stop=stop)

    with ThreadPoolExecutor(max_workers=4 * processors()) as pool:
        try:
            return list(pool.map(ask, candidates))
        except BaseException:  # an interrupt reaches this thread alone
            stop.set()
            raise


def _judged(
    answer: Interpreter | Unusable, home: Interpreter | Unusable, headers: bool
) -> Interpreter | Unusable:
    if isinstance(answer, Unusable):
        return answer
    reason = answer.no_headers if headers and answer.include is None else ""
    if isinstance(home, Interpreter) and answer.platform.family != home.platform.family:
        machine, libc = answer.platform.family
        here = " ".join(home.platform.family)
        reason = (
            f"is {answer.target} for {machine} {libc}, while the Python that runs wheelfuse is for {here}"
        )
    return Unusable(answer.path, reason, answer.source, answer.target) if reason else answer


def _candidates(extra: tuple[Path, ...]) -> Iterator[Candidate]:
    """Every file that looks like an interpreter, in the order of the places."""
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python")
    for path in extra:
        yield from _named(path, GIVEN)
    for entry in _entries(VARIABLE):
        yield from _named(entry, VARIABLE)
    for directory, source in (
        (_MANYLINUX, str(_MANYLINUX)),
        (pyenv / "versions", "pyenv"),
        (cache / "wheelfuse/pythons", "cache"),
        (uv, "uv"),
    ):
        for prefix in sorted(directory.glob("*/bin")):
            yield from _in_directory(prefix, source)
    yield Candidate(Path(sys.executable), "running")
    for directory in _entries("PATH"):
        if not directory.is_relative_to(pyenv):  # its shims find no version but the active one
            yield from _in_directory(directory, "PATH")


def _entries(variable: str) -> Iterator[Path]:
    return (Path(entry) for entry in os.environ.get(variable, "").split(os.pathsep) if entry)


def _named(path: Path, source: str) -> Iterator[Candidate]:
    """What the user named: an interpreter, or a directory with some, which may be in prefixes."""
    path = _absolute(path)
    directories = (path, path / "bin", *sorted(path.glob("*/bin"))) if path.is_dir() else ()
    found = [candidate for directory in directories for candidate in _in_directory(directory, source)]
    yield from found or [Candidate(path, source)]


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _in_directory(directory: Path, source: str) -> Iterator[Candidate]:
    for path in sorted(directory.absolute().glob("python3*")):
        if _NAME.fullmatch(path.name) and not path.is_dir():
            yield Candidate(path, source)


def _distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The first of those that are one file by several names."""
    first: dict[Path, Candidate] = {}
    for candidate in candidates:
        real = candidate.path.resolve()
        # A launcher that serves all versions goes by the name it was called with, so it is many interpreters.
        key = real if real.name.startswith("python") else candidate.path
        first.setdefault(key, candidate)
    return list(first.values())
