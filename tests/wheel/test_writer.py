"""The zip files that are written: deterministic, plain, zip64 only where it must be, and there only when whole."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.wheel.zips import NAME, Entry, write_wheel
from wheelfuse.wheel import writer as module
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.deflate import packed
from wheelfuse.wheel.directory import Member
from wheelfuse.wheel.outputs import replacing
from wheelfuse.wheel.writer import DEFAULT_MODE, ZipWriter, timestamp

STAMP = timestamp({})
TEXT = b"the same line again and again\n" * 50


def written(*members: tuple[str, bytes], mode: int = DEFAULT_MODE, size_limit: int = 0) -> BytesIO:
    file = BytesIO()
    writer = ZipWriter(file, STAMP)
    for path, content in members:
        writer.write(path, mode, [content], size_limit)
    writer.close()
    return file


def test_what_is_written_is_read_back_by_zipfile_and_by_the_archive(tmp_path: Path) -> None:
    file = written(("a.py", TEXT), ("empty", b""), ("ünï.txt", b"x"))
    (tmp_path / NAME).write_bytes(file.getvalue())
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert [(info.filename, archive.read(info)) for info in archive.infolist()] == [
            ("a.py", TEXT), ("empty", b""), ("ünï.txt", b"x"),
        ]  # fmt: skip
    with Archive(tmp_path / NAME) as own:
        assert [(member.path, own.read(member)) for member in own.members] == [
            ("a.py", TEXT), ("empty", b""), ("ünï.txt", b"x"),
        ]  # fmt: skip


def test_the_archive_is_as_plain_as_can_be() -> None:
    with zipfile.ZipFile(written(("a.py", TEXT), ("ünï.txt", b"x"))) as archive:
        first, second = archive.infolist()
        assert archive.comment == b""
    assert (first.flag_bits, second.flag_bits) == (
        0,
        0x800,
    )  # no data descriptor; UTF-8 where the name needs it
    assert first.header_offset == 0
    for info in (first, second):
        assert (info.create_system, info.extract_version, info.extra, info.comment) == (3, 20, b"", b"")
        assert info.external_attr == DEFAULT_MODE << 16
        assert info.date_time == (1980, 1, 1, 0, 0, 0)


def test_digest_and_size_are_told(tmp_path: Path) -> None:
    digest, size = ZipWriter(BytesIO(), STAMP).write("a", DEFAULT_MODE, [b"ab", b"c"])
    assert (digest.hex()[:16], size) == ("ba7816bf8f01cfea", 3)


def test_a_copied_member_keeps_its_compressed_bytes_and_loses_its_descriptor(tmp_path: Path) -> None:
    deflated = zlib.compressobj(1, zlib.DEFLATED, -15)
    data = deflated.compress(TEXT) + deflated.flush()  # not the level that wheelfuse itself uses
    path = tmp_path / NAME
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("pkg/a")
        entry.external_attr = (stat.S_IFREG | 0o755) << 16
        archive.writestr(entry, TEXT, zipfile.ZIP_DEFLATED, 1)
    streamed = write_wheel(
        tmp_path / "streamed", [Entry("pkg/b", b"stored", descriptor=b"PK\7\10" + struct.pack(
            "<III", zlib.crc32(b"stored"), 6, 6))])  # fmt: skip
    file = BytesIO()
    writer = ZipWriter(file, STAMP)
    for source in (path, streamed):
        with Archive(source) as archive_:
            [member] = archive_.members
            writer.copy(f"new/{member.path}", member.mode, archive_, member)
    writer.close()
    assert data in file.getvalue()
    assert b"PK\7\10" not in file.getvalue()
    with zipfile.ZipFile(file) as result:
        first, second = result.infolist()
        assert (result.read(first), result.read(second)) == (TEXT, b"stored")
        assert first.external_attr >> 16 == stat.S_IFREG | 0o755
        assert (first.compress_size, second.compress_type) == (len(data), zipfile.ZIP_STORED)
        assert first.flag_bits == second.flag_bits == 0


@pytest.mark.parametrize("mode", [stat.S_IFREG | 0o600, stat.S_IFREG | 0o755, stat.S_IFLNK | 0o777])
def test_modes_are_kept(mode: int) -> None:
    with zipfile.ZipFile(written(("a", b"b"), mode=mode)) as archive:
        assert archive.infolist()[0].external_attr >> 16 == mode


@pytest.mark.parametrize("size", [0, 5, 3 << 20])
def test_what_was_packed_before_is_written_as_what_is_packed_on_the_way(size: int) -> None:
    content = (TEXT * (1 + size // len(TEXT)))[:size]
    ahead, at_once = BytesIO(), written(("a", content))
    writer = ZipWriter(ahead, STAMP)
    with packed([content[:9], content[9:]], size) as member:
        assert (member.size, member.sha256) == (size, hashlib.sha256(content).digest())
        writer.put("a", DEFAULT_MODE, member)
    writer.close()
    assert ahead.getvalue() == at_once.getvalue()


def test_a_name_is_never_written_twice() -> None:
    with pytest.raises(AssertionError, match="a would be written twice"):
        written(("a", b""), ("a", b""))


def test_more_members_than_16_bits_count(tmp_path: Path) -> None:
    count = 65_536
    file = BytesIO()
    writer = ZipWriter(file, STAMP)
    for number in range(count):
        writer.write(f"{number:x}", DEFAULT_MODE, [])
    writer.close()
    path = tmp_path / NAME
    path.write_bytes(file.getvalue())
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == count
    with Archive(path) as own:
        assert len(own.members) == count
    assert b"PK\6\6" in file.getvalue()[-100:]


def test_no_zip64_where_it_is_not_needed() -> None:
    assert b"PK\6" not in written(("a", TEXT)).getvalue()


@pytest.mark.parametrize("limit", [10, 40, 60, 100, 1000])
def test_sizes_and_offsets_past_the_32_bit_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """With the limit far down, headers are as for huge files, but for the marker that sends readers to zip64."""
    monkeypatch.setattr(module, "_LIMIT32", limit)
    contents = {"small": b"x", "large": TEXT, "last": b"y" * 50}
    file = BytesIO()
    writer = ZipWriter(file, STAMP)
    for name, content in contents.items():
        writer.write(name, DEFAULT_MODE, [content], len(content))
    writer.close()
    # zipfile asks for the real marker, so put it where the lowered limit stands.
    path = tmp_path / NAME
    path.write_bytes(_with_real_markers(file.getvalue(), limit))
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == contents
    with Archive(path) as own:
        assert {member.path: own.read(member) for member in own.members} == contents


def test_content_that_grows_past_the_limit_by_being_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LIMIT32", 1000)
    content = hashlib.shake_256(b"").digest(998)
    data = _with_real_markers(written(("a", content), size_limit=len(content)).getvalue(), 1000)
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.infolist()[0].compress_size > 1000
        assert archive.read("a") == content


def _with_real_markers(data: bytes, limit: int) -> bytes:
    """Replace *limit* by 0xFFFFFFFF in the fields where it says: see zip64."""
    out = bytearray(data)

    def mark(start: int, *fields: int) -> None:
        for field in fields:
            if struct.unpack_from("<I", out, start + field)[0] == limit:
                struct.pack_into("<I", out, start + field, 0xFFFFFFFF)

    position = 0
    while (position := out.find(b"PK\3\4", position)) >= 0:
        mark(position, 18, 22)
        position += 4
    position = 0
    while (position := out.find(b"PK\1\2", position)) >= 0:
        mark(position, 20, 24, 42)
        position += 4
    mark(out.rfind(b"PK\5\6"), 12, 16)
    return bytes(out)


class Hole(Archive):
    """Stands for an archive with a huge stored member: instead of zeros to copy it leaves a hole in the output."""

    def __init__(self, output: BinaryIO) -> None:
        self.output = output

    def raw(self, member: Member) -> Iterator[bytes]:
        self.output.seek(member.compressed_size, os.SEEK_CUR)
        return iter(())


def test_a_member_of_more_than_4_gib(tmp_path: Path) -> None:
    size = (1 << 32) + 10
    path = tmp_path / NAME
    with path.open("wb") as file:
        writer = ZipWriter(file, STAMP)
        writer.copy("huge", DEFAULT_MODE, Hole(file), Member("huge", DEFAULT_MODE, 0, 0, size, size, 0))
        writer.write("after", DEFAULT_MODE, [b"past 4 GiB"])
        writer.close()
    with Archive(path) as archive:
        huge, after = archive.members
        assert (huge.size, huge.compressed_size) == (size, size)
        assert after.offset > size
        assert archive.read(after) == b"past 4 GiB"
    with zipfile.ZipFile(path) as other:
        assert [info.file_size for info in other.infolist()] == [size, 10]
        assert other.read("after") == b"past 4 GiB"


@pytest.mark.parametrize("epoch, expected", [
    ("", (1980, 1, 1, 0, 0, 0)),
    ("0", (1980, 1, 1, 0, 0, 0)),
    ("-5", (1980, 1, 1, 0, 0, 0)),
    ("1700000001", (2023, 11, 14, 22, 13, 20)),
    ("4354819199", (2107, 12, 31, 23, 59, 58)),
    ("99999999999999", (2107, 12, 31, 23, 59, 58)),
])  # fmt: skip
def test_source_date_epoch(epoch: str, expected: tuple[int, ...]) -> None:
    date, clock = timestamp({"SOURCE_DATE_EPOCH": epoch})
    year, month, day = (date >> 9) + 1980, date >> 5 & 15, date & 31
    assert (year, month, day, clock >> 11, clock >> 5 & 63, (clock & 31) * 2) == expected


def test_an_epoch_that_is_no_number() -> None:
    with pytest.raises(ValueError, match="yesterday"):
        timestamp({"SOURCE_DATE_EPOCH": "yesterday"})


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_file_appears_when_it_is_whole(tmp_path: Path, overwrite: bool) -> None:
    path = tmp_path / "new" / "file"
    with replacing(path, overwrite=overwrite) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_file_is_replaced_only_where_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError), replacing(path, overwrite=False) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    with replacing(path, overwrite=True) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    path = tmp_path / "file"
    monkeypatch.setattr("os.fsync", lambda fd: synced.append(path.exists()))
    with replacing(path, overwrite=True) as file:
        file.write(b"new")
    assert synced == [False, True]  # the file, and then the directory that names it


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_after_an_error_everything_is_as_before(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), replacing(path, overwrite=True) as file:
        file.write(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
