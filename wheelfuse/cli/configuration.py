"""The settings of a project: ``[tool.wheelfuse.*]`` of its pyproject.toml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wheelfuse.building.options import BuildOptions
from wheelfuse.building.project import Project
from wheelfuse.interpreters.matrix import Matrix, MatrixOptions, matrix
from wheelfuse.pyproject import read_pyproject, table


def configured(command: str, path: Path | None) -> Mapping[str, Any]:
    """``[tool.wheelfuse.COMMAND]`` of a pyproject.toml, by default that of the working directory; empty if absent.

    Raises:
        UsageError: it is no TOML, or that key is no table.
    """
    path = path or Path("pyproject.toml")
    if not path.exists():
        return {}
    return table(read_pyproject(path), str(path), "tool", "wheelfuse", command)


def stated_matrix(document: Mapping[str, Any], path: Path, given: MatrixOptions) -> Matrix:
    """The matrix of a project, by its pyproject.toml (*path* is named in messages) and the options of a command.

    Raises:
        UsageError: they make no sense, or no target follows from them.
        InvalidInput: Requires-Python is no specifier.
    """
    project = Project.from_pyproject(document, str(path))
    return matrix(project.requires_python, given.over(BuildOptions.from_table(project.table).matrix))
