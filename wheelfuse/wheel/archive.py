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
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from wheelfuse.content import Content, OnDisk, Shelf, pieces, spooled
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.wheel.layout import Directory, LocalHeader, Read, has_second_name, reading_ahead, strays

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

_ENCRYPTED_FLAG, _UNIX = 0x1, 3
_NO_NAMES = frozenset(("", ".", ".."))
_AGAIN = "Build the wheel again."


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

    Raises:
        InvalidInput: it is no zip file, or one that two programs could read differently.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self._kept: dict[str, OnDisk] = {}
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._shelf = Shelf(ON_DISK)
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            todo = "See that it is there, and that you may read it."
            raise InvalidInput(
                Problem(f"cannot be opened: {error.strerror}", str(path), todo=todo)
            ) from error
        try:
            self._state = _state(self._fd)
            self.size = os.fstat(self._fd).st_size
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
            told = f"not a zip file that can be read: {error}"
            todo = "It is damaged, cut off, or something else: build or download it again."
            raise InvalidInput(
                self.problem(told.removesuffix(": File is not a zip file"), todo=todo)
            ) from error
        directory = Directory.read(self._pread, self.size, len(comment))
        if isinstance(directory, str):
            raise InvalidInput(self.problem(directory, todo=_AGAIN))
        problems = [*filter(None, map(self._refuse, infos)), *self._duplicates(infos)]
        if directory.count != len(infos):
            what = f"its end says {directory.count} members, but its directory lists {len(infos)}"
            problems.append(self.problem(what, todo=_AGAIN))
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
        directories = _directories(spellings)
        for name in sorted({info.filename for info in infos if info.filename in directories}):
            yield self.problem("both a file and the directory of other members", name)

    def _refuse(self, info: zipfile.ZipInfo) -> Problem | None:
        """What makes a member unusable, from the central directory alone."""
        name = info.filename
        if name != info.orig_filename or has_second_name(info.extra):
            return self.problem(
                "programs read its name differently: NUL byte, or a second name", info.orig_filename
            )
        if not name.isprintable() and any(unicodedata.category(letter) == "Cc" for letter in name):
            return self.problem(f"control character in the member's name {name!r}")
        if name.startswith("/") or (len(name) > 1 and name[1] == ":") or "\\" in name:
            return self.problem("absolute path or backslash in the member's name", name)
        if not _NO_NAMES.isdisjoint(name.removesuffix("/").split("/")):
            return self.problem("path with an empty, '.' or '..' part", name)
        if info.flag_bits & _ENCRYPTED_FLAG:
            return self.problem("encrypted", name)
        if info.compress_type not in (STORED, DEFLATED):
            kind = zipfile.compressor_names.get(info.compress_type, info.compress_type)  # type: ignore[attr-defined]
            return self.problem(
                f"compression method {kind}; only stored and deflated are allowed in wheels", name
            )
        if _is_directory(info):
            return self.problem("a directory with content", name) if info.file_size else None
        kind_of_file = stat.S_IFMT(info.external_attr >> 16)
        if kind_of_file not in (0, stat.S_IFREG, stat.S_IFLNK):
            return self.problem("neither a file nor a symbolic link", name)
        return None

    def _member(self, info: zipfile.ZipInfo, read: Read) -> tuple[Member, int]:
        """The member, after its local header was held against the central one, and where it ends in the file."""
        header = LocalHeader.read(read, info.header_offset)
        if header is None:
            raise InvalidInput(self.problem("no local header where the directory says", info.filename))
        if differing := header.disagreements(info):
            what = f"local and central header disagree ({', '.join(differing)})"
            raise InvalidInput(self.problem(what, info.filename, _AGAIN))
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
        """The member's content as a whole, for members that are known to be small."""
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


def _state(descriptor: int) -> tuple[int, int]:
    """What is another one after a file was written to. (Its ctime changes if it only loses a name, too.)"""
    state = os.fstat(descriptor)
    return state.st_size, state.st_mtime_ns


def _is_directory(info: zipfile.ZipInfo) -> bool:
    """As `ZipInfo.is_dir`, which cannot take an empty name before CPython 3.12."""
    return info.filename.endswith("/")


def _repeated(counts: Counter[str]) -> Iterator[tuple[str, int]]:
    return ((name, count) for name, count in counts.items() if count > 1)


def _directories(paths: Iterable[str]) -> set[str]:
    """All directories above the paths."""
    found: set[str] = set()
    for path in paths:
        while (path := path.rpartition("/")[0]) and path not in found:
            found.add(path)
    return found


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
