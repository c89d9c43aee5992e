"""``--format FORMAT[=FILE]``: which formats a report has, and where each goes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wheelfuse.errors import UsageError
from wheelfuse.suggest import meant
from wheelfuse.wheel.outputs import followed, together


@dataclass(frozen=True)
class Destination:
    """A format and the file it goes to; standard output if that is empty."""

    format: str
    file: str = ""


def parse_formats(
    formats: Iterable[str], output: str | None, known: Sequence[str]
) -> tuple[Destination, ...]:
    """What ``--format`` and ``-o`` ask for. Text goes to standard output if all formats have a file.

    Raises:
        UsageError: an unknown format, or two that go to one place.
    """
    found = []
    for text in formats:
        name, equals, file = text.partition("=")
        if name not in known or (equals and not file):
            there = f"there are {', '.join(known)}{meant(name, known)}"
            raise UsageError(f"--format {text!r} is not FORMAT[=FILE]; {there}")
        found.append(Destination(name, file))
    if all(to.file for to in found):
        found.append(Destination("text"))
    open_ = [to.format for to in found if not to.file]
    if len(open_) > 1:
        raise UsageError(f"{' and '.join(open_)} cannot both go to one place: --format {open_[0]}=FILE")
    found = [Destination(to.format, to.file or output or "") for to in found]
    files = [Path(to.file).resolve() for to in found if to.file]
    if len(set(files)) < len(files):
        raise UsageError("two formats go to one file")
    return tuple(found)


def refuse_inputs(destinations: Iterable[Destination], inputs: Iterable[str]) -> None:
    """An input is never overwritten.

    Raises:
        UsageError: one would be.
    """
    given = set(map(os.path.realpath, inputs))
    for to in destinations:
        if to.file and os.path.realpath(to.file) in given:
            raise UsageError(f"{to.file} is an input, and cannot be the output")


def write_files(destinations: Iterable[Destination], made: Callable[[str], str]) -> None:
    """Write the formats that go to files, all of them whole or none; *made* makes the text of a format."""
    with together() as add:
        for to in destinations:
            if to.file:
                text = made(to.format).encode("utf-8", "backslashreplace")
                add(followed(Path(to.file)), overwrite=True).write(text)
