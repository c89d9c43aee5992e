"""A member of the wheel would do harm where it is installed: a symbolic link that leads out of the wheel.

A link such as ``pkg/data -> ../../../etc`` lets later members of the same wheel be written through it, and lets a
program read or overwrite files that do not belong to the package. Most installers do not create links at all, so what
is left is a text file with a path in it.

- Reported: a symbolic link ``pkg/data -> ../../../etc``.
- Not reported: a symbolic link ``pkg/libx.so -> libx.so.1``, which stays in the wheel, or the file itself.

How to fix it: store a copy of the file in place of the link.
The form of wheels: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.contradictions import About, about, findings
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF102", "unsafe-member", Severity.ERROR, "A member of the wheel does harm where it is installed")


def check(subject: Subject) -> Iterator[Finding]:
    """What is wrong with single members."""
    problems = (problem for problem in subject.problems if about(problem) is About.MEMBERS)
    yield from findings(RULE, problems, "Store a copy of the file in place of the link.")
