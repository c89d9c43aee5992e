"""What installers make of a wheel: installer as a library, and installer, pip and uv as programs."""

from __future__ import annotations

import csv
import io
import os
import stat
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from installer.exceptions import InstallerError
from installer.sources import WheelFile
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from fuzz.target import Wrong, expect
from wheelfuse.target import Target as CPython

_MADE = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json")
"""Files of ``.dist-info`` that installers write themselves."""

_HERE = frozenset(sys_tags())

_ELSEWHERE = ("bin/", "include/", "etc/")
"""What lies outside of site-packages, but in it if pip and uv are told a target directory."""

Members = Mapping[str, tuple[bytes, int]]
"""Path -> content and mode, as wheelfuse reads them."""


def here() -> CPython:
    """The CPython that runs this."""
    return CPython(sys.version_info.minor, bool(sysconfig.get_config_var("Py_GIL_DISABLED")))


def installer_accepts(path: Path, members: Members) -> None:
    """Hold a wheel that wheelfuse accepts against `installer`, with its RECORD validated in full.

    Raises:
        Wrong: installer refuses it, or reads another content.
    """
    try:
        with WheelFile.open(path) as wheel:
            wheel.validate_record(validate_contents=True)
            theirs = {row[0]: stream.read() for row, stream, _ in wheel.get_contents()}
    except (InstallerError, ValueError, KeyError, OSError, AssertionError) as error:
        raise Wrong(f"installer refuses it: {type(error).__name__}: {error}") from error
    ours = {name: content for name, (content, _) in members.items()}
    differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    expect(not differing, f"installer reads something else of {differing[:3]}")


def fits(path: Path) -> bool:
    """Whether a wheel is for this machine, by its file name."""
    return not _HERE.isdisjoint(parse_wheel_filename(path.name)[3])


def compare(path: Path, members: Members, place: Path) -> None:
    """Install a wheel with all programs, and hold the content of site-packages against that of the wheel.

    Whether a file may be executed is compared where the wheel says so unmistakably: installers disagree on symbolic
    links, which all of them install as text, and on modes without a type or of other systems than Unix.

    Raises:
        Wrong: one of them refuses it, or installs something else than the others.
    """
    trees = {}
    for name, command in _commands(path, place).items():
        done = run(command)
        if done.returncode:
            raise Wrong(f"{name} refuses it: {' '.join((done.stderr or done.stdout).split())[-400:]}")
        trees[name] = installed(place / name)
    wanted, vague = expected(members), _vague(path)
    for name, tree in trees.items():
        for file in sorted(wanted.keys() | tree.keys()):
            found, ours = tree.get(file), wanted.get(file)
            if found != ours and not (found and ours and found[0] == ours[0] and file in vague):
                raise Wrong(f"{name} installs {_shown(found)} at {file!r}, not {_shown(ours)}")


def _vague(path: Path) -> set[str]:
    """The members of which it is not plain whether they may be executed, by where they are installed."""
    with zipfile.ZipFile(path) as archive:
        vague = {
            i.filename
            for i in archive.infolist()
            if i.create_system != 3 or not stat.S_ISREG(i.external_attr >> 16)
        }
    return set(expected(dict.fromkeys(vague, (b"", 0))))


def _shown(file: tuple[bytes, bool] | None) -> str:
    return "nothing" if file is None else f"{file[0][:20]!r}{' to be executed' if file[1] else ''}"


def _commands(path: Path, place: Path) -> dict[str, list[str]]:
    return {
        "uv": uv_install([path], place / "uv"),
        "pip": pip_install([path], place / "pip"),
        "installer": [sys.executable, "-m", "installer", "--validate-record", "all", "--no-compile-bytecode",
                      "--destdir", str(place / "installer"), str(path)],
    }  # fmt: skip


def pip_install(paths: Sequence[Path], target: Path) -> list[str]:
    """The command that installs wheels of different projects with pip."""
    return [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile",
            "--no-cache-dir", "--disable-pip-version-check", "--target", str(target), *map(str, paths)]  # fmt: skip


def uv_install(paths: Sequence[Path], target: Path) -> list[str]:
    """The command that installs wheels of different projects with uv."""
    uv = Path(sys.executable).with_name("uv")
    return [str(uv) if uv.exists() else "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--no-index",
            "--no-cache", "--no-config", "--link-mode", "copy", "--python", sys.executable, "--target", str(target),
            *map(str, paths)]  # fmt: skip


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run an installer, which is to know of nothing but its arguments."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON"))
    }
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", env=environment, check=False
    )


def installed(root: Path) -> dict[str, tuple[bytes, bool]]:
    """What lies below *root* by path within site-packages: content, and whether it may be executed."""
    home = next(iter(sorted(root.rglob("*.dist-info"))), root).parent
    found = {}
    for path in home.rglob("*"):
        if path.is_symlink() or path.is_file():
            name = path.relative_to(home).as_posix()
            if not _is_made(name):
                content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
                found[name] = content, not path.is_symlink() and bool(path.stat().st_mode & 0o111)
    return {name: file for name, file in found.items() if not name.startswith(_ELSEWHERE)}


def _is_made(name: str) -> bool:
    parts = name.split("/")
    return (
        "__pycache__" in parts
        or name == ".lock"
        or (len(parts) == 2 and parts[0].endswith(".dist-info") and parts[1] in _MADE)
    )


def expected(members: Members) -> dict[str, tuple[bytes, bool]]:
    """What of a wheel lies in site-packages after it was installed."""
    found = {}
    for name, (content, mode) in members.items():
        parts = name.split("/")
        if parts[0].endswith(".data"):
            if parts[1] not in ("purelib", "platlib"):
                continue
            name = "/".join(parts[2:])
        if not _is_made(name):
            found[name] = content, bool(stat.S_ISREG(mode) or not stat.S_IFMT(mode)) and bool(mode & 0o111)
    return found


def rows_of(text: str) -> list[list[str]]:
    """The rows of a RECORD as `csv` reads them."""
    return [row for row in csv.reader(io.StringIO(text, newline="")) if row]
