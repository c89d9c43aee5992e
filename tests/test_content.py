"""Contents for random access: what is on disk reads as what is in memory."""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelfuse.content import (
    IN_MEMORY,
    PIECE,
    Content,
    OnDisk,
    Shelf,
    opened,
    pieces,
    reading,
    spooled,
    stream,
    unpack_from,
    windows,
)  # fmt: skip

DATA = bytes(range(256)) * 20


@pytest.fixture(params=["in memory", "on disk"])
def content(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Content]:
    if request.param == "in memory":
        yield DATA
        return
    (tmp_path / "file").write_bytes(DATA)
    with opened(tmp_path / "file") as found:
        assert isinstance(found, OnDisk)
        yield found


offsets = st.integers(min_value=-len(DATA) - 9, max_value=len(DATA) + 9) | st.none()


@given(start=offsets, stop=offsets)
def test_a_slice_on_disk_is_that_of_the_bytes(
    tmp_path_factory: pytest.TempPathFactory, start: int | None, stop: int | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "sliced"
    if not path.exists():
        path.write_bytes(DATA)
    with opened(path) as found:
        assert found[start:stop] == DATA[start:stop]
        assert len(found) == len(DATA)


def test_a_slice_with_steps_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    with opened(tmp_path / "file") as found, pytest.raises(ValueError, match="without steps"):
        found[::2]


def test_parts_and_pieces_are_those_of_the_bytes(content: Content) -> None:
    assert reading(content)(300, 20) == DATA[300:320]
    assert b"".join(pieces(content)) == DATA
    assert b"".join(pieces(content, 7, 1000)) == DATA[7:1000]


def test_a_structure_is_unpacked_where_it_lies(content: Content) -> None:
    layout = struct.Struct("<IH")
    assert unpack_from(layout, content, 5) == layout.unpack_from(DATA, 5)
    with pytest.raises(struct.error):
        unpack_from(layout, content, len(DATA) - 5)


def test_a_stream_reads_and_seeks_as_a_file(content: Content) -> None:
    ours, theirs = stream(content), io.BytesIO(DATA)
    for offset, whence, size in (
        (0, 0, 10),
        (300, 0, 70),
        (-20, 2, 50),
        (-9, 1, 4),
        (4000, 0, 5000),
        (0, 2, 1),
    ):
        assert ours.seek(offset, whence) == theirs.seek(offset, whence)
        assert ours.read(size) == theirs.read(size)
        assert ours.tell() == theirs.tell()


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY, IN_MEMORY + 1])
def test_what_is_spooled_is_what_came(size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    chunks = [data[at : min(at + PIECE + 7, size)] for at in range(0, size, PIECE + 7)]
    with spooled(iter(chunks), size) as content:
        assert isinstance(content, OnDisk) == (size > IN_MEMORY)
        assert len(content) == size
        assert b"".join(pieces(content)) == data[:size]


def test_what_is_on_disk_takes_no_memory() -> None:
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if "deleted" in line]
    with spooled((bytes(PIECE) for _ in range(64)), 64 * PIECE) as content:
        assert isinstance(content, OnDisk)
        assert sum(map(len, pieces(content))) == 64 * PIECE
        now = [line for line in Path("/proc/self/maps").read_text().splitlines() if "deleted" in line]
    assert now == mapped


def test_a_file_that_becomes_shorter_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with opened(path) as content:
        os.truncate(path, 100)
        with pytest.raises(OSError, match="became shorter"):
            content[50:200]


def test_a_shelf_keeps_what_several_threads_put_there_until_it_is_full() -> None:
    shelf = Shelf(room=100 * 1000)
    contents = [bytes([number]) * 1000 for number in range(100)]
    with closing(shelf), ThreadPoolExecutor(4) as pool:
        assert shelf.has_room_for(100 * 1000)
        kept = list(pool.map(lambda content: shelf.put([content[:300], content[300:]], 1000), contents))
        assert [content[:] for content in kept] == contents
        assert kept[7][990:1010] == contents[7][990:]
        assert not shelf.has_room_for(1)


def test_windows_find_what_lies_across_their_bounds() -> None:
    word = re.compile(rb"needle")
    data = bytearray(3 * PIECE)
    places = [0, PIECE - 6, PIECE - 3, 2 * PIECE - 1, 2 * PIECE, 3 * PIECE - 6]
    for place in (places[0], places[2], places[3] + 10, places[5]):
        data[place : place + 6] = b"needle"
    found = [
        at + match.start()
        for at, own, window in windows(bytes(data), 0, len(data), 5)
        for match in word.finditer(window)
        if match.start() < own
    ]
    assert found == [match.start() for match in word.finditer(data)]
    assert len(found) == 4
