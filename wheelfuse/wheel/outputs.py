"""Files that are written whole or not at all: under a hidden name first, and renamed when they are on disk."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from wheelfuse.temporary import about, beside
from wheelfuse.wheel.archive import CHUNK

_NO_SUCH_THING = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)
"""Where a directory cannot be waited for: its file system has none of it, or it may be written to but not read."""


class Unsettled(OSError):
    """Files are in their places, whole, but not all went well: the message says what is where."""


@contextmanager
def replacing(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A file that becomes *path* when the block ends, complete and on disk; after an error nothing is left.

    Raises:
        FileExistsError: *path* has come into being meanwhile, and *overwrite* is not given.
        Unsettled: it is written, but the disk did not confirm its name.
        OSError: the disk is full, or the like; it names the file.
    """
    with together(overwrite=overwrite) as add:
        yield add(path)


@contextmanager
def together(*, overwrite: bool) -> Iterator[Callable[[Path], BinaryIO]]:
    """As :func:`replacing`, for several files: each path that is added gives one, and they take their places when all
    are complete and on disk.

    If that fails half-way, those that are new are removed again; those that replaced another are named.
    """
    added: list[_Output] = []
    with ExitStack() as stack:

        def add(path: Path) -> BinaryIO:
            stack.enter_context(created(path.parent))
            temporary, descriptor = stack.enter_context(beside(path))
            raw = _Named(descriptor, path)
            file = stack.enter_context(io.BufferedRandom(raw, CHUNK))
            added.append(_Output(path, temporary, cast(BinaryIO, file)))
            return added[-1].file

        yield add
        for output in added:
            to_disk(output.file)
        _place(added, overwrite)
    _settle({output.path.parent for output in added})


def to_disk(file: BinaryIO) -> None:
    """Wait until all that was written is on disk."""
    file.flush()
    with about(file.name):
        os.fsync(file.fileno())


class _Named(io.FileIO):
    """A file whose name, in errors as well, is that of what it will be."""

    def __init__(self, descriptor: int, path: Path) -> None:
        super().__init__(descriptor, "r+b")
        self.name = str(path)

    def write(self, data: Any) -> int:
        with about(self.name):
            return os.write(self.fileno(), data)


@dataclass(frozen=True)
class _Output:
    path: Path
    temporary: Path
    file: BinaryIO

    def place(self, *, overwrite: bool) -> None:
        """Give it its name. Its hidden one may remain: that is removed in any case."""
        with about(self.path):
            if not overwrite:
                try:
                    # Unlike a rename, this never takes the place of a file.
                    self.path.hardlink_to(self.temporary)
                    return
                except OSError as error:
                    if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                        raise
                    if self.path.exists():  # a file system without hard links: as near as it gets
                        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
            self.temporary.replace(self.path)

    def take_back(self) -> None:
        """Remove it from its place, if it is still what lies there."""
        with suppress(OSError):
            if os.path.samestat(os.fstat(self.file.fileno()), self.path.stat()):
                self.path.unlink()


def _place(outputs: Iterable[_Output], overwrite: bool) -> None:
    placed: list[_Output] = []
    try:
        for output in outputs:
            placed.append(output)
            output.place(overwrite=overwrite)
    except BaseException as error:
        if not overwrite:
            for output in placed:
                output.take_back()
        elif isinstance(error, OSError) and len(placed) > 1:
            done = ", ".join(str(output.path) for output in placed[:-1])
            what = f"{error.strerror}; replaced before that, each by a whole one: {done}"
            raise Unsettled(error.errno, what, error.filename) from error
        raise


@contextmanager
def created(path: Path) -> Iterator[None]:
    """A directory that is there; after an error it is gone again if it was not there before."""
    missing = [directory for directory in (path, *path.parents) if not directory.exists()]
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
        yield
    except BaseException:
        for directory in missing:
            with suppress(OSError):  # something else has come into it
                directory.rmdir()
        raise


def _settle(directories: Iterable[Path]) -> None:
    """Wait until the names in the directories are on disk."""
    for directory in directories:
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno in _NO_SUCH_THING:
                continue
            what = f"{error.strerror}; what was written is there, and whole, but its name may not survive a crash"
            raise Unsettled(error.errno, what, str(directory)) from error
