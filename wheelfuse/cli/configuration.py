"""The settings of a project: ``[tool.wheelfuse.*]`` of its pyproject.toml."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wheelfuse.building.project import Project, read
from wheelfuse.errors import Problem, UsageError


def configured(command: str, path: Path | None) -> Mapping[str, Any]:
    """``[tool.wheelfuse.COMMAND]`` of a pyproject.toml, by default that of the working directory; empty if absent.

    Raises:
        UsageError: it is no TOML, or that key is no table.
    """
    path = path or Path("pyproject.toml")
    if not path.exists():
        return {}
    table: Any = read_pyproject(path)
    for key in ("tool", "wheelfuse", command):
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {key} must be a table")
    found: Mapping[str, Any] = table
    return found


def read_pyproject(path: Path) -> Mapping[str, Any]:
    """All of a pyproject.toml.

    Raises:
        UsageError: it cannot be read, or is no TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error


def read_project(path: Path) -> Project:
    """The project in a directory, or of a pyproject.toml.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    path = path / "pyproject.toml" if path.is_dir() else path
    try:
        return read(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError as error:
        raise UsageError(
            Problem("there is no such file", str(path), todo="Name the project: --project PATH")
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(Problem(f"cannot be read: {error}", str(path))) from error
