"""Reading a wheel's zip file: its directory, checked, and the bytes of its members as they lie there.

Only :mod:`wheelfuse.wheel.archive` and :mod:`wheelfuse.wheel.writer` touch the file system for wheels.
Formats: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central header) and 4.5.3 (zip64).
"""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
import struct
import sys
import threading
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, BinaryIO

from wheelfuse.content import Content, OnDisk, Shelf, pieces, spooled
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.wheel.layout import (
    CENTRAL_MAGIC,
    Directory,
    LocalHeader,
    Read,
    has_other_sizes,
    has_second_name,
    reading_ahead,
    strays,
)
from wheelfuse.wheel.limits import DEFAULT_LIMITS, NAMES, Limits

_fast: Any
try:  # inflates twice as fast as zlib, with checksums at four times the speed; not on every machine is there a wheel
    from isal import isal_zlib as _fast
except ImportError:
    _fast = zlib

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
CHUNK = 1 << 17
"""How much is read and inflated at once (bytes). Larger pieces take more time, and fragment the heap: with 1 MiB a
merge of three wheels of 255 MB takes 240 MB of memory, with 128 KiB 44 MB."""
ON_DISK = 1 << 30
"""How much inflated content an open wheel keeps in a temporary file at most (bytes)."""

DEFAULT_MODE = stat.S_IFREG | 0o644
"""The mode of a member that states none, for all that installers make of it."""

_SMALL = 64 << 20
"""Bytes that are read at once at most."""
_NAME_MAX, _PATH_MAX = 255, 4095
"""Bytes that Linux takes in a name and in a path (limits.h)."""
_DEEPEST = 128
"""Directories in each other; real wheels have some twenty."""

_ENCRYPTED_FLAG, _UTF8_FLAG, _UNIX = 0x1, 0x800, 3
_KNOWN_FLAGS = 0x80E
"""Flags that change nothing in how a member is read: how hard it was compressed, a data descriptor, UTF-8."""
_EMPTY_DEFLATED = 2
"""Bytes that nothing at all is packed to."""
_LINES = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
"""Characters that control, or are invisible (uv refuses both), and the two more at which Python ends a line."""
_NO_NAMES = frozenset(("", ".", ".."))
_AGAIN = "Build the wheel again."
_ELSE = "It is damaged, cut off, or something else: build or download it again."


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a zip: its path, Unix mode, and where its compressed bytes lie. Sizes in bytes."""

    path: str
    mode: int
    method: int
    crc: int
    compressed_size: int
    size: int
    offset: int

    @property
    def is_symlink(self) -> bool:
        return stat.S_ISLNK(self.mode)


class Archive:
    """An open zip file whose directory has been checked. Reads are thread-safe: they never share a file position.

    *written* is a file that was written just now, and has another name than *path* as yet.

    Raises:
        InvalidInput: it is no zip file, one that two programs could read differently, or one beyond the *limits*.
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
        self._fd = os.dup(written.fileno()) if written else _opened(path)
        try:
            status = os.fstat(self._fd)
            if not stat.S_ISREG(status.st_mode):
                raise InvalidInput(
                    Problem("not a file", str(path), todo="Name a wheel, or a directory of wheels.")
                )
            self._state = _state(self._fd)
            self.size = status.st_size
            self.members, self.extras = self._read_directory()
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

    def changed(self) -> bool:
        """Whether anybody wrote to the file since it was opened."""
        return _state(self._fd) != self._state

    def problem(self, what: str, member: str = "", todo: str = "") -> Problem:
        """A problem that names this wheel."""
        return Problem(what, self.name, member, todo)

    def _read_directory(self) -> tuple[tuple[Member, ...], dict[str, bytes]]:
        directory = self._directory()
        infos = self._infos(directory)
        problems = [*filter(None, map(self._refuse, infos)), *self._duplicates(infos)]
        if directory.count != len(infos):
            what = f"its end says {directory.count} members, but its directory lists {len(infos)}"
            problems.append(self.problem(what, todo=_AGAIN))
        if dense := self.limits.too_dense((info.file_size for info in infos), self.size):
            problems.append(self.problem(dense[0], todo=dense[1]))
        if problems:
            raise InvalidInput(problems)
        members, extents = [], []
        read = reading_ahead(self._pread)
        for info in infos:
            try:
                member, end = self._member(info, read)
            except InvalidInput as error:
                problems += error.problems
                continue
            extents.append((info.header_offset, end, info.filename))
            if not _is_directory(info):
                members.append(member)
        if not problems:
            problems += (self.problem(what, name, _AGAIN) for what, name in strays(extents, directory))
        if problems:
            raise InvalidInput(problems)
        return tuple(members), {info.filename: info.extra for info in infos if info.extra}

    def _directory(self) -> Directory:
        """Where the directory is: one that is not too large to be read."""
        directory = Directory.read(self._pread, self.size)
        if isinstance(directory, str):
            raise InvalidInput(
                self.problem(directory, todo=_AGAIN if "not a zip" not in directory else _ELSE)
            )
        count = directory.count
        if directory.length > NAMES * self.limits.members:
            count = max(count, directory.length // NAMES)
        elif not self.limits.too_many(count):  # its end may lie
            count = max(count, self._pread(directory.length, directory.start).count(CENTRAL_MAGIC))
        if many := self.limits.too_many(count):
            raise InvalidInput(self.problem(many[0], todo=many[1]))
        return directory

    def _infos(self, directory: Directory) -> list[zipfile.ZipInfo]:
        try:
            # By this descriptor: another file may have taken the name meanwhile.
            with open(self._fd, "rb", closefd=False) as file, zipfile.ZipFile(file) as archive:
                infos, comment = archive.infolist(), archive.comment
        except (
            zipfile.BadZipFile,
            OSError,
            EOFError,
            ValueError,
            NotImplementedError,
            struct.error,
        ) as error:
            raise InvalidInput(
                self.problem(f"not a zip file that can be read: {error}", todo=_ELSE)
            ) from error
        if len(comment) != directory.comment:
            raise InvalidInput(self.problem("programs disagree on where it ends", todo=_AGAIN))
        return infos

    def _pread(self, length: int, offset: int, member: str = "") -> bytes:
        if not 0 <= offset < self.size:
            return b""
        try:
            return os.pread(self._fd, length, offset)
        except OSError as error:
            todo = "Check the disk or the network that it lies on."
            raise InvalidInput(self.problem(f"cannot be read: {error.strerror}", member, todo)) from error

    def _duplicates(self, infos: list[zipfile.ZipInfo]) -> Iterator[Problem]:
        spellings = Counter(info.filename.rstrip("/") for info in infos)
        for name, count in _repeated(spellings):
            yield self.problem(f"{count} members of this name; installers disagree on which one counts", name)
        if not all(map(str.isascii, spellings)):
            for name, _ in _repeated(Counter(unicodedata.normalize("NFC", name) for name in spellings)):
                yield self.problem("two members whose names differ in Unicode normalisation only", name)
        files = (info.filename for info in infos if not _is_directory(info))
        for name in _also_directories(files, spellings):
            yield self.problem("both a file and the directory of other members", name)

    def _refuse(self, info: zipfile.ZipInfo) -> Problem | None:
        """What makes a member unusable, from the central directory alone."""
        name = info.filename
        if name != info.orig_filename or has_second_name(info.extra):
            return self.problem(
                "programs read its name differently: NUL byte, or a second name", info.orig_filename
            )
        if not name.isprintable() and any(unicodedata.category(letter) in _LINES for letter in name):
            return self.problem(f"control character in the member's name {name!r}")
        if not name.isascii() and not info.flag_bits & _UTF8_FLAG:
            return self.problem(
                "its name is not ASCII, and not said to be UTF-8: programs read it differently", name
            )
        if name.startswith("/") or (len(name) > 1 and name[1] == ":") or "\\" in name:
            return self.problem("absolute path or backslash in the member's name", name)
        if not _NO_NAMES.isdisjoint(parts := name.removesuffix("/").split("/")):
            return self.problem("path with an empty, '.' or '..' part", name)
        if len(parts) > _DEEPEST or (len(name) > _NAME_MAX // 4 and _is_long(name, parts)):
            what = f"path of {len(parts)} names and {len(name)} letters: too deep or too long for Linux"
            return self.problem(f"{what} (at most {_DEEPEST} names of {_NAME_MAX} bytes)", f"{name[:100]}…")
        return self._refuse_content(info)

    def _refuse_content(self, info: zipfile.ZipInfo) -> Problem | None:
        """The same, of a member whose name will do."""
        name = info.filename
        if info.flag_bits & _ENCRYPTED_FLAG:
            return self.problem("encrypted", name)
        if unknown := info.flag_bits & ~_KNOWN_FLAGS:
            return self.problem(f"flags {unknown:#x}, which few programs know", name, _AGAIN)
        if info.compress_type not in (STORED, DEFLATED):
            kind = zipfile.compressor_names.get(info.compress_type, info.compress_type)  # type: ignore[attr-defined]
            return self.problem(
                f"compression method {kind}; only stored and deflated are allowed in wheels", name
            )
        if has_other_sizes(info.extra, info.file_size, info.compress_size, info.header_offset):
            return self.problem("its zip64 field disagrees with the directory", name, _AGAIN)
        kind_of_file = stat.S_IFMT(info.external_attr >> 16)
        if _is_directory(info):
            if kind_of_file == stat.S_IFLNK:
                return self.problem("both a directory and a symbolic link", name)
            empty = not info.file_size and info.compress_size <= _EMPTY_DEFLATED
            return None if empty else self.problem("a directory with content", name)
        if kind_of_file not in (0, stat.S_IFREG, stat.S_IFLNK):
            return self.problem("neither a file nor a symbolic link", name)
        if large := self.limits.too_large(info.file_size, info.compress_size):
            return self.problem(large[0], name, large[1])
        return None

    def _member(self, info: zipfile.ZipInfo, read: Read) -> tuple[Member, int]:
        """The member, after its local header was held against the central one, and where it ends in the file."""
        header = LocalHeader.read(read, info.header_offset)
        if header is None:
            raise InvalidInput(self.problem("no local header where the directory says", info.filename))
        if differing := header.disagreements(info):
            what = f"local and central header disagree ({', '.join(differing)})"
            raise InvalidInput(self.problem(what, info.filename, _AGAIN))
        if not header.open_sizes and has_other_sizes(header.extra, info.file_size, info.compress_size):
            raise InvalidInput(
                self.problem("the zip64 field of its local header disagrees", info.filename, _AGAIN)
            )
        if has_second_name(header.extra):
            raise InvalidInput(self.problem("a second name in its local header", info.filename, _AGAIN))
        if header.data + info.compress_size > self.size:
            raise InvalidInput(
                self.problem("reaches beyond the end of the file: truncated wheel", info.filename)
            )
        if (end := header.end(read, info)) is None:
            raise InvalidInput(
                self.problem("its data descriptor disagrees with the directory", info.filename, _AGAIN)
            )
        if info.compress_type == STORED and info.compress_size != info.file_size:
            raise InvalidInput(self.problem("stored, yet its two sizes differ", info.filename))
        mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
        member = Member(
            sys.intern(info.filename), mode or DEFAULT_MODE, info.compress_type, info.CRC, info.compress_size,
            info.file_size, header.data,
        )  # fmt: skip
        return member, end

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


def _opened(path: Path) -> int:
    try:
        # Whoever opens a named pipe would wait for its writer for ever.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        todo = "See that it is there, and that you may read it."
        raise InvalidInput(Problem(f"cannot be opened: {error.strerror}", str(path), todo=todo)) from error


def _state(descriptor: int) -> tuple[int, int]:
    """What is another one after a file was written to. (Its ctime changes if it only loses a name, too.)"""
    state = os.fstat(descriptor)
    return state.st_size, state.st_mtime_ns


def _is_directory(info: zipfile.ZipInfo) -> bool:
    """As `ZipInfo.is_dir`, which cannot take an empty name before CPython 3.12."""
    return info.filename.endswith("/")


def _is_long(name: str, parts: Iterable[str]) -> bool:
    return len(name.encode()) > _PATH_MAX or any(len(part.encode()) > _NAME_MAX for part in parts)


def _repeated(counts: Counter[str]) -> Iterator[tuple[str, int]]:
    return ((name, count) for name, count in counts.items() if count > 1)


def _also_directories(files: Iterable[str], paths: Iterable[str]) -> list[str]:
    """The files that other paths lie below. No prefix of a path is made: there may be thousands in one."""
    # With a separator that sorts first, what lies below a path follows at once.
    ordered = sorted(path.replace("/", "\0") for path in paths)
    above = {path for path, following in pairwise(ordered) if following.startswith(f"{path}\0")}
    return sorted(file for file in files if file.replace("/", "\0") in above)


def symlink_escapes(path: str, destination: str) -> bool:
    """Whether a symbolic link at *path* in a wheel may point out of the tree that the wheel installs.

    Each directory of a scheme (``pkg-1.0.data/scripts``) is installed by itself, to a place of its own. After
    another name ``..`` is not followed: that name may be a link itself.
    """
    directories = PurePosixPath(path).parent.parts
    if directories and directories[0].endswith(".data"):
        directories = directories[2:]
    ups = [part == ".." for part in PurePosixPath(destination).parts]
    upward = ups.index(False) if False in ups else len(ups)
    return destination.startswith("/") or upward > len(directories) or any(ups[upward:])
