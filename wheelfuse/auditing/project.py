"""What a project's pyproject.toml asks for."""

from __future__ import annotations

from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from wheelfuse.errors import Problem, UsageError
from wheelfuse.pyproject import read_pyproject, table


def read_requires_python(path: Path) -> str:
    """``project.requires-python`` of a pyproject.toml (PEP 621).

    Raises:
        UsageError: it cannot be read, or states none, so that nothing could be held against it.
    """
    stated = table(read_pyproject(path), str(path), "project").get("requires-python")
    if not isinstance(stated, str) or not stated.strip():
        todo = "State it, or leave --project out."
        raise UsageError(
            Problem("has no project.requires-python to hold wheels against", str(path), todo=todo)
        )
    try:
        SpecifierSet(stated)
    except InvalidSpecifier as error:
        raise UsageError(Problem(f"requires-python: {error}", str(path))) from error
    return stated
