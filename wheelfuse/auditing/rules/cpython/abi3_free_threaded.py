"""Free-threaded CPythons would install this, but all it has for them is a file for the stable ABI of the others.

abi3 fixes the layout of objects as builds with the GIL have it. 3.13t and 3.14t still take ``.abi3.so`` for an
extension suffix, find the file, and fail with SystemError; 3.15t does not look at it at all, and takes ``.abi3t.so``
(PEP 803) only. The tag ``cp39-abi3`` keeps free-threaded builds out; ``py3-none`` does not.

- Reported: ``pkg-1.0-py3-none-manylinux_2_28_x86_64.whl`` with ``pkg/_C.abi3.so`` alone.
- Not reported: the file in ``pkg-1.0-cp39-abi3-manylinux_2_28_x86_64.whl``, which no free-threaded CPython installs.

How to fix it: tag the wheel cp3X-abi3, or add files for the free-threaded builds (cp314t, or abi3t from 3.15 on).
Free threading: https://docs.python.org/3/howto/free-threading-extensions.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.coverage import ModuleCoverage, matrix, names, severity_of
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.target import Target

RULE = Rule(
    "WF307", "abi3-free-threaded", Severity.ERROR, "Free-threaded builds install it, but find only abi3"
)


def check(subject: Subject) -> Iterator[Finding]:
    """Modules that the same builds lack are one finding."""
    grouped: dict[tuple[Target, ...], list[ModuleCoverage]] = {}
    for row in matrix(subject):
        if row.needs_gil:
            grouped.setdefault(row.needs_gil, []).append(row)
    for targets, rows in grouped.items():
        what = f"{len(rows)} extension modules" if len(rows) > 1 else f"extension module {rows[0].name}"
        why = "the stable ABI of builds with the GIL"
        paths = [path for row in rows for path in row.paths if ".abi3" in path]
        yield RULE.finding(
            f"{names(targets)} would install it, but cannot load {what}: .abi3.so is for {why}",
            paths[0],
            todo="Tag the wheel cp3X-abi3, which keeps them out, or add files for them (cp314t, abi3t).",
            details=tuple(paths),
            severity=severity_of(targets, rows),
        )
