"""The CPythons that a project is built for, as its pyproject.toml and the options of a command state them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wheelfuse.building.options import BuildOptions
from wheelfuse.building.project import Project
from wheelfuse.interpreters.matrix import Matrix, MatrixOptions, matrix


def stated_matrix(document: Mapping[str, Any], path: Path, given: MatrixOptions) -> Matrix:
    """The matrix of a project, by its pyproject.toml (*path* is named in messages) and the options of a command.

    Raises:
        UsageError: they make no sense, or no target follows from them.
        InvalidInput: Requires-Python is no specifier.
    """
    project = Project.from_pyproject(document, str(path))
    return matrix(project.requires_python, given.over(BuildOptions.from_table(project.table).matrix))
