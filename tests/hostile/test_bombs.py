"""Zip bombs: refused by the directory alone, or stopped where what was announced ends."""

from __future__ import annotations

import struct
import zipfile
import zlib
from itertools import accumulate
from pathlib import Path

import pytest

from tests.hostile.judged import assert_refused, assert_taken, audited, hostile, merged, written
from tests.wheel.zips import NAME, Entry, wheel_entries, write_wheel, zip_bytes
from wheelfuse import Limits, MergeOptions, Target, audit, merge
from wheelfuse.errors import InvalidInput
from wheelfuse.fuse.model import RecordForm
from wheelfuse.fuse.provenance import Input, Placed, Provenance
from wheelfuse.wheel.archive import CHUNK, Archive

MIB = 1 << 20
ZEROS = zlib.compressobj(9, zlib.DEFLATED, -15)
PACKED = ZEROS.compress(bytes(64 * MIB)) + ZEROS.flush()
"""64 MiB, as tight as deflate gets: a thousandth."""


def announced(name: str, size: int, data: bytes = PACKED) -> Entry:
    """A member that says it inflates to *size* bytes."""
    fields = {"method": 8, "size": size, "crc": 0}
    return Entry(name, data, local=fields, central=fields)


def test_a_member_beyond_the_limit_is_refused_and_nothing_is_inflated(
    tmp_path: Path, inflated: list[int]
) -> None:
    path = hostile(tmp_path, announced("pkg/big.bin", 3 * 1000 * MIB, bytes(20 * MIB)))
    done = merged(path, "--max-member-size", "2GiB")
    assert done.code == 3
    assert (
        f"{NAME}: pkg/big.bin: {3 * 1000 * MIB} bytes, more than the 2GiB that one file may have" in done.text
    )
    assert "--max-member-size 3GiB" in done.text
    report = audited(path, "--max-member-size", "2GiB")
    assert (report.code, "--max-member-size 3GiB" in report.text) == (1, True)
    with pytest.raises(InvalidInput), Archive(path, Limits(member_size=2 << 30)):
        pass
    assert inflated == []


def test_a_member_packed_too_well_is_refused_and_nothing_is_inflated(
    tmp_path: Path, inflated: list[int]
) -> None:
    path = hostile(tmp_path, announced("pkg/zeros.bin", 300 * MIB))
    assert_refused(
        path, "inflates to 314572800 bytes", "a zip bomb", member="pkg/zeros.bin", todo="--max-ratio 4"
    )
    with pytest.raises(InvalidInput), Archive(path):
        pass
    assert inflated == []


def test_a_bomb_of_many_members_is_seen_as_a_whole(tmp_path: Path) -> None:
    members = (announced(f"pkg/{number}.bin", 64 * MIB) for number in range(8))
    assert_refused(
        hostile(tmp_path, *members), "inflates to 5368", "(at most 200 times)", todo="--max-ratio 1"
    )


def test_what_is_nearly_empty_but_small_is_no_bomb(tmp_path: Path) -> None:
    assert_taken(hostile(tmp_path, Entry("pkg/zeros.bin", bytes(32 * MIB), deflated=True)))


def test_what_the_index_would_take_for_a_bomb_is_told_and_written(tmp_path: Path) -> None:
    done = merged(hostile(tmp_path, Entry("pkg/zeros.bin", bytes(80 * MIB), deflated=True)))
    assert done.code == 0
    assert f"warning: {NAME}: packed to less than a fiftieth: the public index takes that for" in done.text


def test_a_limit_can_be_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inflated: list[int]) -> None:
    monkeypatch.setattr("wheelfuse.wheel.limits.RATIO_COUNTS_FROM", MIB)
    path = hostile(tmp_path, Entry("pkg/zeros.bin", bytes(2 * MIB), deflated=True))
    with pytest.raises(InvalidInput, match=r"--max-ratio \d+") as caught:
        merge([path], tmp_path / "out")
    assert inflated == []
    ratio = max(
        int(problem.todo.partition("--max-ratio ")[2].split(".")[0]) for problem in caught.value.problems
    )
    options = MergeOptions(expect=(Target(12),))
    assert merge([path], tmp_path / "out", options, limits=Limits(ratio=ratio)).written
    assert audit([path], limits=Limits(ratio=ratio - 1)).exit_code == 1
    assert audit([path], limits=Limits(ratio=ratio)).exit_code == 0


def test_a_member_that_inflates_to_more_than_it_says_is_stopped_there(
    tmp_path: Path, inflated: list[int]
) -> None:
    path = hostile(tmp_path, announced("pkg/zeros.bin", 10))
    assert_refused(path, "damaged: checksum or size is not as the directory says", member="pkg/zeros.bin")
    with Archive(path) as archive, pytest.raises(InvalidInput):
        archive.read(next(member for member in archive.members if member.path == "pkg/zeros.bin"))
    assert sum(inflated) <= 10 + CHUNK


def test_archives_in_archives_are_files_like_others(tmp_path: Path, inflated: list[int]) -> None:
    """A bomb of wheels in wheels, or one that holds itself, goes off only where somebody opens them."""
    inner = zip_bytes(wheel_entries(announced("pkg/zeros.bin", (1 << 32) - 2)))
    for _ in range(5):
        inner = zip_bytes([Entry(f"{number}.zip", inner, deflated=True) for number in range(10)])
    path = hostile(tmp_path, Entry(f"pkg/{NAME}", inner))
    assert_taken(path)
    audit([path])
    with zipfile.ZipFile(path) as archive:
        once = sum(info.file_size for info in archive.infolist())
        twice = sum(info.file_size for info in archive.infolist() if ".dist-info/" in info.filename)
    assert sum(inflated) == once + twice


def test_a_member_that_holds_its_own_archive_is_refused(tmp_path: Path, inflated: list[int]) -> None:
    """A quine: its data begin where the file does, so that unpacking gives the wheel again, for ever."""
    entries = wheel_entries()
    whole = zip_bytes(entries)
    itself = {"offset": 0, "compressed": len(whole), "size": len(whole), "crc": zlib.crc32(whole)}
    last = Entry("pkg/__init__.py", central=itself)
    data = bytearray(zip_bytes([*entries, Entry("x", whole)]))
    header, real = last.central_header(0), data.rfind(b"PK\1\2")
    *head, count, size, start, _ = struct.unpack("<4sHHHHIIH", data[-22:])
    end = struct.pack("<4sHHHHIIH", *head, count, size + len(header) - (len(data) - 22 - real), start, 0)
    path = written(tmp_path, bytes(data[:real]) + header + end)
    assert_refused(path, "2 members of this name", member="pkg/__init__.py")
    with pytest.raises(InvalidInput):
        Archive(path)
    assert inflated == []


def test_members_that_share_their_data_are_refused(tmp_path: Path, inflated: list[int]) -> None:
    """A bomb without nesting: the first member is stored, and quotes the second, header and all."""
    kernel = announced("pkg/kernel.bin", 64 * MIB)
    outer = Entry("pkg/outer.bin", kernel.local_header() + kernel.data)
    quoted = kernel.central_header(len(outer.local_header()))
    entries = [outer, *(entry for entry in wheel_entries(outer) if entry != outer)]
    body = b"".join(entry.local_header() + entry.data for entry in entries)
    directory = quoted + b"".join(
        entry.central_header(at) for entry, at in zip(entries, _offsets(entries), strict=True)
    )
    count = len(entries) + 1
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)
    path = written(tmp_path, body + directory + end)
    assert_refused(path, "overlaps another member", member="pkg/kernel.bin", todo="Build the wheel again.")
    with pytest.raises(InvalidInput):
        Archive(path)
    assert inflated == []


def _offsets(entries: list[Entry]) -> list[int]:
    return list(accumulate((len(entry.local_header() + entry.data) for entry in entries[:-1]), initial=0))


def test_a_zip_file_with_a_wheel_in_it_has_the_same_limits(tmp_path: Path) -> None:
    path = tmp_path / "artifact.zip"
    path.write_bytes(zip_bytes([announced(NAME, 300 * MIB)]))
    done = audited(path)
    assert done.code == 1
    assert "artifact.zip" in done.text
    path.write_bytes(
        zip_bytes([Entry(NAME, zip_bytes(wheel_entries(announced("pkg/zeros.bin", 300 * MIB))))])
    )
    done = audited(path)
    assert (done.code, "pkg/zeros.bin" in done.text, "--max-ratio" in done.text) == (1, True, True)


def test_a_recipe_that_makes_a_file_of_a_terabyte_is_refused(tmp_path: Path) -> None:
    from wheelfuse.elf.recipe import Recipe, Zeros

    recipe = Recipe(1 << 40, "0" * 64, (Zeros(1 << 40),))
    one = Input(NAME, "0" * 64, 1, "cp312", ("cp312",), "pkg-1.0.dist-info", False, ">=3.10", RecordForm())
    made = Provenance(
        "1", (one,), (Placed("pkg/a.so", ("cp312",), "pkg/a.so", recipe=recipe, carrier="pkg/b.so"),), ()
    )
    entries = wheel_entries(
        Entry("pkg/a.so", b"a"), Entry("pkg/b.so", b"b"), files={"wheelfuse.json": made.to_bytes()}
    )
    done = merged(write_wheel(tmp_path, entries))
    assert done.code == 3
    assert f"what it brings back has {1 << 40} bytes, more than the 16GiB" in done.text
