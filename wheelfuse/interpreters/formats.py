"""A matrix as CI systems, CMake and shells read it. Pure; what is for people and JSON is in :mod:`wheelfuse.report`.

Sources: GitHub's ``jobs.<job_id>.strategy.matrix``, GitLab's ``parallel:matrix``, Buildkite's ``matrix`` of a command
step, and CMake's lists.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping

from wheelfuse.errors import Problem, UsageError
from wheelfuse.interpreters.probe import Interpreter
from wheelfuse.interpreters.search import VARIABLE
from wheelfuse.target import Target


def github_matrix(targets: Iterable[Target]) -> str:
    """``{"include": [...]}`` in one line, for ``$GITHUB_OUTPUT`` and ``fromJSON``.

    ``python-version`` is what actions/setup-python and uv call it: ``3.14t`` for the free-threaded build.
    """
    jobs = [
        {"target": str(target), "python-version": target.python_name, "free-threaded": target.free_threaded}
        for target in targets
    ]
    return json.dumps({"include": jobs}) + "\n"


def gitlab(targets: Iterable[Target]) -> str:
    """A hidden job with ``parallel:matrix``, to be included, and named by ``extends``."""
    lines = [".wheelfuse-pythons:", "  parallel:", "    matrix:"]
    for target in targets:
        lines.append(f"      - TARGET: {target}")
        lines.append(f'        PYTHON_VERSION: "{target.python_name}"')
    return "\n".join((*lines, ""))


def buildkite(targets: Iterable[Target]) -> str:
    """The ``matrix`` of a command step, where ``{{matrix}}`` is the target."""
    return "\n".join(("matrix:", *(f"  - {target}" for target in targets), ""))


def cmake(interpreters: Iterable[Interpreter], separator: str = ";") -> str:
    """The paths as one list.

    Raises:
        UsageError: a path has the separator or a line break in it.
    """
    return _joined(interpreters, separator) + "\n"


def env(interpreters: Iterable[Interpreter]) -> str:
    """``NAME=VALUE`` lines, quoted where a shell needs it: the targets, all interpreters, and each by itself.

    Raises:
        UsageError: a path has a ":" or a line break in it.
    """
    interpreters = tuple(interpreters)
    values = {
        "WHEELFUSE_TARGETS": ",".join(str(interpreter.target) for interpreter in interpreters),
        VARIABLE: _joined(interpreters, ":"),
        **{f"WHEELFUSE_PYTHON_{str(i.target).upper()}": str(i.path) for i in interpreters},
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


OF_TARGETS: Mapping[str, Callable[[Iterable[Target]], str]] = {
    "github-matrix": github_matrix,
    "buildkite": buildkite,
    "gitlab": gitlab,
}
"""The formats that name targets: jobs that run anywhere."""

OF_INTERPRETERS: Mapping[str, Callable[[Iterable[Interpreter]], str]] = {"cmake": cmake, "env": env}
"""The formats that name interpreters of this machine, which must not miss one."""

FORMATS = ("text", "json", *OF_TARGETS, *OF_INTERPRETERS)


def _joined(interpreters: Iterable[Interpreter], separator: str) -> str:
    paths = [str(interpreter.path) for interpreter in interpreters]
    for path in paths:
        if "\n" in path or "\r" in path:  # each line is one variable, or the list
            raise UsageError(Problem("has a line break in it, and cannot be in a list", path))
        if separator in path:
            raise UsageError(f"{path} cannot be in a list that {separator!r} separates")
    return separator.join(paths)
