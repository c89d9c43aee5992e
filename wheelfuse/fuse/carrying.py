"""The carrier of GPU code as a file to be written: what is shared is gathered from the files that hold it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from wheelfuse.content import Content, pieces, spooled
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.fuse.contents import AGAIN, CHANGED, Archives, content_of
from wheelfuse.fuse.device_code import Part, Sharing

if TYPE_CHECKING:  # whoever needs no carrier need not load what lays one out
    from wheelfuse.elf.carrier import Carrier


@dataclass(frozen=True)
class CarrierFile:
    """The carrier of GPU code, as it is to be written: its path in the wheel, its form and its content.

    *content* is None where no module needs to look into it; then it is made while it is written.
    """

    path: str
    form: Carrier
    chunks: Callable[[], Iterator[bytes]]
    content: Content | None

    def section(self, offset: int, size: int) -> bytes:
        """Bytes of its section of GPU code."""
        assert self.content is not None
        start = self.form.section_offset + offset
        return self.content[start : start + size]


@contextmanager
def carrier_file(sharing: Sharing, archives: Archives) -> Iterator[CarrierFile | None]:
    if (form := sharing.carrier) is None:
        yield None
        return

    def chunks() -> Iterator[bytes]:
        return form.write(_gathered(archives, sharing.parts))

    if not sharing.renamed:
        yield CarrierFile(sharing.path, form, chunks, None)
        return
    with spooled(chunks(), form.size) as content:
        yield CarrierFile(sharing.path, form, lambda: pieces(content), content)


def _gathered(archives: Archives, parts: Iterable[Part]) -> Iterator[Iterator[bytes]]:
    """The content of each part, in pieces; those of one file, which follow each other, with one reading of it."""
    for file, group in groupby(parts, key=lambda part: part.file):
        with content_of(archives, file) as content:
            for part in group:
                yield _verified(content, part)


def _verified(content: Content, part: Part) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in pieces(content, part.offset, part.offset + part.size):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != part.sha256:
        raise InvalidInput(Problem(f"GPU code {CHANGED}", todo=AGAIN))
