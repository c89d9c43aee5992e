"""Zip files that two programs could read differently, that are damaged, or that hide something: all are refused."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wheel.zips import INFO, NAME, Entry, wheel_entries, write_wheel, zip_bytes
from tests.wheels import wheelfuse
from wheelfuse.errors import InvalidInput
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.installing import symlink_escapes
from wheelfuse.wheel.layout import reading_ahead

ANY = b"some bytes, and some more bytes"


def problems_of(path: Path) -> list[tuple[str, str, str]]:
    """Wheel, member and text of every reason for which the archive is refused."""
    with pytest.raises(InvalidInput) as caught, Archive(path):
        pass
    return [(problem.wheel, problem.member, problem.what) for problem in caught.value.problems]


MEMBERS: list[tuple[str, Entry, str]] = [
    ("absolute", Entry("/etc/passwd", ANY), "absolute path"),
    ("drive", Entry("C:/pkg/a.py", ANY), "absolute path"),
    ("backslash", Entry("pkg\\a.py", ANY), "backslash"),
    ("parent", Entry("pkg/../../a.py", ANY), "'..' part"),
    ("here", Entry("pkg/./a.py", ANY), "'.' or"),
    ("no name", Entry("", ANY), "empty"),
    ("slash", Entry("/"), "absolute"),
    ("empty part", Entry("pkg//a.py", ANY), "empty"),
    ("parent directory", Entry("../pkg/", mode=stat.S_IFDIR | 0o755), "'..' part"),
    ("second name", Entry("pkg/a.py", ANY, central={"extra": b"up\4\0abcd"}), "differently"),
    ("second local name", Entry("pkg/a.py", ANY, local={"extra": b"up\4\0abcd"}), "second name"),
    ("encrypted", Entry("pkg/a.py", ANY, local={"flags": 1}, central={"flags": 1}), "encrypted"),
    ("bzip2", Entry("pkg/a.py", ANY, local={"method": 12}, central={"method": 12}), "compression method bzip2"),
    ("unknown method", Entry("pkg/a.py", ANY, central={"method": 77}), "compression method 77"),
    ("device", Entry("pkg/a.py", ANY, stat.S_IFCHR | 0o644), "neither a file nor a symbolic link"),
    ("named pipe", Entry("pkg/a.py", ANY, stat.S_IFIFO | 0o644), "neither a file nor a symbolic link"),
    ("full directory", Entry("pkg/d/", ANY, stat.S_IFDIR | 0o755), "directory with content"),
    ("local name", Entry("pkg/a.py", ANY, local={"name": b"pkg/b.py"}), "name 'pkg/b.py'"),
    ("local name not utf-8", Entry("pkg/é.py", ANY, local={"name": b"pkg/\xff\xff.py"}), "disagree"),
    ("local method", Entry("pkg/a.py", ANY, local={"method": 8}), "compression method 8"),
    ("descriptor in one header", Entry("pkg/a.py", ANY, central={"flags": 8}), "flags 0x0"),
    ("newer format in the local header", Entry("pkg/a.py", ANY, local={"version": 64}), "version 64 is needed"),
    ("local flags", Entry("pkg/a.py", ANY, local={"flags": 2}), "flags 0x2"),
    ("local checksum", Entry("pkg/a.py", ANY, local={"crc": 7}), "checksum 7"),
    ("local compressed size", Entry("pkg/a.py", ANY, local={"compressed": 7}), "compressed size 7"),
    ("local size", Entry("pkg/a.py", ANY, local={"size": 7}), "size 7"),
    ("stored sizes", Entry("pkg/a.py", ANY, local={"size": 7}, central={"size": 7}), "two sizes differ"),
    ("wrong descriptor", Entry("pkg/a.py", ANY, descriptor=b"PK\7\10" + bytes(12)), "data descriptor disagrees"),
    ("size beside a descriptor", Entry("pkg/a.py", ANY, descriptor=b"", local={"size": 7}), "size 7"),
    ("beyond the end", Entry("pkg/a.py", ANY, local={"compressed": 1 << 20, "size": 1 << 20},
                             central={"compressed": 1 << 20, "size": 1 << 20}), "truncated"),
    ("no local header", Entry("pkg/a.py", ANY, central={"offset": 3}), "no local header"),
]  # fmt: skip


@pytest.mark.parametrize("entry, text", [case[1:] for case in MEMBERS], ids=[case[0] for case in MEMBERS])
def test_a_member_that_cannot_be_trusted_is_named(tmp_path: Path, entry: Entry, text: str) -> None:
    path = write_wheel(tmp_path, wheel_entries(entry))
    [(wheel, member, what)] = problems_of(path)
    assert wheel == NAME
    assert member == entry.name
    assert text in what


def test_a_zero_byte_in_a_name_is_refused(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, wheel_entries(Entry("pkg/a.py\0.txt", ANY)))
    [(_, member, what)] = problems_of(path)
    assert member == "pkg/a.py\0.txt"
    assert "NUL byte" in what


def test_a_name_that_a_terminal_would_obey_is_refused_and_shown_escaped(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, wheel_entries(Entry("pkg/\x1b[2J.py", ANY), record=""))
    [problem] = problems_of(path)
    assert problem[:2] == (NAME, "pkg/\x1b[2J.py")
    assert "control character" in problem[2]


@pytest.mark.parametrize("letter", ["\u202e", "\u200b", "\ufeff", "\ue000", "\u00ad"])
def test_a_name_with_letters_that_nobody_sees_is_refused(tmp_path: Path, letter: str) -> None:
    [(wheel, _, what)] = problems_of(write_wheel(tmp_path, wheel_entries(Entry(f"pkg/a{letter}b.py", ANY))))
    assert wheel == NAME
    assert "in the member's name" in what
    assert letter not in what


def test_all_bad_members_are_named_in_one_run(tmp_path: Path) -> None:
    entries = wheel_entries(Entry("/a", ANY), Entry("../b", ANY), Entry("c", ANY, central={"method": 9}))
    assert [member for _, member, _ in problems_of(write_wheel(tmp_path, entries))] == ["/a", "../b", "c"]


PAIRS: list[tuple[str, tuple[Entry, ...], str, str]] = [
    ("twice", (Entry("pkg/a.py", b"1"), Entry("pkg/a.py", b"2")), "pkg/a.py", "2 members of this name"),
    ("file and directory", (Entry("pkg/a", b"1"), Entry("pkg/a/")), "pkg/a", "2 members of this name"),
    ("file above a file", (Entry("pkg/a", b"1"), Entry("pkg/a/b/c", b"2")), "pkg/a", "both a file and the directory"),
    ("normalisation", (Entry("pkg/\u00e9", b"1"), Entry("pkg/e\u0301", b"2")), "pkg/\u00e9", "Unicode normalisation"),
]  # fmt: skip


@pytest.mark.parametrize("entries, member, text", [c[1:] for c in PAIRS], ids=[c[0] for c in PAIRS])
def test_members_that_collide_are_refused(
    tmp_path: Path, entries: tuple[Entry, ...], member: str, text: str
) -> None:
    [(wheel, named, what)] = problems_of(write_wheel(tmp_path, wheel_entries(*entries)))
    assert (wheel, named) == (NAME, member)
    assert text in what


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    inner = Entry("pkg/inner.py", b"inner")
    outer = Entry("pkg/outer.bin", inner.local_header() + inner.data)
    entries = wheel_entries(outer)
    # The second member lies within the data of the first.
    inside = len(entries[0].local_header() + entries[0].data + outer.local_header())
    hidden = Entry("pkg/inner.py", b"", central={"offset": inside, "crc": zlib.crc32(b"inner"), "size": 5,
                                                 "compressed": 5})  # fmt: skip
    path = tmp_path / NAME
    path.write_bytes(_with_central_only(entries, hidden))
    assert (NAME, "pkg/inner.py", "overlaps another member") in problems_of(path)


def _with_central_only(entries: list[Entry], extra: Entry) -> bytes:
    """A zip file whose directory lists one member more than there are local headers."""
    whole = zip_bytes(entries)
    *head, count, size, start, _ = struct.unpack("<4sHHHHIIH", whole[-22:])
    end = struct.pack(
        "<4sHHHHIIH", *head[:3], count + 1, count + 1, size + len(extra.central_header(0)), start, 0
    )
    return whole[:-22] + extra.central_header(0) + end


FILES: list[tuple[str, Callable[[], bytes], str]] = [
    ("leading data", lambda: b"#!/bin/sh\n" + zip_bytes(wheel_entries()), "bytes before the zip archive"),
    ("leading data, offsets corrected", lambda: zip_bytes(wheel_entries(), prefix=b"MZ"), "belong to no member"),
    ("a hidden member", lambda: zip_bytes(wheel_entries(), gap=Entry("x", ANY).local_header() + ANY),
     "belong to no member"),
    ("bytes after the directory", lambda: zip_bytes(wheel_entries(), before_end=b"x"), "around its directory"),
    ("trailing data", lambda: zip_bytes(wheel_entries()) + b"more", "data after the end"),
    ("two archives", lambda: zip_bytes(wheel_entries()) + zip_bytes(wheel_entries()), "bytes before the zip"),
    ("an archive in the comment", lambda: zip_bytes(wheel_entries(), comment=zip_bytes(wheel_entries())),
     "two end records"),
    ("a wrong count", lambda: zip_bytes(wheel_entries(), count=2), "its end says 2 members, but its directory"),
    ("truncated", lambda: zip_bytes(wheel_entries())[:-30], "not a zip file"),
    ("truncated in a member", lambda: zip_bytes(wheel_entries())[:60], "not a zip file"),
    ("empty", lambda: b"", "not a zip file"),
    ("an error page", lambda: b"<html>404</html>", "not a zip file"),
]  # fmt: skip


@pytest.mark.parametrize("make, text", [case[1:] for case in FILES], ids=[case[0] for case in FILES])
def test_a_file_that_is_not_just_an_archive_is_refused(
    tmp_path: Path, make: Callable[[], bytes], text: str
) -> None:
    path = tmp_path / NAME
    path.write_bytes(make())
    problems = problems_of(path)
    assert {wheel for wheel, _, _ in problems} == {NAME}
    assert any(text in what for _, _, what in problems), problems


def test_an_archive_with_a_comment_is_read(tmp_path: Path) -> None:
    with Archive(write_wheel(tmp_path, wheel_entries(), comment=b"made by hand")) as archive:
        assert len(archive.members) == len(wheel_entries())


def test_a_zip64_end_that_disagrees_with_the_plain_one_is_refused(tmp_path: Path) -> None:
    whole = zip_bytes(wheel_entries())
    *_, count, size, start, _ = struct.unpack("<4sHHHHIIH", whole[-22:])
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(whole) - 22, 1)
    path = tmp_path / NAME
    path.write_bytes(whole[:-22] + record + locator + whole[-22:])
    with Archive(path) as archive:
        assert len(archive.members) == count
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, size, start + 1, 0)
    path.write_bytes(whole[:-22] + record + locator + end)
    [(wheel, _, what)] = problems_of(path)
    assert wheel == NAME
    assert "two end records disagree" in what


def read(path: Path, member: str) -> bytes:
    with Archive(path) as archive:
        return archive.read(next(found for found in archive.members if found.path == member))


@pytest.mark.parametrize("entry, text", [
    (Entry("pkg/a", ANY, local={"crc": 7}, central={"crc": 7}), "checksum or size is not"),
    (Entry("pkg/a", ANY, deflated=True, local={"size": 7}, central={"size": 7}), "checksum or size is not"),
    (Entry("pkg/a", b"\xff\xff", local={"method": 8}, central={"method": 8}), "damaged compressed data"),
    (Entry("pkg/a", b"\3\0\0\0", local={"method": 8}, central={"method": 8}), "too early or too late"),
    (Entry("pkg/a", b"\x62", local={"method": 8}, central={"method": 8}), "too early or too late"),
])  # fmt: skip
def test_damage_in_the_data_is_found_when_it_is_read(tmp_path: Path, entry: Entry, text: str) -> None:
    path = write_wheel(tmp_path, wheel_entries(entry))
    with pytest.raises(InvalidInput, match=text) as caught:
        read(path, "pkg/a")
    [problem] = caught.value.problems
    assert (problem.wheel, problem.member) == (NAME, "pkg/a")


CRC = zlib.crc32(ANY)
DESCRIPTORS = {
    "with signature": b"PK\7\10" + struct.pack("<III", CRC, len(ANY), len(ANY)),
    "without signature": struct.pack("<III", CRC, len(ANY), len(ANY)),
    "of 64 bits": b"PK\7\10" + struct.pack("<IQQ", CRC, len(ANY), len(ANY)),
}


@pytest.mark.parametrize("descriptor", DESCRIPTORS.values(), ids=DESCRIPTORS)
def test_data_descriptors_are_understood(tmp_path: Path, descriptor: bytes) -> None:
    path = write_wheel(tmp_path, wheel_entries(Entry("pkg/a", ANY, descriptor=descriptor)))
    assert read(path, "pkg/a") == ANY


class Pipe(BytesIO):
    """A file that cannot seek, for which zipfile writes data descriptors."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise OSError("a pipe")

    def tell(self) -> int:
        raise OSError("a pipe")


@pytest.mark.parametrize("zip64", [False, True])
def test_a_streamed_archive_is_understood(tmp_path: Path, zip64: bool) -> None:
    stream = Pipe()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:  # noqa: SIM117
        with archive.open("pkg/a", "w", force_zip64=zip64) as member:
            member.write(ANY)
    path = tmp_path / NAME
    path.write_bytes(stream.getvalue())
    assert read(path, "pkg/a") == ANY


def test_a_member_written_as_zip64_is_understood(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with zipfile.ZipFile(path, "w") as archive:  # noqa: SIM117
        with archive.open("pkg/a", "w", force_zip64=True) as member:
            member.write(ANY)
    assert b"\x01\x00\x10\x00" in path.read_bytes(), "the zip64 field of its local header"
    assert read(path, "pkg/a") == ANY


def test_modes_and_links_are_read_and_a_missing_mode_is_that_of_a_plain_file(tmp_path: Path) -> None:
    plain = stat.S_IFREG | 0o644
    modes = {"a": stat.S_IFREG | 0o600, "b": stat.S_IFREG | 0o755, "c": stat.S_IFLNK | 0o777, "d": 0}
    dos = Entry("e", ANY, stat.S_IFREG | 0o755, central={"system": 0})
    entries = wheel_entries(*(Entry(name, b"a", mode) for name, mode in modes.items()), dos)
    with Archive(write_wheel(tmp_path, entries)) as archive:
        found = {member.path: member.mode for member in archive.members}
        assert [member.path for member in archive.members if member.is_symlink] == ["c"]
    assert {name: found[name] for name in "abcde"} == modes | {"d": plain, "e": plain}


@pytest.mark.parametrize("path, destination, escapes", [
    ("pkg/a", "b", False),
    ("pkg/a", "../b", False),
    ("pkg/a", "../../b", True),
    ("a", "..", True),
    ("pkg/a", "/etc/passwd", True),
    ("pkg/a", "link/../../../b", True),
    ("pkg-1.0.data/data/lib/a", "../b", False),
    ("pkg-1.0.data/data/lib/a", "../../b", True),
    ("pkg-1.0.data/scripts/a", "b", False),
])  # fmt: skip
def test_links_stay_in_the_tree_that_is_installed(path: str, destination: str, escapes: bool) -> None:
    assert symlink_escapes(path, destination) is escapes


def test_a_missing_file_and_a_directory_are_no_archives(tmp_path: Path) -> None:
    (tmp_path / "a.whl").mkdir()
    for path in (tmp_path / "none.whl", tmp_path / "a.whl"):
        assert problems_of(path)


SMALL = zip_bytes(
    [
        Entry("pkg/a", ANY, deflated=True),
        Entry("pkg/d", ANY, descriptor=DESCRIPTORS["with signature"]),
        Entry("pkg/é", b"", local={"extra": b"\1\0\0\0"}),
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(SMALL) - 1), st.sampled_from((0, 1, 8, 127, 128, 255))), max_size=4
    ),
    st.integers(0, len(SMALL)),
)
def test_no_damage_leads_to_another_error_or_to_other_content(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(SMALL)
    for place, value in changes:
        data[place] = value
    path = tmp_path_factory.getbasetemp() / NAME
    path.write_bytes(data[:length] if length % 7 == 0 else data)
    try:
        with Archive(path) as archive:
            contents = [archive.read(member) for member in archive.members]
    except InvalidInput as error:
        assert all(problem.wheel == NAME and problem.what for problem in error.problems)
    else:
        assert contents == [ANY, ANY, b""]


@pytest.mark.parametrize("make, text", [
    (lambda: zip_bytes(wheel_entries(Entry("../a", ANY))), "../a"),
    (lambda: zip_bytes(wheel_entries(Entry("pkg/a", ANY, local={"crc": 7}, central={"crc": 7}))), "pkg/a: damaged"),
    (lambda: zip_bytes(wheel_entries())[:-30], "not a zip file"),
    (lambda: b"MZ" + zip_bytes(wheel_entries()), "bytes before the zip archive"),
])  # fmt: skip
def test_merge_refuses_a_bad_archive_and_leaves_nothing(
    tmp_path: Path, make: Callable[[], bytes], text: str
) -> None:
    path = tmp_path / "in" / NAME
    path.parent.mkdir()
    path.write_bytes(make())
    (tmp_path / "out").mkdir()
    done = wheelfuse("merge", path, "-o", tmp_path / "out", "--expect", "cp312")
    assert done.returncode == 3
    assert done.stdout == ""
    assert NAME in done.stderr
    assert text in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_the_helper_makes_sound_wheels(tmp_path: Path) -> None:
    """Each refusal above would prove nothing if the same wheel without its fault were refused as well."""
    path = write_wheel(tmp_path / "in", wheel_entries(Entry("pkg/a", ANY, deflated=True)))
    done = wheelfuse("merge", path, "-o", tmp_path / "out", "-q", "--expect", "cp312")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{INFO}/RECORD" in zipfile.ZipFile(done.stdout.strip()).namelist()


@pytest.mark.parametrize(("room", "times"), [(1 << 20, 1), (10, 2)], ids=["room on disk", "none"])
def test_a_content_is_inflated_once_while_there_is_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, times: int
) -> None:
    monkeypatch.setattr("wheelfuse.wheel.archive.ON_DISK", room)
    inflated = []
    whole = Archive.chunks
    monkeypatch.setattr(
        Archive, "chunks", lambda self, member: inflated.append(member.path) or whole(self, member)
    )
    with Archive(write_wheel(tmp_path, [*wheel_entries(), Entry("pkg/data", ANY)])) as archive:
        (member,) = (member for member in archive.members if member.path == "pkg/data")
        for _ in range(2):
            with archive.content(member) as content:
                assert content[:] == ANY
    assert inflated == ["pkg/data"] * times


@given(
    st.integers(0, 20_000), st.lists(st.tuples(st.integers(0, 9000), st.integers(-10, 21_000)), max_size=20)
)
def test_reading_ahead_reads_the_same(size: int, reads: list[tuple[int, int]]) -> None:
    data = bytes(number % 251 for number in range(size))

    def read(length: int, offset: int) -> bytes:
        return data[offset : offset + length] if offset >= 0 else b""

    ahead = reading_ahead(read)
    assert [ahead(*place) for place in reads] == [read(*place) for place in reads]


def test_what_was_inflated_for_something_else_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Archive(write_wheel(tmp_path, [*wheel_entries(), Entry("pkg/data", ANY)])) as archive:
        (member,) = (member for member in archive.members if member.path == "pkg/data")
        archive.keep(member, archive.read(member))
        monkeypatch.setattr(Archive, "chunks", lambda self, member: pytest.fail("inflated again"))
        with archive.content(member) as content:
            assert content[:] == ANY
