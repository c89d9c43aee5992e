"""Distributions that are installed: into this interpreter, or into that of another environment.

Nothing of the distribution is imported: its files are those that its RECORD names.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from wheelfuse.auditing.reading import read_claims, read_tree
from wheelfuse.auditing.subject import Kind, Subject
from wheelfuse.errors import Problem, UsageError
from wheelfuse.target import Target

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
        done = subprocess.run([python, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            Problem(f"cannot be run: {error}", python, todo="Name an interpreter or a venv.")
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UsageError(Problem(f"exit status {done.returncode}: {last}", python))
    try:
        told = json.loads(done.stdout)
    except ValueError as error:
        raise UsageError(Problem("is no Python interpreter: it does not answer", python)) from error
    if told["implementation"] != "cpython" or told["version"][0] != 3:
        raise UsageError(Problem("is no CPython 3", python))
    return Environment(python, Target(told["version"][1], told["free_threaded"]), tuple(told["path"]))


def read_installed(name: str, environment: Environment) -> Subject:
    """The distribution *name* in an environment, for the CPython of that environment alone."""
    label = f"{name} (for {environment.target})"
    wanted = canonicalize_name(name)
    found = next(
        (
            distribution
            for distribution in importlib.metadata.distributions(path=list(environment.path))
            if canonicalize_name(distribution.metadata["Name"] or "") == wanted
        ),
        None,
    )
    if found is None:
        problem = Problem(f"not installed for {environment.python}", label, todo=_ELSEWHERE)
        return Subject(label, Kind.DISTRIBUTION, unreadable=(problem,), only=environment.target)
    files = found.files
    if files is None:
        what = "has no RECORD: it was not installed from a wheel, so its files are not known"
        problem = Problem(what, label, todo="Install it from a wheel.")
        return Subject(label, Kind.DISTRIBUTION, unreadable=(problem,), only=environment.target)
    root = Path(str(found.locate_file("")))
    inside = sorted({str(file) for file in files if ".." not in file.parts and not file.is_absolute()})
    dist_info = next((path.split("/")[0] for path in inside if path.endswith(".dist-info/METADATA")), "")
    label = f"{found.metadata['Name']} {found.version} (installed for {environment.target})"
    subject = read_tree(label, Kind.DISTRIBUTION, root, inside, read_claims(root, dist_info))
    return replace(subject, only=environment.target)
