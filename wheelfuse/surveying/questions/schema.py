"""The tables of a survey and their columns, for `sql`.

Each is also a directory of Parquet files, which any other program can read.
"""

from __future__ import annotations

from wheelfuse.surveying.answer import SurveyAnswer, table, text
from wheelfuse.surveying.columns import TABLES, columns, meaning
from wheelfuse.surveying.database import SQL, Database
from wheelfuse.surveying.questions import Asked, Question

QUESTION = Question("schema", "The tables of a survey and their columns.")

_COLUMNS = (text("column"), text("type"), text("null", "may be null"), text("meaning"))


def answer(database: Database, asked: Asked) -> SurveyAnswer:
    rows = database.one(f"SELECT {', '.join(f'(SELECT count(*) FROM {name})' for name in TABLES)}")
    held = ", ".join(f"{number:,} {name}" for name, number in zip(TABLES, rows, strict=True))
    return SurveyAnswer(
        QUESTION.name,
        asked.arguments,
        "Tables of a survey",
        f"This one has {held}.",
        tuple(
            table(
                name, f"{name}: {meaning(name)}", _COLUMNS,
                [(one.name, SQL[one.kind], "yes" if one.nullable else "no", one.meaning) for one in columns(name)],
            )
            for name in TABLES
        ),
    )  # fmt: skip
