"""RECORD: read, written, and held against the wheel that it lists."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from tests.wheel.zips import INFO, NAME, Entry, record_rows, wheel_entries, write_wheel
from tests.wheels import contents, wheelfuse
from wheelfuse.errors import InvalidInput
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.record import RecordEntry, encode_digest, format_record, hex_digest, parse_record
from wheelfuse.wheel.wheel import read_wheel

PATH = "pkg/__init__.py"
CONTENT = b"value = 1\n"


def encoded(algorithm: str, content: bytes = CONTENT) -> str:
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest())
    return f"{algorithm}={digest.rstrip(b'=').decode()}"


def test_rows_are_read_with_quotes_and_either_line_end() -> None:
    content = b'"a,b.py",sha256=AA,1\r\nc.py,sha384=BB==,\npkg-1.0.dist-info/RECORD,,\n'
    assert parse_record(content) == (
        RecordEntry("a,b.py", "sha256", "AA", 1),
        RecordEntry("c.py", "sha384", "BB", -1),
        RecordEntry("pkg-1.0.dist-info/RECORD", "", "", -1),
    )


@pytest.mark.parametrize("content", [b"a.py,,\n\nb.py,,\n", b"a.py,,\n\n", b"\na.py,,\n", b"a.py,,\r\n\r\n"])
def test_a_row_without_anything_is_refused_as_pip_and_installer_do(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"RECORD line \d is not 'path,hash,size': ''"):
        parse_record(content)


def test_what_is_written_is_read_back() -> None:
    entries = (RecordEntry('a "b", c.py', "sha256", "AA", 0), RecordEntry("ü.py", "sha256", "B_-", 12),
               RecordEntry("x/RECORD", "", "", -1))  # fmt: skip
    assert parse_record(format_record(entries)) == entries
    assert format_record(entries, "\r\n").count(b"\r\n") == 3


@pytest.mark.parametrize("content, text", [
    (b"a.py,sha256=AA\n", "line 1 is not 'path,hash,size'"),
    (b"a.py,,\nb.py,sha256=AA,1,2\n", "line 2 is not"),
    (b"a.py,sha256=AA,many\n", "line 1 is not"),
    (b"a.py,sha256=AA,-1\n", "line 1 is not"),
    (b"a.py,sha256=AA,1_0\n", "line 1 is not"),
    (b"a.py,=AA,1\n", "line 1 is not"),
    (b"a\0.py,,\n", "line 1 is not|line contains NUL"),
    (b"a.py,,\na.py,,\n", "listed twice in RECORD"),
    (b"\xff,,\n", "cannot be read"),
])  # fmt: skip
def test_what_is_no_record_is_refused(content: bytes, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        parse_record(content)


def test_digests_are_urlsafe_and_unpadded() -> None:
    digest = bytes(range(0xDD, 0xFD))
    spelled = encode_digest(digest)
    assert "=" not in spelled and "+" not in spelled and "/" not in spelled
    assert hex_digest(spelled) == digest.hex()


def refusal(tmp_path: Path, record: str, *extra: Entry) -> list[tuple[str, str]]:
    """Member and text of each reason for which a wheel with this RECORD is refused, without reading its members."""
    path = write_wheel(tmp_path, wheel_entries(*extra, record=record))
    with Archive(path) as archive, pytest.raises(InvalidInput) as caught:
        read_wheel(archive)
    assert {problem.wheel for problem in caught.value.problems} == {NAME}
    return sorted((problem.member, problem.what) for problem in caught.value.problems)


GOOD = record_rows(wheel_entries()[:-1])
ROW = GOOD.splitlines()[0]


@pytest.mark.parametrize("record, member, text", [
    (GOOD.replace(ROW, f"{PATH},{encoded('sha256')},11"), PATH, "RECORD says 11 bytes, but it has 10"),
    (GOOD.replace(ROW + "\n", ""), PATH, "not listed in RECORD"),
    (GOOD + "pkg/gone.py,sha256=AA,1\n", "pkg/gone.py", "listed in RECORD, but not in the wheel"),
    (GOOD + "/etc/passwd,sha256=AA,1\n", "/etc/passwd", "listed in RECORD, but not in the wheel"),
    (GOOD + "../x,sha256=AA,1\n", "../x", "listed in RECORD, but not in the wheel"),
    (GOOD + ROW, PATH, "listed twice in RECORD"),
    (GOOD.replace(ROW, f"{PATH},,10"), PATH, "without a digest"),
    (GOOD.replace(ROW, f"{PATH},{encoded('md5')},10"), PATH, "digest by md5"),
    (GOOD.replace(ROW, f"{PATH},{encoded('sha1')},10"), PATH, "digest by sha1"),
    (GOOD.replace(ROW, f"{PATH},crc32=AA,10"), PATH, "digest by crc32"),
    (GOOD.replace(f"{INFO}/RECORD,,", f"{INFO}/RECORD,sha256=AA,"), f"{INFO}/RECORD", "which it cannot have"),
    (GOOD.replace(f"{INFO}/RECORD,,", f"{INFO}/RECORD,,9"), f"{INFO}/RECORD", "which it cannot have"),
    (GOOD + "a,b\n", f"{INFO}/RECORD", "is not 'path,hash,size'"),
])  # fmt: skip
def test_a_record_that_contradicts_the_wheel_is_refused(
    tmp_path: Path, record: str, member: str, text: str
) -> None:
    [(named, what)] = refusal(tmp_path, record)
    assert named == member
    assert text in what


def test_every_contradiction_is_told_in_one_run(tmp_path: Path) -> None:
    record = f"gone.py,sha256=AA,1\n{INFO}/RECORD,,\n"
    members = [member for member, _ in refusal(tmp_path, record)]
    assert members == ["gone.py", f"{INFO}/METADATA", f"{INFO}/WHEEL", PATH]


MERGE_CASES = {
    "digest": (GOOD.replace(encoded("sha256"), encoded("sha256", b"other")), "its sha256 digest is not the one"),
    "sha512": (GOOD.replace(encoded("sha256"), encoded("sha512", b"other")), "its sha512 digest is not the one"),
    "unlisted": (GOOD.replace(ROW + "\n", ""), "not listed in RECORD"),
    "md5": (GOOD.replace(ROW, f"{PATH},{encoded('md5')},10"), "digest by md5"),
}  # fmt: skip


@pytest.mark.parametrize("record, text", MERGE_CASES.values(), ids=MERGE_CASES)
def test_merge_refuses_and_leaves_nothing(tmp_path: Path, record: str, text: str) -> None:
    path = write_wheel(tmp_path / "in", wheel_entries(record=record))
    (tmp_path / "out").mkdir()
    done = wheelfuse("merge", path, "-o", tmp_path / "out", "--expect", "cp312")
    assert done.returncode == 3
    assert f"{NAME}: {PATH}: {text}" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_stronger_digests_are_verified_and_become_sha256(tmp_path: Path, algorithm: str) -> None:
    record = GOOD.replace(encoded("sha256"), encoded(algorithm))
    path = write_wheel(tmp_path / "in", wheel_entries(record=record))
    done = wheelfuse("merge", path, "-o", tmp_path / "out", "--expect", "cp312", "-q")
    assert done.returncode == 0, done.stderr
    rows = contents(Path(done.stdout.strip()))[f"{INFO}/RECORD"].decode().splitlines()
    assert f"{PATH},{encoded('sha256')},10" in rows


def test_a_row_without_a_size_is_accepted(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, wheel_entries(record=GOOD.replace(ROW, f"{PATH},{encoded('sha256')},")))
    with Archive(path) as archive:
        assert read_wheel(archive).record[PATH].size == -1


@pytest.mark.parametrize("name", ["RECORD.jws", "RECORD.p7s"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_signature_is_left_out_with_a_warning(tmp_path: Path, name: str, listed: bool) -> None:
    record = GOOD + f"{INFO}/{name},,\n" if listed else GOOD
    path = write_wheel(tmp_path / "in", wheel_entries(Entry(f"{INFO}/{name}", b"{}"), record=record))
    done = wheelfuse("merge", path, "-o", tmp_path / "out", "--expect", "cp312")
    assert done.returncode == 0, done.stderr
    assert f"{NAME}: {INFO}/{name}: a signature cannot survive" in done.stderr
    output = contents(next((tmp_path / "out").iterdir()))
    assert f"{INFO}/{name}" not in output
    assert name.encode() not in output[f"{INFO}/RECORD"]
