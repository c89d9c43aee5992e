"""Which wheels break on a CPython, and which symbols are to blame.

TARGET is a CPython such as cp316 or 3.14t. What it exports is in the table that wheelfuse brings, or, for one that is
not released yet, in FILE: its libpython (libpython3.16.so.1.0, or the executable where the library is linked into it),
or a list of symbols with one in a line, as `nm -D --defined-only -j` writes it.

Two kinds of wheels are listed, told apart by the column `installs`:

- yes: TARGET would install the wheel, by its tags and Requires-Python, and a file that it would load asks for a symbol
  that it lacks. These break, unless another package brings the symbol.
- no: TARGET would install no wheel of the release, and those for the newest CPython before it ask for such symbols.
  They need a change before they are built for TARGET.

What counts are symbols without which a file cannot be loaded, spelt like CPython's, which no other file of the wheel
defines. The second table has the symbols, with what to use instead where TARGET has it, and the CPythons of the table
that have them: none, if no known one has, so that another package may be meant to bring it.
"""

from __future__ import annotations

from wheelfuse.abi import cpython
from wheelfuse.errors import Problem, UsageError
from wheelfuse.surveying.answer import Picture, SurveyAnswer, count, number, several, table, text
from wheelfuse.surveying.database import Database
from wheelfuse.surveying.exported import read_exports
from wheelfuse.surveying.loaded import keep_loaded
from wheelfuse.surveying.questions import Asked, Question
from wheelfuse.target import Target, meant_target

QUESTION = Question(
    "breaks-on", "Which wheels break on a CPython, and which symbols are to blame.", ("TARGET",), exports=True
)
_ALWAYS = "PyObject_GetAttr"
"""What every CPython exports: who lacks it is no CPython."""

_LACKING = """
SELECT DISTINCT id, path, symbol
FROM symbols JOIN loaded USING (id, path)
WHERE kind = 'cpython' AND NOT weak AND NOT own AND symbol NOT IN (SELECT name FROM exported)
"""
_WHEELS = """
SELECT project, version, file, CASE WHEN installs THEN 'yes' ELSE 'no' END,
    count(DISTINCT symbol), list(DISTINCT symbol ORDER BY symbol), list(DISTINCT path ORDER BY path)
FROM lacking JOIN considered USING (id) GROUP BY id, project, version, file, installs
ORDER BY 4 DESC, 5 DESC, project, version, file
"""
_SYMBOLS = """
SELECT symbol, count(DISTINCT id) FILTER (installs), count(DISTINCT id) FILTER (NOT installs),
    count(DISTINCT project), list(DISTINCT project ORDER BY project)
FROM lacking JOIN considered USING (id) GROUP BY symbol
ORDER BY count(DISTINCT project) DESC, count(DISTINCT id) DESC, symbol
"""


def answer(database: Database, asked: Asked) -> SurveyAnswer:
    target = _target(asked.arguments[0])
    exports = _exports(target, asked)
    keep_loaded(database, target)
    database.keep("exported", {"name": "VARCHAR"}, [(name,) for name in exports])
    database.make("lacking", _LACKING)
    wheels, symbols = database.rows(_WHEELS), database.rows(_SYMBOLS)
    installed, failed = database.one(
        "SELECT (SELECT count(*) FROM considered WHERE installs), (SELECT count(*) FROM wheels WHERE status != 'read')"
    )
    broken = [row for row in wheels if row[3] == "yes"]
    waiting = {row[:2] for row in wheels if row[3] == "no"}
    told = [(*row[:4], *_told(row[0], exports), row[4]) for row in symbols]
    return SurveyAnswer(
        QUESTION.name,
        asked.arguments,
        f"What breaks on CPython {target.python_name}",
        _sentence(target, installed, len(broken), len(waiting), [row[0] for row in symbols]),
        (
            table("wheels", "Wheels", _WHEEL_COLUMNS, wheels),
            table("symbols", "Symbols to blame", _SYMBOL_COLUMNS, told, _DRAWN),
        ),
        tuple(_notes(symbols, failed)),
    )


_WHEEL_COLUMNS = (
    text("project"), text("version"), text("file"), text("installs"), number("lacking", "symbols"),
    several("symbols", "symbols to blame"), several("files"),
)  # fmt: skip
_SYMBOL_COLUMNS = (
    text("symbol"), number("breaking", "breaking wheels"), number("waiting", "wheels to change"),
    number("projects"), text("replacement", "instead"), several("known", "known to have it"),
    several("names", "which projects"),
)  # fmt: skip
_DRAWN = Picture(("symbol",), ("breaking", "waiting"))


def _target(given: str) -> Target:
    if not (target := Target.of_name(given)):
        what = f"{given!r} is no CPython, such as cp316 or 3.14t{meant_target(given)}"
        raise UsageError(Problem(what, QUESTION.name))
    return target


def _exports(target: Target, asked: Asked) -> frozenset[str]:
    if not asked.exports:
        if cpython.has_table(target):
            return cpython.exports(target)
        known = f"{min(cpython.table().columns)} to {max(cpython.table().columns)}"
        todo = f"--exports libpython{target.python_version}.so.1.0, or a list of what it exports."
        raise UsageError(Problem(f"what {target} exports is not known, only that of {known}", todo=todo))
    exports = read_exports(asked.exports)
    if _ALWAYS not in exports:
        todo = "Give libpython, or the executable that it is linked into."
        files = ", ".join(map(str, asked.exports))
        raise UsageError(Problem(f"no CPython: {_ALWAYS} is not exported", files, todo=todo))
    return exports


def _told(symbol: str, exports: frozenset[str]) -> tuple[str, tuple[str, ...]]:
    """What to use instead, and which CPythons are known to have it."""
    instead, known = cpython.replacements().get(symbol, ""), cpython.history(symbol)
    return instead if instead in exports else "", tuple(map(str, known.targets)) if known else ()


def _sentence(target: Target, installed: int, broken: int, waiting: int, symbols: list[str]) -> str:
    name = f"CPython {target.python_name}"
    if not symbols:
        return f"None of the {count(installed, 'wheel')} that {name} would install asks for a symbol that it lacks."
    asks = "asks" if broken == 1 else "ask"
    found = f"{broken:,} of {count(installed, 'wheel')} that {name} would install {asks} for symbols that it lacks"
    if waiting:
        need = "needs" if waiting == 1 else "need"
        found += f"; {count(waiting, 'other release')} {need} a change before wheels are built for it"
    return f"{found}. Most to blame: {', '.join(symbols[:3])}."


def _notes(symbols: list[tuple[object, ...]], failed: int) -> list[str]:
    unknown = [str(row[0]) for row in symbols if not cpython.history(str(row[0]))]
    notes = []
    if unknown:
        shown = ", ".join(unknown[:3])
        had = "is" if len(unknown) == 1 else "are"
        found = f"{count(len(unknown), 'symbol')} {had} in no known CPython ({shown})"
        notes.append(f"{found}: another package may bring what is missing")
    if failed:
        notes.append(f"not counted: {count(failed, 'wheel')} that could not be read")
    return notes
