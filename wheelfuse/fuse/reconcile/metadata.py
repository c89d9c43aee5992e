"""METADATA files (core metadata) of the wheels of one release, made into one.

What may differ: the order of fields, line ends and folding, Metadata-Version, Dynamic, License-File, the
spelling of requirements, and Requires-Dist itself, which can be limited to some Pythons. Any other difference
is a conflict.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelfuse.errors import InvalidInput
from wheelfuse.fuse.reconcile.requirements import Decision, identify, merge_requirements
from wheelfuse.fuse.reconcile.variant import (
    Reconciled,
    Variant,
    conflict,
    group,
    name_targets,
    newest_first,
    shorten,
    tell,
)
from wheelfuse.target import Target
from wheelfuse.wheel.metadata import Header, Headers, parse_metadata

_MERGED = frozenset({"metadata-version", "dynamic", "license-file", "requires-dist", "description"})
_PEP_639 = (2, 4)
_SHOWN = 200
"""Letters of a value that are shown."""


@dataclass(frozen=True)
class _Metadata:
    targets: tuple[Target, ...]
    version: tuple[int, int]
    headers: Headers

    def values(self, field: str) -> frozenset[str]:
        """The values of a field, spelled so that equal ones compare equal."""
        normalise = _NORMALISE.get(field, str)
        return frozenset(normalise(header.flat) for header in self.headers.get_all(field))

    @property
    def description(self) -> str:
        """The description, be it a field or the body; the body follows the field if there are both."""
        fields = (_unfold(header.value) for header in self.headers.get_all("Description"))
        texts = ("\n".join(line.rstrip() for line in t.split("\n")) for t in (*fields, self.headers.text))
        return "\n".join(text.strip("\n") for text in texts if text.strip())


def reconcile_metadata(variants: Sequence[Variant]) -> Reconciled:
    """One METADATA for all of the variants.

    The text is that of the variant with the highest Metadata-Version (of the newest target among those);
    only lines that have to change are changed. A requirement that only some wheels have is limited to their
    Pythons by a marker; requirements on which two builds of one Python version disagree are a conflict, since
    no marker can tell ``cp314`` from ``cp314t``.
    """
    files: list[_Metadata] = []
    problems: list[str] = []
    for variant in newest_first(variants):
        try:
            files.append(_read(variant))
        except InvalidInput as error:
            problems.append(f"METADATA of {name_targets(variant.targets)} cannot be read: {error}")
    if problems:
        return conflict(*problems)

    files.sort(key=lambda file: file.version, reverse=True)
    decisions = merge_requirements(
        [(file.targets, tuple(h.flat for h in file.headers.get_all("Requires-Dist"))) for file in files]
    )
    conflicts = (*_differing_fields(files), *_differing_descriptions(files), *_impossible(decisions))
    if conflicts:
        return conflict(*conflicts)

    base = files[0]
    newline = base.headers.newline
    licenses, license_notes = _licenses(files)
    fields = _with_licenses(_with_requirements(base.headers.fields, decisions, newline), licenses, newline)
    content = bytes(Headers(tuple(fields), base.headers.separator, base.headers.body))
    notes = (*_notes(files), *_requirement_notes(decisions, files), *license_notes)
    if not notes and len({variant.content for variant in variants}) > 1:
        notes = (f"differs only in spelling, order or line ends: kept as in {name_targets(base.targets)}",)
    return Reconciled(content, notes)


def _read(variant: Variant) -> _Metadata:
    headers = parse_metadata(variant.content)
    versions = [header.flat for header in headers.get_all("Metadata-Version")]
    if len(versions) != 1 or not (match := re.fullmatch(r"([0-9]{1,3})\.([0-9]{1,3})", versions[0])):
        has = ", ".join(versions)[:_SHOWN] or "none"
        raise InvalidInput(f"it needs one Metadata-Version, such as 2.4, and has {has}")
    return _Metadata(variant.targets, (int(match[1]), int(match[2])), headers)


def _differing_fields(files: Sequence[_Metadata]) -> Iterator[str]:
    names = {h.field: h.name for file in reversed(files) for h in file.headers.fields}
    for field in sorted(names.keys() - _MERGED):
        values = [(file.targets, file.values(field)) for file in files]
        common = frozenset.intersection(*(value for _, value in values))
        if all(value == common for _, value in values):
            continue
        owners = group((targets, value) for targets, found in values for value in sorted(found - common))
        message = f"{names[field]} differs: {tell(owners)}"
        absent = [target for targets, found in values if not found for target in targets]
        yield f"{message}; absent in {name_targets(absent)}" if absent else message


def _differing_descriptions(files: Sequence[_Metadata]) -> Iterator[str]:
    texts = group((file.targets, file.description) for file in files)
    if len(texts) < 2:
        return
    columns = zip_longest(*(text.split("\n") for text in texts), fillvalue="")
    number, lines = next((n, column) for n, column in enumerate(columns, 1) if len(set(column)) > 1)
    owners = group(zip(texts.values(), lines, strict=True))
    yield f"Description differs, first in line {number}: {tell(owners)}"


def _impossible(decisions: Sequence[Decision]) -> Iterator[str]:
    for decision in sorted(decisions, key=lambda d: (d.identity.name, d.text)):
        if decision.problem:
            yield f"Requires-Dist differs: {decision.problem}"


def _with_requirements(
    fields: Sequence[Header], decisions: Sequence[Decision], newline: bytes
) -> list[Header]:
    """The fields with the Requires-Dist lines that were decided on: kept, changed in place, or added."""
    fate = {decision.identity: decision.merged for decision in decisions}
    missing = {identify(text): text for text in fate.values() if text is not None}
    wanted = frozenset(missing)
    edited: list[Header] = []
    for header in fields:
        if header.field != "requires-dist":
            edited.append(header)
            continue
        identity = identify(header.flat)
        merged = fate[identity]
        if identity in wanted:
            missing.pop(identity, None)
            edited.append(header)
        elif merged is not None and identify(merged) in missing:
            edited.append(_line(header.name, missing.pop(identify(merged)), newline))
    added = [_line("Requires-Dist", text, newline) for text in sorted(missing.values())]
    return _with(edited, added, kin=_project)


def _with_licenses(fields: Sequence[Header], licenses: Sequence[str], newline: bytes) -> list[Header]:
    return _with(fields, [_line("License-File", path, newline) for path in licenses], kin=_field)


def _line(name: str, value: str, newline: bytes) -> Header:
    return Header(name, value, f"{name}: {value}".encode() + newline)


def _with(fields: Sequence[Header], new: Sequence[Header], kin: Callable[[Header], str]) -> list[Header]:
    """The fields with *new* ones, all of one name: each after the last of its *kin*, else after the last of its name,
    else at the end."""
    if not new:
        return list(fields)
    places = {kin(header): place for place, header in enumerate(fields) if header.field == new[0].field}
    last = max(places.values(), default=len(fields) - 1)
    families: dict[str, list[Header]] = {}
    for header in new:
        families.setdefault(kin(header), []).append(header)
    after: dict[int, list[Header]] = {}
    for family in sorted(families, key=lambda family: family not in places):  # what has kin there comes first
        after.setdefault(places.get(family, last), []).extend(families[family])
    edited: list[Header] = []
    for place, header in enumerate(fields):
        added = after.get(place, [])
        edited += [_ended(header, added[0]) if added else header, *added]
    return edited


def _ended(header: Header, like: Header) -> Header:
    """A field that may be the last of a file, with a line end."""
    line_end = b"" if header.raw.endswith((b"\n", b"\r")) else like.raw[len(like.raw.rstrip(b"\r\n")) :]
    return replace(header, raw=header.raw + line_end)


def _project(header: Header) -> str:
    return identify(header.flat).name


def _field(header: Header) -> str:
    return header.field


def _licenses(files: Sequence[_Metadata]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The License-File paths that the first file lacks, and notes about them.

    Up to version 2.3 the field was a habit of setuptools and relative to ``.dist-info``; since 2.4 (PEP 639)
    it is relative to ``.dist-info/licenses``. A path of the old kind would name a file that is not there.
    """
    base = files[0]
    comparable = [file for file in files if (file.version >= _PEP_639) == (base.version >= _PEP_639)]
    have = base.values("License-File")
    known = have.union(*(file.values("License-File") for file in comparable))
    old = frozenset[str]().union(*(file.values("License-File") for file in files)) - known
    missing = tuple(sorted(known - have))
    notes = [f"License-File: added {', '.join(missing)}, which only other wheels name"] if missing else []
    if old:
        paths = ", ".join(sorted(old))
        notes.append(f"License-File: left out {paths}, named only before Metadata-Version 2.4")
    return missing, tuple(notes)


def _notes(files: Sequence[_Metadata]) -> Iterator[str]:
    base = name_targets(files[0].targets)
    versions = group((file.targets, f"{file.version[0]}.{file.version[1]}") for file in files)
    if len(versions) > 1:
        yield f"Metadata-Version: kept the highest of {tell(versions)}"
    if len({file.values("Dynamic") for file in files}) > 1:
        yield f"Dynamic differs, which has no effect in a wheel: kept as in {base}"


def _requirement_notes(decisions: Sequence[Decision], files: Sequence[_Metadata]) -> Iterator[str]:
    everywhere = {target for file in files for target in file.targets}
    for decision in sorted(decisions, key=lambda d: (d.identity.name, d.targets, d.text)):
        subject = f"Requires-Dist {shorten(decision.text)} of {name_targets(decision.targets)}"
        if decision.merged is None:
            yield f"{subject} left out: its own marker excludes these Pythons"
        elif decision.merged != decision.text:
            yield f"{subject} limited to them: {decision.merged}"
        elif set(decision.targets) != everywhere:
            yield f"{subject} kept as it is: its own marker excludes the other Pythons"


def _unfold(value: str) -> str:
    """A description out of a field, without the indentation, which may end in ``|`` (core metadata)."""
    first, newline, rest = value.partition("\n")
    rest = re.sub(r"(?m)^ {7}\|", "", rest) if rest.startswith(" " * 7 + "|") else textwrap.dedent(rest)
    return first + newline + rest


def _version(value: str) -> str:
    try:
        return str(Version(value))
    except InvalidVersion:
        return value


def _specifiers(value: str) -> str:
    try:
        return str(SpecifierSet(value))
    except InvalidSpecifier:
        return value


_NORMALISE: dict[str, Callable[[str], str]] = {
    "name": canonicalize_name,
    "version": _version,
    "requires-python": _specifiers,
    "provides-extra": canonicalize_name,
    "keywords": lambda value: ",".join(word.strip() for word in value.split(",")),
}
