"""Which glibc the wheels need, and which they claim to do with.

Needed is the lowest glibc that has all symbol versions that the files of a wheel ask for; claimed the lowest that its
platform tags promise to do with (PEP 600). The first table counts wheels by release of glibc. The second has those
that claim less than they need: they are installed where they cannot be loaded. `files` are those that need the most.
Wheels for musl, and those without shared objects, are not counted.
"""

from __future__ import annotations

from wheelfuse.surveying.answer import Picture, SurveyAnswer, count, number, several, table, text
from wheelfuse.surveying.database import Database
from wheelfuse.surveying.questions import Asked, Question

QUESTION = Question("glibc", "Which glibc the wheels need, and which they claim to do with.")

KEY = "list_transform(string_split({}, '.'), lambda part: part::BIGINT)"
"""What versions are compared by."""

_NEEDED, _CLAIMED = KEY.format("glibc"), KEY.format("glibc_claimed")
_DISTRIBUTION = f"""
SELECT glibc, needed, claimed, projects FROM (
    SELECT glibc, count(*) AS needed, count(DISTINCT project) AS projects FROM wheels WHERE glibc IS NOT NULL GROUP BY 1
) FULL JOIN (
    SELECT glibc_claimed AS glibc, count(*) AS claimed FROM wheels WHERE glibc_claimed IS NOT NULL GROUP BY 1
) USING (glibc) ORDER BY {_NEEDED}
"""
BELOW = f"glibc IS NOT NULL AND glibc_claimed IS NOT NULL AND {_CLAIMED} < {_NEEDED}"
"""Of wheels that claim less than they need."""

_BELOW = f"""
SELECT project, version, file, glibc_claimed, glibc,
    (SELECT list(path ORDER BY path) FROM modules WHERE modules.id = wheels.id AND modules.glibc = wheels.glibc)
FROM wheels WHERE {BELOW} ORDER BY {_NEEDED} DESC, project, version, file
"""


def answer(database: Database, asked: Asked) -> SurveyAnswer:
    distribution = [(row[0], row[1] or 0, row[2] or 0, row[3] or 0) for row in database.rows(_DISTRIBUTION)]
    below = database.rows(_BELOW)
    wheels = sum(row[1] for row in distribution)
    if not wheels:
        told = "No wheel needs glibc."
    else:
        highest = next(row for row in reversed(distribution) if row[1])
        need = "needs" if wheels == 1 else "need"
        claim = "claims" if len(below) == 1 else "claim"
        told = (
            f"{count(wheels, 'wheel')} {need} glibc, the most demanding {highest[0]}; "
            f"{len(below):,} {claim} to do with less than they need."
        )
    return SurveyAnswer(
        QUESTION.name,
        asked.arguments,
        "glibc: needed and claimed",
        told,
        (
            table(
                "distribution", "Wheels by glibc",
                (text("glibc"), number("needed", "wheels that need it"), number("claimed", "wheels that claim it"),
                 number("projects")),
                distribution, Picture(("glibc",), ("needed",)),
            ),
            table(
                "below", "Wheels that claim less than they need",
                (text("project"), text("version"), text("file"), text("claimed"), text("needed"), several("files")),
                below,
            ),
        ),
    )  # fmt: skip
