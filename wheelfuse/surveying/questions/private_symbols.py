"""Which private symbols of CPython are used most.

Private are those that begin with an underscore: CPython may take them away with any release, also a micro release.
Those come first that most projects use. `missing from` are the CPythons of the table that lack the symbol already,
`instead` is the public one that does its work in later ones. `stable` says that the symbol is in the stable ABI, since
macros of the limited API call it: such a one stays, although it looks private, and comes after the others.
"""

from __future__ import annotations

from wheelfuse.abi import cpython
from wheelfuse.abi.limited_api import limited_api_version
from wheelfuse.surveying.answer import Picture, SurveyAnswer, count, number, several, table, text
from wheelfuse.surveying.database import Database
from wheelfuse.surveying.questions import Asked, Question

QUESTION = Question("private-symbols", "Which private symbols of CPython are used most.")

_SYMBOLS = """
SELECT symbol, count(DISTINCT project), count(DISTINCT id), list(DISTINCT project ORDER BY project)
FROM symbols JOIN wheels USING (id)
WHERE kind = 'cpython' AND NOT own AND starts_with(symbol, '_')
GROUP BY symbol ORDER BY count(DISTINCT project) DESC, count(DISTINCT id) DESC, symbol
"""
_COUNTED = """
SELECT count(DISTINCT id), count(DISTINCT project) FROM symbols JOIN wheels USING (id)
WHERE kind = 'cpython' AND NOT own AND starts_with(symbol, '_')
"""
_COLUMNS = (
    text("symbol"), number("projects"), number("wheels"), text("stable"), text("replacement", "instead"),
    several("missing", "missing from"), several("names", "which projects"),
)  # fmt: skip


def answer(database: Database, asked: Asked) -> SurveyAnswer:
    found = database.rows(_SYMBOLS)
    wheels, projects = database.one(_COUNTED)
    rows = [(*row[:3], *_told(row[0]), row[3]) for row in found]
    rows.sort(key=lambda row: row[3] == "yes")
    unstable = sum(row[3] == "no" for row in rows)
    use = "uses" if wheels == 1 else "use"
    told = (
        f"{count(wheels, 'wheel')} of {count(projects, 'project')} {use} {count(len(rows), 'private symbol')}"
    )
    return SurveyAnswer(
        QUESTION.name,
        asked.arguments,
        "Private symbols of CPython",
        f"{told}; {unstable:,} of these are not in the stable ABI."
        if rows
        else "No wheel uses a private symbol.",
        (table("symbols", "Symbols", _COLUMNS, rows, Picture(("symbol",), ("projects",))),),
    )


def _told(symbol: str) -> tuple[str, str, tuple[str, ...]]:
    """Whether it is in the stable ABI, what to use instead, and which known CPythons lack it."""
    stable = "yes" if limited_api_version(symbol) else "no"
    known = cpython.history(symbol)
    have = known.targets if known else ()
    missing = tuple(str(one) for one in cpython.table().columns if one not in have)
    return stable, cpython.replacements().get(symbol, ""), missing
