"""What a pipeline is written for: the project, and what the user chose. Values, with nothing read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from wheelfuse import __version__
from wheelfuse.errors import Problem, UsageError
from wheelfuse.pyproject import distribution, strings, table
from wheelfuse.target import Target

IMAGE = "quay.io/pypa/manylinux_2_28_x86_64"
"""Every released CPython with its headers in /opt/python, uv, auditwheel, and a compiler for an old glibc; of the
images that are kept up, the oldest in which the actions of GitHub run (their node needs glibc 2.28)."""

WHEELFUSE = f"wheelfuse[build]=={__version__}"

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", re.ASCII | re.IGNORECASE)
_DIRECTORY = re.compile(r"(?!/)(?!(?:.*/)?\.\.(?:/|$)).*")


@dataclass(frozen=True)
class Project:
    """The facts of a pyproject.toml that matter to a pipeline.

    *directory*: where it lies, relative to the root of the repository, with "/" (``.`` for the root itself).
    *whole*: the targets are all that Requires-Python admits; the user left none out.
    *requires*: normalised names of what it is built and runs with.
    *dynamic_version*: the build finds the version out, perhaps from git's history and tags.
    """

    name: str
    targets: tuple[Target, ...]
    directory: str = "."
    whole: bool = True
    requires: frozenset[str] = frozenset()
    dynamic_version: bool = False

    @classmethod
    def from_pyproject(
        cls,
        document: Mapping[str, Any],
        targets: tuple[Target, ...],
        directory: str = ".",
        *,
        whole: bool = True,
    ) -> Project:
        """Read a pyproject.toml (PEP 518, PEP 621).

        Raises:
            UsageError: it has no valid name, a value is of the wrong kind, or *directory* is outside the repository.
        """
        path = f"{directory}/pyproject.toml".removeprefix("./")
        project, build = table(document, path, "project"), table(document, path, "build-system")
        name = project.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            said = "is missing" if name is None else f"{name!r} is no name of a distribution"
            todo = "State it in [project]: letters, digits, and . _ - between them."
            raise UsageError(Problem(f"project.name {said}", path, todo=todo))
        if not _DIRECTORY.fullmatch(directory) or not directory.isprintable():
            todo = "Run wheelfuse in the root of the repository, and name the project relative to it."
            raise UsageError(Problem("is not within this directory", path, todo=todo))
        requires = _names(path, strings(build, path, "requires"), strings(project, path, "dependencies"))
        dynamic = "version" in strings(project, path, "dynamic")
        return cls(name, targets, directory, whole, requires, dynamic)

    @property
    def pyproject(self) -> str:
        """The path of its pyproject.toml, relative to the root of the repository."""
        return f"{self.directory}/pyproject.toml".removeprefix("./")


@dataclass(frozen=True)
class PipelineOptions:
    """What the user chooses about a pipeline.

    *image*: the container image of all jobs.
    *wheelfuse*: the requirement that installs wheelfuse.
    *build_with*: requirements installed beside it, for the builds to share, such as torch.
    *verify_command*, *verify_with*: what is run on every CPython to verify the fused wheel, and what that requires.
    *sarif*: findings go to GitHub's code scanning too.
    """

    image: str = IMAGE
    wheelfuse: str = WHEELFUSE
    build_with: tuple[str, ...] = ()
    verify_command: str = ""
    verify_with: tuple[str, ...] = ()
    sarif: bool = False

    def __post_init__(self) -> None:
        """Hold the image against the grammar of such names.

        Raises:
            UsageError: it is not one.
        """
        if not re.fullmatch(r"[\w./:@-]+", self.image):
            raise UsageError(f"--image {self.image!r} is not the name of a container image")


def _names(path: str, *requirements: Iterable[str]) -> frozenset[str]:
    names = {text: distribution(text) for text in chain(*requirements)}
    if unknown := [text for text, name in names.items() if not name]:
        raise UsageError(Problem(f"{unknown[0]!r} is no requirement", path))
    return frozenset(names.values())
