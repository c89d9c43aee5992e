"""Which wheels promise more than they hold.

A wheel promises by its tags. Two promises are checked: that each CPython which would install it finds a file of each
extension module that it can load (`uncovered` are those that do not, unreleased ones among them); and that the glibc
of its platform tags has all that its files ask for.
"""

from __future__ import annotations

from wheelfuse.surveying.answer import SurveyAnswer, count, several, table, text
from wheelfuse.surveying.database import Database
from wheelfuse.surveying.questions import Asked, Question
from wheelfuse.surveying.questions.glibc import BELOW

QUESTION = Question("overclaims", "Which wheels promise more than they hold: CPythons, and glibc.")

_WHEELS = f"""
SELECT project, version, file, uncovered, CASE WHEN below THEN glibc_claimed END, CASE WHEN below THEN glibc END
FROM (SELECT *, coalesce({BELOW}, false) AS below FROM wheels WHERE status = 'read')
WHERE len(uncovered) > 0 OR below
ORDER BY len(uncovered) DESC, project, version, file
"""


def answer(database: Database, asked: Asked) -> SurveyAnswer:
    wheels = database.rows(_WHEELS)
    pythons, glibc = sum(bool(row[3]) for row in wheels), sum(row[4] is not None for row in wheels)
    promise = "promises" if len(wheels) == 1 else "promise"
    told = (
        f"{count(len(wheels), 'wheel')} {promise} more than it holds"
        if len(wheels) == 1
        else f"{count(len(wheels), 'wheel')} {promise} more than they hold"
    )
    return SurveyAnswer(
        QUESTION.name,
        asked.arguments,
        "Wheels that promise too much",
        f"{told}: {pythons:,} by CPythons, {glibc:,} by glibc."
        if wheels
        else "No wheel promises more than it holds.",
        (
            table(
                "wheels", "Wheels",
                (text("project"), text("version"), text("file"), several("uncovered", "CPythons without a file"),
                 text("glibc_claimed", "glibc claimed"), text("glibc_needed", "glibc needed")),
                wheels,
            ),
        ),
    )  # fmt: skip
