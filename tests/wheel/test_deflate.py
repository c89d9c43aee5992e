"""What several threads compress is one deflate stream, the same however many there are."""

from __future__ import annotations

import random
import zlib

import pytest

from wheelfuse.wheel import deflate

TEXT = b"the same line again and again\n" * 50


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20, 5 * 2**20 + 77])
def test_a_content_of_any_size_comes_back_however_it_is_cut_and_whoever_compresses(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = random.Random(size).randbytes(size // 2) + TEXT * (1 + size // 2 // len(TEXT))
    content = content[:size]
    streams = set()
    for step, threads in ((2**20, 1), (2**20, 4), (777_777, 4)):
        monkeypatch.setattr(deflate, "threads", lambda threads=threads: threads)
        deflate._threads.cache_clear()
        stream = b"".join(deflate.deflated(content[at : at + step] for at in range(0, size, step)))
        assert zlib.decompress(stream, -15) == content
        streams.add(stream)
    deflate._threads.cache_clear()
    assert len(streams) == 1
    alone = zlib.compressobj(6, zlib.DEFLATED, -15)
    plain = len(alone.compress(content) + alone.flush())
    assert len(streams.pop()) < plain * 1.001 + 200
