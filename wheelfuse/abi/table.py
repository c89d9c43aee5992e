"""Which CPython exports which symbol: the table as a value, its text form, and the union of two tables.

The text form is ASCII, one symbol a line, sorted by name, so that a change reads well in a diff::

    # any number of comments
    columns cp38 cp39 … cp315t
    NAME MASK LIMITED

Bit *i* of the hexadecimal MASK is set if the CPython of column *i* exports NAME. LIMITED is the minor version
in which NAME joined the limited API of CPython 3, or ``-``. Presence is held per version, never as first and
last, because symbols vanish and come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from wheelfuse.target import Target


class Row(NamedTuple):
    """What the table holds of one symbol. A NamedTuple, since thousands are made when a table is read."""

    mask: int
    limited_api: int | None


@dataclass(frozen=True)
class SymbolTable:
    """The symbols that the CPythons of ``columns`` export; ``rows`` maps a name to its row."""

    columns: tuple[Target, ...]
    rows: Mapping[str, Row]

    def targets(self, name: str) -> tuple[Target, ...]:
        """The CPythons that export *name*, sorted; none for a name that the table does not hold."""
        row = self.rows.get(name)
        if row is None:
            return ()
        return tuple(target for bit, target in enumerate(self.columns) if row.mask >> bit & 1)

    def names(self, target: Target) -> frozenset[str]:
        """What *target* exports; nothing for a target that the table has no column for."""
        if target not in self.columns:
            return frozenset()
        bit = 1 << self.columns.index(target)
        return frozenset(name for name, row in self.rows.items() if row.mask & bit)


def parse(text: str) -> SymbolTable:
    """The table of a text.

    Raises:
        ValueError: a line is not of the documented form, the columns are not sorted, or a name occurs twice.
    """
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    keyword, *tags = lines[0].split(" ") if lines else ("",)
    if keyword != "columns":
        raise ValueError("a symbol table begins with its columns")
    columns = tuple(Target.parse(tag) for tag in tags)
    rows: dict[str, Row] = {}
    for line in lines[1:]:
        name, mask, limited = line.split(" ")
        rows[name] = Row(int(mask, 16), None if limited == "-" else int(limited))
    if list(columns) != sorted(set(columns)) or len(rows) != len(lines) - 1:
        raise ValueError("the columns of a symbol table are sorted, and no name has two lines")
    return SymbolTable(columns, rows)


def render(table: SymbolTable, comment: str = "") -> str:
    """The text of *table*, below *comment*; ``parse`` takes it back."""
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    lines.append(" ".join(["columns", *map(str, table.columns)]))
    for name, row in sorted(table.rows.items()):
        lines.append(f"{name} {row.mask:x} {'-' if row.limited_api is None else row.limited_api}")
    return "\n".join(lines) + "\n"


def of_exports(
    exports: Mapping[Target, frozenset[str]], limited_api: Mapping[str, int] | None = None
) -> SymbolTable:
    """The table of what each target exports; *limited_api* maps names to minor versions."""
    columns = tuple(sorted(exports))
    masks: dict[str, int] = {}
    for bit, target in enumerate(columns):
        for name in exports[target]:
            masks[name] = masks.get(name, 0) | 1 << bit
    limited = limited_api or {}
    return SymbolTable(columns, {name: Row(mask, limited.get(name)) for name, mask in masks.items()})


def union(first: SymbolTable, second: SymbolTable) -> SymbolTable:
    """The table of what either holds: presence only grows, since micro releases add private names.

    Where they disagree about the limited API the later version wins, which promises less.
    """
    exports = {
        column: first.names(column) | second.names(column) for column in (*first.columns, *second.columns)
    }
    limited: dict[str, int] = {}
    for name, row in (*first.rows.items(), *second.rows.items()):
        if row.limited_api is not None:
            limited[name] = max(row.limited_api, limited.get(name, 0))
    return of_exports(exports, limited)
