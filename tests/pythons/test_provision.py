"""Missing CPythons come by uv, or it is told what to do."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.pythons.machines import fake, headers
from wheelfuse.errors import JobFailed
from wheelfuse.interpreters import environments, provision
from wheelfuse.interpreters.api import pythons
from wheelfuse.interpreters.matrix import MatrixOptions
from wheelfuse.target import Target

CP313 = Target(13)
MACHINE = os.uname().machine


@pytest.fixture
def offers(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of what uv may download; nothing else can be had."""
    downloads = machine / "downloads.json"
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(downloads))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(machine / "uv"))
    monkeypatch.setenv("UV_PYTHON_BIN_DIR", str(machine / "bin"))
    return downloads


def offer(downloads: Path, **answer: Any) -> Path:
    """An archive with CPython 3.13.99, whose interpreter only says what it is; *answer* changes that."""
    directory, archive = downloads.parent, downloads.with_name("cpython.tar.gz")
    include = headers(directory / "include", 13)
    prefix = directory / "python"
    fake(prefix / "bin" / "python3.13", minor=13, micro=99, include=(include,), **answer)
    (prefix / "bin" / "python3").symlink_to("python3.13")
    library = prefix / "lib" / "python3.13"
    library.mkdir(parents=True)
    # what uv adapts to the place of the installation
    comment = "# system configuration generated and used by the sysconfig module"
    (library / f"_sysconfigdata__linux_{MACHINE}-linux-gnu.py").write_text(
        f"{comment}\nbuild_time_vars = {{}}\n"
    )
    with tarfile.open(archive, "w:gz") as file:
        file.add(prefix, "python")
    release = {
        "name": "cpython",
        "arch": {"family": MACHINE, "variant": None},
        "os": "linux",
        "libc": "gnu",
        "major": 3,
        "minor": 13,
        "patch": 99,
        "prerelease": "",
        "url": archive.as_uri(),
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "variant": None,
        "build": "20260101",
    }
    downloads.write_text(json.dumps({"cpython-3.13.99": release}))
    return archive


def provided(target: Target) -> Path:
    """The interpreter of a target, installed if it was missing."""
    interpreter = pythons("", MatrixOptions(pythons=(target,)), provision=True).rows[0].interpreter
    assert interpreter
    return interpreter.path


def test_uv_installs_what_is_missing_where_it_keeps_its_own(offers: Path, machine: Path) -> None:
    archive, printed = offer(offers), bytearray()
    options = MatrixOptions(pythons=(CP313,))
    found = pythons(">=3.10", options, provision=True, on_output=printed.extend)
    [row] = found.rows
    assert row.interpreter
    assert (row.interpreter.version, row.interpreter.source) == ("3.13.99", "uv")
    assert row.interpreter.path.is_relative_to(machine / "uv")
    assert b"3.13.99" in printed
    assert not (machine / "bin").exists()  # where uv would link it
    archive.unlink()  # and what is there is not installed again
    assert provided(CP313) == row.interpreter.path


def test_what_is_there_is_not_asked_of_uv(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    include = headers(machine / "include", 13)
    path = fake(machine / "pythons" / "python3", minor=13, include=(include,))
    monkeypatch.setattr(provision, "uv", lambda: "/nowhere/uv")
    assert provided(CP313) == path


def test_without_uv_it_is_told_what_to_do(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environments.uv.cache_clear()
    monkeypatch.setattr(sys, "executable", str(machine / "bin" / "python3"))
    with pytest.raises(JobFailed, match=r"there is no uv to install CPython 3\.13, 3\.14t with") as failed:
        pythons(">=3.10", MatrixOptions(pythons=(CP313, Target(14, True))), provision=True)
    environments.uv.cache_clear()
    [problem] = failed.value.problems
    assert "the extra `build` has it" in problem.todo
    assert "/opt/python" in problem.todo
    assert failed.value.exit_code == 5


def test_where_uv_cannot_download_it_is_told_what_to_do(offers: Path, machine: Path) -> None:
    offer(offers).unlink()
    with pytest.raises(JobFailed) as failed:
        provided(CP313)
    [problem] = failed.value.problems
    assert problem.what.startswith("uv could not install CPython 3.13: it ended with exit status 1")
    assert "Failed to install cpython-3.13.99" in problem.what
    assert "No such file or directory" in problem.what
    assert "UV_PYTHON_INSTALL_MIRROR" in problem.todo


def test_what_uv_does_not_know_is_told(offers: Path) -> None:
    offer(offers)
    with pytest.raises(JobFailed, match=r"No download found for request: cpython-3\.99"):
        provided(Target(99))


def test_what_uv_installs_and_is_of_no_use_is_told(offers: Path) -> None:
    offer(offers, name="pypy")
    with pytest.raises(JobFailed, match=r"(?s)cp313: there is no interpreter.*is pypy, not CPython"):
        provided(CP313)
