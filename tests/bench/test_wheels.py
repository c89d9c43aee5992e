"""Generated wheels: right by the oracle of the zip module and pip's installer, and what they are said to be."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from installer.sources import WheelFile

from bench import inputs, wheels
from bench.deflate import changed
from bench.wheels import KIB, MIB, Member
from tests.wheels import build_wheel, contents, wheelfuse


def checked(path: Path) -> zipfile.ZipFile:
    """The wheel's zip file, after RECORD was held against every member."""
    with WheelFile.open(path) as source:
        source.validate_record()
    return zipfile.ZipFile(path)


def test_a_pair_is_valid_and_merges(tmp_path: Path) -> None:
    pair = inputs.of_members(tmp_path / "pair", 1500)
    for path in pair:
        names = checked(path).namelist()
        assert sum(name.startswith("pkg/data/") for name in names) == 1500
    done = wheelfuse("merge", *pair, "-o", tmp_path / "out", *inputs.PAIR, "-q")
    assert done.returncode == 0, done.stderr


def test_wheels_of_bytes_hold_that_many_and_deflate_to_about_a_third(tmp_path: Path) -> None:
    first, second = inputs.of_bytes(tmp_path / "pair", 8 * MIB)
    data = [info for info in checked(first).infolist() if info.filename.startswith("pkg/data")]
    assert sum(info.file_size for info in data) == 8 * MIB
    assert 0.2 < sum(info.compress_size for info in data) / (8 * MIB) < 0.6
    assert contents(first)["pkg/data/0001.bin"] == contents(second)["pkg/data/0001.bin"]


def test_blocks_repeat_less_than_deflate_can_see_but_for_those_that_should() -> None:
    first, second = wheels.repetition(2 * MIB)
    assert first != second
    assert len(first) == len(second) == MIB
    assert [len(block) for block in wheels.words(3 * MIB, seed=1)] == [MIB] * 3


def test_the_same_inputs_come_out_each_time(tmp_path: Path) -> None:
    made = [inputs.of_inputs(tmp_path / name, 3) for name in ("one", "two")]
    assert [path.read_bytes() for path in made[0]] == [path.read_bytes() for path in made[1]]


def test_many_inputs_merge_with_more_cpythons_than_there_are(tmp_path: Path) -> None:
    many = inputs.of_inputs(tmp_path / "many", 18)
    arguments = ["merge", *map(str, many), "-o", str(tmp_path / "out"), "-q", *inputs.expecting(18)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.many_cpythons", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    [fused] = (tmp_path / "out").iterdir()
    assert "cp325" in fused.name


def test_stored_zeros_take_no_room_on_disk(tmp_path: Path) -> None:
    shared = wheels.payload(
        tmp_path / "zeros.zip", [Member("pkg/z.bin", wheels.zeros(64 * MIB))], stored=True
    )
    made = wheels.wheel(tmp_path / "wheels", "cp312-cp312", shared, {})
    assert checked(made).getinfo("pkg/z.bin").file_size == 64 * MIB
    assert made.stat().st_size > 64 * MIB
    assert made.stat().st_blocks * 512 < 2 * MIB


def test_members_are_marked_zip64_whatever_their_size(tmp_path: Path) -> None:
    shared = wheels.payload(tmp_path / "some.zip", [Member("pkg/a", [b"a"])])
    with zipfile.ZipFile(shared.path) as archive:
        offset = archive.getinfo("pkg/a").header_offset
    local = shared.path.read_bytes()[offset:]
    assert local[18:26] == b"\xff" * 8  # both sizes stand in the extra field (APPNOTE 4.3.9.2)
    assert local[30 + 5 : 30 + 5 + 2] == b"\x01\x00"


def test_a_regrouped_wheel_has_the_same_bytes_in_one_member_and_no_modules(tmp_path: Path) -> None:
    files = {"pkg/a.py": b"a = 1\n", "pkg/b.h": b"int b;\n", "pkg/_C.so": b"\x7fELF"}
    source = build_wheel(tmp_path / "source", "cp312", files)
    many, count = wheels.regrouped(source, tmp_path / "many", whole=False)
    few, same = wheels.regrouped(source, tmp_path / "few", whole=True)
    assert count == same == 2
    kept = {path: data for path, data in contents(many).items() if ".dist-info" not in path}
    assert kept == {"pkg/a.py": b"a = 1\n", "pkg/b.h": b"int b;\n"}
    assert contents(few)["pkg/all.bin"] == b"a = 1\nint b;\n"
    checked(many), checked(few)


def test_changed_members_are_those_that_no_input_has(tmp_path: Path) -> None:
    inputs_ = [
        build_wheel(tmp_path / "in", tag, {"pkg/a": b"a", "pkg/b": b"b" * KIB}) for tag in ("cp311", "cp312")
    ]
    fused = tmp_path / "fused.zip"
    with zipfile.ZipFile(fused, "w") as archive:
        archive.writestr("elsewhere", b"a")
        archive.writestr("pkg/b", b"c" * KIB)
    assert changed(fused, inputs_, tmp_path / "changed") == KIB
    assert [path.read_bytes() for path in (tmp_path / "changed").iterdir()] == [b"c" * KIB]
