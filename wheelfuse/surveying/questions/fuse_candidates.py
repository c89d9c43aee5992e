"""Which releases `wheelfuse merge` would make smaller, and by how many bytes.

A candidate has two wheels or more, each for one CPython, of one project, version and platform (machine and C library).
`fused` is estimated from the members: what has the same path and digest in several wheels is counted once, with its
bytes as they are packed there; metadata is counted once, but for SBOMs that differ; and each entry of the zip file has
its headers. What `--share-device-code` would save further is not in it, nor what merge itself adds, some KB. `saved` is
what the index no longer keeps; `growth` is how many bytes more one user downloads than the `largest` of the wheels has.

Files that need a decision of yours (`--resolve`) are counted as well: those that differ under one path, or that only
some of the wheels have, and that merge settles by no rule of its own, as it does shared objects, Python sources that
differ, bytecode and metadata. Sources that only some wheels have are among them.
"""

from __future__ import annotations

from wheelfuse.sizes import human_size
from wheelfuse.surveying.answer import Picture, SurveyAnswer, count, number, several, size, table, text
from wheelfuse.surveying.database import Database
from wheelfuse.surveying.questions import Asked, Question
from wheelfuse.target import Target
from wheelfuse.wheel.name import Platform

QUESTION = Question("fuse-candidates", "Which releases merge would make smaller, and by how many bytes.")

HEADERS, END = 30 + 46, 22
"""Bytes of the two headers of an entry, besides its name in each, and of the end record (APPNOTE 4.3.7, 12 and 16)."""

_SINGLE = r"""
SELECT id, project, version, build, platform, abi_tags[1] AS cpython, size
FROM wheels JOIN platforms USING (platform_tags)
WHERE status = 'read' AND len(abi_tags) = 1 AND len(python_tags) = 1
AND regexp_full_match(abi_tags[1], 'cp3\d+t?') AND rtrim(abi_tags[1], 't') = python_tags[1]
QUALIFY row_number() OVER (PARTITION BY project, version, build, platform, abi_tags[1] ORDER BY file, id) = 1
"""
_GROUPS = """
SELECT row_number() OVER (ORDER BY project, version, build, platform) AS number, project, version, build, platform,
    count(*) AS wheels, list(cpython) AS cpythons, sum(size) AS size, max(size) AS largest
FROM single GROUP BY project, version, build, platform HAVING count(*) > 1
"""
_FILES = r"""
SELECT number, id, path, coalesce(digest, '') AS digest, packed,
    regexp_matches(path, '^[^/]+\.dist-info/') AS info,
    contains(path, '.dist-info/sboms/') AS sbom
FROM members JOIN single USING (id) JOIN groups
ON groups.project = single.project AND groups.version = single.version AND groups.platform = single.platform
AND groups.build IS NOT DISTINCT FROM single.build
"""
_FUSED = """
SELECT number, sum(packed + ? + 2 * strlen(path)) + ? AS fused FROM (
    SELECT number, path, max(packed) AS packed FROM files
    GROUP BY number, path, CASE WHEN info AND NOT sbom THEN '' ELSE digest END
) GROUP BY number
"""
_DECISIONS = r"""
SELECT number, count(*) AS decisions, list(path ORDER BY path) AS paths FROM (
    SELECT number, path, count(DISTINCT id) AS held, count(DISTINCT digest) AS digests FROM files
    WHERE NOT info AND NOT regexp_matches(path, '(^|/)__pycache__/')
    AND NOT EXISTS (SELECT 1 FROM modules WHERE modules.id = files.id AND modules.path = files.path)
    GROUP BY number, path
) JOIN groups USING (number)
WHERE held < wheels OR (digests > 1 AND NOT ends_with(path, '.py')) GROUP BY number
"""
_ROWS = """
SELECT project, version, build, platform, wheels, size, fused, size - fused, largest, fused - largest,
    coalesce(decisions, 0), coalesce(paths, []), cpythons
FROM groups JOIN fused USING (number) LEFT JOIN decisions USING (number)
ORDER BY size - fused DESC, project, version, platform
"""
_COLUMNS = (
    text("project"), text("version"), text("build"), text("platform"), number("wheels"),
    size("size", "bytes now"), size("fused"), size("saved"), size("largest"), size("growth"),
    number("decisions"), several("to_decide", "to decide"), several("cpythons", "CPythons"),
)  # fmt: skip


def answer(database: Database, asked: Asked) -> SurveyAnswer:
    tags = database.rows("SELECT DISTINCT platform_tags FROM wheels WHERE status = 'read'")
    platforms = [(row[0], name) for row in tags if (name := platform_of(row[0]))]
    database.keep("platforms", {"platform_tags": "VARCHAR[]", "platform": "VARCHAR"}, platforms)
    database.make("single", _SINGLE)
    database.make("groups", _GROUPS)
    database.make("files", _FILES)
    database.make("fused", _FUSED, HEADERS, END)
    database.make("decisions", _DECISIONS)
    rows = [(*row[:12], _in_order(row[12])) for row in database.rows(_ROWS) if row[7] > 0]
    wheels, now, saved = (sum(row[at] for row in rows) for at in (4, 5, 7))
    free = sum(not row[10] for row in rows)
    told = (
        f"{count(wheels, 'wheel')} could be {len(rows):,}: {human_size(saved)} of {human_size(now)} less, "
        f"{100 * saved / now:.0f}%; {free:,} of them without a decision of yours."
        if rows
        else "No release would become smaller."
    )
    return SurveyAnswer(
        QUESTION.name,
        asked.arguments,
        "Candidates for one fused wheel",
        told,
        (
            table(
                "releases", "Releases", _COLUMNS, rows,
                Picture(("project", "version", "platform"), ("fused", "saved")),
            ),
        ),
        ("fused is an estimate, from digests and packed sizes: wheelfuse merge --dry-run tells of one release",)
        if rows
        else (),
    )  # fmt: skip


def _in_order(cpythons: list[str]) -> list[str]:
    return list(map(str, sorted(map(Target.parse, cpythons))))


def platform_of(tags: list[str]) -> str:
    """Machine and C library of platform tags, ``x86_64 glibc``; empty for several, and for what is not Linux."""
    parsed = [Platform.parse(tag) for tag in tags]
    families = {platform.family for platform in parsed if platform}
    if None in parsed or len(families) != 1:
        return ""
    machine, libc = families.pop()
    return f"{machine} {libc}" if libc else ""
