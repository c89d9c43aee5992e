"""A library of the wheel does not define a symbol version that a module asks of it: the import fails with ``version
`FOO_2' not found``.

A file that is linked to a library with symbol versions notes which of them it needs. The dynamic linker holds that
against the library that it finds, before it looks for any symbol. They do not fit when the wheel brings an older
build of the library than the one that the file was linked against, or a build of another vendor. The versions of
system libraries are the matter of the platform rules (WF5xx).

- Reported: a module that needs ``FOO_2`` of ``libfoo.so.1``, which defines ``FOO_1`` alone.
- Not reported: the library that defines ``FOO_1`` and ``FOO_2``.

How to fix it: bring the library that the file was linked against (``auditwheel repair`` copies that one), or build
the file against the one that the wheel brings.

Source: https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.linking import linker
from wheelfuse.auditing.loading import imported_modules
from wheelfuse.auditing.subject import Subject

RULE = Rule(
    "WF603", "missing-version", Severity.ERROR, "A library lacks a symbol version that is asked of it"
)


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for each file and library."""
    modules = imported_modules(subject)
    problems = {problem for path in modules for problem in linker(subject).linked(path).versions}
    for problem in sorted(problems, key=lambda item: (item.by, item.path)):
        first, *others = problem.versions
        more = f" and {len(others)} more" if others else ""
        yield RULE.finding(
            f"import fails: it needs version {first}{more} of {problem.path}, which does not define it",
            problem.by,
            todo="Bring the build of the library that the file was linked against",
            details=problem.versions,
        )
