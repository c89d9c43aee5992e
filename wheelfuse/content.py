"""The content of one file for random access, be it in memory or on disk.

On disk it is read, not mapped: every page of a mapped file that is looked at counts as memory of the process, and
the files here are larger than the memory that a job of CI may have.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from wheelfuse.temporary import keeping, unkept
from wheelfuse.workers import threads

PIECE = 1 << 20
"""How much is read at once where all of a content is wanted (bytes)."""

IN_MEMORY = (16 << 20) // threads()
"""Contents above this size (bytes) are kept in a temporary file rather than in memory; each thread may hold one."""

Read = Callable[[int, int], bytes]
"""Returns up to *size* bytes from *offset* of a file; fewer only at its end."""


class OnDisk:
    """*size* bytes of an open file from *offset* on. Slices are bytes; reads are thread-safe: no position is kept.

    *name* is what errors call the file; by default it is a temporary one.
    """

    def __init__(self, descriptor: int, size: int, offset: int = 0, name: str = "") -> None:
        self._name = name
        self._descriptor = descriptor
        self._size = size
        self._offset = offset

    def __len__(self) -> int:
        return self._size

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, error.strerror, self._name) if self._name else unkept(error)

    def __getitem__(self, part: slice) -> bytes:
        start, stop, step = part.indices(self._size)
        if step != 1:
            raise ValueError("a content is read without steps")
        found = []
        while start < stop:
            try:
                piece = os.pread(self._descriptor, stop - start, self._offset + start)
                if not piece:
                    raise OSError(errno.EIO, "it became shorter while it was read")
            except OSError as error:
                raise self._named(error) from error
            found.append(piece)
            start += len(piece)
        return found[0] if len(found) == 1 else b"".join(found)


class Slices(Protocol):
    """A content that is neither in memory nor on disk."""

    def __len__(self) -> int:
        """Its bytes."""

    def __getitem__(self, part: slice) -> bytes:
        """Some of them."""


Content = bytes | OnDisk | Slices


def reading(content: Content) -> Read:
    """Access to parts of a content."""
    return lambda offset, size: content[offset : offset + size]


def pieces(content: Content, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """A part of a content, or all of it, in pieces of bounded size."""
    end = len(content) if end is None else end
    return (content[at : min(at + PIECE, end)] for at in range(start, end, PIECE))


def windows(content: Content, start: int, end: int, overlap: int) -> Iterator[tuple[int, int, bytes]]:
    """A part of a content for searches: where a window begins, how many of its bytes are its own, and the window.

    A window also has up to *overlap* bytes of the next, so that what begins in the own ones ends within it.
    """
    for at in range(start, end, PIECE):
        yield at, min(PIECE, end - at), content[at : min(at + PIECE + overlap, end)]


def unpack_from(layout: struct.Struct, content: Content, offset: int) -> tuple[Any, ...]:
    """As the method of `struct.Struct`.

    Raises:
        struct.error: the content ends before.
    """
    return layout.unpack(content[offset : offset + layout.size])


def failure_behind(error: BaseException | None) -> OSError | None:
    """The error of the system, if there is one, of which a parser made this one."""
    while error and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error if isinstance(error, OSError) else None


def stream(content: Content) -> BinaryIO:
    """A content as a file object."""
    return io.BytesIO(content) if isinstance(content, bytes) else io.BufferedReader(_Raw(content))


class _Raw(io.RawIOBase):
    def __init__(self, content: OnDisk | Slices) -> None:
        self._content = content
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._content[self._position : self._position + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self._content)}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position


class NotAFile(OSError):
    """A directory, a named pipe, a device: what has no content of a known size."""


def descriptor_of(path: Path) -> int:
    """A descriptor to read the file at *path*, for whoever closes it.

    Raises:
        NotAFile: it is no regular file.
        OSError: it cannot be opened.
    """
    # Whoever opens a named pipe would wait for its writer for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise NotAFile(errno.EINVAL, "not a regular file", str(path))


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    """The content of the file at *path*.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    descriptor = descriptor_of(path)
    try:
        yield OnDisk(descriptor, os.fstat(descriptor).st_size, name=str(path))
    finally:
        os.close(descriptor)


def read_small(path: Path, most: int) -> bytes:
    """All of the file at *path*, which makes no sense with more than *most* bytes.

    Raises:
        OSError: it has, cannot be read, or is no regular file.
    """
    with opened(path) as content:
        if len(content) > most:
            what = f"{len(content)} bytes, where at most {most} make sense"
            raise OSError(errno.EFBIG, what, str(path))
        return content[:]


class Shelf:
    """Contents that are kept on disk, all in one temporary file, until it is closed. Threads may put some at a time.

    *room*: how many bytes there are to be, at most.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._used = 0
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None

    def close(self) -> None:
        """Give back what the contents take on disk."""
        if self._file:
            self._file.close()

    def has_room_for(self, size: int) -> bool:
        """Whether so many bytes more can be kept."""
        return self._used + size <= self._room

    def put(self, chunks: Iterable[bytes], size: int) -> OnDisk:
        """Keep a content of *size* bytes; one that is put alone may have others in the end."""
        with self._lock:
            if self._file is None:
                self._file = _temporary()  # `close` closes it
            offset, descriptor = self._used, self._file.fileno()
            self._used += size
        position = offset
        for chunk in chunks:
            position += _write(descriptor, chunk, position)
        return OnDisk(descriptor, position - offset, offset)


@contextmanager
def spooled(chunks: Iterable[bytes], size: int) -> Iterator[Content]:
    """A content of about *size* bytes that comes in chunks: in memory if it is small, else in a temporary file."""
    if size <= IN_MEMORY:
        yield b"".join(chunks)
        return
    with closing(Shelf(size)) as shelf:
        yield shelf.put(chunks, size)


def _temporary() -> BinaryIO:
    """A file without a name, which is gone when it is closed, however that comes about."""
    with keeping():
        return cast(BinaryIO, tempfile.TemporaryFile(buffering=0))


def _write(descriptor: int, chunk: bytes, position: int) -> int:
    """Write a chunk into a temporary file, and say how long it was."""
    view, done = memoryview(chunk), 0
    with keeping():
        while done < view.nbytes:
            done += os.pwrite(descriptor, view[done:], position + done)
    return done
