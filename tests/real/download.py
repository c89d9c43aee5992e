"""The pinned files of ``pins.toml``, from the package index that pip is configured for, in a cache on disk.

``python -m tests.real.download`` fills the cache ahead of the tests; with the word ``survey`` behind it, also with what
a survey is held against by hand: all of ``pins.toml`` and ``survey.toml``, 4 GB.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from packaging.utils import parse_sdist_filename, parse_wheel_filename

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wheelfuse" / "wheels"
ATTEMPTS = 3
ON_REQUEST = "bench"
"""The section that no test needs, of more than a gigabyte: `download` leaves it out, `brought` brings of it."""


class DownloadFailed(RuntimeError):
    """pip did not bring a pinned file; the message holds what it printed."""


@dataclass(frozen=True)
class Pin:
    """One file of the package index, named and hashed."""

    file: str
    sha256: str

    @property
    def is_wheel(self) -> bool:
        return self.file.endswith(".whl")

    @property
    def path(self) -> Path:
        """Where the file lies once it is downloaded."""
        return CACHE / self.file

    @property
    def release(self) -> tuple[str, str]:
        """Normalised project name and version."""
        if self.is_wheel:
            name, version, _, _ = parse_wheel_filename(self.file)
        else:
            name, version = parse_sdist_filename(self.file)
        return name, str(version)

    @property
    def requirement(self) -> str:
        name, version = self.release
        return f"{name}=={version} --hash=sha256:{self.sha256}"

    @property
    def tags(self) -> tuple[str, str, tuple[str, ...]]:
        """The python and ABI tag (the last of a compressed set), and the platform tags of a wheel."""
        *_, python, abi, platform = self.file.removesuffix(".whl").split("-")
        return python.split(".")[-1], abi.split(".")[-1], tuple(platform.split("."))


@cache
def _document(file: str = "pins.toml") -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name(file).read_text(encoding="utf-8"))


def pins(*keys: str) -> tuple[Pin, ...]:
    """The pins in the table with these keys and in all tables below it: ``pins("projects", "numpy-2.3.5")``."""
    table: Mapping[str, Any] = _document()
    for key in keys:
        table = table[key]
    return tuple(_pins_in(table))


def sets(section: str) -> tuple[str, ...]:
    """The names of the tables in a section."""
    return tuple(_document()[section])


def surveyed(*, whole: bool) -> tuple[Pin, ...]:
    """The wheels that a survey is held against: *whole*, or as many as CI takes. Each is there once."""
    more = _document("survey.toml")
    known = {pin.file: pin for pin in _pins_in(_document()) if pin.is_wheel}
    if whole:
        return tuple(
            {**known, **{pin.file: pin for kind in ("ci", "more") for pin in _pins_in(more[kind])}}.values()
        )
    return (*(known[file] for file in more["in-ci"]), *_pins_in(more["ci"]))


def _pins_in(table: Mapping[str, Any]) -> Iterator[Pin]:
    for key, value in table.items():
        if isinstance(value, str):
            yield Pin(key, value)
        else:
            yield from _pins_in(value)


def fetched(*keys: str) -> list[Path]:
    """The files of `pins` of these keys, downloaded and verified.

    The first call downloads whatever of all pins is missing, since one run of pip for many projects takes hardly
    longer than for one.

    Raises:
        DownloadFailed: a file is not to be had.
    """
    download()
    return [pin.path for pin in pins(*keys)]


@cache
def download() -> None:
    """Bring all pinned files that tests use into the cache, and replace those there that are not what was pinned.

    Raises:
        DownloadFailed: a file is not to be had.
    """
    brought(*(pin for section in _document() if section != ON_REQUEST for pin in pins(section)))


def brought(*wanted: Pin) -> list[Path]:
    """The files of these pins alone, downloaded and verified.

    Raises:
        DownloadFailed: a file is not to be had.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(CACHE / ".lock"):
        missing = [pin for pin in dict.fromkeys(wanted) if not _is_there(pin)]
        for batch in _batches(missing):
            _download(batch)
    return [pin.path for pin in wanted]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock among the processes of a parallel test run."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_there(pin: Pin) -> bool:
    return pin.path.exists() and sha256(pin.path) == pin.sha256


def sha256(path: Path) -> str:
    """The digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _batches(missing: list[Pin]) -> list[list[Pin]]:
    """Pins that one run of pip can bring: for the same interpreter and platform, and each project once."""
    batches: dict[tuple[object, ...], list[Pin]] = defaultdict(list)
    rounds: dict[tuple[object, ...], int] = defaultdict(int)
    for pin in missing:
        kind = _kind(pin)
        project, _ = pin.release
        rounds[kind, project] += 1
        batches[kind, rounds[kind, project]].append(pin)
    return list(batches.values())


def _kind(pin: Pin) -> tuple[str, ...]:
    """What decides about the options of pip; of the platform only libc and machine."""
    if not pin.is_wheel:
        return ("sdist",)
    python, abi, platforms = pin.tags
    return python, abi, platforms[0].split("_")[0][:9], platforms[0].rpartition("_")[2]


def _download(batch: list[Pin]) -> None:
    """Let pip bring the files into a directory beside the cache, and move them into it when they are right."""
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        directory = Path(name)
        requirements = directory / "requirements.txt"
        requirements.write_text("".join(f"{pin.requirement}\n" for pin in batch))
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-input"]
        command += ["--no-deps", "--require-hashes", "-r", str(requirements), "-d", name, *_selection(batch)]
        _run(command)
        for pin in batch:
            came = directory / pin.file
            if not came.exists() or sha256(came) != pin.sha256:
                there = ", ".join(sorted(entry.name for entry in directory.iterdir()))
                raise DownloadFailed(f"{pin.file} did not come from the package index, but: {there}")
            shutil.move(came, pin.path)


def _selection(batch: list[Pin]) -> list[str]:
    """The options that let pip choose just these files, on whatever machine it runs."""
    if not batch[0].is_wheel:
        # Naming the projects, not :all:, leaves pip the wheels of what they need to tell their metadata.
        return [f"--no-binary={','.join(pin.release[0] for pin in batch)}"]
    python, abi, _ = batch[0].tags
    version = python.removeprefix("cp3").removeprefix("py3")
    options = ["--only-binary=:all:", "--implementation", "cp", "--abi", abi]
    # 3.9 would mean 3.9.0, which some projects exclude.
    options += ["--python-version", f"3.{version or '13'}", "--ignore-requires-python"]
    platforms = sorted({platform for pin in batch for platform in pin.tags[2]})
    return [*options, *(part for platform in platforms for part in ("--platform", platform))]


def _run(command: list[str]) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        if attempt < ATTEMPTS:
            time.sleep(5 * attempt)
    raise DownloadFailed(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    if sys.argv[1:] == ["survey"]:
        brought(*surveyed(whole=True))
    else:
        download()
