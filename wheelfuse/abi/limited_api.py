"""The limited API and the stable ABI (PEP 384, PEP 652): what an ``abi3`` or ``abi3t`` file may import.

A symbol that is in the stable ABI only, because macros of the limited API call it (``_Py_Dealloc``), is
allowed: a binary imports what macros expand to.

The facts are the union of abi3info, made from CPython's own ``Misc/stable_abi.toml``, and the table's column.
Measured with abi3info 2026.9.25: 968 symbols there, 953 in the table, all 953 in both with equal versions.
The 15 only in abi3info are those that no release build on Linux exports (12 of Windows, 1 of USE_STACKCHECK,
2 of debug builds). The union matters when one of the two is newer than the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from wheelfuse.abi.cpython import ImportProblem, history, is_cpython_symbol, table

_FIRST_ABI3 = 2
_FIRST_ABI3T = 15

_ABSENT_MACROS = frozenset({"MS_WINDOWS", "USE_STACKCHECK", "Py_REF_DEBUG", "Py_TRACE_REFS"})
"""The feature macros of ``Misc/stable_abi.toml`` that no release build of CPython on Linux defines."""

_READS_MODULE_DEF = frozenset(
    {"PyModuleDef_Init", "PyModule_Create2", "PyModule_ExecDef", "PyModule_FromDefAndSpec2"}
)
"""Functions that read a PyModuleDef, a struct that abi3t leaves incomplete (3.15's ``moduleobject.h``)."""


@dataclass(frozen=True)
class _Entry:
    """A symbol of the limited API: since when, and where it is if no release build on Linux has it."""

    added: tuple[int, int]
    elsewhere: str


@cache
def limited_api_version(symbol: str) -> tuple[int, int] | None:
    """The version in which *symbol* joined the limited API or the stable ABI of any platform, or None."""
    entry, known = _entries().get(symbol), history(symbol)
    versions = (entry.added if entry else None, known.limited_api if known else None)
    # The later one promises less.
    return max(filter(None, versions), default=None)


def check_limited(
    names: Iterable[str], minor: int, *, free_threaded: bool = False
) -> tuple[ImportProblem, ...]:
    """The imports among *names* that a file built for limited API 3.*minor* may not have, sorted by symbol.

    Names that are not spelt like CPython's are passed over, and so are the module's own entry points.
    *free_threaded* asks about ``abi3t`` (PEP 803), which begins with 3.15: a lower *minor* is a problem too.
    That a symbol is not in the limited API at all is certain up to the newest CPython of the table.
    """
    symbols = sorted({name for name in names if is_cpython_symbol(name)})
    problems = [problem for name in symbols if (problem := _problem(name, minor, free_threaded))]
    if free_threaded and minor < _FIRST_ABI3T:
        message = f"abi3t begins with CPython 3.{_FIRST_ABI3T} (PEP 803): no file can be abi3t for 3.{minor}"
        problems.insert(0, ImportProblem("", message, certain=True))
    return tuple(problems)


def lowest_limited_api(names: Iterable[str]) -> int | None:
    """The lowest minor version whose limited API has all those *names* that are spelt like CPython's.

    It is 2 if there are none, since the limited API begins with 3.2, and None if no version has them all.
    """
    lowest = _FIRST_ABI3
    for name in filter(is_cpython_symbol, names):
        version = limited_api_version(name)
        if version is None or _elsewhere(name):
            return None
        lowest = max(lowest, version[1])
    return lowest


def _problem(name: str, minor: int, free_threaded: bool) -> ImportProblem | None:
    version = limited_api_version(name)
    if version is None:
        known = minor <= max(column.minor for column in table().columns)
        return ImportProblem(name, f"`{name}` is not in the limited API of any CPython", certain=known)
    if elsewhere := _elsewhere(name):
        return ImportProblem(name, f"`{name}` is in the limited API only {elsewhere}", certain=True)
    if version[1] > minor:
        message = f"`{name}` is in the limited API only since 3.{version[1]}, not in that of 3.{minor}"
        return ImportProblem(name, message, certain=True)
    if free_threaded and name in _READS_MODULE_DEF:
        # Not certain: the symbol is exported, and a module may lay the struct out by hand at run time.
        message = f"`{name}` reads a PyModuleDef, which abi3t does not define: use PyModExport_* (PEP 793)"
        return ImportProblem(name, message, certain=False)
    return None


def _elsewhere(name: str) -> str:
    entry = _entries().get(name)
    return entry.elsewhere if entry else ""


@cache
def _entries() -> dict[str, _Entry]:
    # Imported here because it takes a tenth of a second.
    from abi3info import DATAS, FUNCTIONS

    return {
        item.symbol.name: _Entry(
            added=(item.added.major, item.added.minor),
            elsewhere=item.ifdef.doc if item.ifdef and item.ifdef.name in _ABSENT_MACROS else "",
        )
        for item in (*FUNCTIONS.values(), *DATAS.values())
    }
