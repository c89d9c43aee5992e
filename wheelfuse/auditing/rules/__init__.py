"""The rules, one module each. A module has a docstring (the explanation that ``wheelfuse explain`` prints), a
``RULE``, and one of two functions:

- ``check(subject: Subject) -> Iterator[Finding | NotRun]`` looks at one input,
- ``check_release(subjects: tuple[Subject, ...]) -> Iterator[Finding | NotRun]`` at all the inputs of one release
  together; each of its findings names its subject.

Codes: WF0xx inputs, WF1xx package, WF2xx coverage, WF3xx CPython symbols, WF4xx libtorch, WF5xx platform,
WF6xx loading, WF7xx CUDA, WF8xx consistency. A module dropped in here is found by itself.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wheelfuse.auditing.finding import Finding, NotRun, Rule

_STATED = re.compile(
    r'^RULE = Rule\(\s*"(WF\d{3})",\s*"([\w-]+)",\s*Severity\.\w+,\s*"([^"]+)"', re.MULTILINE
)
Check = Callable[[Any], Iterator[Finding | NotRun]]


@dataclass(frozen=True)
class Entry:
    """A rule with its explanation and its check; exactly one of *check* and *check_release* is there."""

    rule: Rule
    explanation: str
    check: Check | None
    check_release: Check | None


@cache
def entries() -> tuple[Entry, ...]:
    """All rules, by code.

    Raises:
        ValueError: two rules share a code or a name, or a module is not of the documented form.
    """
    found = [_entry(name) for name in _modules()]
    for attribute in ("code", "name"):
        values = [getattr(entry.rule, attribute) for entry in found]
        if doubled := {value for value in values if values.count(value) > 1}:
            raise ValueError(f"more than one rule with the {attribute} {', '.join(sorted(doubled))}")
    return tuple(sorted(found, key=lambda entry: entry.rule.code))


@dataclass(frozen=True)
class Listed:
    """What a list of rules says of one."""

    code: str
    name: str
    title: str


def listed() -> tuple[Listed, ...]:
    """All rules, by code, as the texts of their modules say: no rule is loaded, which takes far longer."""
    texts = (
        path.read_text(encoding="utf-8") for directory in __path__ for path in Path(directory).rglob("*.py")
    )
    found = (_STATED.search(text) for text in texts)
    return tuple(sorted((Listed(*match.groups()) for match in found if match), key=lambda rule: rule.code))


def _modules() -> Iterator[str]:
    for info in pkgutil.walk_packages(__path__, f"{__name__}."):
        if not info.ispkg:
            yield info.name


def _entry(name: str) -> Entry:
    module = importlib.import_module(name)
    check = getattr(module, "check", None)
    check_release = getattr(module, "check_release", None)
    if (
        not isinstance(getattr(module, "RULE", None), Rule)
        or not module.__doc__
        or not (check or check_release)
    ):
        raise ValueError(f"{name} lacks a RULE, a docstring, or a check")
    return Entry(module.RULE, inspect.cleandoc(module.__doc__), check, check_release)
