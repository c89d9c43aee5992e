"""The page of an answer to a survey: a sentence, bars for what counts most, and the tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from wheelfuse import __version__
from wheelfuse.report.page.render import asset, environment, policy
from wheelfuse.report.survey_parts import MOST_LISTED, filled, is_number, left_out, shown
from wheelfuse.surveying.answer import Cell, Column, Kind, SurveyAnswer, Table

MOST_ROWS = 1000
"""How many rows of a table are on the page."""

MOST_BARS = 15
"""How many of them are drawn."""

_COLOURS = ("module", "debug", "library")


@dataclass(frozen=True)
class Bar:
    """A row as a bar: its name, its lengths in words, and of each part what it is, its colour, beginning and length.

    Beginning and length are in thousandths of the longest bar.
    """

    label: str
    told: str
    parts: tuple[tuple[str, str, float, float], ...]


@dataclass(frozen=True)
class Drawing:
    """Bars on one scale, and what their colours mean."""

    title: str
    bars: tuple[Bar, ...]
    key: tuple[tuple[str, str], ...]


def answer_page(answer: SurveyAnswer) -> str:
    """The answer as one HTML document, which ends with a line break."""
    style, script = asset("style.css"), asset("script.js")
    text = environment().get_template("survey.html.j2").render(
        answer=answer.cut(MOST_ROWS),
        call=" ".join((answer.question, *answer.arguments)),
        version=__version__,
        policy=policy(style, script),
        style=Markup(style),
        script=Markup(script),
        pictures=[picture for table in answer.tables if (picture := drawing(table))],
        shown=shown,
        filled=filled,
        is_number=is_number,
        left_out=left_out,
        most=MOST_LISTED,
    )  # fmt: skip
    return f"{text.rstrip()}\n"


def drawing(table: Table) -> Drawing | None:
    """The picture of a table; None if it has none, or nothing to be drawn."""
    if not table.picture or not table.rows:
        return None
    numbers = [_positive(table, name) for name in table.picture.parts]
    sums = [sum(row) for row in zip(*numbers, strict=True)]
    longest = max(sums)
    if not longest:
        return None
    columns = [column for name in table.picture.parts for column in table.columns if column.name == name]
    labels = zip(*(table.values(name) for name in table.picture.label), strict=True)
    rows = zip(labels, zip(*numbers, strict=True), sums, strict=True)
    drawn = [row for row in rows if row[2]][: len(sums) if _is_scale(table) else MOST_BARS]
    bars = tuple(
        Bar(
            " ".join(str(part) for part in label if part),
            _told(row, columns),
            tuple(_parts(row, columns, longest)),
        )
        for label, row, _ in drawn
    )
    what = ", ".join(column.title for column in columns)
    first = "" if len(bars) == table.total else f"the first {len(bars)} of {table.total:,}"
    key = tuple((column.title, colour) for column, colour in zip(columns, _COLOURS, strict=False))
    title = f"{table.title}: {what}"
    return Drawing(f"{title}, {first}" if first else title, bars, key if len(key) > 1 else ())


def _is_scale(table: Table) -> bool:
    """Whether the rows are steps of a scale, which stand together or say nothing."""
    return table.name == "distribution"


def _positive(table: Table, name: str) -> list[int | float]:
    return [max(value, 0) if isinstance(value, (int, float)) else 0 for value in table.values(name)]


def _told(row: tuple[int | float, ...], columns: list[Column]) -> str:
    if len(row) == 1:
        return shown(row[0], columns[0])
    pairs = list(zip(row, columns, strict=True))
    if columns[0].kind is not Kind.BYTES:
        return ", ".join(f"{column.title}: {shown(value, column)}" for value, column in pairs)
    listed = ", ".join(f"{shown(value, column)} {column.title}" for value, column in pairs)
    total: Cell = sum(row)
    return f"{listed} of {shown(total, columns[0])}"


def _parts(
    row: tuple[int | float, ...], columns: list[Column], longest: float
) -> Iterator[tuple[str, str, float, float]]:
    at = 0.0
    for value, column, colour in zip(row, columns, _COLOURS, strict=False):
        long = 1000 * value / longest
        yield f"{column.title}: {shown(value, column)}", colour, at, long
        at += long
