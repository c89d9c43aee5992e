"""Machines and interpreters made up for tests: directories for $PATH and the like, programs that answer a probe."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from wheelfuse.interpreters import probe, search


def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no CPython but the running one; returns a directory that is in $WHEELFUSE_PYTHONS."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    for name in ("HOME", "PYENV_ROOT", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("UV_PYTHON_INSTALL_DIR", raising=False)
    monkeypatch.setattr(search, "_MANYLINUX", tmp_path / "opt" / "python")
    pythons = tmp_path / "pythons"
    pythons.mkdir()
    monkeypatch.setenv("WHEELFUSE_PYTHONS", str(pythons))
    return pythons


def script(path: Path, text: str) -> Path:
    """A program of the shell at *path*."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def headers(directory: Path, minor: int) -> Path:
    """A directory with the headers that a compiler of extension modules needs at least."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "Python.h").touch()
    (directory / "pyconfig.h").touch()
    (directory / "patchlevel.h").write_text(f"#define PY_MAJOR_VERSION 3\n#define PY_MINOR_VERSION {minor}\n")
    return directory


def fake(
    path: Path,
    *,
    minor: int = 17,
    micro: int = 0,
    level: str = "final",
    name: str = "cpython",
    free_threaded: bool = False,
    suffix: str = "",
    include: tuple[Path, ...] = (),
    **changes: Any,
) -> Path:
    """A program that answers a probe as an interpreter of CPython 3.17 (which there is none of) would.

    *include* are the directories of headers that it names; *changes* replace parts of the answer.
    """
    suffix = suffix or f".cpython-3{minor}{'t' if free_threaded else ''}-x86_64-linux-gnu.so"
    answer = {
        "implementation": name,
        "version": [3, minor, micro, level, 1 if level != "final" else 0],
        "debug": False,
        "free_threaded": free_threaded,
        "soabi": suffix.split(".")[1],
        "suffix": suffix,
        "imports": [suffix, ".abi3.so", ".so"],
        "include": [str(directory) for directory in include] or ["", ""],
        "platform": sysconfig.get_platform(),
        "triplet": "x86_64-pc-linux-gnu",
        "bits": 64 if sys.maxsize > 1 << 32 else 32,
        "libc": os.confstr("CS_GNU_LIBC_VERSION"),
        **changes,
    }
    return script(path, f"echo '{probe._MARK}{json.dumps(answer)}'")
