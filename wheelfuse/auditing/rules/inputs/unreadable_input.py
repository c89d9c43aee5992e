"""An input could not be read at all.

It does not exist, may not be read, or is neither a wheel, a zip file with wheels, a directory, nor a shared object.
Nothing is known of it, so nothing about it can be called fine: the audit fails, whichever rules were selected.

- Reported: ``wheelfuse audit dist/pkg.whl`` where no such file is.
- Not reported: the name of a wheel that is there.

How to fix it: name a file that is there and complete; download or build it again. What a wheel is:
https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.contradictions import findings
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Kind, Subject

RULE = Rule("WF001", "unreadable-input", Severity.ERROR, "The input cannot be read")


def check(subject: Subject) -> Iterator[Finding]:
    """Inputs that are no wheels, as a whole."""
    if subject.kind is not Kind.WHEEL:
        whole = (problem for problem in subject.unreadable if not problem.member)
        yield from findings(RULE, whole, "Name a wheel, a shared object, or a directory.")
