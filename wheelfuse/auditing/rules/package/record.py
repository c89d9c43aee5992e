"""RECORD and the files of the wheel do not agree: a file is missing, not listed, listed twice, or has other bytes.

RECORD is what makes a wheel verifiable: installers compare it with what they unpack, and uninstall by it. A file that
is not listed stays behind for ever; a digest that does not fit means that the wheel was changed after it was built.
The public index rejects wheels without RECORD, and pip refuses digests weaker than sha256.

- Reported: ``pkg/extra.py`` is in the wheel, and no row of RECORD names it.
- Not reported: a row ``pkg/extra.py,sha256=…,120`` whose digest and size are those of the file.

How to fix it: build the wheel again, and change wheels only with tools that write RECORD anew (``wheel unpack`` and
``wheel pack``, auditwheel).
The rules: https://packaging.python.org/en/latest/specifications/recording-installed-packages/
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.contradictions import About, about, findings
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF101", "record-mismatch", Severity.ERROR, "RECORD and the files do not agree")


def check(subject: Subject) -> Iterator[Finding]:
    """What is wrong with RECORD, and what differs from it."""
    problems = (problem for problem in subject.problems if about(problem) is About.RECORD)
    yield from findings(RULE, problems, "Build the wheel again.")
