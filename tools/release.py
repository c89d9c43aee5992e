"""Hold what tells the version of wheelfuse against ``wheelfuse/__init__.py``, the only place that decides it.

    python -m tools.release [TAG]

Without a tag that is CITATION.cff, CHANGELOG.md and the pages that tell users what to install. With the tag of a
release (``v0.1.0``) they must also be ready for it: a dated section of the changelog, and no name left to be filled in.
Needs nothing but Python, so that it can run before anything is installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from wheelfuse import __version__

ROOT = Path(__file__).resolve().parent.parent

_SECTION = re.compile(r"^## \[([^\]]+)\](?: - (\S+))?$", re.MULTILINE)
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_FIELD = r'^{}: *"?([^"\n]+?)"? *$'
_IN_PAGES = re.compile(
    r"/wheelfuse@v([\d.]*\d)|wheelfuse(?:\[\w+\])?==([\d.]*\d)|^ *rev: v([\d.]*\d)$", re.MULTILINE
)
_PLACEHOLDER = re.compile(r"\bOWNER\b")


@dataclass(frozen=True)
class Section:
    """One release in the changelog: ``Unreleased`` or a version, its date (empty: none), what it says."""

    name: str
    date: str
    text: str


def sections(changelog: str) -> tuple[Section, ...]:
    """The sections of a changelog in the form of Keep a Changelog 1.1.0, in their order."""
    heads = list(_SECTION.finditer(changelog))
    ends = [head.start() for head in heads[1:]] + [len(changelog)]
    return tuple(
        Section(head[1], head[2] or "", changelog[head.end() : end].strip())
        for head, end in zip(heads, ends, strict=True)
    )


def problems(root: Path, version: str, tag: str = "") -> Iterator[str]:
    """Each contradiction in the tree at *root*, as ``FILE: what is wrong``."""
    unreleased, *released = sections((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    yield from (f"CHANGELOG.md: {what}" for what in _of_changelog(unreleased, released, version))
    dates = {section.name: section.date for section in released}
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    if (cited := _field(citation, "version")) != version:
        yield f"CITATION.cff: version is {cited}, that of wheelfuse/__init__.py {version}"
    if (day := _field(citation, "date-released")) != dates.get(version, ""):
        yield f"CITATION.cff: date-released is {day or 'missing'}, CHANGELOG.md has {dates.get(version) or 'none'}"
    for page in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        told = {
            next(filter(None, match.groups()))
            for match in _IN_PAGES.finditer(page.read_text(encoding="utf-8"))
        }
        for other in sorted(told - {version}):
            yield f"{page.relative_to(root)}: tells users to install {other}, not {version}"
    if tag:
        yield from _unready(root, version, tag, unreleased, dates)


def _of_changelog(unreleased: Section, released: Sequence[Section], version: str) -> Iterator[str]:
    if unreleased.name != "Unreleased":
        yield "does not begin with [Unreleased]"
    for section in released:
        if not _VERSION.fullmatch(section.name) or not _is_day(section.date):
            yield f"[{section.name}] - {section.date} is not [1.2.3] - 2026-12-31"
            return
    order = [_key(section.name) for section in released]
    if order != sorted(set(order), reverse=True):
        yield "the releases are not in order, the newest first"
    if order and order[0] > _key(version):
        yield f"{released[0].name} is released, but wheelfuse/__init__.py says {version}"


def _unready(root: Path, version: str, tag: str, unreleased: Section, dates: dict[str, str]) -> Iterator[str]:
    if tag != f"v{version}":
        yield f"the tag is {tag}, the version of wheelfuse/__init__.py is {version}"
    if version not in dates:
        yield f"CHANGELOG.md: there is no section [{version}]"
    if unreleased.text:
        yield "CHANGELOG.md: there is something under [Unreleased]"
    for path in sorted((root / ".github").rglob("*.yml")):
        if _PLACEHOLDER.search(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(root)}: OWNER stands for whose repository it is"


def _field(citation: str, name: str) -> str:
    """A plain field of a citation; empty if it has none."""
    found = re.search(_FIELD.format(name), citation, re.MULTILINE)
    return found[1] if found else ""


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _key(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


if __name__ == "__main__":
    found = list(problems(ROOT, __version__, *sys.argv[1:2]))
    print("\n".join(found) if found else f"wheelfuse {__version__}: all that tells the version agrees")
    sys.exit(bool(found))
