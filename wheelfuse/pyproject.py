"""pyproject.toml (PEP 518): read, and its values held against the kinds that they must have."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from wheelfuse.errors import Problem, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def located(path: Path) -> Path:
    """The pyproject.toml that *path* is, or that is in the directory *path*."""
    # Unlike the method of a path, this does not raise for what may not be looked at: reading it will tell.
    return path / "pyproject.toml" if os.path.isdir(path) else path  # noqa: PTH112


def read_pyproject(path: Path) -> Mapping[str, Any]:
    """All of a pyproject.toml.

    Raises:
        UsageError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        todo = "Name the directory of a project, or its pyproject.toml."
        raise UsageError(Problem("there is no such file", str(path), todo=todo)) from error
    except OSError as error:
        raise UsageError(Problem(f"cannot be read: {error.strerror}", str(path))) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(Problem(str(error), str(path))) from error
    except RecursionError as error:
        raise UsageError(Problem("is nested too deeply", str(path))) from error


def table(document: Mapping[str, Any], where: str, *keys: str) -> Mapping[str, Any]:
    """The table at these keys, one in another; empty if it is absent. *where* is named in the message.

    Raises:
        UsageError: a value on the way is no table.
    """
    found: Any = document
    for depth, key in enumerate(keys, 1):
        found = found.get(key, {})
        if not isinstance(found, Mapping):
            raise UsageError(Problem(f"{'.'.join(keys[:depth])} must be a table", where))
    there: Mapping[str, Any] = found
    return there


def strings(
    values: Mapping[str, Any], where: str, key: str, *, default: tuple[str, ...] = (), of: str = "strings"
) -> tuple[str, ...]:
    """The list of strings that a table has at *key*. *where* and what the list is *of* are named in the message.

    Raises:
        UsageError: it is no list, or has something else in it.
    """
    value = values.get(key, list(default))
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise UsageError(Problem(f"{key} is a list of {of}", where))
    return tuple(value)


def distribution(requirement: str) -> str:
    """The normalised name of the distribution that a requirement (PEP 508) is for.

    Of one that cannot be parsed it is the name that it begins with, if it begins with one.
    """
    try:
        return str(canonicalize_name(Requirement(requirement).name))
    except InvalidRequirement:
        return str(canonicalize_name(re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]))
