"""A deflated member that is fetched and inflated no further than it is looked at.

A deflate stream can only be read from its beginning. What was inflated is kept as far as memory allows: the beginning,
and what came last, where section headers are. For anything between them the stream is fetched once more.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import takewhile

from wheelfuse.content import Read
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.wheel.directory import STORED, Member

FIRST = 32 << 10
"""Bytes of a stream that are fetched first; each time more are needed, as many as there are already."""
_LARGEST = 4 << 20
"""Bytes that are fetched at once at most."""
_HEAD, _END = 64 << 20, 32 << 20
"""Bytes of the content that are kept, from its beginning and from what came last. The first 19 MB of libtriton.so,
with 137,000 symbols, tell all."""
_PIECE = 1 << 18


class Inflating:
    """The content of *member*, whose compressed bytes *read* returns: up to so many from an offset of the stream."""

    def __init__(self, read: Read, member: Member) -> None:
        self._read, self._member = read, member
        self._head = bytearray()
        self._last: list[tuple[int, bytes]] = []
        self._done = 0
        self._stream = self._pieces()

    def __len__(self) -> int:
        return self._member.size

    @property
    def complete(self) -> bool:
        """Whether its last byte was inflated."""
        return self._done == self._member.size

    def front(self, size: int) -> bytes:
        """The first *size* bytes, or a few more that came with them.

        Raises:
            InvalidInput: the data is damaged, or cannot be fetched.
        """
        while self._done < min(size, self._member.size):
            self._advance()
        return bytes(self._head[: max(size, min(self._done, _HEAD))])

    def __getitem__(self, part: slice) -> bytes:
        start, stop, step = part.indices(self._member.size)
        if step != 1:
            raise ValueError("a content is read without steps")
        if start >= stop:
            return b""
        found = bytearray(self._kept(start, stop))
        if start + len(found) < min(stop, self._done):  # what lies between the two that are kept
            self._head, self._last, self._done, self._stream = bytearray(), [], 0, self._pieces()
            found.clear()
        while start + len(found) < stop:
            at, piece = self._advance()
            wanted = start + len(found) - at
            if wanted < len(piece):
                found += piece[wanted : stop - at]
        return bytes(found)

    def _kept(self, start: int, stop: int) -> bytes:
        """What of a range is there, from its first byte on."""
        found = bytes(self._head[start:stop])
        for at, piece in self._last:
            here = start + len(found)
            if at <= here < min(stop, at + len(piece)):
                found += piece[here - at : stop - at]
        return found

    def _advance(self) -> tuple[int, bytes]:
        """Inflate one piece more, and keep it."""
        piece = next(self._stream)
        at, self._done = self._done, self._done + len(piece)
        if at == len(self._head) and at < _HEAD:
            self._head += piece
        else:
            self._last.append((at, piece))
            while self._done - self._last[0][0] > _END and len(self._last) > 1:
                self._last.pop(0)
        return at, piece

    def _pieces(self) -> Iterator[bytes]:
        """The content in pieces; the last comes when its checksum is right."""
        size = crc = 0
        last = b""
        for piece in self._inflated():
            crc, size = zlib.crc32(piece, crc), size + len(piece)
            if size > self._member.size:
                break
            if size < self._member.size:
                yield piece
            else:
                last = piece
        if size != self._member.size or crc != self._member.crc:
            raise self._damaged("checksum or size is not as the directory says")
        yield last

    def _inflated(self) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-15)
        for packed in self._fetched():
            if self._member.method == STORED:
                yield packed
                continue
            try:
                while packed and not inflater.eof:
                    if piece := inflater.decompress(packed, _PIECE):
                        yield piece
                    packed = inflater.unconsumed_tail
            except zlib.error as error:
                raise self._damaged(f"compressed data: {error}") from error
        if self._member.method != STORED:
            yield from takewhile(bool, iter(lambda: self._rest(inflater), b""))
            if not inflater.eof or inflater.unused_data:
                raise self._damaged("compressed data ends too early or too late")

    def _rest(self, inflater: zlib._Decompress) -> bytes:
        try:
            return b"" if inflater.eof else inflater.decompress(inflater.unconsumed_tail, _PIECE)
        except zlib.error as error:
            raise self._damaged(f"compressed data: {error}") from error

    def _fetched(self) -> Iterator[bytes]:
        offset, size = 0, FIRST
        while offset < self._member.compressed_size:
            packed = self._read(offset, min(size, self._member.compressed_size - offset))
            if not packed:
                raise self._damaged("the file ends before it")
            offset += len(packed)
            size = min(offset, _LARGEST)
            yield packed

    def _damaged(self, what: str) -> InvalidInput:
        return InvalidInput(Problem(f"damaged: {what}", member=self._member.path))
