"""No CPython can install this wheel: Requires-Python keeps all those out that its tags let in.

It happens when a version is dropped from Requires-Python while the build matrix still makes its wheel. Such a wheel
takes room on the index, and nobody can use it.

- Reported: ``pkg-1.0-cp310-cp310-manylinux_2_28_x86_64.whl`` with ``Requires-Python: >=3.11``.
- Not reported: the same wheel with ``Requires-Python: >=3.10``.

How to fix it: take the CPython out of the build matrix, or let it in again.
The field: https://packaging.python.org/en/latest/specifications/core-metadata/#requires-python
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.coverage import names
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.wheel.name import accepting
from wheelfuse.wheel.requires_python import admits

RULE = Rule("WF109", "unusable", Severity.ERROR, "No CPython can install the wheel")


def check(subject: Subject) -> Iterator[Finding]:
    """Wheels whose tags some CPython accepts, but whose Requires-Python none of those fulfils."""
    tagged = accepting(subject.interpreter_tags)
    if tagged and not any(admits(subject.requires_python, target) for target in tagged):
        yield RULE.finding(
            f"Requires-Python {subject.requires_python} keeps out all that the tags let in: {names(tagged)}",
            todo="Leave this wheel out of the release, or widen requires-python.",
        )
