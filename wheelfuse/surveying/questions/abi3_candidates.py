"""Which projects could have one abi3 wheel in place of many.

Looked at are releases with extension modules that are not for the stable ABI yet. If all symbols of CPython that the
files of a wheel ask for are in the limited API, it passes; a release is a candidate if all its wheels do.
`limited api` is the lowest version that has them all, and `oldest` the oldest CPython that the release serves today:
where the first is the higher one, the CPythons before it lose their wheel, or keep one of their own.

The other releases are in the second table, with the modules that stand in the way and the symbols that they ask for.

Symbols tell much, not all: macros and fields of structs that the limited API hides leave no symbol behind. Compiling
with Py_LIMITED_API is the proof; `wheelfuse audit --road-to-abi3` shows the road of one wheel.
"""

from __future__ import annotations

from wheelfuse.abi.limited_api import lowest_limited_api
from wheelfuse.surveying.answer import Picture, SurveyAnswer, count, number, several, size, table, text
from wheelfuse.surveying.database import Database
from wheelfuse.surveying.questions import Asked, Question

QUESTION = Question("abi3-candidates", "Which projects could have one abi3 wheel in place of many.")

_LOOKED_AT = """
SELECT id, project, version, size, targets FROM wheels
WHERE status = 'read' AND NOT list_has_any(abi_tags, ['abi3', 'abi3t'])
AND id IN (SELECT id FROM modules WHERE module IS NOT NULL AND stable_abi IS NULL)
"""
_ASKED = "SELECT DISTINCT symbol FROM symbols WHERE kind = 'cpython' AND NOT own"
_IN_THE_WAY = """
SELECT id, path, symbol FROM symbols JOIN looked_at USING (id)
WHERE kind = 'cpython' AND NOT own AND symbol IN (SELECT name FROM limited WHERE minor IS NULL)
"""
_LOWEST = """
SELECT id, max(minor) AS minor FROM symbols JOIN looked_at USING (id) JOIN limited ON symbol = name
WHERE kind = 'cpython' AND NOT own GROUP BY id
"""
_RELEASES = """
SELECT project, version, count(DISTINCT id), count(DISTINCT id) FILTER (id NOT IN (SELECT id FROM in_the_way)),
    max(coalesce(minor, 2)),
    min(list_min(list_transform(targets, lambda target: regexp_extract(target, '^cp3(\\d+)', 1)::BIGINT))), sum(size)
FROM looked_at LEFT JOIN lowest USING (id) GROUP BY project, version
"""
_BLOCKED = """
SELECT project, version, list(DISTINCT coalesce(module, path) ORDER BY coalesce(module, path)),
    count(DISTINCT symbol), list(DISTINCT symbol ORDER BY symbol)
FROM in_the_way JOIN looked_at USING (id) JOIN modules USING (id, path) GROUP BY project, version
"""


def answer(database: Database, asked: Asked) -> SurveyAnswer:
    database.make("looked_at", _LOOKED_AT)
    names = [row[0] for row in database.rows(_ASKED)]
    limited = [(name, lowest_limited_api([name])) for name in names]
    database.keep("limited", {"name": "VARCHAR", "minor": "BIGINT"}, limited)
    database.make("in_the_way", _IN_THE_WAY)
    database.make("lowest", _LOWEST)
    releases = database.rows(_RELEASES)
    passing = [
        (project, version, wheels, f"3.{minor}", f"3.{oldest}" if oldest else None, bytes_)
        for project, version, wheels, good, minor, oldest, bytes_ in releases
        if good == wheels
    ]
    passing.sort(key=lambda row: (-row[2], row[0], row[1]))
    numbers = {row[:2]: row[2:4] for row in releases}
    blocked = [
        (project, version, *numbers[project, version], symbols, modules, which)
        for project, version, modules, symbols, which in database.rows(_BLOCKED)
    ]
    blocked.sort(key=lambda row: (row[4], row[0], row[1]))
    told = f"{len(passing):,} of {count(len(releases), 'release')} with modules for single CPythons would pass as abi3"
    return SurveyAnswer(
        QUESTION.name,
        asked.arguments,
        "Candidates for abi3",
        f"{told}, as far as symbols tell." if releases else "No release has modules for single CPythons.",
        (
            table(
                "candidates", "All symbols are in the limited API",
                (text("project"), text("version"), number("wheels"), text("limited_api"), text("oldest"),
                 size("size", "bytes now")),
                passing, Picture(("project", "version"), ("wheels",)),
            ),
            table(
                "blocked", "What stands in the way of the others",
                (text("project"), text("version"), number("wheels"), number("passing", "wheels that pass"),
                 number("outside", "symbols outside"), several("modules"), several("symbols", "which symbols")),
                blocked,
            ),
        ),
    )  # fmt: skip
