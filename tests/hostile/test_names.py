"""Names of members that are none, lead elsewhere, or are read differently by different programs."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.hostile.judged import assert_refused, assert_taken, audited, hostile, merged
from tests.wheel.zips import NAME, WHEEL_FILE, Entry
from tests.wheels import PLATFORM, build_wheel
from wheelfuse.wheel.portability import unportable

LINK = stat.S_IFLNK | 0o777

REFUSED: list[tuple[str, tuple[Entry, ...], str, str]] = [
    ("absolute", (Entry("/etc/passwd", b"1"),), "/etc/passwd", "absolute path or backslash"),
    ("a drive", (Entry("C:pkg/a.py", b"1"),), "C:pkg/a.py", "absolute path or backslash"),
    ("a share", (Entry(r"\\host\share\a.py", b"1"),), r"\\host\share\a.py", "absolute path or backslash"),
    ("upward", (Entry("pkg/../../a.py", b"1"),), "pkg/../../a.py", "'..' part"),
    ("NUL", (Entry("pkg/a.py\0.txt", b"1"),), "pkg/a.py", "programs read its name differently: NUL byte"),
    ("line feed", (Entry("pkg/a\nb.py", b"1"),), r"pkg/a\nb.py", "control character"),
    ("escape", (Entry("pkg/a\x1b[2J.py", b"1"),), r"pkg/a\x1b[2J.py", "control character"),
    ("line separator", (Entry("pkg/a\u2028b.py", b"1"),), r"pkg/a\u2028b.py", "control character"),
    ("right to left", (Entry("pkg/a\u202eyp.c", b"1"),), r"pkg/a\u202eyp.c", "control character"),
    ("no width", (Entry("pkg/a\u200b.py", b"1"),), r"pkg/a\u200b.py", "or one that nobody sees, in the member's name"),
    ("not UTF-8", (Entry("pkg/a.py", b"1", local={"name": b"pkg/\xff.py", "flags": 0x800},
                         central={"name": b"pkg/\xff.py", "flags": 0x800}),), "",
     "not a zip file that can be read: 'utf-8'"),
    ("of an unknown encoding", (Entry("pkg/\u00e9.py", b"1", local={"name": b"pkg/\x82.py", "flags": 0},
                                      central={"name": b"pkg/\x82.py", "flags": 0}),),
     "pkg/\u00e9.py", "not ASCII, and not said to be UTF-8"),
    ("a second name", (Entry("pkg/a.py", b"1", central={"extra": b"up\4\0abcd"}),), "pkg/a.py", "or a second name"),
    ("two normal forms", (Entry("pkg/\u00e9", b"1"), Entry("pkg/e\u0301", b"2")), "pkg/\u00e9",
     "Unicode normalisation only"),
    ("twice", (Entry("pkg/a.py", b"1"), Entry("pkg/a.py", b"2")), "pkg/a.py", "2 members of this name"),
    ("a file and a directory", (Entry("pkg/a", b"1"), Entry("pkg/a/")), "pkg/a", "2 members of this name"),
    ("a link out", (Entry("pkg/a", b"../../etc/passwd", LINK),), "pkg/a", "symbolic link out of the wheel"),
    ("an absolute link", (Entry("pkg/a", b"/etc/passwd", LINK),), "pkg/a", "symbolic link out of the wheel"),
    ("a link through another", (Entry("pkg/l", b"sub", LINK), Entry("pkg/a", b"l/../../../x", LINK)), "pkg/a",
     "symbolic link out of the wheel"),
    ("a file through a link", (Entry("pkg/l", b"sub", LINK), Entry("pkg/l/a.py", b"1")), "pkg/l",
     "both a file and the directory of other members"),
    ("a directory that is a link", (Entry("pkg/l/", b"", LINK),), "pkg/l/", "both a directory and a symbolic link"),
    ("a link without end", (Entry("pkg/a", b"a" * 5000, LINK),), "pkg/a", "symbolic link out of the wheel"),
    ("a device", (Entry("pkg/a", b"", stat.S_IFBLK | 0o644),), "pkg/a", "neither a file nor a symbolic link"),
]  # fmt: skip


@pytest.mark.parametrize(
    "entries, member, text", [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_name_that_leads_elsewhere_is_refused(
    tmp_path: Path, entries: tuple[Entry, ...], member: str, text: str
) -> None:
    path = hostile(tmp_path, *entries)
    outside = tmp_path.parent / "a.py"
    assert_refused(path, text, member=member)
    assert not outside.exists()


UNPORTABLE = [
    ("case", ("pkg/Makefile", "pkg/makefile"), "differ in case only"),
    ("case of other letters", ("pkg/\u00c9", "pkg/\u00e9"), "differ in case only"),
    ("a device of Windows", ("pkg/aux.py",), "reserved on Windows"),
    ("a stream of Windows", ("pkg/a.py:b",), "reserved on Windows"),
    ("an end that Windows drops", ("pkg/a.",), "reserved on Windows"),
    ("not NFC", ("pkg/e\u0301",), "not in Unicode normal form C"),
]


@pytest.mark.parametrize(
    "names, text", [case[1:] for case in UNPORTABLE], ids=[case[0] for case in UNPORTABLE]
)
def test_a_name_that_only_linux_takes_is_told_and_taken(
    tmp_path: Path, names: tuple[str, ...], text: str
) -> None:
    path = hostile(tmp_path, *(Entry(name, name.encode()) for name in names))
    merge, audit = merged(path), audited(path)
    assert (merge.code, audit.code) == (0, 0)
    assert f"{NAME}: {', '.join(sorted(names))}: {text}" in merge.text
    assert "note WF111 Names of files that other systems do not take" in audit.text
    assert text in audit.text


def test_for_a_wheel_for_all_systems_it_is_a_warning(tmp_path: Path) -> None:
    path = build_wheel(
        tmp_path, tag="py3-none", files={"pkg/A": "1", "pkg/a": "2"}, platform="any", purelib=True
    )
    assert "warning WF111" in audited(path).text


def test_names_like_those_of_other_systems_are_nothing_to_tell() -> None:
    names = (
        "pkg/console.py",
        "pkg/nullable.py",
        "pkg/com10.py",
        "pkg/a.b.c",
        "pkg/.hidden",
        "pkg/\u00e9",
        "Pkg2/x",
    )
    assert list(unportable(names)) == []


def test_a_link_within_the_wheel_is_taken(tmp_path: Path) -> None:
    assert_taken(hostile(tmp_path, Entry("pkg/a", b"__init__.py", LINK), Entry("pkg/b", b"b", LINK)))


@pytest.mark.parametrize("tag", ["x" * 5000, ".".join(["a"] * 5000)])
def test_a_tag_of_any_length_ends(tmp_path: Path, tag: str) -> None:
    files = {"WHEEL": WHEEL_FILE.replace(PLATFORM.encode(), tag.encode())}
    done = merged(hostile(tmp_path, files=files))
    assert done.code == 0
    assert len(done.text) < 1000
