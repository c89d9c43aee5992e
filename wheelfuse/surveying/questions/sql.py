"""Whatever one SELECT of DuckDB's SQL says.

    wheelfuse survey ask DIR sql 'SELECT project, count(*) FROM wheels GROUP BY ALL ORDER BY 2 DESC'

The tables are wheels, modules, symbols and members; the question `schema` tells their columns. `id` joins them. Lists
are lists of DuckDB: `len(targets)`, `list_contains(needed, 'libz.so.1')`. Nothing can be written, and no other file be
read.
"""

from __future__ import annotations

from collections import Counter

from wheelfuse.surveying.answer import Column, Kind, SurveyAnswer, count, table
from wheelfuse.surveying.database import Database
from wheelfuse.surveying.questions import Asked, Question

QUESTION = Question("sql", "Whatever one SELECT of DuckDB's SQL says.", ("SELECT",))

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
            "UHUGEINT", "FLOAT", "DOUBLE")  # fmt: skip


def answer(database: Database, asked: Asked) -> SurveyAnswer:
    found = database.asked(asked.arguments[0])
    columns = [
        Column(name, name, _kind(kind))
        for name, kind in zip(_distinct(found.names), found.types, strict=True)
    ]
    rows = [[_boolean(value) for value in row] for row in found.rows]
    return SurveyAnswer(
        QUESTION.name,
        asked.arguments,
        "SQL",
        f"{count(len(rows), 'row')}.",
        (table("rows", "Rows", columns, rows),),
    )


def _kind(kind: str) -> Kind:
    if kind.endswith("[]"):
        return Kind.LIST
    return Kind.COUNT if kind in _NUMBERS else Kind.TEXT


def _boolean(value: object) -> object:
    return ("yes" if value else "no") if isinstance(value, bool) else value


def _distinct(names: tuple[str, ...]) -> list[str]:
    """The names, of which SQL may give one twice."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return found
