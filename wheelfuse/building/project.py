"""What a project's pyproject.toml says about building it (PEP 517, PEP 518, PEP 621, and our own table). Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from wheelfuse.errors import Problem, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_ASSUMED = ("setuptools >= 40.8.0",)  # PEP 518, and what `build` assumes where there is no [build-system]


@dataclass(frozen=True)
class Project:
    """A project to build: its name (empty if only the backend knows it), the CPythons it is for, what its backend
    needs, and ``[tool.wheelfuse.build]``."""

    name: str
    requires_python: str
    requires: tuple[str, ...]
    table: Mapping[str, Any]

    def requirements(self, skipped: tuple[str, ...]) -> tuple[str, ...]:
        """What to install before the backend is asked anything, without the distributions *skipped*."""
        return without(self.requires, skipped)


def read(text: str, path: str) -> Project:
    """Read a pyproject.toml; *path* is named in messages.

    Raises:
        UsageError: it is no TOML, or a value that is needed here is of the wrong kind.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(Problem(str(error), path)) from error
    project, system = _table(document, path, "project"), _table(document, path, "build-system")
    requires = system.get("requires", list(_ASSUMED))
    if not isinstance(requires, list) or not all(isinstance(requirement, str) for requirement in requires):
        raise UsageError(Problem("build-system.requires is not a list of requirements", path))
    stated = project.get("requires-python", "")
    if not isinstance(stated, str):
        raise UsageError(Problem("project.requires-python is not a string", path))
    table = _table(document, path, "tool", "wheelfuse", "build")
    return Project(str(project.get("name", "")), stated, tuple(requires), table)


def without(requirements: tuple[str, ...], skipped: tuple[str, ...]) -> tuple[str, ...]:
    """The requirements (PEP 508) on other distributions than those *skipped*."""
    names = {canonicalize_name(name) for name in skipped}
    return tuple(text for text in requirements if _name(text) not in names)


def _name(requirement: str) -> str:
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:  # the installer will say what is wrong with it
        return canonicalize_name(re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0])


def _table(document: Mapping[str, Any], path: str, *keys: str) -> Mapping[str, Any]:
    table: Any = document
    for depth, key in enumerate(keys, 1):
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise UsageError(Problem(f"{'.'.join(keys[:depth])} must be a table", path))
    found: Mapping[str, Any] = table
    return found
