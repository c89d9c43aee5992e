"""A symbol that an extension module needs, or a library that it brings in, is defined by nobody: the import fails
with ``undefined symbol``.

CPython opens modules with RTLD_NOW, so the dynamic linker must find every symbol before any code runs. It looks in
the interpreter, in the module, in the libraries of the wheel that the module links (also through others), and in the
libraries of the system and of other distributions that these need. Where the exports of such a library are not known,
nothing is claimed. A symbol that only a file defines which the module does not link is a warning: it is found if the
package opens that file with RTLD_GLOBAL before. Symbols of CPython itself have rules of their own (WF3xx).

- Reported: a module that calls ``foo_open`` and links no library that defines it.
- Not reported: the module with ``DT_NEEDED libfoo.so.1``, which defines it.

How to fix it: link the library that defines the symbol (``-lfoo``, and check with ``-Wl,-z,defs``), bring the library
in the version that the file was linked against, or compile the source that was left out.

Source: https://man7.org/linux/man-pages/man8/ld.so.8.html, https://man7.org/linux/man-pages/man3/dlopen.3.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.linking import SymbolProblem, linker
from wheelfuse.auditing.loading import imported_modules
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF601", "undefined-symbol", Severity.ERROR, "A symbol that import needs is defined by nobody")


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for each set of symbols; files that lack the same share it."""
    lacking: dict[str, set[SymbolProblem]] = defaultdict(set)
    for path in imported_modules(subject):
        for problem in linker(subject).linked(path).symbols:
            if problem.certain or (problem.elsewhere and not problem.may):
                lacking[problem.by].add(problem)
    groups: dict[tuple[tuple[str, str, bool, tuple[str, ...]], ...], list[str]] = defaultdict(list)
    for by, problems in sorted(lacking.items()):
        # A symbol may be in sight of one module and not of another.
        worst = {problem.symbol: problem for problem in sorted(problems, key=lambda item: item.certain)}
        key = sorted((p.symbol, p.expected, p.certain, p.elsewhere) for p in worst.values())
        groups[tuple(sorted(key, key=lambda item: not item[2]))].append(by)
    for symbols, paths in groups.items():
        yield _finding(symbols, paths)


def _finding(symbols: tuple[tuple[str, str, bool, tuple[str, ...]], ...], paths: list[str]) -> Finding:
    (symbol, expected, certain, elsewhere), *others = symbols
    more = f" and {len(others)} more" if others else ""
    where = f" in {len(paths)} files" if len(paths) > 1 else ""
    source = f"; {expected} should have it" if expected else ""
    if elsewhere:
        source = f"; {elsewhere[0]} has it, but is not linked"
    return RULE.finding(
        f"import {'fails' if certain else 'may fail'}: undefined symbol {symbol}{more}{where}{source}",
        paths[0],
        todo="Link what defines it (-Wl,-z,defs shows what is missing), or bring the right build of it",
        details=(*(_line(*item) for item in symbols), *(paths if len(paths) > 1 else ())),
        severity=None if certain else Severity.WARNING,
    )


def _line(symbol: str, expected: str, certain: bool, elsewhere: tuple[str, ...]) -> str:
    return (
        f"{symbol} (in {', '.join(elsewhere)})"
        if elsewhere
        else f"{symbol} ({expected})"
        if expected
        else symbol
    )
