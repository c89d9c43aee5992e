"""The answer to a question for people: a sentence, and tables as wide as the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from wheelfuse.escape import printable
from wheelfuse.report.lines import rendered
from wheelfuse.report.survey_parts import MOST_LISTED, is_number, left_out, shown
from wheelfuse.surveying.answer import Answer, Column, Table

MOST = 20
"""How many rows of a table are shown if nobody says how many."""

_GAP = "  "
_LEAST = 30
"""Columns of the terminal that the last column needs beside the others, to be wrapped there."""


def answer_text(answer: Answer, *, width: int = 80, color: bool = False) -> str:
    """The answer, its tables below each other; rows that do not fit into a line have a paragraph each."""
    lines = [Text(line, "bold") for line in _wrapped(printable(answer.sentence), width)]
    for table in answer.tables:
        if table.rows:
            lines += (Text(), Text(printable(table.title), "bold"))
            lines += _table(table, width)
        if more := left_out(table):
            lines.append(Text(f"{more}: --top 0 shows all", "dim"))
    lines += (Text(line) for note in answer.notes for line in ("", *_wrapped(f"note: {printable(note)}", width)))
    return rendered(lines, color)


def answer_plain(answer: Answer) -> str:
    """The same in words alone, a row in a line."""
    lines = [printable(answer.sentence)]
    for table in answer.tables:
        for row in table.rows:
            cells = zip(table.columns, row, strict=True)
            told = [f"{column.title} {text}" for column, cell in cells if (text := shown(cell, column))]
            lines.append(f"{printable(table.name)}: {'; '.join(map(printable, told))}")
        if more := left_out(table):
            lines.append(f"{printable(table.name)}: {more}, --top 0 shows all")
    lines += (f"note: {printable(note)}" for note in answer.notes)
    return "\n".join((*lines, ""))


def _table(table: Table, width: int) -> Iterator[Text]:
    at = [number for number in range(len(table.columns)) if any(_there(row[number]) for row in table.rows)]
    columns = [table.columns[number] for number in at]
    rows = [[shown(row[number], table.columns[number], MOST_LISTED) for number in at] for row in table.rows]
    titles = [printable(column.title) for column in columns]
    wide = [max(map(len, cells)) for cells in zip(titles, *rows, strict=True)]
    before = sum(size + len(_GAP) for size in wide[:-1])
    if before + wide[-1] <= width or before + _LEAST <= width:
        for number, row in enumerate([titles, *rows]):
            yield from (Text(line, "" if number else "dim") for line in _line(row, columns, wide, width, before))
    else:
        for row in rows:
            yield from _paragraph(row, titles, width)


def _there(cell: object) -> bool:
    return cell is not None and cell not in ((), "")


def _line(
    row: Sequence[str], columns: Sequence[Column], wide: Sequence[int], width: int, before: int
) -> Iterator[str]:
    """A row, whose last cell goes on below itself."""
    cells = [
        f"{cell:>{size}}" if is_number(column) else f"{cell:<{size}}"
        for cell, column, size in zip(row[:-1], columns, wide, strict=False)
    ]
    last = f"{row[-1]:>{wide[-1]}}" if is_number(columns[-1]) else row[-1]
    first, *rest = _wrapped(last, max(width - before, 1)) if last.strip() else ("",)
    yield _GAP.join((*cells, first))
    yield from (f"{'':{before}}{line}" for line in rest)


def _paragraph(row: Sequence[str], titles: Sequence[str], width: int) -> Iterator[Text]:
    yield from (Text(line) for line in _wrapped(row[0] or "-", width))
    for title, cell in zip(titles[1:], row[1:], strict=True):
        if cell:
            yield from (Text(f"    {line}" if number else f"  {line}") for number, line in
                        enumerate(_wrapped(f"{title}: {cell}", max(width - 4, 1))))  # fmt: skip


def _wrapped(text: str, width: int) -> list[str]:
    """Names stay whole, to be copied."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def titled(pairs: Iterable[tuple[str, str]], width: int) -> str:
    """Names, with what each is beside or below."""
    pairs = list(pairs)
    wide = max((len(name) for name, _ in pairs), default=0) + 2
    lines = []
    for name, what in pairs:
        first, *rest = _wrapped(what, max(width - wide, _LEAST))
        lines += [f"{name:<{wide}}{first}", *(f"{'':{wide}}{line}" for line in rest)]
    return "\n".join((*lines, ""))
