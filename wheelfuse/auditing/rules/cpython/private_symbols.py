"""Private symbols of CPython that a module uses, and what brings them in.

They are no fault of a file for one CPython, which is built again for the next one. But they are what stands between a
module and one abi3 file for all, and what breaks when a new CPython comes. Most are not the project's own: binding
tools bring them in (pybind11 always needs ``_PyObject_GetDictPtr`` and ``_PyType_Lookup``), which is told where the
file bears the mark of the tool. Public names outside the limited API are listed beside.

- Reported: a module of pybind11 for cpython-312, which needs ``_PyType_Lookup``.
- Not reported: one of nanobind for the limited API, which needs public functions alone.

How to fix it: nothing has to be. ``wheelfuse audit --road-to-abi3`` shows the way to one file.
The limited API: https://docs.python.org/3/c-api/stable.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from wheelfuse.abi.producers import brings
from wheelfuse.auditing.cpython_symbols import unlimited
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF303", "private-symbols", Severity.INFO, "Private symbols of CPython, and what brings them in")

OWN = "the code itself, or a tool that left no mark"
PUBLIC = "public, but in no limited API"

_Causes = dict[str, set[str]]


def check(subject: Subject) -> Iterator[Finding]:
    """One finding for all the modules, each over all its files, whose private symbols have the same causes."""
    grouped: dict[tuple[str, ...], dict[str, _Causes]] = defaultdict(dict)
    for key, paths in subject.paths_of_modules.items():
        causes = _causes(subject, paths)
        if tools := tuple(cause for cause in sorted(causes, key=_order) if any(map(_private, causes[cause]))):
            grouped[tools][key] = causes
    for tools, modules in grouped.items():
        yield _finding(subject, tools, modules)


def _finding(subject: Subject, tools: tuple[str, ...], modules: dict[str, _Causes]) -> Finding:
    merged: _Causes = defaultdict(set)
    for causes in modules.values():
        for cause, symbols in causes.items():
            merged[cause] |= symbols
    first = min(modules)
    private = set(filter(_private, set().union(*merged.values())))
    who = f"{len(modules)} modules use" if len(modules) > 1 else f"{first.replace('/', '.')} uses"
    number = f"{len(private)} private symbols" if len(private) > 1 else "1 private symbol"
    counts = {key: sum(map(_private, set().union(*causes.values()))) for key, causes in modules.items()}
    each = [
        f"{key.replace('/', '.')}: {counts[key]}" for key in sorted(counts, key=lambda k: (-counts[k], k))
    ]
    return RULE.finding(
        f"{who} {number} of CPython, from {'; '.join(tools)}",
        subject.paths_of_modules[first][0],
        todo="Nothing for files of one CPython; for one file on all of them see --road-to-abi3.",
        details=(
            *(f"{cause}: {', '.join(sorted(merged[cause]))}" for cause in sorted(merged, key=_order)),
            *(each if len(each) > 1 else ()),
        ),
    )


def _causes(subject: Subject, paths: tuple[str, ...]) -> _Causes:
    """What is outside the limited API in the files of one module, by what brings it in."""
    found: _Causes = defaultdict(set)
    for path in paths:
        file = subject.files[path]
        if file.module and file.module.stable_abi:
            continue
        for symbol in unlimited(subject.tree.unmet(path)):
            found[brings(symbol, file.producers) or _cause(symbol)].add(symbol)
    return found


def _private(symbol: str) -> bool:
    return symbol.startswith("_")


def _cause(symbol: str) -> str:
    return OWN if _private(symbol) else PUBLIC


def _order(cause: str) -> tuple[bool, bool, str]:
    """Causes with a name first."""
    return cause == PUBLIC, cause == OWN, cause
