"""Which wheels a CPython would install, and which of their files it would load: tables for further queries."""

from __future__ import annotations

from wheelfuse.abi.modules import ModuleName, loads
from wheelfuse.errors import InvalidInput
from wheelfuse.surveying.database import Database
from wheelfuse.target import ALL_TARGETS, Target
from wheelfuse.wheel.name import accepting, rank
from wheelfuse.wheel.requires_python import admits

_CONSIDERED = """
SELECT id, project, version, file, installs, CASE WHEN installs THEN ? ELSE newest END AS loader
FROM wheels JOIN tagged
ON wheels.python_tags = tagged.python_tags AND wheels.abi_tags = tagged.abi_tags
AND coalesce(wheels.requires_python, '') = tagged.requires_python
WHERE status = 'read'
QUALIFY installs OR (
    NOT bool_or(installs) OVER (PARTITION BY project, version)
    AND minor = max(minor) OVER (PARTITION BY project, version)
)
"""

_LOADED = """
WITH extensions AS (
    SELECT id, path, loaders FROM modules JOIN considered USING (id)
    WHERE module IS NOT NULL AND (target = loader OR (target IS NULL AND (
        stable_abi IS NULL OR (loader, stable_abi) IN (SELECT (cpython, abi) FROM stable))))
), linked AS (
    SELECT id, flatten(list(loaders)) AS loaders FROM extensions GROUP BY id
)
SELECT id, path FROM extensions
UNION ALL
SELECT id, path FROM modules JOIN considered USING (id) LEFT JOIN linked USING (id)
WHERE module IS NULL AND (len(modules.loaders) = 0 OR list_has_any(modules.loaders, coalesce(linked.loaders, [])))
"""


def keep_loaded(database: Database, target: Target) -> None:
    """Make two tables.

    ``considered`` has the wheels that count for *target*: those that it would install (``installs``); and of releases
    of which it would install none, those for the newest CPython before it, of the same build. ``loader`` is the
    CPython that loads their files: *target*, or the one that they are for.

    ``loaded`` has the files of these that their loader loads: modules by their suffix; and libraries, unless only
    other CPythons' modules link them.
    """
    tags = database.rows(
        "SELECT DISTINCT python_tags, abi_tags, coalesce(requires_python, '') FROM wheels WHERE status = 'read'"
    )
    columns = {
        "python_tags": "VARCHAR[]",
        "abi_tags": "VARCHAR[]",
        "requires_python": "VARCHAR",
        "installs": "BOOLEAN",
        "newest": "VARCHAR",
        "minor": "BIGINT",
    }
    database.keep("tagged", columns, [(*row, *_verdict(row[0], row[1], row[2], target)) for row in tags])
    stable = [
        (str(one), abi) for one in {*ALL_TARGETS, target} for abi in ("abi3", "abi3t") if _loads(one, abi)
    ]
    database.keep("stable", {"cpython": "VARCHAR", "abi": "VARCHAR"}, stable)
    database.make("considered", _CONSIDERED, str(target))
    database.make("loaded", _LOADED)


def _verdict(
    pythons: list[str], abis: list[str], requires_python: str, target: Target
) -> tuple[bool, str | None, int | None]:
    """Whether *target* would install wheels with these tags, and the newest CPython before it that would."""
    pairs = [(python, abi) for python in pythons for abi in abis]
    earlier = [
        one
        for one in accepting(pairs)
        if one < target and one.free_threaded is target.free_threaded and _admits(requires_python, one)
    ]
    newest = max(earlier, default=None)
    installs = rank(target, pairs) is not None and _admits(requires_python, target)
    return installs, str(newest) if newest else None, newest.minor if newest else None


def _admits(requires_python: str, target: Target) -> bool:
    """As installers see it, which pass over what they cannot read."""
    try:
        return admits(requires_python, target)
    except InvalidInput:
        return True


def _loads(target: Target, abi: str) -> bool:
    return loads(target, ModuleName("m", f".{abi}.so", ""))
