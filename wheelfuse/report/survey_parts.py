"""What the reports of an answer share: how cells are shown to people."""

from __future__ import annotations

from wheelfuse.escape import printable
from wheelfuse.sizes import human_size
from wheelfuse.surveying.answer import Cell, Column, Kind, Table

MOST_LISTED = 8
"""How many of several texts are shown to people where there is little room."""


def shown(cell: Cell, column: Column, most: int = 0) -> str:
    """A cell in words, in one line; of lists the first so many (0: all)."""
    if cell is None:
        return ""
    if isinstance(cell, tuple):
        listed = ", ".join(map(printable, cell[:most] if most else cell))
        more = len(cell) - most if most else 0
        return f"{listed} and {more:,} more" if more > 0 else listed
    if column.kind is Kind.BYTES and isinstance(cell, int):
        return f"-{human_size(-cell)}" if cell < 0 else human_size(cell)
    if isinstance(cell, float):
        return f"{cell:.6g}"
    return f"{cell:,}" if isinstance(cell, int) else printable(str(cell))


def filled(table: Table) -> list[int]:
    """The places of the columns that have something in a row."""
    return [
        place
        for place in range(len(table.columns))
        if any(row[place] not in (None, "", ()) for row in table.rows)
    ]


def is_number(column: Column) -> bool:
    """Whether it stands to the right."""
    return column.kind in (Kind.COUNT, Kind.BYTES)


def left_out(table: Table) -> str:
    """How many rows are not shown; empty if all are."""
    missing = table.total - len(table.rows)
    return f"{missing:,} more of {table.total:,}" if missing else ""
