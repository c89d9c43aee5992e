"""The settings of a project: ``[tool.wheelfuse.*]`` of its pyproject.toml."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wheelfuse.errors import UsageError


def configured(command: str, path: Path | None) -> Mapping[str, Any]:
    """``[tool.wheelfuse.COMMAND]`` of a pyproject.toml, by default that of the working directory; empty if absent.

    Raises:
        UsageError: it is no TOML, or that key is no table.
    """
    path = path or Path("pyproject.toml")
    if not path.exists():
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        table: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    for key in ("tool", "wheelfuse", command):
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {key} must be a table")
    found: Mapping[str, Any] = table
    return found
