"""Directories of more members than there can be, lies about how many there are, and paths without end."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.hostile.judged import assert_refused, assert_taken, audited, hostile, merged, written
from tests.wheel.zips import NAME, Entry, wheel_entries, zip_bytes
from wheelfuse import Limits
from wheelfuse.errors import InvalidInput
from wheelfuse.wheel.archive import Archive


def zip64(entries: list[Entry], count: int, length: int | None = None) -> bytes:
    """An archive whose zip64 end record says that there are *count* members."""
    whole = zip_bytes(entries)
    *_, size, start, _ = struct.unpack("<4sHHHHIIH", whole[-22:])
    length = size if length is None else length
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(whole) - 22, 1)
    narrow = [min(value, (1 << 16) - 1) for value in (count, count)]
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, *narrow, min(length, (1 << 32) - 1), start, 0)
    return whole[:-22] + record + locator + end


@pytest.fixture
def nothing_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zipfile.ZipFile", lambda _: pytest.fail("the directory was parsed"))


@pytest.mark.usefixtures("nothing_is_parsed")
def test_a_billion_members_are_refused_by_the_end_record(tmp_path: Path) -> None:
    path = written(tmp_path, zip64(wheel_entries(), 1_000_000_000))
    what = "1000000000 members, more than the 250000 that a wheel may have"
    assert_refused(path, what, todo="--max-members 1000000000")
    with pytest.raises(InvalidInput, match=what):
        Archive(path)


@pytest.mark.usefixtures("nothing_is_parsed")
def test_an_end_record_that_tells_of_fewer_members_than_there_are_is_not_believed(tmp_path: Path) -> None:
    one = Entry("a").central_header(0)
    directory = one * 260_000
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 2, 2, len(directory), 0, 0)
    path = written(tmp_path, directory + end)
    assert_refused(path, "260000 members, more than the 250000", todo="--max-members 260000")
    with pytest.raises(InvalidInput, match="260000 members"):
        Archive(path)


@pytest.mark.usefixtures("nothing_is_parsed")
def test_a_directory_longer_than_its_members_can_make_it_is_not_read(tmp_path: Path) -> None:
    long = Entry("pkg/a", central={"extra": bytes(60_000)}).central_header(0)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 2, 2, 2 * len(long), 0, 0)
    path = written(tmp_path, 2 * long + end)
    with pytest.raises(InvalidInput, match="117 members, more than the 100 "):
        Archive(path, Limits(members=100))


def test_a_limit_of_members_can_be_set(tmp_path: Path) -> None:
    path = hostile(tmp_path, Entry("pkg/a.py"))
    for code, limit in ((3, 4), (0, 5)):
        assert merged(path, "--max-members", limit).code == code
    (tmp_path / "out" / NAME).unlink()
    report = audited(path, "--max-members", 4)
    assert (report.code, "--max-members 5" in report.text) == (1, True)


def test_a_directory_longer_than_it_is_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, zip64(wheel_entries(), 4, length=1 << 50))
    assert_refused(path, "bytes before the zip archive, or around its directory")


DEEP = [
    ("directories", "d/" * 129 + "f.py"),
    ("a long name", f"pkg/{'n' * 256}"),
    ("a long name of few letters", f"pkg/{'é' * 128}"),
    ("a long path", "/".join("n" * 250 for _ in range(17))),
    ("as many as zip can tell", "d/" * 32_000 + "f.py"),
]


@pytest.mark.parametrize("name", [case[1] for case in DEEP], ids=[case[0] for case in DEEP])
def test_a_path_that_no_installer_can_create_is_refused(tmp_path: Path, name: str) -> None:
    path = hostile(tmp_path, Entry(name, b"1"))
    assert_refused(path, "too deep or too long for Linux", member=name[:50])


def test_the_deepest_path_is_taken(tmp_path: Path) -> None:
    assert_taken(hostile(tmp_path, Entry("d/" * 127 + "f.py", b"1"), Entry("n" * 255, b"2")))


def test_files_are_told_from_directories_without_making_every_prefix(tmp_path: Path) -> None:
    deep = [Entry(f"{number}/{'d/' * 120}f.py") for number in range(50)]
    path = hostile(tmp_path, *deep, Entry("7/d/d"), Entry("7!d"))
    assert_refused(path, "both a file and the directory of other members", member="7/d/d")


def test_of_many_problems_of_a_directory_the_first_are_told(tmp_path: Path) -> None:
    path = hostile(tmp_path, *(Entry(f"pkg/{n}\x1b") for n in range(1000)))
    merge, audit = merged(path), audited(path)
    assert (merge.code, audit.code) == (3, 1)
    assert merge.text.count("control character") == 200
    assert "800 more problems like these" in merge.text
    assert len(audit.text) < 40_000
