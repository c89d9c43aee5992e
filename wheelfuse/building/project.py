"""What a project's pyproject.toml says about building it (PEP 517, PEP 518, PEP 621, and our own table). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from packaging.utils import canonicalize_name

from wheelfuse.errors import Problem, UsageError
from wheelfuse.pyproject import distribution, strings, table

_ASSUMED = ("setuptools >= 40.8.0",)  # PEP 518, and what `build` assumes where there is no [build-system]


@dataclass(frozen=True)
class Project:
    """A project to build: its name (empty if only the backend knows it), the CPythons it is for, what its backend
    needs, and ``[tool.wheelfuse.build]``."""

    name: str
    requires_python: str
    requires: tuple[str, ...]
    table: Mapping[str, Any]
    states_build_directory: bool = False
    """Whether it tells scikit-build-core where to build."""

    @classmethod
    def from_pyproject(cls, document: Mapping[str, Any], path: str) -> Project:
        """Read a pyproject.toml; *path* is named in messages.

        Raises:
            UsageError: a value that is needed here is of the wrong kind.
        """
        project, system = table(document, path, "project"), table(document, path, "build-system")
        stated = project.get("requires-python", "")
        if not isinstance(stated, str):
            raise UsageError(Problem("project.requires-python is not a string", path))
        requires = strings(system, path, "requires", default=_ASSUMED, of="requirements")
        own = table(document, path, "tool", "wheelfuse", "build")
        scikit_build = table(document, path, "tool", "scikit-build")
        return cls(str(project.get("name", "")), stated, requires, own, "build-dir" in scikit_build)

    def requirements(self, skipped: tuple[str, ...]) -> tuple[str, ...]:
        """What to install before the backend is asked anything, without the distributions *skipped*."""
        return without(self.requires, skipped)


def without(requirements: tuple[str, ...], skipped: tuple[str, ...]) -> tuple[str, ...]:
    """The requirements (PEP 508) on other distributions than those *skipped*."""
    names = {canonicalize_name(name) for name in skipped}
    return tuple(text for text in requirements if distribution(text) not in names)
