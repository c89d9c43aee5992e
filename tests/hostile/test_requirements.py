"""What METADATA requires, where that cannot be read, means nothing, has no end, or says something else once merged."""

from __future__ import annotations

import email
import io
import struct
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.hostile.judged import assert_refused, assert_taken, command, hostile
from tests.hostile.test_provenance import forged
from tests.wheel.zips import INFO, WHEEL_FILE, Entry
from tests.wheels import PLATFORM, contents, metadata

MEMBER = f"{INFO}/METADATA"
DIGITS = "9" * 5000
MIB = 1 << 20


def stating(*requirements: str) -> bytes:
    return metadata(extra="\n".join(f"Requires-Dist: {item}" for item in requirements)).encode()


def merged_pair(
    directory: Path, files: dict[str, dict[str, bytes]], *extra: tuple[str, dict[str, bytes]]
) -> subprocess.CompletedProcess[str]:
    """A merge of two wheels: by target, the files of ``.dist-info`` that are not as usual; and *extra* members."""
    for target, own in files.items():
        texts = {"WHEEL": WHEEL_FILE.replace(b"cp312", target.encode()), **own}
        members = (Entry(path, each[target], deflated=True) for path, each in extra)
        hostile(directory, *members, files=texts, name=f"pkg-1.0-{target}-{target}-{PLATFORM}.whl")
    done = command("merge", directory, "-o", directory / "out", "--expect", ",".join(files))
    assert "Traceback" not in done.stderr, done.stderr
    return done


def merged_requirements(directory: Path) -> list[str]:
    """The requirements in the fused METADATA, as `email` reads them."""
    content = contents(next((directory / "out").iterdir()))[MEMBER]
    message = email.message_from_string(content.decode())
    assert message.get_all("Name") == ["pkg"]
    assert message.get_all("Version") == ["1.0"]
    return [" ".join(str(value).split()) for value in message.get_all("Requires-Dist", [])]


MEANINGLESS = [
    "os_name ~= 'x'",
    "python_version ~= 'x'",
    "os_name === 'posix'",
    "'5' ~= platform_release",
    "'a' == 'b'",
    "'a' in extras",
    "python_version > '3' and sys_platform ~= 'x'",
]


@pytest.mark.parametrize("marker", MEANINGLESS)
def test_a_requirement_whose_marker_means_nothing_is_refused(tmp_path: Path, marker: str) -> None:
    path = hostile(tmp_path, files={"METADATA": stating(f"torch>=2; {marker}", "numpy")})
    assert_refused(path, "which pip refuses: its marker cannot be evaluated", member=MEMBER)


@pytest.mark.parametrize(
    "text", [r"a; os_name == 'posi\x78'", r"a; python_version < '\12' and '' > python_version"]
)
def test_a_marker_with_an_escape_is_refused(tmp_path: Path, text: str) -> None:
    """pip installs the first on Linux, and uv does not."""
    path = hostile(tmp_path, files={"METADATA": stating(text)})
    assert_refused(path, "whose marker has a backslash: packaging takes it for an escape", member=MEMBER)


@pytest.mark.parametrize(
    "text", ["((", "", "-a", "a (1.0)", "a>=1.0.*", "a~=1", "a[", "a; b == '1'", "a @ not a url"]
)
def test_a_requirement_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    assert_refused(hostile(tmp_path, files={"METADATA": stating(text)}), "which pip refuses: ", member=MEMBER)


ENDLESS = [
    (f"torch; python_version > '{DIGITS}'", "Requires-Dist has a number of hundreds of digits: "),
    (f"torch>={DIGITS}", "Requires-Dist has a number of hundreds of digits: 'torch>=999"),
    (f"torch @ https://x/{'a' * 70_000}", "Requires-Dist is 70018 letters long: 'torch @ https"),
    ("torch " + ",".join(f"!={n}.*" for n in range(10_001)), "list 10001 things, where at most 10000"),
    ("\n".join(["torch", *(f"Requires-Dist: a{n}" for n in range(10_000))]), "list 10001 things"),
    ("\n".join(["a", *(f"Requires-Dist: {'b' * 60_000}" for _ in range(20))]), "1200001 letters, where at most"),
]  # fmt: skip


@pytest.mark.parametrize(("requirement", "why"), ENDLESS, ids=[why[:40] for _, why in ENDLESS])
def test_requirements_without_end_are_refused(tmp_path: Path, requirement: str, why: str) -> None:
    assert_refused(hostile(tmp_path, files={"METADATA": stating(requirement)}), why, member=MEMBER)


def test_thousands_of_clauses_and_markers_are_answered(tmp_path: Path) -> None:
    clauses = (f"torch!=9.{n}.*; python_version > '3.{n % 20}'" for n in range(9_000))
    assert_taken(hostile(tmp_path, files={"METADATA": stating(*clauses)}))


def test_thousands_of_requirements_that_differ_are_merged(tmp_path: Path) -> None:
    texts = {t: {"METADATA": stating(*(f"a{n}>={t[3:]}" for n in range(4_000)))} for t in ("cp311", "cp312")}
    assert merged_pair(tmp_path, texts).returncode == 0
    found = merged_requirements(tmp_path)
    assert len(found) == 8_000
    assert found[:2] == ['a0>=12; python_version >= "3.12"', 'a0>=11; python_version < "3.12"']


def test_thousands_of_fields_that_differ_are_told_in_a_few_lines(tmp_path: Path) -> None:
    texts = {
        t: {"METADATA": metadata(extra="\n".join(f"Classifier: {t} {n}" for n in range(9_000))).encode()}
        for t in ("cp311", "cp312")
    }
    done = merged_pair(tmp_path, texts)
    assert (done.returncode, "; 17980 more" in done.stderr) == (4, True)
    assert len(done.stderr) < 5_000


@pytest.mark.parametrize("version", [f"{DIGITS}.1", f"2.{DIGITS}", "1000.0", "²..1"])
def test_a_metadata_version_that_is_none_is_a_conflict(tmp_path: Path, version: str) -> None:
    texts = {
        t: {"METADATA": stating(t).replace(b": 2.1", f": {version}".encode(), 1)} for t in ("cp311", "cp312")
    }
    done = merged_pair(tmp_path, texts)
    assert done.returncode == 4
    assert "METADATA of cp312 cannot be read: it needs one Metadata-Version" in done.stderr
    assert len(done.stderr) < 5_000


INJECTIONS = [
    "os_name == 'a\" or os_name != \"b'",
    "os_name == \"a' or os_name != 'b\"",
    "os_name == 'x' or python_version >= '3'",
    "os_name == 'posix' or os_name == 'posix'",
    "os_name == 'posix' or (os_name == 'posix' and os_name == 'posix')",
    "os_name == 'x\r Name: other'",
    "os_name == 'x\n Version: 2.0'",
    "os_name == '\x0bName: other'",
    "os_name == '\x85Name: other'",
    "os_name == '\u2028Name: other'",
    "os_name == 'x'\n\tand python_version < '4'",
    "extra == 'a) or (b'",
]


@pytest.mark.parametrize("marker", INJECTIONS)
def test_a_marker_that_is_limited_to_some_pythons_says_nothing_else(tmp_path: Path, marker: str) -> None:
    stated = f"evil; {marker}"
    texts = {"cp311": {"METADATA": stating(stated)}, "cp312": {"METADATA": stating()}}
    # read as bytes, for the parser of text in between would end lines at more letters
    texts["cp311"]["METADATA"] = (
        metadata(extra="X: Y").encode().replace(b"X: Y", f"Requires-Dist: {stated}".encode())
    )
    done = merged_pair(tmp_path, texts)
    if done.returncode:
        assert (done.returncode, "cannot be parsed" in done.stderr) == (4, True), done.stderr
        return
    own = Requirement(" ".join(stated.split()))
    (text,) = merged_requirements(tmp_path) or [None]
    for minor, has in ((11, True), (12, False)):
        for os_name in ("posix", "x", "a", "b", 'a" or os_name != "b'):
            environment = {"python_version": f"3.{minor}", "os_name": os_name, "extra": ""}
            assert own.marker is not None
            wanted = has and own.marker.evaluate(environment)
            marked = Requirement(text).marker if text else None
            assert bool(marked and marked.evaluate(environment)) == wanted


@pytest.mark.parametrize("size", [MIB + 1, 5 * MIB])
def test_a_wheel_file_of_megabytes_is_refused(tmp_path: Path, size: int) -> None:
    content = WHEEL_FILE + b"\n"
    path = hostile(tmp_path, files={"WHEEL": content + b"x" * (size - len(content))})
    assert_refused(path, f"{size} bytes, where at most {MIB} make sense", member=f"{INFO}/WHEEL")


def test_a_wheel_file_of_megabytes_out_of_provenance_is_refused(tmp_path: Path) -> None:
    def longer(item: dict[str, object]) -> None:
        restore = item["restore"]
        assert isinstance(restore, dict)
        restore[f"{INFO}/WHEEL"] += "\n" + "x" * (5 * MIB)
        item["lost"] = [  # so that nobody holds RECORD against its digest
            {
                "path": "pkg/a",
                "digest": "",
                "size": 0,
                "mode": 0,
                "fate": "dropped",
                "why": "",
                "strategy": "",
            }
        ]

    path = forged(tmp_path, longer)
    done = command("merge", path, "-o", tmp_path / "out")
    assert done.returncode == 3, done.stderr
    assert f"{path.name} (cp311): {INFO}/wheelfuse.json: {INFO}/WHEEL of 52" in done.stderr


UNREADABLE = [
    (">=" + "9" * 900, "Requires-Python has a number of hundreds of digits: '>=999"),
    (",".join(f">=3.{n}" for n in range(10_000, 60_000)), "Requires-Python is 499999 letters long: '>=3.1"),
    ("junk", "Requires-Python: Invalid specifier: 'junk'"),
    (">=3.8\nName: evil", "Requires-Python: Invalid specifier: '>=3.8\\nName: evil'"),
]


@pytest.mark.parametrize(("value", "why"), UNREADABLE, ids=[why[:40] for _, why in UNREADABLE])
def test_a_requires_python_out_of_provenance_names_wheel_and_member(
    tmp_path: Path, value: str, why: str
) -> None:
    path = forged(tmp_path, lambda item: item.update(requires_python=value))
    done = command("merge", path, "-o", tmp_path / "out")
    assert done.returncode == 3, done.stderr
    assert f"{path.name} (cp311): {INFO}/wheelfuse.json: {why}" in done.stderr
    assert "Take the wheel that wheelfuse wrote, unchanged." in done.stderr
    assert len(done.stderr) < 5_000


def endless_archive(target: str, count: int = 1_500_000) -> bytes:
    """A zip file with nothing but a directory."""
    fixed = (b"PK\1\2", 20, 3, 20, 0, 0, 0, 0x21, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0)
    directory = (struct.pack("<4sBBHHHHHIIIHHHHHII", *fixed) + b"abcd") * count
    start = b"PK\3\4" + target.encode()
    record = struct.pack(
        "<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(start)
    )
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(directory) + len(start), 1)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(directory), len(start), 0)
    return start + directory + record + locator + end


def lying_archive(target: str) -> bytes:
    """The same, with an end that tells of one member."""
    content = bytearray(endless_archive(target))
    struct.pack_into("<QQ", content, len(content) - 22 - 20 - 56 + 24, 1, 1)
    struct.pack_into("<HH", content, len(content) - 22 + 8, 1, 1)
    return bytes(content)


@pytest.mark.parametrize("archive", [endless_archive, lying_archive])
def test_the_directory_of_an_archive_in_a_wheel_is_read_within_bounds(tmp_path: Path, archive) -> None:  # type: ignore[no-untyped-def]
    targets: dict[str, dict[str, bytes]] = {"cp311": {}, "cp312": {}}
    done = merged_pair(tmp_path, targets, ("pkg/a.npz", {target: archive(target) for target in targets}))
    assert (done.returncode, "error: pkg/a.npz: differing data" in done.stderr) == (4, True), done.stderr


def archives(count: int) -> Iterator[bytes]:
    """Two archives of equal members, in another order."""
    for step in (1, -1):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for number in range(count)[::step]:
                archive.writestr(zipfile.ZipInfo(f"{number}.npy"), b"x")
        yield file.getvalue()


@pytest.mark.parametrize(("count", "code"), [(1000, 0), (60_000, 4)])
def test_an_archive_with_more_members_than_are_listed_is_compared_as_it_is(
    tmp_path: Path, count: int, code: int
) -> None:
    targets: dict[str, dict[str, bytes]] = {"cp311": {}, "cp312": {}}
    done = merged_pair(tmp_path, targets, ("pkg/a.npz", dict(zip(targets, archives(count), strict=True))))
    assert done.returncode == code, done.stderr
