"""The directory of a survey: its rows in parts, each of some hundred wheels, and each there as a whole or not at all.

At no instant is a wheel there twice. What a run that was cut off leaves, the next one removes: files of a part whose
wheels are not there, and rows that were about to go. A lock keeps a second run out meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from wheelfuse import __version__
from wheelfuse.errors import InvalidInput, Problem, UsageError
from wheelfuse.surveying.columns import TABLES
from wheelfuse.surveying.layout import DROPPING, LOCK, MANIFEST, WHEELS, committed, numbers, part
from wheelfuse.surveying.tables import SCHEMA, Packed, gathered, read, storable, write
from wheelfuse.temporary import remove_leftovers
from wheelfuse.wheel.outputs import replacing, writing

MOST_WHEELS = 500
"""How many wheels make a part."""
MOST_BYTES = 64 << 20
"""How many bytes of rows, in memory, make a part if fewer wheels have them."""

_OURS = re.compile(rf"{re.escape(LOCK)}|{re.escape(MANIFEST)}|\.{re.escape(MANIFEST)}\..*\.partial")
_OTHERS = tuple(table for table in TABLES if table != WHEELS)


class Known(NamedTuple):
    """What a part says of one wheel."""

    part: int
    url: str
    file: str
    identity: str
    read: bool


@contextmanager
def opened(directory: Path, *, resume: bool) -> Iterator[Parts]:
    """The survey in a directory, begun if there is none, for this process alone while the block runs.

    If the block ends with an error before there is a part, all is as it was before.

    Raises:
        UsageError: there is one already, and *resume* does not say to go on with it; the directory holds something
            else, which is left as it is; or another process writes into it.
        InvalidInput: the survey there is damaged, or of another schema.
        WriteFailed: it cannot be written.
    """
    with writing(directory):
        _require_fit(directory, resume)  # before anything is written
        is_new = not directory.exists()
        directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory):
        with writing(directory):
            _require_fit(directory, resume)  # another run may have begun or ended meanwhile
            if not committed(directory):
                _begin(directory)
            parts = Parts(directory)
            parts.clean()
        try:
            yield parts
        except BaseException:
            if not committed(directory):
                with suppress(OSError):  # the other error is the one to be told
                    _remove(directory, is_new)
            raise


class Parts:
    """What is in the directory, and what waits to become the next part of it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._next = max(committed(directory), default=0) + 1
        self._waiting: list[Packed] = []
        self._size = 0
        self._replaced: dict[int, set[str]] = {}

    def known(self) -> Iterator[Known]:
        """The wheels that are there, one part after the other."""
        for number in committed(self._directory):
            names = ("url", "file", "identity", "status")
            content = read(WHEELS, part(self._directory, WHEELS, number), names)
            for url, file, identity, status in zip(
                *(content[name].to_pylist() for name in names), strict=True
            ):
                yield Known(number, url, file, identity, status == "read")

    def add(self, wheel: Packed, replaces: int | None = None) -> None:
        """Take a wheel into the next part; *replaces* is the part that has older rows of the same URL."""
        self._waiting.append(wheel)
        self._size += wheel.size
        if replaces is not None:
            self._replaced.setdefault(replaces, set()).add(storable(wheel.wheel.url))
        if len(self._waiting) >= MOST_WHEELS or self._size >= MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Older rows of these wheels are gone before the new ones come."""
        if not self._waiting:
            return
        self.drop(self._replaced)
        for table in (*_OTHERS, WHEELS):
            with replacing(part(self._directory, table, self._next), overwrite=True) as file:
                write(table, gathered(table, self._waiting), file)
        self._next += 1
        self._waiting, self._size, self._replaced = [], 0, {}

    def drop(self, urls: Mapping[int, Iterable[str]]) -> None:
        """Take the rows of these wheels out of these parts."""
        ids: dict[str, list[str]] = {}
        for number, some in urls.items():
            wheels = read(WHEELS, part(self._directory, WHEELS, number), ("id", "url"))
            gone = set(some)
            rows = zip(wheels["id"].to_pylist(), wheels["url"].to_pylist(), strict=True)
            if found := [name for name, url in rows if url in gone]:
                ids[str(number)] = found
        if ids:
            with replacing(self._directory / DROPPING, overwrite=True) as file:
                file.write(json.dumps(ids).encode())
            self._drop_noted()

    def clean(self) -> None:
        """Remove what a run that was cut off has left."""
        for directory in (self._directory, *(self._directory / table for table in TABLES)):
            remove_leftovers(directory)
        self._drop_noted()
        there = frozenset(committed(self._directory))
        for table in _OTHERS:
            for number in numbers(self._directory, table):
                if number not in there:
                    part(self._directory, table, number).unlink()

    def _drop_noted(self) -> None:
        """Those of the wheels first: without one, rows of the other tables are none of any wheel."""
        note = self._directory / DROPPING
        if not note.exists():
            return
        for number, ids in json.loads(note.read_bytes()).items():
            for table in TABLES:
                self._without(part(self._directory, table, int(number)), table, ids)
        note.unlink()

    def _without(self, path: Path, table: str, ids: list[str]) -> None:
        content = read(table, path)
        kept = content.filter(pc.invert(pc.is_in(content["id"], value_set=pa.array(ids, pa.string()))))
        if len(kept) < len(content):
            with replacing(path, overwrite=True) as file:
                write(table, kept, file)


def _require_fit(directory: Path, resume: bool) -> None:
    if not os.path.lexists(directory):
        return
    if not directory.is_dir():
        raise UsageError(Problem("is no directory, and a survey needs one", str(directory)))
    with os.scandir(directory) as entries:
        foreign = sorted(entry.name for entry in entries if not _OURS.fullmatch(entry.name))
    manifest = directory / MANIFEST
    if foreign and not manifest.is_file():
        what = f"holds {foreign[0]}, and no survey"
        raise UsageError(
            Problem(what, str(directory), todo="Name a directory that is empty, or not there yet.")
        )
    if not committed(directory):
        return
    try:
        number = json.loads(manifest.read_bytes())["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(Problem(f"damaged: {error}", str(manifest))) from error
    if number != SCHEMA:
        what = f"holds a survey with schema {number}, and this wheelfuse writes schema {SCHEMA}"
        raise InvalidInput(Problem(what, str(directory), todo="Survey into another directory."))
    if not resume:
        todo = "--resume goes on with it, and reads what is new or changed; or name another directory."
        raise UsageError(Problem("holds a survey already", str(directory), todo=todo))


def _begin(directory: Path) -> None:
    with replacing(directory / MANIFEST, overwrite=True) as file:  # first: by it the directory is known
        file.write(json.dumps({"schema": SCHEMA, "wheelfuse": __version__}).encode() + b"\n")
    for table in TABLES:
        (directory / table).mkdir(exist_ok=True)


def _remove(directory: Path, is_new: bool) -> None:
    """Undo what `_begin` did."""
    for table in TABLES:
        shutil.rmtree(directory / table)
    for name in (MANIFEST, LOCK):
        (directory / name).unlink()
    if is_new:
        directory.rmdir()


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Held by this process alone; where a file system knows no locks, by nobody."""
    with writing(directory / LOCK):
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), (directory / LOCK).stat()):
                raise FileNotFoundError  # the run that held it has just removed it
        except (BlockingIOError, FileNotFoundError):
            raise UsageError(Problem("another survey is being written into it", str(directory))) from None
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)
