"""Which versions of torch each wheel runs with, and what a version lacks.

VERSION is one such as 2.9. What it exports is in the table that wheelfuse brings, or, for one that is not released
yet, in the files of `--exports`, which may be given several times: the libraries in torch/lib (libtorch_cpu.so,
libtorch_cuda.so, libtorch_python.so, libc10.so, ...), or lists of symbols with one in a line.

Listed are the wheels with a file that needs torch: the known versions that export all that it asks for, whether it
runs with VERSION as far as symbols tell, and those to blame if not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from wheelfuse.abi import torch
from wheelfuse.errors import Problem, UsageError
from wheelfuse.suggest import meant
from wheelfuse.surveying.answer import Picture, SurveyAnswer, count, number, several, table, text
from wheelfuse.surveying.database import Database
from wheelfuse.surveying.exported import read_exports
from wheelfuse.surveying.questions import Asked, Question

QUESTION = Question(
    "torch-range",
    "Which versions of torch each wheel runs with, and what a version lacks.",
    ("VERSION",),
    exports=True,
)
_VERSION = re.compile(r"(\d+\.\d+)(?:\.\d+)?(?:\+\w+)?")

_ASKED = "SELECT DISTINCT symbol FROM symbols WHERE kind = 'torch' AND NOT weak AND NOT own"
_LACKING = """
SELECT DISTINCT id, symbol FROM symbols JOIN lacked USING (symbol) WHERE kind = 'torch' AND NOT weak AND NOT own
"""
_WHEELS = """
SELECT project, version, file, torch, count(DISTINCT symbol), list(DISTINCT symbol ORDER BY symbol)
    FILTER (symbol IS NOT NULL)
FROM wheels LEFT JOIN lacking USING (id) WHERE torch IS NOT NULL
GROUP BY id, project, version, file, torch ORDER BY 5 DESC, project, version, file
"""
_SYMBOLS = """
SELECT symbol, count(DISTINCT id), count(DISTINCT project), list(DISTINCT project ORDER BY project)
FROM lacking JOIN wheels USING (id) GROUP BY symbol
ORDER BY count(DISTINCT project) DESC, count(DISTINCT id) DESC, symbol
"""


def answer(database: Database, asked: Asked) -> SurveyAnswer:
    version = _version(asked.arguments[0], known=not asked.exports)
    lacked = _lacked((row[0] for row in database.rows(_ASKED)), version, asked)
    database.keep("lacked", {"symbol": "VARCHAR"}, [(name,) for name in lacked])
    database.make("lacking", _LACKING)
    rows = [_row(row, version, judged=not asked.exports) for row in database.rows(_WHEELS)]
    rows.sort(key=lambda row: row[3] == "yes")
    symbols = [(*row[:3], torch.exported_in(row[0]), row[3]) for row in database.rows(_SYMBOLS)]
    bad = sum(row[3] == "no" for row in rows)
    need = "needs" if len(rows) == 1 else "need"
    told = f"{count(len(rows), 'wheel')} {need} torch; {bad:,} of them cannot run with torch {version}."
    return SurveyAnswer(
        QUESTION.name,
        asked.arguments,
        f"What runs with torch {version}",
        told if rows else "No wheel needs torch.",
        (
            table(
                "wheels", "Wheels that need torch",
                (text("project"), text("version"), text("file"), text("runs", f"with {version}"),
                 several("torch", "known to run with"), number("lacking", "symbols"), several("symbols", "which lack")),
                rows,
            ),
            table(
                "symbols", f"What torch {version} lacks",
                (text("symbol"), number("wheels"), number("projects"), several("known", "known to have it"),
                 several("names", "which projects")),
                symbols, Picture(("symbol",), ("wheels",)),
            ),
        ),
        ("that all symbols are there is necessary for running, and not sufficient",) if rows else (),
    )  # fmt: skip


def _row(row: tuple[object, ...], version: str, *, judged: bool) -> tuple[object, ...]:
    """Of a version in the table the facts of the wheel count as well."""
    project, release, file, known, lacking, symbols = row
    assert isinstance(known, list)
    runs = not lacking and (not judged or version in known)
    return project, release, file, "yes" if runs else "no", known, lacking, symbols or ()


def _version(given: str, *, known: bool) -> str:
    match = _VERSION.fullmatch(given)
    if not match:
        raise UsageError(Problem(f"{given!r} is no version of torch, such as 2.9", QUESTION.name))
    if known and match[1] not in torch.versions():
        listed = f"{torch.versions()[0]} to {torch.versions()[-1]}"
        todo = "--exports torch/lib/libtorch_cpu.so --exports torch/lib/libc10.so ..., or a list of what it exports."
        what = f"what torch {match[1]} exports is not known, only that of {listed}{meant(match[1], torch.versions())}"
        raise UsageError(Problem(what, todo=todo))
    return match[1]


def _lacked(names: Iterable[str], version: str, asked: Asked) -> list[str]:
    if not asked.exports:
        return [name for name in names if version not in torch.exported_in(name)]
    exports = read_exports(asked.exports)
    return [name for name in names if name not in exports]
