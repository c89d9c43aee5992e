"""The answer to a question for people: a sentence, and tables as wide as the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.text import Text

from wheelfuse.escape import printable
from wheelfuse.report.lines import rendered
from wheelfuse.report.survey_parts import MOST_LISTED, filled, is_number, left_out, shown
from wheelfuse.surveying.answer import Column, Kind, SurveyAnswer, Table

MOST = 20
"""How many rows of a table are shown if nobody says how many."""

_GAP = "  "
_LEAST = 30
"""Columns of the terminal that the last column of texts needs beside the others, to be wrapped there."""


def answer_text(answer: SurveyAnswer, *, width: int = 80, color: bool = False) -> str:
    """The answer, its tables below each other; rows that do not fit into a line have a paragraph each."""
    lines = [Text(line, "bold") for line in _wrapped(printable(answer.sentence), width)]
    for table in answer.tables:
        if table.rows:
            lines += (Text(), Text(printable(table.title), "bold"))
            lines += _table(table, width)
        if more := left_out(table):
            lines.append(Text(f"{more}: --top 0 shows all", "dim"))
    lines += (
        Text(line) for note in answer.notes for line in ("", *_wrapped(f"note: {printable(note)}", width))
    )
    return rendered(lines, color)


def answer_plain(answer: SurveyAnswer) -> str:
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
    """All in a line if there is room; else lists below the rest, and then the longest of what is left."""
    at = filled(table)
    columns = [table.columns[number] for number in at]
    rows = [[shown(row[number], table.columns[number], MOST_LISTED) for number in at] for row in table.rows]
    wide = {
        n: max(len(cell) for cell in (column.title, *(row[n] for row in rows)))
        for n, column in enumerate(columns)
    }
    if not _fits(wide, columns, width):
        wide = {n: size for n, size in wide.items() if not n or columns[n].kind is not Kind.LIST}
    while len(wide) > 1 and not _fits(wide, columns, width):
        wide.pop(max(list(wide)[1:], key=wide.__getitem__))
    yield from _lines(rows, columns, wide, width)


def _fits(wide: Mapping[int, int], columns: Sequence[Column], width: int) -> bool:
    """Whether there is room for these, of which a last one of texts may be wrapped."""
    *others, last = wide.values()
    least = last if is_number(columns[list(wide)[-1]]) else min(last, _LEAST)
    return sum(size + len(_GAP) for size in others) + least <= width


def _lines(
    rows: Sequence[Sequence[str]], columns: Sequence[Column], wide: Mapping[int, int], width: int
) -> Iterator[Text]:
    """Rows of the columns that have a width; the others below each, with their titles."""
    titles = [printable(column.title) for column in columns]
    if len(wide) > 1 or len(columns) == 1:
        yield from (Text(line, "dim") for line in _beside(titles, columns, wide, width))
    for row in rows:
        yield from map(Text, _beside(row, columns, wide, width))
        for number, cell in enumerate(row):
            if cell and number not in wide:
                first, *rest = _wrapped(f"{titles[number]}: {cell}", max(width - 6, 1))
                yield from (Text(f"    {first}"), *(Text(f"      {line}") for line in rest))


def _beside(
    row: Sequence[str], columns: Sequence[Column], wide: Mapping[int, int], width: int
) -> Iterator[str]:
    """Cells beside each other, of which the last goes on below itself."""
    *others, final = (
        f"{row[n]:>{size}}" if is_number(columns[n]) else f"{row[n]:<{size}}" for n, size in wide.items()
    )
    lead = "".join(f"{cell}{_GAP}" for cell in others)
    if is_number(columns[list(wide)[-1]]) or len(lead) + len(final.rstrip()) <= width:
        yield f"{lead}{final}"
        return
    first, *rest = _wrapped(final, max(width - len(lead), 1))
    yield f"{lead}{first}"
    yield from (f"{'':{len(lead)}}{line}" for line in rest)


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
