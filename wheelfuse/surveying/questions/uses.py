"""Which wheels ask for a symbol.

SYMBOL is a name or a glob: `PyUnicode_AsUTF8`, `_PyLong_*`, `cudaMalloc*`. Mangled names of C++ are as in the file:
`_ZN2at*`. What another file of the same wheel defines does not count. `weak` says that all that ask for it can do
without. A version is the one that the file asks for: `memcpy` of `GLIBC_2.14`.
"""

from __future__ import annotations

from wheelfuse.glob import is_literal
from wheelfuse.surveying.answer import Picture, SurveyAnswer, count, number, several, table, text
from wheelfuse.surveying.database import Database
from wheelfuse.surveying.questions import Asked, Question

QUESTION = Question("uses", "Which wheels ask for a symbol.", ("SYMBOL",))

_USES = "SELECT * EXCLUDE (kind, own) FROM symbols WHERE NOT own AND symbol {} ?"
_WHEELS = """
SELECT project, wheels.version, file, count(DISTINCT symbol), list(DISTINCT symbol ORDER BY symbol),
    list(DISTINCT path ORDER BY path)
FROM uses JOIN wheels USING (id) GROUP BY id, project, wheels.version, file ORDER BY project, wheels.version, file
"""
_SYMBOLS = """
SELECT symbol, uses.version, count(DISTINCT id), count(DISTINCT project),
    CASE WHEN bool_and(weak) THEN 'yes' ELSE 'no' END, list(DISTINCT project ORDER BY project)
FROM uses JOIN wheels USING (id) GROUP BY symbol, uses.version
ORDER BY count(DISTINCT id) DESC, symbol, uses.version
"""


def answer(database: Database, asked: Asked) -> SurveyAnswer:
    [symbol] = asked.arguments
    database.make("uses", _USES.format("=" if is_literal(symbol) else "GLOB"), symbol)
    wheels, symbols = database.rows(_WHEELS), database.rows(_SYMBOLS)
    projects = {row[0] for row in wheels}
    ask = "asks" if len(wheels) == 1 else "ask"
    found = f"{count(len(wheels), 'wheel')} of {count(len(projects), 'project')} {ask} for {symbol}"
    return SurveyAnswer(
        QUESTION.name,
        asked.arguments,
        f"Who uses {symbol}",
        f"{found}." if wheels else f"No wheel asks for {symbol}.",
        (
            table(
                "wheels", "Wheels",
                (text("project"), text("version"), text("file"), number("count", "symbols"),
                 several("symbols", "which symbols"), several("files")),
                wheels,
            ),
            table(
                "symbols", "Symbols",
                (text("symbol"), text("version"), number("wheels"), number("projects"), text("weak"),
                 several("names", "which projects")),
                symbols, Picture(("symbol", "version"), ("wheels",)),
            ),
        ),
    )  # fmt: skip
