"""Files that are written whole or not at all: under a hidden name first, and renamed when they are on disk."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from wheelfuse.temporary import TemporaryFileError, beside
from wheelfuse.wheel.archive import CHUNK

_NO_SUCH_THING = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)
"""Where a directory cannot be waited for: its file system has none of it, or it may be written to but not read."""

_OF_ANY_KIND = (errno.EEXIST, errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What keeps a file from a name, be it by a link or otherwise. Any other error may be that links are not known."""


class WriteFailed(OSError):
    """A file or directory of the output cannot be made, written or named."""


class Unsettled(WriteFailed):
    """Files are in their places, whole, but not all went well: the message says what is where."""


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors of the system in this block are about the output *path*, whatever file or none they name.

    Raises:
        WriteFailed: in place of any other `OSError`, but for these.
        FileExistsError: another file has the name.
        BrokenPipeError: the output is a pipe whose reader has enough.
        TemporaryFileError: it was about a temporary file.
    """
    try:
        yield
    except (WriteFailed, TemporaryFileError):
        raise
    except (FileExistsError, BrokenPipeError) as error:
        error.filename, error.filename2 = os.fspath(path), None
        raise
    except OSError as error:
        raise WriteFailed(error.errno, error.strerror, os.fspath(path)) from error


class Add(Protocol):
    """Takes the path of an output, and whether it may replace a file; gives what to write it to."""

    def __call__(self, path: Path, *, overwrite: bool) -> BinaryIO: ...


@contextmanager
def replacing(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A file that becomes *path* when the block ends, complete and on disk; after an error nothing is left.

    A device or a named pipe, which is no file to be replaced, is written to as it is.

    Raises:
        FileExistsError: *path* has come into being meanwhile, and *overwrite* is not given.
        Unsettled: it is written, but the disk did not confirm its name.
        WriteFailed: the disk is full, or the like; it names the file.
    """
    with together() as add:
        yield add(path, overwrite=overwrite)


@contextmanager
def together() -> Iterator[Add]:
    """As :func:`replacing`, for several files: each path that is added gives one, which may be closed when all is in
    it, and they take their places when all are complete and on disk.

    If that fails half-way, those that are new are removed again; those that replaced another are named.
    """
    added: list[_Output] = []
    streams: list[BinaryIO] = []
    with ExitStack() as stack:

        def add(path: Path, *, overwrite: bool) -> BinaryIO:
            if _is_stream(path):
                streams.append(stack.enter_context(_stream(path)))
                return streams[-1]
            stack.enter_context(_created(path.parent))
            with writing(path):
                temporary, descriptor = stack.enter_context(beside(path))
            raw = _Named(descriptor, path, "r+b", closefd=False)
            file = cast(BinaryIO, stack.enter_context(io.BufferedRandom(raw, CHUNK)))
            added.append(_Output(path, temporary, descriptor, file, overwrite))
            return file

        yield add
        for stream in streams:
            stream.close()
        for output in added:
            output.to_disk()
        _place(added)
    _settle({output.path.parent for output in added})


def followed(path: Path) -> Path:
    """What a name stands for that may be a link: the link stays, and what it leads to is written."""
    return path if _is_stream(path) else Path(os.path.realpath(path))


def to_disk(file: BinaryIO) -> None:
    """Wait until all that was written is on disk."""
    with writing(file.name):
        file.flush()
        os.fsync(file.fileno())


def make_executable(file: BinaryIO) -> None:
    """Whoever may read the file may run it."""
    with writing(file.name):
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        os.fchmod(file.fileno(), mode | (mode & 0o444) >> 2)


def _is_stream(path: Path) -> bool:
    """A device, a named pipe, or a link to one, as /dev/stdout may be."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _stream(path: Path) -> BinaryIO:
    with writing(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    return cast(BinaryIO, io.BufferedWriter(_Named(descriptor, path, "wb")))


class _Named(io.FileIO):
    """A file whose name, in errors as well, is that of what it will be."""

    def __init__(self, descriptor: int, path: Path, mode: str, *, closefd: bool = True) -> None:
        super().__init__(descriptor, mode, closefd)
        self.name = str(path)

    def write(self, data: Any) -> int:
        with writing(self.name):
            return os.write(self.fileno(), data)


@dataclass(frozen=True)
class _Output:
    path: Path
    temporary: Path
    descriptor: int
    file: BinaryIO
    overwrite: bool

    def to_disk(self) -> None:
        """Wait until all that was written is on disk."""
        with writing(self.path):
            if not self.file.closed:
                self.file.flush()
            os.fsync(self.descriptor)

    def take_name(self) -> None:
        """Give it its name, if that is free. Its hidden one may remain: that is removed in any case.

        Raises:
            FileExistsError: it is not.
        """
        with writing(self.path):
            try:
                self.path.hardlink_to(self.temporary)  # unlike a rename, this never takes the place of a file
            except OSError as error:
                if error.errno in _OF_ANY_KIND:
                    raise
                if os.path.lexists(self.path):  # a file system without hard links: as near as it gets
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
                self.temporary.replace(self.path)

    def replace(self) -> None:
        """Give it its name, whoever has it."""
        with writing(self.path):
            self.temporary.replace(self.path)

    def is_there(self) -> bool:
        """Whether it is what lies in its place."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.path.lstat())
        except OSError:
            return False

    def take_back(self) -> None:
        """Remove it from its place, if it is what lies there."""
        with suppress(OSError):
            if self.is_there():
                self.path.unlink()


def _place(outputs: Sequence[_Output]) -> None:
    over_others: list[_Output] = []
    try:
        for output in outputs:
            try:
                output.take_name()
            except FileExistsError:
                if not output.overwrite:
                    raise
                over_others.append(output)
                output.replace()
    except BaseException as error:
        for output in outputs:
            if output not in over_others:
                output.take_back()
        replaced = ", ".join(str(output.path) for output in over_others if output.is_there())
        if replaced and isinstance(error, OSError):
            what = f"{error.strerror}; replaced before that, each by a whole one: {replaced}"
            raise Unsettled(error.errno, what, error.filename) from error
        raise


@contextmanager
def _created(path: Path) -> Iterator[None]:
    """A directory that is there; after an error it is gone again if it was not there before."""
    # By os.path, for which one that cannot be looked at is missing: to make it fails, then.
    missing = [directory for directory in (path, *path.parents) if not os.path.exists(directory)]  # noqa: PTH110
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise WriteFailed(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
        except OSError as error:
            raise WriteFailed(error.errno, error.strerror, error.filename) from error
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
