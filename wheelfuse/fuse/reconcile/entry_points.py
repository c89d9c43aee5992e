"""Files ``entry_points.txt`` of the wheels of one release, made into one (entry points specification)."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping, Sequence

from wheelfuse.fuse.reconcile.variant import (
    Reconciled,
    Variant,
    conflict,
    group,
    name_targets,
    newest_first,
    tell,
)
from wheelfuse.target import Target

_OBJECT = re.compile(r"(?P<module>[\w.]+)\s*(?::\s*(?P<attribute>[\w.]+)\s*)?(?:\[(?P<extras>[^\]]*)\])?")

_EntryPoints = dict[tuple[str, str], str]
"""The object reference of each (group, name)."""


def reconcile_entry_points(variants: Sequence[Variant]) -> Reconciled:
    """The union of the entry points; one name for two objects, or a file that is no such INI, is a conflict.

    The bytes of the newest variant stay if all variants mean the same.
    """
    parsed: list[tuple[Variant, _EntryPoints]] = []
    problems: list[str] = []
    for variant in newest_first(variants):
        try:
            parsed.append((variant, _parse(variant.content)))
        except ValueError as error:
            problems.append(f"entry points of {name_targets(variant.targets)} cannot be read: {error}")
    if problems:
        return conflict(*problems)

    references = {
        entry: group((variant.targets, found[entry]) for variant, found in parsed if entry in found)
        for entry in sorted({entry for _, found in parsed for entry in found})
    }
    if ambiguous := [
        f"entry point {name} of group {section} differs: {tell(objects)}"
        for (section, name), objects in references.items()
        if len(objects) > 1
    ]:
        return conflict(*ambiguous)

    newest, entries = parsed[0]
    if all(found == entries for _, found in parsed):
        return Reconciled(newest.content)
    merged = {entry: next(iter(objects)) for entry, objects in references.items()}
    everywhere = {target for variant in variants for target in variant.targets}
    return Reconciled(_write(merged), tuple(_widened(references, everywhere)))


def _widened(
    references: Mapping[tuple[str, str], Mapping[str, tuple[Target, ...]]], everywhere: set[Target]
) -> Iterator[str]:
    """What the union adds to some Pythons."""
    for (section, name), objects in references.items():
        for targets in objects.values():
            if set(targets) != everywhere:
                only = name_targets(targets)
                yield f"entry point {name} of group {section}, so far only in {only}, is now on every Python"


def _parse(content: bytes) -> _EntryPoints:
    """The entry points of a file.

    Raises:
        ValueError: it is not UTF-8, not INI as the specification has it, or a value takes several lines.
    """
    # The specification asks for "=" alone, case-sensitive names and no interpolation; a section header cannot
    # be empty, so that no group is mistaken for the defaults of all others.
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, default_section="")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(content.decode(), "entry_points.txt")
    except configparser.Error as error:
        raise ValueError(" ".join(str(error).split())) from error
    found = {(section, name): value for section in parser.sections() for name, value in parser.items(section)}
    for (section, name), value in found.items():
        if "\n" in value or not value:
            raise ValueError(f"{name} of group {section} is not one object reference: {value!r}")
    return {entry: _normalise(value) for entry, value in found.items()}


def _normalise(value: str) -> str:
    """An object reference without optional spaces; what is none stays as it is."""
    if not (match := _OBJECT.fullmatch(value)):
        return value
    attribute = f":{match['attribute']}" if match["attribute"] else ""
    extras = ",".join(sorted({extra.strip() for extra in (match["extras"] or "").split(",")} - {""}))
    return f"{match['module']}{attribute}" + (f" [{extras}]" if extras else "")


def _write(entries: Mapping[tuple[str, str], str]) -> bytes:
    sections: dict[str, list[str]] = {}
    for (section, name), value in sorted(entries.items()):
        sections.setdefault(section, [f"[{section}]\n"]).append(f"{name} = {value}\n")
    return "\n".join("".join(lines) for lines in sections.values()).encode()
