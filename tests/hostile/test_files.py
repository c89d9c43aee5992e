"""What lies where a file should be: named pipes, devices, links to them, files without end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hostile.judged import command
from tests.native import library, module, soabi
from tests.wheels import build_wheel, metadata
from wheelfuse.content import NotAFile, opened, read_small
from wheelfuse.target import Target

NOT_REGULAR = "cannot be read: not a regular file"


def unpacked(directory: Path) -> Path:
    """The directory ``.dist-info`` of a wheel that was unpacked."""
    info = directory / "pkg-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(metadata())
    return info


def audited(*arguments: object) -> str:
    """What the audit says of what it cannot pass."""
    done = command("audit", *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    assert (done.returncode, done.stderr) == (1, "")
    return done.stdout


@pytest.mark.parametrize(
    ("name", "said"), [("x.so", NOT_REGULAR), ("x.zip", "not a file"), ("x", NOT_REGULAR)]
)
def test_a_named_pipe_is_not_waited_for(tmp_path: Path, name: str, said: str) -> None:
    os.mkfifo(tmp_path / name)
    assert said in audited(tmp_path / name)


def test_a_named_pipe_in_a_tree_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "_x.so")
    said = audited(tmp_path)
    assert "_x.so" in said and NOT_REGULAR in said


@pytest.mark.parametrize("name", ["METADATA", "WHEEL"])
def test_a_named_pipe_among_the_statements_of_an_unpacked_wheel_is_told_once(
    tmp_path: Path, name: str
) -> None:
    path = unpacked(tmp_path) / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    said = audited(tmp_path)
    assert (said.count(f"pkg-1.0.dist-info/{name}"), said.count(NOT_REGULAR)) == (1, 1)


def test_a_device_among_them_is_not_read(tmp_path: Path) -> None:
    path = unpacked(tmp_path) / "METADATA"
    path.unlink()
    path.symlink_to("/dev/zero")
    assert NOT_REGULAR in audited(tmp_path)


def test_an_endless_one_is_not_read(tmp_path: Path) -> None:
    os.truncate(unpacked(tmp_path) / "METADATA", 20 << 30)
    assert f"{20 << 30} bytes, where at most {16 << 20} make sense" in audited(tmp_path)


def test_python_code_is_read_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "a.py").touch()
    os.truncate(tmp_path / "pkg" / "a.py", 3 << 30)  # three times the memory that the command gets
    done = command("audit", tmp_path, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_single_file_is_held_against_the_limits(tmp_path: Path) -> None:
    (tmp_path / "a.so").touch()
    os.truncate(tmp_path / "a.so", 20 << 30)
    for given in (tmp_path, tmp_path / "a.so"):
        said = audited(given)
        assert f"{20 << 30} bytes, more than the 16GiB that one file may have" in said
        assert "--max-member-size 20GiB" in said
    (tmp_path / "a.so").write_bytes(b"\x7fELF" + bytes(2000))
    assert "more than the 1KiB that one file may have" in audited(tmp_path, "--max-member-size", "1KiB")


def test_a_named_pipe_for_a_library_is_no_library(tmp_path: Path) -> None:
    target = Target(12)
    with_library = module(
        "_x", target, declare="extern int one(void);", body="one();",
        beside={"libone.so": library("int one(void) { return 1; }", "libone.so")},
    )  # fmt: skip
    wheel = build_wheel(tmp_path / "in", "cp312", {f"pkg/{soabi('_x', target)}": with_library})
    (tmp_path / "with").mkdir()
    os.mkfifo(tmp_path / "with" / "libone.so")
    done = command("audit", wheel, "--with", tmp_path / "with")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"error: {tmp_path}/with/libone.so: {NOT_REGULAR}\n" in done.stderr


def test_what_is_read_whole_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_small(path, 5) == b"12345"
    with pytest.raises(OSError, match="5 bytes, where at most 4 make sense"):
        read_small(path, 4)
    for other in (tmp_path, Path("/dev/zero")):
        with pytest.raises(NotAFile), opened(other):
            pass
