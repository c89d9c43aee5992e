"""RECORD, METADATA and WHEEL that have no end, or that say one thing to one reader and another to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.judged import assert_refused, assert_taken, hostile, merged
from tests.hostile.test_bombs import announced
from tests.wheel.zips import INFO, WHEEL_FILE, Entry, wheel_entries, write_wheel
from tests.wheels import contents, metadata
from wheelfuse.errors import InvalidInput
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.wheel import read_wheel

ROWS = wheel_entries()[-1].content.decode()
MIB = 1 << 20


@pytest.mark.parametrize("file", ["RECORD", "METADATA", "WHEEL"])
def test_a_text_of_hundreds_of_megabytes_is_refused_and_not_inflated(
    tmp_path: Path, inflated: list[int], file: str
) -> None:
    entries = [entry for entry in wheel_entries() if not entry.name.endswith(file)]
    path = write_wheel(tmp_path, [*entries, announced(f"{INFO}/{file}", 200 * MIB)])
    assert_refused(
        path, f"{200 * MIB} bytes, where at most", member=f"{INFO}/{file}", todo="Build the wheel again."
    )
    with Archive(path) as archive, pytest.raises(InvalidInput):
        read_wheel(archive)
    assert sum(inflated) < MIB


RECORDS = [
    ("empty rows", ROWS + "\n" * 20_000, "RECORD has 20004 lines, for 4 files"),
    ("rows that are none", ROWS + "a\n" * 900, "RECORD was not read from line 105 on"),
    (
        "a row for a file elsewhere",
        ROWS + "../../etc/passwd,sha256=AA,1\n",
        "listed in RECORD, but not in the wheel",
    ),
    (
        "two files in one row",
        ROWS.replace("pkg/__init__.py,", '"pkg/__init__.py\npkg/b.py",'),
        "not listed in RECORD",
    ),
    ("a quote without end", ROWS + '"pkg/a.py,sha256=AA,1\n', "is not 'path,hash,size'"),
    ("a field without end", ROWS + "a" * 140_000 + ",sha256=AA,1\n", "field larger than field limit"),
    ("a size of many digits", ROWS + f"pkg/a.py,sha256=AA,{'9' * 5000}\n", "is not 'path,hash,size'"),
    ("twice", ROWS + ROWS.splitlines()[0], "listed twice in RECORD"),
    ("not UTF-8", None, "RECORD cannot be read"),
]


@pytest.mark.parametrize("record, text", [case[1:] for case in RECORDS], ids=[case[0] for case in RECORDS])
def test_a_record_that_is_none_is_refused(tmp_path: Path, record: str | None, text: str) -> None:
    if record is None:
        entries = [*wheel_entries()[:-1], Entry(f"{INFO}/RECORD", b"\xff,,\n")]
        path = write_wheel(tmp_path, entries)
    else:
        path = hostile(tmp_path, record=record)
    assert_refused(path, text)


def test_a_name_that_csv_must_quote_is_one_name(tmp_path: Path) -> None:
    name = 'pkg/a,sha256=AA,1",=cmd|x.py'
    row = '"pkg/a,sha256=AA,1"",=cmd|x.py",' + ROWS.splitlines()[0].partition(",")[2]
    path = hostile(tmp_path, Entry(name, b"value = 1\n"), record=f"{row}\n{ROWS}")
    assert_taken(path)
    record = contents(next((tmp_path / "out").iterdir()))[f"{INFO}/RECORD"].decode()
    assert row in record.splitlines()


def text(extra: str) -> bytes:
    return metadata(extra=extra).encode()


METADATA = [
    ("a version of many digits", metadata(version="9" * 5000).encode(), "Version is 5000 letters long"),
    ("a name without end", metadata("p" * MIB).encode(), f"Name is {MIB} letters long"),
    ("endless Requires-Python", metadata(requires_python=">=3,"  * 1000 + ">=3").encode(), "Requires-Python is"),
    ("parentheses", text(f"Requires-Dist: a; {'(' * 900}extra == 'x'{')' * 900}"), "more than 64 parentheses"),
    ("fields without end", b"A:\n" * 200_000, "more than 100000 lines of header fields"),
    ("a second name", text("Name: other"), "needs one field Name, but has 2"),
    ("a second name after a carriage return", text("Summary: x\rName: other"), "needs one field Name, but has 2"),
    ("a second Requires-Python", text("Requires-Python: >=3.8"), "Requires-Python occurs 2 times"),
    ("a line that is no field", text("Summary x"), "is no header field"),
    ("not UTF-8", text("").replace(b"A package", b"\xff"), "not UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize("content, why", [case[1:] for case in METADATA], ids=[case[0] for case in METADATA])
def test_metadata_that_no_parser_survives_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    assert_refused(hostile(tmp_path, files={"METADATA": content}), why, member=f"{INFO}/METADATA")


def test_a_field_in_the_fold_of_another_stays_there(tmp_path: Path) -> None:
    path = hostile(tmp_path, files={"METADATA": text("Summary: x\n Version: 9.9\n\tName: other")})
    assert_taken(path)
    assert (
        contents(next((tmp_path / "out").iterdir()))[f"{INFO}/METADATA"] == contents(path)[f"{INFO}/METADATA"]
    )


def test_a_body_of_millions_of_lines_is_not_read_line_by_line(tmp_path: Path) -> None:
    assert_taken(hostile(tmp_path, files={"METADATA": metadata().encode() + b"\n" * (8 * MIB)}))


SETS = "-".join(".".join(f"a{number}" for number in range(300)) for _ in range(3))
WHEELS = [
    ("a version of many digits", WHEEL_FILE.replace(b"1.0", b"1" * 5000), "Wheel-Version is '1111"),
    ("tags multiplied", WHEEL_FILE + f"Tag: {SETS}\n".encode(), "it states 27000001 tags or more"),
    (
        "tags added up",
        WHEEL_FILE + b"".join(b"Tag: a.b.c.d-a.b.c.d-%d\n" % n for n in range(5000)),
        "tags or more",
    ),
    (
        "a tag in a fold",
        WHEEL_FILE + b"Tag: cp39-cp39-any\n Root-Is-Purelib: true\n",
        "not python-abi-platform",
    ),
    ("a second version", WHEEL_FILE + b"wheel-version: 2.0\n", "Wheel-Version occurs 2 times"),
]


@pytest.mark.parametrize("content, why", [case[1:] for case in WHEELS], ids=[case[0] for case in WHEELS])
def test_a_wheel_file_without_end_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    assert_refused(hostile(tmp_path, files={"WHEEL": content}), why, member=f"{INFO}/WHEEL")


def test_a_thousand_directories_of_metadata_are_told_in_a_line(tmp_path: Path) -> None:
    more = (Entry(f"pkg{number}-1.0.dist-info/METADATA") for number in range(1000))
    path = hostile(tmp_path, *more)
    assert_refused(path, "needs exactly one directory pkg-1.0.dist-info, but has: pkg")
    assert len(merged(path).text) < 1000


def test_provenance_without_end_is_refused(tmp_path: Path) -> None:
    name = f"{INFO}/wheelfuse.json"
    deep = hostile(tmp_path, files={"wheelfuse.json": b"[" * 100_000})
    done = merged(deep)
    assert done.code == 3
    assert "unreadable provenance: RecursionError" in done.text
    long = hostile(tmp_path, announced(name, 100 * MIB))
    done = merged(long)
    assert (done.code, f"{name}: {100 * MIB} bytes, where at most" in done.text) == (3, True)
