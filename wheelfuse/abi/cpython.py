"""CPython's exported symbols: which CPython has which, and what a file may therefore import from it.

CPython publishes no list of its exports, so the table under ``data/`` was made from the dynamic symbols of
real interpreters (``SOURCES.toml`` says which). It is read on first use and kept.

Public names do not come or go within a minor version, private ones do: a public name that no CPython of the
table exports is proof, a private one is only a strong hint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from wheelfuse.abi.table import SymbolTable, parse
from wheelfuse.target import Target

DATA = Path(__file__).parent / "data"

# Not CPython's, though they look it: the entry points of modules (PEP 489, PEP 793), the C API under PyPy,
# which renames every function (PyPyObject_Call), and the C API of PySide's libraries (PySideSignal_TypeF).
_CPYTHON = re.compile(r"_?Py(?!InitU?_|ModExportU?_|Py[A-Z_]|Side)[A-Z_]\w*", re.ASCII)

_FIRST_FREE_THREADED = 13


@dataclass(frozen=True)
class SymbolHistory:
    """Where a symbol of CPython exists.

    ``with_gil`` and ``free_threaded`` are the CPythons of the table that export it, sorted; holes occur.
    ``limited_api`` is the version that took it into the limited API, or None.
    """

    name: str
    with_gil: tuple[Target, ...]
    free_threaded: tuple[Target, ...]
    limited_api: tuple[int, int] | None

    @property
    def targets(self) -> tuple[Target, ...]:
        """All the CPythons that export it, sorted."""
        return tuple(sorted(self.with_gil + self.free_threaded))


@dataclass(frozen=True)
class ImportProblem:
    """A reason why an import of ``symbol`` fails, or may fail if it is not ``certain``.

    ``symbol`` is empty if the problem is about no single one, such as imports that could not be checked.
    """

    symbol: str
    message: str
    certain: bool


@cache
def table() -> SymbolTable:
    """The committed table of CPython's exports; read once."""
    return parse((DATA / "cpython.txt").read_text(encoding="ascii"))


@cache
def replacements() -> dict[str, str]:
    """Symbols that went away, each with the public one that does its work in later CPythons; kept by hand."""
    text = (DATA / "cpython_replacements.txt").read_text(encoding="ascii")
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return dict(lines)


def is_cpython_symbol(name: str) -> bool:
    """Whether *name* is spelt like a symbol of CPython's C API: ``Py_…``, ``PyList_…``, ``_Py…``.

    It does not say that any CPython has it. Entry points of modules (``PyInit_spam``) are not CPython's.
    A library may define such names of its own (greenlet's ``PyGreenlet_Type``): subtract those first.
    """
    return _CPYTHON.fullmatch(name) is not None


@cache
def history(name: str) -> SymbolHistory | None:
    """Where *name* exists, or None if no CPython of the table exports it."""
    row = table().rows.get(name)
    if row is None:
        return None
    targets = table().targets(name)
    return SymbolHistory(
        name=name,
        with_gil=tuple(target for target in targets if not target.free_threaded),
        free_threaded=tuple(target for target in targets if target.free_threaded),
        limited_api=None if row.limited_api is None else (3, row.limited_api),
    )


@cache
def exports(target: Target) -> frozenset[str]:
    """All that a CPython exports; nothing if the table does not know it."""
    return table().names(target)


def has_table(target: Target) -> bool:
    """Whether the table knows what *target* exports."""
    return target in table().columns


def newest_known() -> Target:
    """The newest CPython of the table, with the GIL."""
    return max(target for target in table().columns if not target.free_threaded)


def exported(name: str, target: Target) -> bool | None:
    """Whether *target* exports *name*; None if the table does not know that target."""
    return name in exports(target) if has_table(target) else None


def check_imports(names: Iterable[str], target: Target) -> tuple[ImportProblem, ...]:
    """The imports among *names* that *target* cannot satisfy, sorted by symbol.

    Names that are not spelt like CPython's are passed over. If the target has no table, all others together
    give one uncertain problem without a symbol, which says that nothing was checked.
    """
    lacking = sorted(filter(is_cpython_symbol, set(names) - exports(target)))
    if lacking and not has_table(target):
        message = (
            f"imports from CPython {_version(target)} could not be checked: "
            f"the symbol table covers {_spans(table().columns, table().columns)}"
        )
        return (ImportProblem("", message, certain=False),)
    return tuple(_problem(name, target) for name in lacking)


def _problem(name: str, target: Target) -> ImportProblem:
    known = history(name)
    if known:
        message = f"`{name}` is not exported by CPython {_version(target)}: {_fate(known, target)}"
        if (other := replacements().get(name)) and exported(other, target):
            message += f"; {_version(target)} has {other}"
        return ImportProblem(name, message, certain=True)
    message = f"`{name}` is exported by no known CPython ({_spans(table().columns, table().columns)})"
    if name.startswith("_"):
        return ImportProblem(name, f"{message}, but micro releases add private symbols", certain=False)
    return ImportProblem(name, message, certain=True)


def _fate(known: SymbolHistory, target: Target) -> str:
    """Why *target* lacks a symbol that others have: new in 3.12, gone since 3.13, only in other builds."""
    lineage = _lineage(target)
    present = [column for column in lineage if column in known.targets]
    if not present:
        return f"only {_holders(known.targets, table().columns)}"
    earlier = [column for column in present if column < target]
    later = [column for column in present if column > target]
    fate = []
    if earlier:
        fate.append(f"gone since {_version(lineage[lineage.index(earlier[-1]) + 1])}")
    if later:
        fate.append(f"{'back' if earlier else 'new'} in {_version(later[0])}")
    text = f"{', '.join(fate)} ({_holders(present, lineage)})"
    twin = Target(target.minor, not target.free_threaded)
    return f"{text}; {_version(twin)} has it" if twin in known.targets else text


def _lineage(target: Target) -> tuple[Target, ...]:
    """The columns of *target*'s build; a free-threaded one has those with the GIL before 3.13 as its past."""
    return tuple(
        column
        for column in table().columns
        if column.free_threaded == target.free_threaded
        or (target.free_threaded and column.minor < _FIRST_FREE_THREADED)
    )


def _holders(targets: Iterable[Target], lineage: tuple[Target, ...]) -> str:
    targets = tuple(targets)
    return f"{_spans(targets, lineage)} {'have' if len(targets) > 1 else 'has'} it"


def _spans(targets: Iterable[Target], lineage: tuple[Target, ...]) -> str:
    """*targets* as ranges without holes, one build at a time: ``3.8-3.9, 3.12, 3.13t-3.15t``."""
    spans = []
    for free_threaded in (False, True):
        columns = [column for column in lineage if column.free_threaded == free_threaded]
        wanted = [(place, column) for place, column in enumerate(columns) if column in set(targets)]
        # Within a run without holes, place in the lineage and place among the wanted grow together.
        for _, run in groupby(enumerate(wanted), key=lambda item: item[1][0] - item[0]):
            versions = [_version(column) for _, (_, column) in run]
            spans.append("-".join(dict.fromkeys((versions[0], versions[-1]))))
    return ", ".join(spans)


def _version(target: Target) -> str:
    return f"{target.python_version}{'t' if target.free_threaded else ''}"
