"""An open wheel: its members, and their bytes, as they lie there or inflated and verified.

Only :mod:`wheelfuse.wheel.archive` and :mod:`wheelfuse.wheel.writer` touch the file system for wheels.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from wheelfuse.content import Content, NotAFile, OnDisk, Shelf, descriptor_of, pieces, spooled
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.wheel.directory import STORED, Member, Reader
from wheelfuse.wheel.limits import DEFAULT_LIMITS, Limits

_fast: Any
try:  # inflates twice as fast as zlib, with checksums at four times the speed; not on every machine is there a wheel
    from isal import isal_zlib as _fast
except ImportError:
    _fast = zlib

CHUNK = 1 << 17
"""How much is read and inflated at once (bytes). Larger pieces take more time, and fragment the heap: with 1 MiB a
merge of three wheels of 255 MB takes 240 MB of memory, with 128 KiB 44 MB."""
ON_DISK = 1 << 30
"""How much inflated content an open wheel keeps in a temporary file at most (bytes)."""

_SMALL = 64 << 20
"""Bytes that are read at once at most."""
_AGAIN = "Build the wheel again."
_SEE = "See that it is there, and that you may read it."


class Archive:
    """An open zip file whose directory has been checked. Reads are thread-safe: they never share a file position.

    *written* is a file that was written just now, and has another name than *path* as yet.

    Raises:
        InvalidInput: it is no zip file, one that two programs could read differently, or one beyond the *limits*.
        OSError: what was *written* cannot be read.
    """

    def __init__(
        self, path: Path, limits: Limits = DEFAULT_LIMITS, *, written: BinaryIO | None = None
    ) -> None:
        self.path = path
        self.name = path.name
        self.limits = limits
        self._kept: dict[str, OnDisk] = {}
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._shelf = Shelf(ON_DISK)
        self._written = written is not None
        self._fd = os.dup(written.fileno()) if written else _opened(path)
        try:
            self._state = _state(self._fd)
            self.size = os.fstat(self._fd).st_size
            listing = Reader(self.name, self._file, self._pread, self.size, limits).read()
            self.members, self.directories, self.extras = listing
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._kept.clear()
        self._shelf.close()
        os.close(self._fd)

    def _file(self) -> BinaryIO:
        # By this descriptor: another file may have taken the name meanwhile.
        return open(self._fd, "rb", closefd=False)

    def changed(self) -> bool:
        """Whether anybody wrote to the file since it was opened."""
        return _state(self._fd) != self._state

    def problem(self, what: str, member: str = "", todo: str = "") -> Problem:
        """A problem that names this wheel."""
        return Problem(what, self.name, member, todo)

    def _pread(self, length: int, offset: int, member: str = "") -> bytes:
        """Up to *length* bytes at *offset*: fewer only at the end of the file."""
        found = b""
        try:
            while 0 <= offset < self.size and (piece := os.pread(self._fd, length - len(found), offset)):
                found, offset = found + piece, offset + len(piece)
            return found
        except OSError as error:
            if self._written:  # it is no input
                raise
            todo = "Check the disk or the network that it lies on."
            raise InvalidInput(self.problem(f"cannot be read: {error.strerror}", member, todo)) from error

    def raw(self, member: Member) -> Iterator[bytes]:
        """The member's bytes as they lie in the file, compressed."""
        offset, end = member.offset, member.offset + member.compressed_size
        while offset < end:
            chunk = self._pread(min(CHUNK, end - offset), offset, member.path)
            if not chunk:
                raise InvalidInput(self.problem("the file became shorter while it was read", member.path))
            offset += len(chunk)
            yield chunk

    def chunks(self, member: Member) -> Iterator[bytes]:
        """The member's content, in pieces of bounded size; its checksum and size are checked at the end.

        Raises:
            InvalidInput: the data is damaged.
        """
        crc = size = 0
        for chunk in self._inflated(member):
            crc = _fast.crc32(chunk, crc)
            size += len(chunk)
            if size > member.size:
                break
            yield chunk
        if size != member.size or crc != member.crc:
            raise InvalidInput(
                self.problem("damaged: checksum or size is not as the directory says", member.path)
            )

    def _inflated(self, member: Member) -> Iterator[bytes]:
        if member.method == STORED:
            yield from self.raw(member)
            return
        inflater = _fast.decompressobj(-15)
        try:
            for compressed in self.raw(member):
                pending = compressed
                while pending and not inflater.eof:
                    if chunk := inflater.decompress(pending, CHUNK):
                        yield chunk
                    pending = inflater.unconsumed_tail
            while not inflater.eof and (chunk := inflater.decompress(inflater.unconsumed_tail, CHUNK)):
                yield chunk
        except (zlib.error, getattr(_fast, "error", zlib.error)) as error:
            raise InvalidInput(self.problem(f"damaged compressed data: {error}", member.path)) from error
        if not inflater.eof or inflater.unused_data:
            raise InvalidInput(self.problem("compressed data ends too early or too late", member.path))

    def read(self, member: Member) -> bytes:
        """The member's content as a whole, for members that are known to be small.

        Raises:
            InvalidInput: the data is damaged, or no small member at all.
        """
        if member.size > _SMALL:
            what = f"{member.size} bytes, where at most {_SMALL} are ever read at once"
            raise InvalidInput(self.problem(what, member.path, _AGAIN))
        return b"".join(self.chunks(member))

    @contextmanager
    def content_beginning(
        self, member: Member, magic: bytes | None, hashes: Sequence[Any] = ()
    ) -> Iterator[Content | None]:
        """Read a member once, feeding the *hashes*; its content if it begins with *magic*, else None.

        With no *magic* there is nothing to see, and the content is verified only.

        Raises:
            InvalidInput: the data is damaged.
        """

        def hashed() -> Iterator[bytes]:
            for chunk in self.chunks(member):
                for digest in hashes:
                    digest.update(chunk)
                yield chunk

        chunks = hashed()
        first = next(chunks, b"")
        while magic and len(first) < len(magic) and (more := next(chunks, b"")):
            first += more
        if magic and first.startswith(magic):
            with spooled(itertools.chain((first,), chunks), member.size) as content:
                yield content
            return
        for _ in chunks:
            pass
        yield None

    @contextmanager
    def content(self, member: Member) -> Iterator[Content]:
        """The member's content for random access. While there is room on disk it is inflated once only.

        Raises:
            InvalidInput: the data is damaged.
        """
        with self._lock:
            lock = self._locks.setdefault(member.path, threading.Lock())
        with lock:
            kept = self._kept.get(member.path)
            if kept is None and self._shelf.has_room_for(member.size):
                kept = self._kept[member.path] = self._shelf.put(self.chunks(member), member.size)
        if kept is not None:
            yield kept
            return
        with spooled(self.chunks(member), member.size) as content:
            yield content

    def keep(self, member: Member, content: Content) -> None:
        """Keep the member's content, which was inflated for something else, for `content`, if there is room."""
        if self._shelf.has_room_for(member.size):
            self._kept[member.path] = self._shelf.put(pieces(content), member.size)

    def sha256(self) -> str:
        """The digest of the whole file, in hexadecimal."""
        digest, offset = hashlib.sha256(), 0
        while chunk := self._pread(CHUNK, offset):
            digest.update(chunk)
            offset += len(chunk)
        return digest.hexdigest()


def wheels_in(path: Path) -> list[Path]:
    """The wheels that *path* stands for: itself, or those in it if it is a directory, in the order of their names.

    Raises:
        FileNotFoundError: there is nothing.
        InvalidInput: it cannot be looked at.
    """
    try:
        if not stat.S_ISDIR(path.stat().st_mode):
            return [path]
        return sorted(found for found in path.iterdir() if found.name.endswith(".whl"))
    except FileNotFoundError:
        raise
    except NotADirectoryError as error:  # on the way to it there is a file
        raise FileNotFoundError(*error.args) from error
    except OSError as error:
        raise InvalidInput(Problem(f"cannot be read: {error.strerror}", str(path), todo=_SEE)) from error


def _opened(path: Path) -> int:
    try:
        return descriptor_of(path)
    except NotAFile as error:
        todo = "Name a wheel, or a directory of wheels."
        raise InvalidInput(Problem("not a file", str(path), todo=todo)) from error
    except OSError as error:
        raise InvalidInput(Problem(f"cannot be opened: {error.strerror}", str(path), todo=_SEE)) from error


def _state(descriptor: int) -> tuple[int, int]:
    """What is another one after a file was written to. (Its ctime changes if it only loses a name, too.)"""
    state = os.fstat(descriptor)
    return state.st_size, state.st_mtime_ns
