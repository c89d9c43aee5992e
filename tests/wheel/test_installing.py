"""What some installers refuse, or install otherwise than others, is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wheel.zips import INFO, Entry, wheel_entries, write_wheel
from wheelfuse.errors import InvalidInput
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.installing import disagreements, parse_scripts
from wheelfuse.wheel.wheel import read_wheel

SCRIPT = Entry("pkg-1.0.data/scripts/tool", b"#!python\n")


def problems_of(path: Path) -> list[tuple[str, str]]:
    """Member and text of every reason for which the wheel is refused."""
    with pytest.raises(InvalidInput) as caught, Archive(path) as archive:
        read_wheel(archive)
    return [(problem.member, problem.what) for problem in caught.value.problems]


KNOWN = "installers know pkg-1.0.data and no other, with data, headers, platlib, purelib, scripts in it"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("pkg-1.0.data/scripts/tool", ""),
        ("pkg-1.0.data/purelib/pkg/b.py", ""),
        ("pkg-1.0.data/data/etc/a", ""),
        ("pkg/a.data/x", ""),
        ("a.data", ""),
        ("pkg-1.0.data/scripts/", ""),
        ("other-1.0.data/", ""),
        ("pkg-1.0.data/a.py", KNOWN),
        ("pkg-1.0.data/odd/a.py", KNOWN),
        ("pkg-1.0.data/odd/", KNOWN),
        ("Pkg-1.0.data/scripts/tool", KNOWN),
        ("other-1.0.data/purelib/a.py", KNOWN),
        ("pkg-1.0.data/scripts/more/tool", "a directory in that of the scripts, which uv refuses"),
        ("pkg-1.0.data/scripts/more/", "a directory in that of the scripts, which uv refuses"),
        ("pkg-1.0.data/scripts/python", "a script of the interpreter's name, which uv refuses"),
        ("pkg-1.0.data/scripts/Python3.13t", "a script of the interpreter's name, which uv refuses"),
        ("pkg-1.0.data/scripts/python.exe", "a script of the interpreter's name, which uv refuses"),
        ("pkg-1.0.data/scripts/pythonic", ""),
    ],
)
def test_only_the_directories_of_data_that_there_are_hold_files(path: str, said: str) -> None:
    files = [] if path.endswith("/") else [path]
    directories = [path[:-1]] if path.endswith("/") else []
    assert list(disagreements(files, directories, INFO, ())) == ([(said, path)] if said else [])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pkg/a.py", "pkg-1.0.data/purelib/pkg/a.py"),
        ("pkg/a.py", "pkg-1.0.data/platlib/pkg/a.py"),
        ("pkg/a.py", "pkg-1.0.data/data/lib/python3.12/site-packages/pkg/a.py"),
        ("pkg-1.0.data/purelib/a.py", "pkg-1.0.data/platlib/a.py"),
        ("pkg-1.0.data/scripts/tool", "pkg-1.0.data/data/bin/tool"),
        (f"{INFO}/RECORD", f"pkg-1.0.data/purelib/{INFO}/RECORD"),
    ],
)
def test_two_files_that_are_installed_at_one_place_are_refused(one: str, other: str) -> None:
    said = f"installed where {one} is, too; installers disagree on which one counts"
    assert list(disagreements([one, other], [], INFO, ())) == [(said, other)]


def test_a_file_that_is_installed_where_a_directory_is_is_refused() -> None:
    found = disagreements(["pkg/l/a.py", "pkg-1.0.data/purelib/pkg/l"], [], INFO, ())
    assert list(found) == [("installed where the directory of other files is", "pkg-1.0.data/purelib/pkg/l")]


@pytest.mark.parametrize(
    "other", [Entry("x-1.0.dist-info/"), Entry("x-1.0.dist-info", b"x"), Entry("x-1.0.dist-info/a", b"x")]
)
def test_two_directories_of_statements_are_refused_even_if_one_is_empty(tmp_path: Path, other: Entry) -> None:
    ((_, said),) = problems_of(write_wheel(tmp_path, wheel_entries(other)))
    assert said == f"needs exactly one directory {INFO}, but has: {INFO}, x-1.0.dist-info"


@pytest.mark.parametrize(
    "name", ["pkg-1.0.data/odd/a.py", "pkg-1.0.data/a.py", "other-1.0.data/purelib/a.py"]
)
def test_a_file_that_no_installer_can_place_is_named(tmp_path: Path, name: str) -> None:
    path = write_wheel(tmp_path, wheel_entries(Entry(name, b"x")))
    assert problems_of(path) == [(name, KNOWN)]


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
        (b"[console_scripts]\nPython3 = pkg:f\n", "Python3 is a program of the interpreter's own"),
        (b"[gui_scripts]\n" + 101 * b"a" + b" = pkg:f\n", "is no name of a program"),
        (b"[gui_scripts]\na = b:c\n[console_scripts]\na = b:d\n", "both of the console and with windows"),
        (b"[DEFAULT]\na = b:c\n", "a group named DEFAULT"),
        (b"[x]\n" + (1 << 20) * b"#", "1048580 bytes, where at most 1048576 bytes in 10000 lines make sense"),
        (20_000 * b"x\n", "20000 lines, where at most"),
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
        (
            SCRIPT.name,
            f"installed where the program of {INFO}/entry_points.txt is, too; installers disagree on which one counts",
        )
    ]


def test_programs_of_both_kinds_live_side_by_side(tmp_path: Path) -> None:
    entry_points = {"entry_points.txt": b"[console_scripts]\nother = pkg:f\n"}
    with Archive(write_wheel(tmp_path, wheel_entries(SCRIPT, files=entry_points))) as archive:
        assert SCRIPT.name in read_wheel(archive).members
