"""What a project's pyproject.toml asks for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from wheelfuse.errors import Problem, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_requires_python(path: Path) -> str:
    """``project.requires-python`` of a pyproject.toml (PEP 621).

    Raises:
        UsageError: it cannot be read, or states none, so that nothing could be held against it.
    """
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(Problem(f"cannot be read: {error.strerror}", str(path))) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(Problem(str(error), str(path))) from error
    project = document.get("project", {})
    stated = project.get("requires-python") if isinstance(project, dict) else None
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
