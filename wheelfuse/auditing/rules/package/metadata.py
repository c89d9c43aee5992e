"""METADATA or WHEEL is missing, cannot be read, or contradicts the file name.

Resolvers read the file name first and METADATA later. If they disagree about project or version, pip stops with
"inconsistent name" or "inconsistent version", and tries the next release; the public index rejects such uploads. A
Requires-Python that is no specifier is ignored by some tools and refused by others. Without a readable WHEEL no
installer goes on.

- Reported: ``Version: 1.1`` in METADATA of ``pkg-1.0-cp312-cp312-linux_x86_64.whl``.
- Not reported: ``Name: pkg`` and ``Version: 1.0`` there.

How to fix it: build the wheel again, and rename wheels only with ``wheel tags``.
The fields: https://packaging.python.org/en/latest/specifications/core-metadata/
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.contradictions import About, about, findings
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF103", "metadata-mismatch", Severity.ERROR, "METADATA, WHEEL and the file name do not agree")


def check(subject: Subject) -> Iterator[Finding]:
    """What is wrong with METADATA, WHEEL and the directory that holds them."""
    problems = (problem for problem in subject.problems if about(problem) is About.METADATA)
    yield from findings(RULE, problems, "Build the wheel again.")
