"""A table of an answer as CSV (RFC 4180), for spreadsheets.

Names in it come from wheels, and spreadsheets run what begins like a formula: a text that begins with ``=``, ``+``,
``-``, ``@``, a tab or a line break has an apostrophe before it, which they take for the sign of a text. What steers a
terminal is escaped, as it is for people. Lists are joined by ``; ``. Whoever wants names as they are asks for JSON.
"""

from __future__ import annotations

import csv
import io

from wheelfuse.escape import printable
from wheelfuse.surveying.answer import Cell, Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def table_to_csv(table: Table) -> str:
    """What ``wheelfuse survey ask --format csv`` prints: a line with the names of columns, and one for each row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_safe(column.name) for column in table.columns])
    writer.writerows([_cell(cell) for cell in row] for row in table.rows)
    return text.getvalue()


def _cell(cell: Cell) -> str | int | float:
    if cell is None:
        return ""
    if isinstance(cell, (int, float)):
        return cell
    return _safe("; ".join(cell) if isinstance(cell, tuple) else cell)


def _safe(text: str) -> str:
    return f"'{printable(text)}" if text.lstrip(" ").startswith(_FORMULA) else printable(text)
