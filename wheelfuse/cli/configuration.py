"""The settings of a project: ``[tool.wheelfuse.*]`` of its pyproject.toml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def configured(command: str, path: Path | None) -> Mapping[str, Any]:
    """``[tool.wheelfuse.COMMAND]`` of a pyproject.toml, by default that of the working directory; empty if absent.

    Raises:
        UsageError: it is no TOML, or that key is no table.
    """
    path = path or Path("pyproject.toml")
    if not path.exists():
        return {}
    from wheelfuse.pyproject import read_pyproject, table  # and with it a parser of TOML

    return table(read_pyproject(path), str(path), "tool", "wheelfuse", command)
