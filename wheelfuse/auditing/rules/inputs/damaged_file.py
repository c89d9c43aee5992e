"""A file in the input could not be read: its data is damaged, or it is an ELF file whose tables contradict each other.

No loader can be expected to load such a file, and no rule can judge it. Other files are still judged, but the input as
a whole cannot pass, whichever rules were selected. If only the GPU code in a file cannot be read (CUDA fat binaries),
the file loads, and is judged in everything else; what needs that code fails.

- Reported: ``pkg/_C.cpython-312-x86_64-linux-gnu.so``, of which the download broke off half-way.
- Not reported: the whole file.

How to fix it: build or download it again. If it loads all the same, it was probably edited by a tool that left its
headers in a bad state (old versions of patchelf and of strip are known for it).
The format: https://man7.org/linux/man-pages/man5/elf.5.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.contradictions import findings
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Kind, Subject

RULE = Rule("WF003", "damaged-file", Severity.ERROR, "A file in the input is damaged")

_TODO_CODE = "Build it again; if it runs, a newer wheelfuse may know the format of its GPU code."


def check(subject: Subject) -> Iterator[Finding]:
    """Single files that could not be read, as a whole or in their GPU code."""
    if subject.kind is not Kind.WHEEL or subject.name is not None:
        single = (problem for problem in subject.unreadable if problem.member or subject.kind is Kind.WHEEL)
        yield from findings(RULE, single, "Build or download it again.")
    for path, file in sorted(subject.files.items()):
        if file.damaged_code:
            yield RULE.finding(file.damaged_code, path, todo=_TODO_CODE)
