"""The content of a file of the originals, wherever it lies: edits of wheelfuse are taken back on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wheelfuse.content import Content, reading, spooled
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.fuse.model import File, Inline, Restoration, Stored
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.directory import Member

if TYPE_CHECKING:  # what edits ELF files takes long to load: here and below it is where it is needed
    from wheelfuse.elf.recipe import Recipe

CHANGED, AGAIN = "changed while it was read", "Run again when nothing writes to it any more."

Archives = Sequence[Archive]
"""The open inputs, by their numbers."""


def require_unchanged(archives: Archives) -> None:
    """Compressed bytes are copied unseen, long after they were verified: see that they still are what was.

    Raises:
        InvalidInput: a wheel was changed since it was opened.
    """
    changed = [archive.problem(CHANGED, todo=AGAIN) for archive in archives if archive.changed()]
    if changed:
        raise InvalidInput(changed)


def chunks_of(archives: Archives, file: File) -> Iterable[bytes]:
    """The content of a file in pieces: edits of wheelfuse are taken back, and what is to be cut out is."""
    source = file.source
    if isinstance(source, Inline):
        return (source.content,)
    chunks = as_built(archives, source)
    return _stripped(chunks, source.size) if source.stripped else chunks


@contextmanager
def content_of(archives: Archives, file: File) -> Iterator[Content]:
    """The content of a file for random access; what lies in a wheel as it is, is inflated once if there is room."""
    source = file.source
    if isinstance(source, Stored) and source.as_it_lies:
        with archives[source.archive].content(source.member) as content:
            yield content
    else:
        with spooled(chunks_of(archives, file), file.size) as content:
            yield content


def as_built(archives: Archives, source: Stored) -> Iterable[bytes]:
    """The content that left the build, in pieces: edits of wheelfuse are taken back, and nothing is cut out."""
    archive = archives[source.archive]
    chunks = archive.chunks(source.member)
    if source.restoration is None:
        return chunks
    return restored(archive, chunks, source.member.size, source.restoration)


def restored(
    archive: Archive, chunks: Iterable[bytes], size: int, restoration: Restoration
) -> Iterator[bytes]:
    """What a member of *size* bytes was before wheelfuse edited it, in pieces."""
    if restoration.recipe and restoration.carrier:
        chunks = _refilled(archive, chunks, size, restoration.recipe, restoration.carrier)
    return restoration.undo.apply_stream(chunks) if restoration.undo else iter(chunks)


def _refilled(
    archive: Archive, chunks: Iterable[bytes], size: int, recipe: Recipe, carrier: Member
) -> Iterator[bytes]:
    """The file with its GPU code back in its place."""
    with archive.content(carrier) as held, spooled(chunks, size) as content:
        yield from recipe.apply(reading(content), reading(held))


def _stripped(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    from wheelfuse.elf.strip import strip_debug

    with spooled(chunks, size) as content:
        stripped = strip_debug(content)
        if stripped is None:
            raise InvalidInput(Problem(CHANGED, todo=AGAIN))
        yield from stripped.content.chunks(content)
