"""The file of a wheel is damaged, or one that two programs could read differently.

A zip file says most things twice: in the directory at its end, and before each member. Programs differ in which of
the two they believe, in which of two members of one name they take, and in whether they stop at data that belongs to
no member. Such a wheel can hold one thing for a scanner and another one for an installer, so it is not looked into
any further; the public index and several installers refuse most of these forms, too. So is a name that is no wheel
file name, since all compatibility tags stand there.

- Reported: a zip file with two members called ``pkg/__init__.py``, or with data before its first member.
- Not reported: the same wheel, packed anew by ``wheel pack``.

How to fix it: build or download the wheel again, with a tool that writes plain zip files.
The form of wheels: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.contradictions import findings
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Kind, Subject

RULE = Rule("WF002", "broken-wheel", Severity.ERROR, "The wheel's zip file or its name cannot be trusted")


def check(subject: Subject) -> Iterator[Finding]:
    """Wheels that were refused as a whole."""
    if subject.kind is Kind.WHEEL and subject.name is None:
        yield from findings(RULE, subject.unreadable, "Build or download the wheel again.")
