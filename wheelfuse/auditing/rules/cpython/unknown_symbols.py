"""A file imports a symbol that is spelt like one of CPython's, but that no CPython known here exports.

The table holds release builds since 3.8. Public names do not appear within a minor version, so an unknown public
one cannot be loaded: an error. Micro releases do add private names, and builds with unusual options have some, so an
unknown private one is a warning, and so is a name that some other library could define.

- Reported: a module that needs ``PyList_Make``.
- Not reported: a module that needs ``PyList_New``.

How to fix it: look where the symbol comes from (``nm -D``). If another library defines it, link that library, so
that DT_NEEDED names it; if it is an internal function of CPython, use a public one.
The C API: https://docs.python.org/3/c-api/index.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.cpython import history
from wheelfuse.auditing.cpython_symbols import missing, support_libraries
from wheelfuse.auditing.finding import Finding, Rule, Severity, few
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF302", "unknown-symbols", Severity.ERROR, "Imports that no known CPython exports")


def check(subject: Subject) -> Iterator[Finding]:
    """Files with the same unknown symbols are one finding."""
    grouped: dict[tuple[tuple[tuple[str, bool], ...], tuple[str, ...]], list[str]] = {}
    for path in sorted(subject.files):
        unknown = tuple(
            (item.symbol, item.certain)
            for item in missing(subject, path)
            if item.symbol and history(item.symbol) is None
        )
        if unknown:
            grouped.setdefault((unknown, support_libraries(subject, path)), []).append(path)
    for (symbols, support), paths in grouped.items():
        first = next((symbol for symbol, certain in symbols if certain), symbols[0][0])
        more = f" and {len(symbols) - 1} more" if len(symbols) > 1 else ""
        certain = any(certain for _, certain in symbols)
        why, mild = ": one of a micro release, or of a library from elsewhere", Severity.WARNING
        if support:
            why = f": {few(support)} from elsewhere has to define {'them' if more else 'it'}"
            mild = Severity.INFO
        yield RULE.finding(
            f"`{first}`{more} {'are' if more else 'is'} exported by no known CPython{'' if certain else why}",
            paths[0],
            todo="Look where it comes from; use a public function, or link the library that defines it.",
            details=(*(symbol for symbol, _ in symbols), *paths[1:]),
            severity=RULE.severity if certain else mild,
        )
