"""Compresses with all processors, to the same bytes however many there are. Format: RFC 1951."""

from __future__ import annotations

import hashlib
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from wheelfuse.content import Content, spooled
from wheelfuse.workers import threads

BLOCK = 1 << 20
"""What one thread compresses at a time (bytes)."""

_WINDOW = 1 << 15  # bytes; how far back a deflate stream may refer (RFC 1951, 2)


@dataclass(frozen=True)
class Packed:
    """A content, compressed: its checksum, size and SHA-256 are those of the content as it was."""

    compressed: Content
    crc: int
    size: int
    sha256: bytes


@contextmanager
def packed(chunks: Iterable[bytes], size: int) -> Iterator[Packed]:
    """Compress a content of about *size* bytes, to be held until the block ends."""
    seen = Seen()
    with spooled(deflated(seen.passing(chunks)), size) as compressed:
        yield Packed(compressed, seen.crc, seen.size, seen.sha256)


class Seen:
    """What is to be known of a content that passes: checksum, size, SHA-256."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.crc = 0
        self.size = 0

    @property
    def sha256(self) -> bytes:
        return self._digest.digest()

    def passing(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks."""
        for chunk in chunks:
            self._digest.update(chunk)
            self.crc = zlib.crc32(chunk, self.crc)
            self.size += len(chunk)
            yield chunk


def deflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """One deflate stream, of blocks that several threads compress; the same however many there are.

    Each block ends on a byte (a sync flush) and may refer to the end of the one before, so that little is lost.
    """
    waiting: deque[Future[bytes]] = deque()
    before, blocks = b"", _blocks(chunks)
    block = next(blocks, b"")
    while True:
        following = next(blocks, None)
        if following is None and not before:
            yield _compressed(block, b"", last=True)  # a small content is not worth a thread
            return
        waiting.append(_threads().submit(_compressed, block, before, last=following is None))
        if following is None:
            break
        if len(waiting) > 2 * threads():
            yield waiting.popleft().result()
        before, block = block[-_WINDOW:], following
    for future in waiting:
        yield future.result()


def _compressed(block: bytes, before: bytes, *, last: bool) -> bytes:
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15, zdict=before)
    return deflater.compress(block) + deflater.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of one size, and a last one."""
    held = bytearray()
    for chunk in chunks:
        for start in range(0, len(chunk), BLOCK):  # a chunk may be a whole file, and is copied only once
            held += chunk[start : start + BLOCK]
            if len(held) >= BLOCK:
                yield bytes(held[:BLOCK])
                del held[:BLOCK]
    if held:
        yield bytes(held)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads(), thread_name_prefix="deflate")
