"""What a question gives: tables of plain values, ready for every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from wheelfuse.errors import UsageError
from wheelfuse.suggest import meant

Cell = str | int | float | bool | tuple[str, ...] | None


class Kind(str, Enum):
    """What is in a column."""

    TEXT = "text"
    COUNT = "count"
    """A number."""
    BYTES = "bytes"
    """A size in bytes, which may be below zero where it is a difference."""
    LIST = "list"
    """Several texts."""


@dataclass(frozen=True)
class Column:
    """A column: its *name* as programs know it, its *title* for people, and what is in it."""

    name: str
    title: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True)
class Picture:
    """How a table is drawn: a bar for each row, named by the columns *label*, its lengths those of *parts* in a row."""

    label: tuple[str, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows, the weightiest first. *total* is how many there were before the rest was cut off."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: int
    picture: Picture | None = None

    def cut(self, most: int) -> Table:
        """The same with so many rows at most; all for 0."""
        return replace(self, rows=self.rows[:most]) if most else self

    def values(self, name: str) -> tuple[Cell, ...]:
        """The values in a column."""
        at = [column.name for column in self.columns].index(name)
        return tuple(row[at] for row in self.rows)


@dataclass(frozen=True)
class SurveyAnswer:
    """The answer to a question: one sentence that says it, tables that show it, and what else should be known.

    Names in it are as the wheels have them, and may hold anything: whoever shows them escapes them.
    """

    question: str
    arguments: tuple[str, ...]
    title: str
    sentence: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()

    def only(self, name: str) -> SurveyAnswer:
        """The same with one of its tables.

        Raises:
            UsageError: it has no table of this name.
        """
        found = tuple(table for table in self.tables if table.name == name)
        if not found:
            names = [table.name for table in self.tables]
            what = f"{self.question} has no table {name}, only {', '.join(names)}{meant(name, names)}"
            raise UsageError(what)
        return replace(self, tables=found)

    def cut(self, most: int) -> SurveyAnswer:
        """The same with so many rows of each table at most; all for 0."""
        return replace(self, tables=tuple(table.cut(most) for table in self.tables))


def table(
    name: str,
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[object]],
    picture: Picture | None = None,
) -> Table:
    """A table of what a database gave: lists become tuples."""
    cells = tuple(tuple(map(_cell, row)) for row in rows)
    return Table(name, title, tuple(columns), cells, len(cells), picture)


def _cell(value: object) -> Cell:
    if isinstance(value, (list, tuple)):
        return tuple("" if item is None else str(item) for item in value)
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


def count(number: int, thing: str) -> str:
    """``1 wheel``, ``2,345 wheels``."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def text(name: str, title: str = "") -> Column:
    """A column of texts."""
    return Column(name, title or name.replace("_", " "))


def number(name: str, title: str = "") -> Column:
    """A column of numbers."""
    return Column(name, title or name.replace("_", " "), Kind.COUNT)


def size(name: str, title: str = "") -> Column:
    """A column of sizes."""
    return Column(name, title or name.replace("_", " "), Kind.BYTES)


def several(name: str, title: str = "") -> Column:
    """A column of lists."""
    return Column(name, title or name.replace("_", " "), Kind.LIST)
