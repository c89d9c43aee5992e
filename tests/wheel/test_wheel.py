"""A wheel's statements about itself must agree: name, ``.dist-info``, METADATA, WHEEL, links."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wheel.zips import INFO, NAME, WHEEL_FILE, Entry, record_rows, wheel_entries, write_wheel
from tests.wheels import PLATFORM, metadata, wheelfuse
from wheelfuse.errors import InvalidInput
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.wheel import Wheel, read_wheel


def load(path: Path) -> Wheel:
    with Archive(path) as archive:
        return read_wheel(archive)


def link(path: str, destination: str) -> Entry:
    return Entry(path, destination.encode(), stat.S_IFLNK | 0o777)


CASES: list[tuple[str, Callable[[], list[Entry]], str, str]] = [
    ("no RECORD", lambda: wheel_entries(without=["RECORD"]), f"{INFO}/RECORD", "missing"),
    ("no WHEEL", lambda: wheel_entries(without=["WHEEL"]), f"{INFO}/WHEEL", "missing"),
    ("no METADATA", lambda: wheel_entries(without=["METADATA"]), f"{INFO}/METADATA", "missing"),
    ("no .dist-info", lambda: [Entry("pkg/__init__.py")], "", "exactly one directory pkg-1.0.dist-info, but has: none"),
    ("two .dist-info", lambda: wheel_entries(Entry("other-2.dist-info/METADATA", b"")), "",
     "but has: other-2.dist-info, pkg-1.0.dist-info"),
    ("foreign .dist-info", lambda: [Entry("other-1.0.dist-info/METADATA", b"")], "", "but has: other-1.0.dist-info"),
    (".dist-info of another version", lambda: [Entry("pkg-1.1.dist-info/METADATA", b"")], "", "has: pkg-1.1.dist-info"),
    ("another name", lambda: wheel_entries(files={"METADATA": metadata("other").encode()}), f"{INFO}/METADATA",
     "Name is other, but the file name says pkg"),
    ("another version", lambda: wheel_entries(files={"METADATA": metadata(version="1.1").encode()}),
     f"{INFO}/METADATA", "Version is 1.1, but the file name says 1"),
    ("no name", lambda: wheel_entries(files={"METADATA": b"Metadata-Version: 2.1\nVersion: 1.0\n"}),
     f"{INFO}/METADATA", "needs one field Name, but has 0"),
    ("two versions", lambda: wheel_entries(files={"METADATA": b"Name: pkg\nVersion: 1.0\nVersion: 1.0\n"}),
     f"{INFO}/METADATA", "needs one field Version, but has 2"),
    ("METADATA not UTF-8", lambda: wheel_entries(files={"METADATA": b"Name: \xff\n"}), f"{INFO}/METADATA", "not UTF-8"),
    ("WHEEL of version 2", lambda: wheel_entries(files={"WHEEL": WHEEL_FILE.replace(b"1.0", b"2.0")}), f"{INFO}/WHEEL",
     "Wheel-Version is 2.0; only 1.x is known"),
    ("WHEEL without a version", lambda: wheel_entries(files={"WHEEL": b"Tag: cp312-cp312-any\n"}), f"{INFO}/WHEEL",
     "not a version"),
    ("absolute link", lambda: wheel_entries(link("pkg/a", "/etc/passwd")), "pkg/a",
     "symbolic link out of the wheel, to '/etc/passwd'"),
    ("link out of the tree", lambda: wheel_entries(link("pkg/a", "../../b")), "pkg/a",
     "symbolic link out of the wheel, to '../../b'"),
    ("huge link", lambda: wheel_entries(link("pkg/a", "a" * 5000)), "pkg/a", "symbolic link out of the wheel"),
]  # fmt: skip


@pytest.mark.parametrize("make, member, text", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_wheel_that_contradicts_itself_is_refused(
    tmp_path: Path, make: Callable[[], list[Entry]], member: str, text: str
) -> None:
    path = write_wheel(tmp_path / "in", make())
    with pytest.raises(InvalidInput) as caught:
        load(path)
    [problem] = caught.value.problems
    assert (problem.wheel, problem.member) == (NAME, member)
    assert text in problem.what

    (tmp_path / "out").mkdir()
    done = wheelfuse("merge", path, "-o", tmp_path / "out")
    assert done.returncode == 3
    assert text in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_wheel_is_read(tmp_path: Path) -> None:
    wheel = load(write_wheel(tmp_path, wheel_entries(link("pkg/a", "../pkg/__init__.py"), Entry("pkg/"))))
    assert str(wheel.name) == NAME
    assert wheel.dist_info == INFO
    assert wheel.requires_python == ">=3.10"
    assert sorted(wheel.members) == sorted(
        [f"{INFO}/METADATA", f"{INFO}/RECORD", f"{INFO}/WHEEL", "pkg/__init__.py", "pkg/a"]
    )
    assert wheel.warnings == ()


@pytest.mark.parametrize("name, info", [
    ("Pkg", "pkg-1.0.dist-info"),
    ("pkg", "Pkg-1.0.dist-info"),
    ("pkg", "pkg-1.dist-info"),
])  # fmt: skip
def test_another_spelling_of_the_same_name_or_version_is_accepted(
    tmp_path: Path, name: str, info: str
) -> None:
    respelled = wheel_entries(record="")[:-1]
    entries = [Entry(entry.name.replace(INFO, info), entry.content) for entry in respelled]
    entries.append(Entry(f"{info}/RECORD", record_rows(entries).replace(INFO, info).encode()))
    wheel = load(write_wheel(tmp_path, entries, NAME.replace("pkg", name)))
    assert wheel.dist_info == info


def test_tags_that_disagree_with_the_name_are_a_warning(tmp_path: Path) -> None:
    files = {"WHEEL": WHEEL_FILE.replace(PLATFORM.encode(), b"linux_x86_64")}
    [warning] = load(write_wheel(tmp_path, wheel_entries(files=files))).warnings
    assert (warning.wheel, warning.member) == (NAME, f"{INFO}/WHEEL")
    assert "Tag says cp312-cp312-linux_x86_64; installers go by the file name" in warning.what


def test_tags_after_a_blank_line_are_told(tmp_path: Path) -> None:
    files = {"WHEEL": WHEEL_FILE.replace(b"\nTag", b"\n\nTag")}
    [warning] = load(write_wheel(tmp_path, wheel_entries(files=files))).warnings
    assert "Tag says none" in warning.what
    assert "after a blank line" in warning.what


def test_the_problems_of_all_wheels_come_in_one_run(tmp_path: Path) -> None:
    other = NAME.replace("cp312", "cp313")
    paths = [
        write_wheel(tmp_path, wheel_entries(without=["WHEEL"])),
        write_wheel(tmp_path, wheel_entries(record=""), other),
    ]
    done = wheelfuse("merge", *paths)
    assert done.returncode == 3
    assert f"{NAME}: {INFO}/WHEEL: missing" in done.stderr
    assert f"{other}: pkg/__init__.py: not listed in RECORD" in done.stderr
