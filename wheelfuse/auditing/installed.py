"""Distributions that are installed: into this interpreter, or into that of another environment.

Nothing of the distribution is imported: its files are those that its RECORD names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.utils import canonicalize_name

from wheelfuse.auditing.reading import Claims, read_claims, read_tree
from wheelfuse.auditing.subject import Kind, Subject
from wheelfuse.content import read_small
from wheelfuse.errors import InvalidInput, Problem, UsageError
from wheelfuse.target import Target
from wheelfuse.wheel.limits import DEFAULT_LIMITS, Limits
from wheelfuse.wheel.record import parse_record

_PROBE = """\
import json, sys, sysconfig
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": sys.version_info[:2],
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "path": [entry for entry in sys.path if entry],
}))
"""

_ELSEWHERE = "Install it there, or say with --python in which environment it is."
_AGAIN = "Install it again."
_SUFFIXES = ("dist-info", "egg-info")
_LARGEST_RECORD = 64 << 20
"""Bytes: rows for some hundred thousands of files."""


@dataclass(frozen=True)
class Environment:
    """An interpreter, and where it looks for distributions."""

    python: str
    target: Target
    path: tuple[str, ...]


def read_environment(python: str | None = None) -> Environment:
    """Ask an interpreter (default: the running one) what it is and where it looks; a directory is a venv's.

    Raises:
        UsageError: it cannot be run, or is no CPython 3.
    """
    python = python or sys.executable
    if Path(python).is_dir():
        python = str(Path(python) / "bin" / "python")
    try:
        # -I would hide what PYTHONPATH adds, but a program started in this directory would see files of it.
        done = subprocess.run([python, "-I", "-c", _PROBE], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            Problem(f"cannot be run: {error}", python, todo="Name an interpreter or a venv.")
        ) from error
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise UsageError(Problem(f"exit status {done.returncode}: {last}", python))
    try:
        found = _environment(python, json.loads(done.stdout))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(Problem("is no Python interpreter: it does not answer as one", python)) from error
    if found is None:
        raise UsageError(Problem("is no CPython 3", python))
    return found


def _environment(python: str, told: Any) -> Environment | None:
    """What the answer says, None if it is of no CPython 3; errors of lookup and type are those of no answer at all."""
    major, minor = told["version"]
    if told["implementation"] != "cpython" or major != 3:
        return None
    if not isinstance(minor, int):
        raise TypeError(minor)
    target = Target(minor, bool(told["free_threaded"]))
    return Environment(python, target, tuple(map(os.fsdecode, told["path"])))


def read_installed(name: str, environment: Environment, limits: Limits = DEFAULT_LIMITS) -> Subject:
    """The distribution *name* in an environment, for the CPython of that environment alone."""
    label = f"{name} (for {environment.target})"

    def unreadable(*problems: Problem) -> Subject:
        return Subject(label, Kind.DISTRIBUTION, unreadable=problems, only=environment.target)

    dist_info = _dist_info(name, environment)
    if dist_info is None:
        return unreadable(Problem(f"not installed for {environment.python}", label, todo=_ELSEWHERE))
    record = f"{dist_info.name}/RECORD"
    try:
        paths = _recorded(dist_info / "RECORD")
    except (FileNotFoundError, NotADirectoryError):
        what = "has no RECORD: it was not installed from a wheel, so its files are not known"
        return unreadable(Problem(what, label, todo="Install it from a wheel."))
    except InvalidInput as error:
        return unreadable(*(Problem(p.what, label, p.member or record, _AGAIN) for p in error.problems))
    except OSError as error:
        return unreadable(Problem(f"cannot be read: {error.strerror}", label, record, _AGAIN))
    claims = read_claims(dist_info.parent, dist_info.name)
    label = f"{_title(claims) or name} (installed for {environment.target})"
    subject = read_tree(label, Kind.DISTRIBUTION, dist_info.parent, paths, claims, limits)
    return replace(subject, only=environment.target)


def _dist_info(name: str, environment: Environment) -> Path | None:
    """Where an environment keeps what is said of a distribution: in the first such directory, as for import."""
    wanted = canonicalize_name(name)
    for entry in environment.path:
        with suppress(OSError, ValueError):  # what import passes over, too
            for found in sorted(os.listdir(entry)):  # noqa: PTH208
                stem, _, suffix = found.rpartition(".")
                if suffix in _SUFFIXES and canonicalize_name(stem.partition("-")[0]) == wanted:
                    return Path(entry, found)
    return None


def _recorded(record: Path) -> list[str]:
    """The files that a RECORD names within its directory, without the bytecode, which comes and goes.

    Raises:
        InvalidInput: it makes no sense.
        OSError: it cannot be read.
    """
    paths = (PurePosixPath(entry.path) for entry in parse_record(read_small(record, _LARGEST_RECORD)))
    inside = (path for path in paths if not path.is_absolute() and ".." not in path.parts)
    return sorted({str(path) for path in inside if path.suffix != ".pyc"})


def _title(claims: Claims) -> str:
    """Name and version, as METADATA spells them; empty if it does not."""
    fields = claims.metadata.fields if claims.metadata else ()
    stated = {header.field: header.flat for header in reversed(fields)}
    return f"{stated['name']} {stated['version']}" if {"name", "version"} <= stated.keys() else ""
