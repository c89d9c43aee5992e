"""CPythons that the machine lacks, installed by uv."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from wheelfuse.errors import JobFailed, Problem
from wheelfuse.interpreters.environments import uv
from wheelfuse.processes import environment, run
from wheelfuse.target import Target

TIMEOUT = 1800.0
"""Seconds for all downloads together."""

_OTHER_WAYS = (
    "pyenv install has them as well, and the manylinux and musllinux images in /opt/python; "
    "those elsewhere are named with --python or WHEELFUSE_PYTHONS."
)


def provision(targets: Iterable[Target], *, on_output: Callable[[bytes], None] | None = None) -> None:
    """Let uv install the newest release of each target where it keeps its own.

    Nothing is linked into a directory on PATH. *on_output* gets what uv prints.

    Raises:
        JobFailed: uv is not there, does not know a target, or could not download it.
    """
    wanted = [target.python_name for target in targets]
    if not (tool := uv()):
        what = f"there is no uv to install CPython {', '.join(wanted)} with"
        raise JobFailed(Problem(what, todo=f"Install it: the extra `build` has it. {_OTHER_WAYS}"))
    # Where uv installs, and where it downloads from, is for its user to say; which Python is running, is not.
    settings = {name: value for name, value in os.environ.items() if name.startswith("UV_PYTHON_")}
    done = run(
        [tool, "python", "install", "--color", "never", *wanted], cwd=Path("/"), timeout=TIMEOUT,
        env=environment({**settings, "UV_PYTHON_INSTALL_BIN": "0"}), on_output=on_output,
    )  # fmt: skip
    if not done.ok:
        what = f"uv could not install CPython {', '.join(wanted)}: it {done.why()}\n{_essence(done.output)}"
        todo = (
            "uv downloads from github.com/astral-sh/python-build-standalone; where that cannot be reached, "
            f"UV_PYTHON_INSTALL_MIRROR names a copy. {_OTHER_WAYS}"
        )
        raise JobFailed(Problem(what, todo=todo))


def _essence(output: str) -> str:
    """Of each error of uv, what failed and the last cause."""
    errors: list[list[str]] = []
    for line in output.splitlines():
        if line.startswith("error:"):
            errors.append([line])
        elif errors and line.strip():
            errors[-1].append(line)
    kept = dict.fromkeys(f"    {line.strip()}" for error in errors for line in (error[0], error[-1]))
    return "\n".join(kept) or output.strip()
