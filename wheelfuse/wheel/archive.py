"""Reading a wheel's zip file: its directory, checked, and the bytes of its members as they lie there.

Only :mod:`wheelfuse.wheel.archive` and :mod:`wheelfuse.wheel.writer` touch the file system for wheels.
Formats: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central header) and 4.5.3 (zip64).
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import tempfile
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from wheelfuse.errors import InvalidInput, Problem

_inflate: Any
try:  # inflates about 2.4 times as fast as zlib; there is no wheel of it for every machine
    from isal import isal_zlib as _inflate
except ImportError:
    _inflate = zlib

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
CHUNK = 1 << 20
IN_MEMORY = 16 << 20
"""Members above this size (bytes) are looked at through a temporary file rather than in memory."""

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_DESCRIPTOR_FLAG, _UTF8_FLAG, _ENCRYPTED_FLAG = 0x8, 0x800, 0x1
_NO_ZIP64 = 0xFFFFFFFF
_END = struct.Struct("<4sHHHHIIH")


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a zip: its path, Unix mode (0 if not given), and where its compressed bytes lie. Sizes in bytes."""

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
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidInput(Problem(f"cannot be opened: {error.strerror}", str(path))) from error
        try:
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
        os.close(self._fd)

    def problem(self, what: str, member: str = "", todo: str = "") -> Problem:
        """A problem that names this wheel."""
        return Problem(what, self.name, member, todo)

    def _read_directory(self) -> tuple[tuple[Member, ...], dict[str, bytes]]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                infos, comment = archive.infolist(), archive.comment
        except (
            zipfile.BadZipFile,
            OSError,
            EOFError,
            ValueError,
            NotImplementedError,
            struct.error,
        ) as error:
            raise InvalidInput(self.problem(f"not a zip file that can be read: {error}")) from error
        end = os.pread(self._fd, _END.size, self.size - len(comment) - _END.size)
        if end[:4] != b"PK\5\6" or _END.unpack(end)[-1] != len(comment):
            raise InvalidInput(
                self.problem("data after the end of the zip archive", todo="Build the wheel again.")
            )
        files = [info for info in infos if not info.is_dir()]
        problems = [problem for info in files if (problem := self._refuse(info))]
        problems += self._duplicates(infos)
        if problems:
            raise InvalidInput(problems)
        members, extras = [], {}
        for info in files:
            try:
                members.append(self._member(info))
            except InvalidInput as error:
                problems += error.problems
            if info.extra:
                extras[info.filename] = info.extra
        problems += self._overlaps(members)
        if problems:
            raise InvalidInput(problems)
        return tuple(members), extras

    def _duplicates(self, infos: list[zipfile.ZipInfo]) -> Iterator[Problem]:
        spellings = Counter(info.filename.rstrip("/") for info in infos)
        for name, count in spellings.items():
            if count > 1:
                yield self.problem(
                    f"{count} members of this name; installers disagree on which one counts", name
                )
        folded = Counter(unicodedata.normalize("NFC", name) for name in spellings)
        for name, count in folded.items():
            if count > 1:
                yield self.problem("two members whose names differ in Unicode normalisation only", name)

    def _refuse(self, info: zipfile.ZipInfo) -> Problem | None:
        """What makes a member unusable, from the central directory alone."""
        name = info.filename
        parts = name.split("/")
        if name != info.orig_filename:
            return self.problem("NUL byte or backslash in the member's name", info.orig_filename)
        if name.startswith("/") or (len(name) > 1 and name[1] == ":") or "\\" in name:
            return self.problem("absolute path or backslash in the member's name", name)
        if any(part in ("", ".", "..") for part in parts):
            return self.problem("path with an empty, '.' or '..' part", name)
        if info.flag_bits & _ENCRYPTED_FLAG:
            return self.problem("encrypted", name)
        if info.compress_type not in (STORED, DEFLATED):
            kind = zipfile.compressor_names.get(info.compress_type, info.compress_type)  # type: ignore[attr-defined]
            return self.problem(
                f"compression method {kind}; only stored and deflated are allowed in wheels", name
            )
        kind_of_file = stat.S_IFMT(info.external_attr >> 16)
        if kind_of_file not in (0, stat.S_IFREG, stat.S_IFLNK):
            return self.problem("neither a file nor a symbolic link", name)
        return None

    def _member(self, info: zipfile.ZipInfo) -> Member:
        """The member, after its local header was held against the central one."""
        header = os.pread(self._fd, _LOCAL.size, info.header_offset)
        if len(header) < _LOCAL.size or header[:4] != b"PK\3\4":
            raise InvalidInput(self.problem("no local header where the directory says", info.filename))
        _, _, flags, method, _, _, crc, compressed, size, name_length, extra_length = _LOCAL.unpack(header)
        tail = os.pread(self._fd, name_length + extra_length, info.header_offset + _LOCAL.size)
        name = tail[:name_length].decode("utf-8" if flags & _UTF8_FLAG else "cp437")
        differing = []
        if name != info.orig_filename:
            differing.append(f"name {name!r}")
        if method != info.compress_type:
            differing.append(f"compression method {method}")
        if flags & ~_DESCRIPTOR_FLAG != info.flag_bits & ~_DESCRIPTOR_FLAG:
            differing.append(f"flags {flags:#x}")
        if not flags & _DESCRIPTOR_FLAG:
            if _NO_ZIP64 in (compressed, size):
                compressed, size = _zip64_sizes(tail[name_length:], compressed, size)
            if (crc, compressed, size) != (info.CRC, info.compress_size, info.file_size):
                differing.append("checksum or size")
        if differing:
            what = f"local and central header disagree ({', '.join(differing)})"
            raise InvalidInput(self.problem(what, info.filename, "Build the wheel again."))
        offset = info.header_offset + _LOCAL.size + name_length + extra_length
        if offset + info.compress_size > self.size:
            raise InvalidInput(
                self.problem("reaches beyond the end of the file: truncated wheel", info.filename)
            )
        if info.compress_type == STORED and info.compress_size != info.file_size:
            raise InvalidInput(self.problem("stored, yet its two sizes differ", info.filename))
        mode = info.external_attr >> 16 if info.create_system == 3 else 0
        return Member(
            info.filename, mode, info.compress_type, info.CRC, info.compress_size, info.file_size, offset
        )

    def _overlaps(self, members: list[Member]) -> Iterator[Problem]:
        end = 0
        for member in sorted(members, key=lambda member: member.offset):
            if member.offset < end:
                yield self.problem("overlaps another member", member.path)
            end = member.offset + member.compressed_size

    def raw(self, member: Member) -> Iterator[bytes]:
        """The member's bytes as they lie in the file, compressed."""
        offset, end = member.offset, member.offset + member.compressed_size
        while offset < end:
            chunk = os.pread(self._fd, min(CHUNK, end - offset), offset)
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
            crc = zlib.crc32(chunk, crc)
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
        inflater = _inflate.decompressobj(-15)
        try:
            for compressed in self.raw(member):
                pending = compressed
                while pending and not inflater.eof:
                    if chunk := inflater.decompress(pending, CHUNK):
                        yield chunk
                    pending = inflater.unconsumed_tail
            while not inflater.eof and (chunk := inflater.decompress(inflater.unconsumed_tail, CHUNK)):
                yield chunk
        except (zlib.error, getattr(_inflate, "error", zlib.error)) as error:
            raise InvalidInput(self.problem(f"damaged compressed data: {error}", member.path)) from error
        if not inflater.eof or inflater.unused_data:
            raise InvalidInput(self.problem("compressed data ends too early or too late", member.path))

    def read(self, member: Member) -> bytes:
        """The member's content as a whole, for members that are known to be small."""
        return b"".join(self.chunks(member))

    @contextmanager
    def view(self, member: Member) -> Iterator[bytes | mmap]:
        """The member's content for random access: in memory if small, else mapped from an unlinked temporary file."""
        if member.size <= IN_MEMORY:
            yield self.read(member)
            return
        with tempfile.TemporaryFile() as file:
            for chunk in self.chunks(member):
                file.write(chunk)
            file.flush()
            with mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
                yield mapped

    def sha256(self) -> str:
        """The digest of the whole file, in hexadecimal."""
        digest, offset = hashlib.sha256(), 0
        while chunk := os.pread(self._fd, CHUNK, offset):
            digest.update(chunk)
            offset += len(chunk)
        return digest.hexdigest()


def symlink_escapes(path: str, destination: str) -> bool:
    """Whether a symbolic link at *path* in a wheel points out of the tree that the wheel installs."""
    if destination.startswith("/"):
        return True
    depth = 0
    for part in (*PurePosixPath(path).parent.parts, *PurePosixPath(destination).parts):
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False


def _zip64_sizes(extra: bytes, compressed: int, size: int) -> tuple[int, int]:
    """Compressed size and size from a local header's extra field, where the 32-bit ones say 0xFFFFFFFF."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        field = extra[position + 4 : position + 4 + length]
        if kind == 1:
            values = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            size = next(values, size) if size == _NO_ZIP64 else size
            compressed = next(values, compressed) if compressed == _NO_ZIP64 else compressed
        position += 4 + length
    return compressed, size
