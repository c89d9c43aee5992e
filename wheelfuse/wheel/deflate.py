"""Compresses with all processors, to the same bytes however many there are. Format: RFC 1951."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

from wheelfuse.workers import threads

BLOCK = 1 << 20
"""What one thread compresses at a time (bytes)."""

_WINDOW = 1 << 15  # bytes; how far back a deflate stream may refer (RFC 1951, 2)


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
        for start in range(
            0, len(chunk), BLOCK
        ):  # a chunk may be a whole file: it is not copied again and again
            held += chunk[start : start + BLOCK]
            if len(held) >= BLOCK:
                yield bytes(held[:BLOCK])
                del held[:BLOCK]
    if held:
        yield bytes(held)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads(), thread_name_prefix="deflate")
