"""The page of the tables of a survey, from the docstrings of its rows: docs/reference/survey-tables.md."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wheelfuse.surveying.columns import TABLES, Column, columns, meaning


def page() -> str:
    """The page: a section for each table, with a row for each column."""
    parts = [
        "<!-- Written by `make docs` (tools/survey_page.py). Change wheelfuse/surveying/rows.py instead. -->",
        "# Tables of a survey",
        "What `wheelfuse survey` writes: Parquet files in four directories, one for each table, which any program\n"
        "that reads Parquet can take as they are, and `wheelfuse survey ask DIR sql` as tables of these names. Each\n"
        "file says in its metadata which schema it has (`wheelfuse.survey.schema`, here 1), and of each column what\n"
        "it means. Within one schema no column is taken away or changes its meaning. A part of a survey is the files\n"
        "of one name, such as `part-000001.parquet`; it counts when that in `wheels/` is there.",
    ]
    for table in TABLES:
        parts += _section(table)
    return "\n\n".join(parts) + "\n"


def _section(table: str) -> Iterator[str]:
    yield f"## {table}"
    yield f"A row is {_lower(meaning(table))}"
    yield "\n".join(("| Column | Value | |", "| --- | --- | --- |", *map(_row, columns(table))))


def _row(column: Column) -> str:
    null = ", or null" if column.nullable else ""
    text = re.sub(r"``(.+?)``", r"`\1`", column.meaning).replace("|", r"\|")
    return f"| `{column.name}` | {column.kind}{null} | {text} |"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
