"""Requires-Python of the wheel is not what the project's pyproject.toml says.

Installers go by the wheel. If it says more than the project does, users of a CPython that nobody tests install it; if
it says less, users of a CPython that is promised get an older release. The wheel was made from another version of
pyproject.toml, or its METADATA was edited.

- Reported: ``Requires-Python: >=3.9`` in METADATA, ``requires-python = ">=3.10"`` in pyproject.toml.
- Not reported: the same specifier in both.

How to fix it: build the wheel again from the project as it is now.
The field: https://packaging.python.org/en/latest/specifications/core-metadata/#requires-python
"""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import SpecifierSet

from wheelfuse.auditing.coverage import names
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.target import ALL_TARGETS
from wheelfuse.wheel.requires_python import admits

RULE = Rule(
    "WF204", "requires-python-differs", Severity.WARNING, "Requires-Python differs from the project's"
)


def check(subject: Subject) -> Iterator[Finding]:
    """Compare the two as sets of specifiers."""
    asked, said = subject.against.requires_python, subject.requires_python
    if not asked or not subject.metadata or SpecifierSet(asked) == SpecifierSet(said):
        return
    builds = [target for target in ALL_TARGETS if not target.free_threaded]
    more = [t for t in builds if admits(said, t) and not admits(asked, t)]
    less = [t for t in builds if admits(asked, t) and not admits(said, t)]
    yield RULE.finding(
        f"Requires-Python is {said or 'not stated'}, but {subject.against.project or 'the project'} says {asked}",
        f"{subject.dist_info}/METADATA",
        todo="Build the wheel again from the project as it is now.",
        details=(
            *((f"lets in, against the project: {names(more)}",) if more else ()),
            *((f"keeps out, against the project: {names(less)}",) if less else ()),
        ),
    )
