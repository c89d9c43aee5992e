"""A program: the two steps of a PEP 517 build, run with the ``build`` package for another interpreter.

    python frontend.py requires SOURCE PYTHON FILE CONFIG_SETTINGS SKIPPED...
    python frontend.py wheel    SOURCE PYTHON DIRECTORY CONFIG_SETTINGS

The first writes what else the backend wants installed for a wheel, one requirement in a line, without those on
distributions that are SKIPPED (their normalised names); the second makes the wheel. It imports nothing of wheelfuse,
so that it needs no path to it: the child of a build job sees a tidy environment.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    del sys.path[0]  # this directory: its modules are of a package, and none of them is what `build` imports

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import build
import pyproject_hooks
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name


def main(step: str, source: str, python: str, output: str, settings: str, *skipped: str) -> None:
    """Run one of the steps; failures end the program with a line about them."""
    try:
        builder = build.ProjectBuilder(source, python)
        if step == "requires":
            wanted = builder.get_requires_for_build("wheel", json.loads(settings))
            lines = [f"{text.strip()}\n" for text in sorted(wanted) if _name(text) not in skipped]
            Path(output).write_text("".join(lines), encoding="utf-8")
        else:
            builder.build("wheel", output, json.loads(settings))
    except build.BuildBackendException as failure:
        cause = failure.exception
        if isinstance(cause, subprocess.CalledProcessError) and cause.returncode < 0:
            _end_as(-cause.returncode)
        if isinstance(cause, pyproject_hooks.BackendUnavailable):
            sys.exit(f"{failure}\n{cause.traceback or ''}")
        sys.exit(str(failure))
    except build.BuildException as failure:
        sys.exit(str(failure))


def _name(requirement: str) -> str:
    """The normalised name of the distribution; empty if this is no requirement, which the installer will say."""
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:
        return ""


def _end_as(number: int) -> None:
    """End by the signal that ended the backend, so that whoever waits learns of it."""
    with contextlib.suppress(OSError, ValueError):  # those that cannot be handled need no default
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    main(*sys.argv[1:])
