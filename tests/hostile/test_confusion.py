"""One file that two programs could take for two different archives: all are refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile.judged import assert_refused, assert_taken, hostile, written
from tests.wheel.zips import Entry, wheel_entries, zip_bytes

ANY = b"some bytes"
CRC = zlib.crc32(ANY)
GOOD = zip_bytes(wheel_entries())


def zip64_field(*values: int) -> bytes:
    return struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values)


def ended(whole: bytes, **fields: int) -> bytes:
    """The archive with other fields in its end record."""
    names = ("disk", "start_disk", "on_disk", "count", "size", "start", "comment")
    known = dict(zip(names, struct.unpack("<4s4H2IH", whole[-22:])[1:], strict=True)) | fields
    return whole[:-22] + struct.pack("<4s4H2IH", b"PK\5\6", *known.values())


def with_zip64(whole: bytes, *, rest: int = 44, shift: int = 0, **fields: int) -> bytes:
    """The archive with a zip64 end record; *fields* are what that says otherwise."""
    *_, count, size, start, _ = struct.unpack("<4s4H2IH", whole[-22:])
    told = {
        "disk": 0,
        "start_disk": 0,
        "on_disk": count,
        "count": count,
        "size": size,
        "start": start,
    } | fields
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", rest, 45, 45, *told.values())
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(whole) - 22 + shift, 1)
    return whole[:-22] + record + locator + whole[-22:]


def polyglot() -> bytes:
    """Two archives, each with an end record that ends with the file: the second holds the first in a stored member."""
    outer = Entry("pkg/inner.bin", b"")
    entries = wheel_entries()
    for _ in range(3):  # until the comment has the length of what follows it
        head = len(outer.local_header())
        inner = zip_bytes(entries)
        rest = _rest(outer, inner)
        inner = _moved(entries, head, len(rest))
        outer = Entry("pkg/inner.bin", inner)
    return outer.local_header() + inner + _rest(outer, inner)


def _moved(entries: list[Entry], by: int, comment: int) -> bytes:
    whole = zip_bytes(entries, shift=by)
    return whole[:-2] + struct.pack("<H", comment)


def _rest(outer: Entry, inner: bytes) -> bytes:
    whole = zip_bytes([Entry(outer.name, inner)])
    return whole[len(outer.local_header()) + len(inner) :]


FILES: list[tuple[str, Callable[[], bytes], str]] = [
    ("leading data", lambda: b"#!/bin/sh\n" + GOOD, "bytes before the zip archive"),
    ("trailing data", lambda: GOOD + b"more", "data after the end of the zip archive"),
    ("a hidden member", lambda: zip_bytes(wheel_entries(), gap=Entry("x", ANY).local_header() + ANY),
     "belong to no member"),
    ("two archives in a row", lambda: GOOD + GOOD, "bytes before the zip archive"),
    ("two end records", polyglot, "two end records"),
    ("an archive in the comment", lambda: zip_bytes(wheel_entries(), comment=GOOD), "two end records"),
    ("a comment that is too long", lambda: ended(GOOD, comment=9), "data after the end of the zip archive"),
    ("a comment that is too short", lambda: GOOD + b"made by hand", "data after the end of the zip archive"),
    ("an end record without end in the comment", lambda: zip_bytes(wheel_entries(), comment=b"by hand PK\5\6, signed"),
     "a comment that looks like another zip file"),
    ("several disks", lambda: ended(GOOD, disk=1), "several disks"),
    ("two counts", lambda: ended(GOOD, on_disk=1), "several disks"),
    ("a wrong count", lambda: ended(GOOD, on_disk=2, count=2), "its end says 2 members, but its directory lists"),
    ("zip64 of another count", lambda: with_zip64(GOOD, count=9, on_disk=9), "two end records disagree"),
    ("zip64 of another place", lambda: with_zip64(GOOD, start=1), "two end records disagree"),
    ("zip64 of several disks", lambda: with_zip64(GOOD, disk=1), "several disks"),
    ("zip64 of another length", lambda: with_zip64(GOOD, rest=1000), "a length that it has not"),
    ("zip64 elsewhere", lambda: with_zip64(GOOD, shift=-7), "no zip64 end record where its locator says"),
    ("the beginning of an archive in the comment", lambda: zip_bytes(wheel_entries(), comment=b"see PK\3\4"),
     "a comment that looks like another zip file, which uv refuses"),
    ("no archive", lambda: b"<html>404</html>", "not a zip file that can be read"),
    ("nothing", lambda: b"", "not a zip file that can be read"),
]  # fmt: skip


@pytest.mark.parametrize("make, text", [case[1:] for case in FILES], ids=[case[0] for case in FILES])
def test_a_file_that_is_not_just_one_archive_is_refused(
    tmp_path: Path, make: Callable[[], bytes], text: str
) -> None:
    assert_refused(written(tmp_path, make()), text, todo="uild")


BIG = (1 << 32) - 1
MEMBERS: list[tuple[str, Entry, str]] = [
    ("local name", Entry("pkg/a.py", ANY, local={"name": b"pkg/b.py"}), "disagree (name 'pkg/b.py')"),
    ("local size", Entry("pkg/a.py", ANY, local={"size": 7}), "disagree (size 7)"),
    ("local method", Entry("pkg/a.py", ANY, local={"method": 8}), "disagree (compression method 8)"),
    ("local checksum", Entry("pkg/a.py", ANY, local={"crc": 7}), "disagree (checksum 7)"),
    ("a flag of patches", Entry("pkg/a.py", ANY, local={"flags": 0x20}, central={"flags": 0x20}), "flags 0x20"),
    ("hidden local headers", Entry("pkg/a.py", ANY, local={"flags": 0x2000}, central={"flags": 0x2000}), "0x2000"),
    ("encrypted", Entry("pkg/a.py", ANY, local={"flags": 1}, central={"flags": 1}), "encrypted"),
    ("zip64 of another size", Entry("pkg/a.py", ANY, central={"extra": zip64_field(7)}), "zip64 field disagrees"),
    ("zip64 of another place", Entry("pkg/a.py", ANY, central={"extra": zip64_field(10, 10, 1)}), "zip64 field"),
    ("local zip64 of another size", Entry("pkg/a.py", ANY, local={"extra": zip64_field(7, 7)}),
     "the zip64 field of its local header disagrees"),
    ("zip64 that is cut off", Entry("pkg/a.py", ANY, local={"size": BIG},
                                    central={"size": BIG, "extra": b"\1\0\4\0abcd"}),
     "not a zip file that can be read"),
    ("zip64 where none is needed", Entry("pkg/a.py", ANY, central={"extra": zip64_field(10, 10)}),
     "its zip64 field has other numbers than the directory leaves to it"),
    ("zip64 of half a number", Entry("pkg/a.py", ANY, local={"extra": b"\1\0\4\0abcd"}), "which are no whole numbers"),
    ("an extra field twice", Entry("pkg/a.py", ANY, central={"extra": 2 * b"\xfe\xca\0\0"}), "of kind 0xcafe"),
    ("an extra field without end", Entry("pkg/a.py", ANY, local={"extra": b"\xfe\xca\1\0"}), "field is cut off"),
    ("a descriptor that lies", Entry("pkg/a.py", ANY, descriptor=b"PK\7\10" + bytes(12)), "data descriptor disagrees"),
    ("a descriptor that is not there", Entry("pkg/a.py", ANY, descriptor=b""), "data descriptor disagrees"),
    ("more than the descriptor",
     Entry("pkg/a.py", ANY, descriptor=b"PK\7\10" + struct.pack("<III", CRC, 10, 10) + b"x"),
     "1 bytes before it belong to no member"),
    ("a directory that hides data", Entry("pkg/d/", ANY, local={"size": 0, "method": 8, "crc": 0},
                                          central={"size": 0, "method": 8, "crc": 0}), "a directory with content"),
]  # fmt: skip


@pytest.mark.parametrize("entry, text", [case[1:] for case in MEMBERS], ids=[case[0] for case in MEMBERS])
def test_a_member_of_two_truths_is_refused(tmp_path: Path, entry: Entry, text: str) -> None:
    # zipfile gives up on the first, and gaps are told of what follows them.
    told = "" if text.startswith(("not a zip", "1 bytes before")) else entry.name
    assert_refused(hostile(tmp_path, entry), text, member=told)


WIDE: dict[str, int | bytes] = {"size": BIG, "compressed": BIG, "extra": zip64_field(10, 10), "version": 45}
SOUND: list[tuple[str, Callable[[Path], Path]]] = [
    ("a comment", lambda at: hostile(at, comment=b"made by hand")),
    ("zip64", lambda at: written(at, with_zip64(GOOD))),
    ("a zip64 field that is needed", lambda at: hostile(at, Entry("pkg/a", ANY, local=WIDE, central=WIDE))),
    ("an extra field with padding", lambda at: hostile(at, Entry("pkg/a", ANY, local={"extra": b"\0\0\0"}))),
    ("a data descriptor", lambda at: hostile(
        at, Entry("pkg/a", ANY, descriptor=b"PK\7\10" + struct.pack("<III", CRC, 10, 10)))),
    ("a stored archive at the end", lambda at: hostile(at, Entry("pkg/test.zip", GOOD))),
]  # fmt: skip


@pytest.mark.parametrize("make", [case[1] for case in SOUND], ids=[case[0] for case in SOUND])
def test_what_all_programs_read_the_same_is_taken(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    assert_taken(make(tmp_path))


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    import os

    path = tmp_path / "pkg-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"
    os.mkfifo(path)
    assert_refused(path, "not a file")
