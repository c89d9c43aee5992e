"""The CPythons of a project on this machine, found and if need be installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from wheelfuse.errors import JobFailed, Problem
from wheelfuse.interpreters.matrix import Matrix, MatrixOptions, Pythons, Row, assign, matrix
from wheelfuse.interpreters.provision import provision as install
from wheelfuse.interpreters.search import find, require_named


def pythons(
    requires_python: str,
    options: MatrixOptions | None = None,
    *,
    extra: Iterable[Path] = (),
    provision: bool = False,
    on_output: Callable[[bytes], None] | None = None,
) -> Pythons:
    """The targets that Requires-Python and the options give, each with its interpreter, if the machine has one.

    *extra* are interpreters or directories to look at first. With *provision* uv installs those that are missing;
    *on_output* gets what it prints.

    Raises:
        UsageError: one of *extra* is no usable interpreter, or no target follows from Requires-Python and the options.
        InvalidInput: Requires-Python is no specifier.
        JobFailed: uv could not install what is missing.
    """
    return located(matrix(requires_python, options), extra=extra, provision=provision, on_output=on_output)


def located(
    matrix: Matrix,
    *,
    extra: Iterable[Path] = (),
    provision: bool = False,
    on_output: Callable[[bytes], None] | None = None,
) -> Pythons:
    """As `pythons`, of a matrix that is known."""
    extra = tuple(extra)
    found = find(extra)
    require_named(found, extra)
    result = assign(matrix, found)
    if provision and result.missing:
        install(result.missing, on_output=on_output)
        result = assign(matrix, find(extra))
        require_all(result)
    return result


def require_all(pythons: Pythons) -> None:
    """Nothing, if there is an interpreter for each target.

    Raises:
        JobFailed: there is none for some; every one is told, with what was passed over for it.
    """
    if pythons.missing:
        raise JobFailed(absent(row) for row in pythons.rows if not row.interpreter)


def absent(row: Row) -> Problem:
    """That there is no interpreter for a target, what was passed over for it, and what to do."""
    todo = f"Install one, by --provision or otherwise, name it with --python, or leave it out: --exclude {row.target}"
    return Problem(row.why_not, str(row.target), todo=todo)
