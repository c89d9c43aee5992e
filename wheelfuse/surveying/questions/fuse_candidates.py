"""Which releases `wheelfuse merge` would make smaller, and by how many bytes.

A candidate has two wheels or more, each for one CPython, of one project, version and platform (machine and C library).
`fused` is estimated from the members: what has the same path and digest in several wheels is counted once, with its
bytes as they are packed there; metadata is counted once, but for SBOMs that differ; and each entry of the zip file has
its headers. What `--share-device-code` would save further is not in it, nor what merge itself adds, some KB. `saved` is
what the index no longer keeps; `growth` is how many bytes more one user downloads than the `largest` of the wheels has.

`alike` are libraries that differ, but neither in size, nor in the number of their symbols, nor in what they link, and
that ask for no symbol of CPython. They are counted once, since merge makes one copy of builds of one library. Whether
they are that, their code tells, which a survey does not read: if it differs, merge asks for a decision, or each CPython
gets its own.

Files that need a decision of yours (`--resolve`) are counted as well, and in `fused` once: those that differ under one
path, or that only some of the wheels have, and that merge settles by no rule of its own, as it does extension modules,
libraries that others link, Python sources that differ, bytecode and metadata. Sources that only some wheels have are
among them; and so is C that Cython generated, though merge settles it if nothing but Cython's version differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
_LINKED = r"""
SELECT DISTINCT members.id, digest FROM members
JOIN (SELECT DISTINCT id, unnest(needed) AS name FROM modules JOIN single USING (id)) AS needing
ON needing.id = members.id AND needing.name = regexp_extract(members.path, '[^/]+$')
"""
"""Which files others link: by their name, or as a copy of one of that name, which wheels have for want of links."""
_FILES = r"""
SELECT number, members.id, members.path, coalesce(members.digest, '') AS digest, members.packed,
    CASE WHEN contains(members.path, '.dist-info/sboms/') THEN 'sbom'
        WHEN regexp_matches(members.path, '^[^/]+\.dist-info/') THEN 'metadata'
        WHEN regexp_matches(members.path, '(^|/)__pycache__/') THEN 'bytecode'
        WHEN modules.module IS NOT NULL THEN 'module'
        WHEN modules.id IS NOT NULL THEN 'library'
        WHEN ends_with(members.path, '.py') THEN 'source'
        ELSE 'other' END AS kind,
    linked.id IS NOT NULL AS linked, coalesce(modules.python_symbols, 0) > 0 AS bound,
    struct_pack(a := modules.size, b := modules.imports, c := modules.exports, d := modules.needed) AS face
FROM members JOIN single USING (id) JOIN groups
ON groups.project = single.project AND groups.version = single.version AND groups.platform = single.platform
AND groups.build IS NOT DISTINCT FROM single.build
LEFT JOIN modules ON modules.id = members.id AND modules.path = members.path
LEFT JOIN linked ON linked.id = members.id AND linked.digest = members.digest
"""
_PATHS = """
SELECT number, path, CASE
    WHEN kind = 'metadata' THEN 'once'
    WHEN kind IN ('sbom', 'bytecode', 'module') THEN 'each'
    WHEN kind = 'library' AND everywhere AND differs AND same_face THEN 'alike'
    WHEN kind = 'library' AND linked THEN 'each'
    WHEN everywhere AND (kind = 'source' OR NOT differs) THEN 'each'
    ELSE 'decide' END AS becomes
FROM (
    SELECT number, path, max(kind) AS kind, count(DISTINCT id) = any_value(wheels) AS everywhere,
        count(DISTINCT digest) > 1 AS differs, bool_or(linked) AS linked,
        count(DISTINCT face) = 1 AND NOT bool_or(bound) AS same_face
    FROM files JOIN groups USING (number) GROUP BY number, path
)
"""
"""What becomes of the files of one path: one copy, or each that differs; that of libraries alike, and of what is to
be decided, is one copy as well."""
_FUSED = """
SELECT number, sum(packed + ? + 2 * strlen(path)) + ? AS fused FROM (
    SELECT number, path, max(packed) AS packed FROM files JOIN paths USING (number, path)
    GROUP BY number, path, if(becomes = 'each', digest, '')
) GROUP BY number
"""
_NAMED = """
SELECT number, list(path ORDER BY path) FILTER (becomes = 'alike') AS alike,
    list(path ORDER BY path) FILTER (becomes = 'decide') AS to_decide
FROM paths GROUP BY number
"""
_ROWS = """
SELECT project, version, build, platform, wheels, size, fused, size - fused, largest, fused - largest,
    coalesce(alike, []), coalesce(len(to_decide), 0), coalesce(to_decide, []), cpythons
FROM groups JOIN fused USING (number) JOIN named USING (number)
ORDER BY size - fused DESC, project, version, platform
"""
_COLUMNS = (
    text("project"), text("version"), text("build"), text("platform"), number("wheels"),
    size("size", "bytes now"), size("fused"), size("saved"), size("largest"), size("growth"),
    several("alike"), number("decisions"), several("to_decide", "to decide"), several("cpythons", "CPythons"),
)  # fmt: skip
_NOTE = (
    "fused is an estimate, from digests and packed sizes, without what sharing GPU code saves; "
    "wheelfuse merge tells of one release"
)


def answer(database: Database, asked: Asked) -> SurveyAnswer:
    tags = database.rows("SELECT DISTINCT platform_tags FROM wheels WHERE status = 'read'")
    platforms = [(row[0], name) for row in tags if (name := platform_of(row[0]))]
    database.keep("platforms", {"platform_tags": "VARCHAR[]", "platform": "VARCHAR"}, platforms)
    database.make("single", _SINGLE)
    database.make("groups", _GROUPS)
    database.make("linked", _LINKED)
    database.make("files", _FILES)
    database.make("paths", _PATHS)
    database.make("fused", _FUSED, HEADERS, END)
    database.make("named", _NAMED)
    rows = [(*row[:13], _in_order(row[13])) for row in database.rows(_ROWS) if row[7] > 0]
    return SurveyAnswer(
        QUESTION.name,
        asked.arguments,
        "Candidates for one fused wheel",
        _sentence(rows),
        (
            table(
                "releases", "Releases", _COLUMNS, rows,
                Picture(("project", "version", "platform"), ("fused", "saved")),
            ),
        ),
        (_NOTE,)
        if rows
        else (),
    )  # fmt: skip


def _sentence(rows: Sequence[tuple[Any, ...]]) -> str:
    if not rows:
        return "No release would become smaller."
    wheels, now, saved = (sum(row[at] for row in rows) for at in (4, 5, 7))
    free = [alike for *_, alike, decisions, _, _ in rows if not decisions]
    perhaps = sum(map(bool, free))
    return (
        f"{count(wheels, 'wheel')} could be {len(rows):,}: {human_size(saved)} of {human_size(now)} less, "
        f"{100 * saved / now:.0f}%; {len(free) - perhaps:,} of them without a decision of yours"
        + (f", {perhaps:,} more if libraries that look alike are." if perhaps else ".")
    )


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
