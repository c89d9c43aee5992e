"""An extension module has a file for some of the CPythons that would install this, and none for others.

A matrix build that lost one job, or a file for one CPython inside a wheel tagged abi3, leaves such a hole. Import then
fails on those CPythons alone; worse, a package that catches the ImportError silently falls back to something slower.
Free-threaded builds count like all others. CPythons without a file for any module at all are told of by another rule.

- Reported: a wheel for cp311 and cp312 with ``pkg/_a`` for both, and ``pkg/_b`` for cpython-311 alone.
- Not reported: both modules for both, or tags for cp311 alone.

How to fix it: build the module for the CPythons that lack it, or narrow tags or Requires-Python so that they do not
install the wheel.
How import looks for files: https://docs.python.org/3/library/importlib.html#importlib.machinery.EXTENSION_SUFFIXES
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.coverage import (
    ModuleCoverage,
    doubt,
    matrix,
    names,
    other_systems,
    severity_of,
    without_any,
)
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.target import Target

RULE = Rule("WF201", "missing-module", Severity.ERROR, "An extension module is missing for some CPythons")


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """Modules with the same holes are one finding."""
    if reason := other_systems(subject):
        yield RULE.not_run(reason)
        return
    rows = matrix(subject)
    told = set(without_any(rows))
    grouped: dict[tuple[Target, ...], list[ModuleCoverage]] = {}
    for row in rows:
        if holes := tuple(target for target in row.missing if target not in told):
            grouped.setdefault(holes, []).append(row)
    for holes, lacking in grouped.items():
        yield _finding(holes, lacking)


def _finding(holes: tuple[Target, ...], rows: list[ModuleCoverage]) -> Finding:
    several = len(rows) > 1
    what = f"{len(rows)} extension modules are" if several else f"extension module {rows[0].name} is"
    have = names({target for row in rows for target in row.present}) or "none of those that would install it"
    details = [f"{row.name}: {', '.join(map(str, row.present)) or 'none'}" for row in rows] if several else []
    return RULE.finding(
        f"{what} missing for {names(holes)}; there for {have}{doubt(rows)}",
        rows[0].paths[0],
        todo=f"Build {'them' if several else 'it'} for {names(holes)}, or let no other CPython install the wheel.",
        details=(*details, *(path for row in rows for path in row.paths)),
        severity=severity_of(holes, rows),
    )
