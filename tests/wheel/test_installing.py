"""What some installers refuse, or install otherwise than others, is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wheel.zips import INFO, Entry, wheel_entries, write_wheel
from wheelfuse.errors import InvalidInput
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.installing import misplaced, parse_scripts
from wheelfuse.wheel.wheel import read_wheel

SCRIPT = Entry("pkg-1.0.data/scripts/tool", b"#!python\n")


def problems_of(path: Path) -> list[tuple[str, str]]:
    """Member and text of every reason for which the wheel is refused."""
    with pytest.raises(InvalidInput) as caught, Archive(path) as archive:
        read_wheel(archive)
    return [(problem.member, problem.what) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("path", "is_misplaced"),
    [
        ("pkg-1.0.data/scripts/tool", False),
        ("pkg-1.0.data/purelib/pkg/a.py", False),
        ("pkg-1.0.data/data/etc/a", False),
        ("pkg/a.data/x", False),
        ("a.data", False),
        ("pkg-1.0.data/a.py", True),
        ("pkg-1.0.data/odd/a.py", True),
        ("Pkg-1.0.data/scripts/tool", True),
        ("other-1.0.data/purelib/a.py", True),
    ],
)
def test_only_the_directories_of_data_that_there_are_hold_files(path: str, is_misplaced: bool) -> None:
    assert list(misplaced([path], INFO)) == [path] * is_misplaced


@pytest.mark.parametrize(
    "name", ["pkg-1.0.data/odd/a.py", "pkg-1.0.data/a.py", "other-1.0.data/purelib/a.py"]
)
def test_a_file_that_no_installer_can_place_is_named(tmp_path: Path, name: str) -> None:
    path = write_wheel(tmp_path, wheel_entries(Entry(name, b"x")))
    said = "installers know pkg-1.0.data and no other, with data, headers, platlib, purelib, scripts in it"
    assert problems_of(path) == [(name, said)]


def test_programs_are_named() -> None:
    content = (
        b"# x\n[console_scripts]\ntool = pkg:f\nother.tool=pkg.sub : a.b [x,y]\n"
        b"[gui_scripts]\nTool = pkg:f\n[z]\nq = 1\n"
    )
    assert parse_scripts(content) == {"tool", "other.tool", "Tool"}
    assert parse_scripts(b"") == frozenset()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"tool = pkg:f\n", "installers cannot read it: File contains no section headers"),
        (b"[console_scripts]\ntool: pkg:f\n", "installers cannot read it: Source contains parsing errors"),
        (b"[console_scripts]\na = b:c\na = b:d\n", "installers cannot read it: .* already exists"),
        (b"[console_scripts]\n\xff = b:c\n", "installers cannot read it: 'utf-8' codec"),
        (b"[console_scripts]\n../tool = pkg:f\n", "'../tool' is no name of a program"),
        (b"[console_scripts]\n..\\tool = pkg:f\n", "is no name of a program"),
        (b"[gui_scripts]\n.. = pkg:f\n", "is no name of a program"),
        (b"[console_scripts]\ntool = pkg\n", "tool is to call 'pkg', which is not 'module:function'"),
        (b"[console_scripts]\ntool = import os; os.abort()\n", "which is not 'module:function'"),
        (b"[console_scripts]\ntool =\n", "which is not 'module:function'"),
        (b"[console_scripts]\rtool = pkg:f\r", "take for the end of a line"),
        (b"[console_scripts]\ntool = pkg:f\x0c\n", "take for the end of a line"),
    ],
)
def test_entry_points_that_make_no_program_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse_scripts(content)
    path = write_wheel(tmp_path, wheel_entries(files={"entry_points.txt": content}))
    assert [member for member, _ in problems_of(path)] == [f"{INFO}/entry_points.txt"]


def test_a_program_that_is_in_the_wheel_twice_is_refused(tmp_path: Path) -> None:
    entry_points = {"entry_points.txt": b"[console_scripts]\ntool = pkg:f\n"}
    path = write_wheel(tmp_path, wheel_entries(SCRIPT, files=entry_points))
    assert problems_of(path) == [
        (SCRIPT.name, "also an entry point: installers disagree on which one is installed")
    ]


def test_programs_of_both_kinds_live_side_by_side(tmp_path: Path) -> None:
    entry_points = {"entry_points.txt": b"[console_scripts]\nother = pkg:f\n"}
    with Archive(write_wheel(tmp_path, wheel_entries(SCRIPT, files=entry_points))) as archive:
        assert SCRIPT.name in read_wheel(archive).members
