"""Writing a wheel's zip file: deterministic, and never anything the public index refuses.

No data descriptors, no duplicate names, no comment, nothing before or after; zip64 only where a size or the
number of members asks for it. Members copied from another wheel keep their compressed bytes.
Format: PKWARE APPNOTE 6.3.10.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterable
from typing import BinaryIO

from wheelfuse.content import pieces
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.deflate import Packed, Seen, deflated
from wheelfuse.wheel.directory import DEFAULT_MODE as DEFAULT_MODE
from wheelfuse.wheel.directory import DEFLATED, Member
from wheelfuse.wheel.trail import Trail

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4s4B4HIII5HII")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64 = struct.Struct("<4sIQI")
_END = struct.Struct("<4sHHHHIIH")
_LIMIT32, _LIMIT16 = 0xFFFFFFFF, 0xFFFF
_UNIX = 3
_UTF8_FLAG = 0x800


Timestamp = tuple[int, int]
"""MS-DOS date and time, as zip files hold them."""


def timestamp(environ: dict[str, str] | os._Environ[str]) -> Timestamp:
    """The time stamped on every member: SOURCE_DATE_EPOCH (in UTC) if set, else the earliest that zip knows.

    Raises:
        ValueError: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    # 315532800 is 1980-01-01 and 4354819199 2107-12-31: a zip file cannot say anything outside of them.
    epoch = min(max(int(environ.get("SOURCE_DATE_EPOCH") or 0), 315532800), 4354819198)
    year, month, day, hour, minute, second, *_ = time.gmtime(epoch)
    return (year - 1980) << 9 | month << 5 | day, hour << 11 | minute << 5 | second // 2


class ZipWriter:
    """Writes members one after another into a seekable file. ``close`` writes the directory."""

    def __init__(self, file: BinaryIO, stamp: Timestamp, trail: Trail | None = None) -> None:
        self._file = file
        self._trail = trail
        self._stamp = stamp
        self._directory: list[bytes] = []
        self._names: set[str] = set()

    @property
    def position(self) -> int:
        """How many bytes the file has so far."""
        return self._file.tell()

    def copy(self, path: str, mode: int, archive: Archive, member: Member) -> None:
        """Copy a member's compressed bytes unchanged under another path and mode."""
        self._begin(path)
        offset = self._file.tell()
        self._local_header(path, member.method, member.crc, member.compressed_size, member.size)
        for chunk in archive.raw(member):
            self._file.write(chunk)
            self._settle()
        self._remember(
            path, mode, member.method, member.crc, member.compressed_size, member.size, offset, b""
        )

    def write(
        self, path: str, mode: int, chunks: Iterable[bytes], size_limit: int = 0, extra: bytes = b""
    ) -> tuple[bytes, int]:
        """Compress new content; returns its sha256 and its size.

        *size_limit* is an upper bound of the size, needed only where it may pass 4 GiB: the local header
        comes before the data and must make room for 64-bit sizes then.
        """
        self._begin(path)
        offset = self._file.tell()
        # What cannot be compressed grows a little: by 5 bytes in each block of at least 16 KiB (RFC 1951, 3.2.4).
        zip64 = size_limit + (size_limit >> 10) + 64 >= _LIMIT32
        self._local_header(path, DEFLATED, 0, 0, 0, extra, force_zip64=zip64)
        seen, begin = Seen(), self._file.tell()
        for compressed in deflated(seen.passing(chunks)):
            self._file.write(compressed)
        end = self._file.tell()
        self._file.seek(offset)
        self._local_header(path, DEFLATED, seen.crc, end - begin, seen.size, extra, force_zip64=zip64)
        self._file.seek(end)
        self._remember(path, mode, DEFLATED, seen.crc, end - begin, seen.size, offset, extra)
        return seen.sha256, seen.size

    def put(self, path: str, mode: int, packed: Packed) -> None:
        """Write content that was compressed before."""
        self._begin(path)
        size, offset = len(packed.compressed), self._file.tell()
        self._local_header(path, DEFLATED, packed.crc, size, packed.size)
        for piece in pieces(packed.compressed):
            self._file.write(piece)
            self._settle()
        self._remember(path, mode, DEFLATED, packed.crc, size, packed.size, offset, b"")

    def close(self) -> None:
        """Write the central directory and the end records."""
        start, count = self._file.tell(), len(self._directory)
        for header in self._directory:
            self._file.write(header)
        size = self._file.tell() - start
        if count >= _LIMIT16 or start >= _LIMIT32 or size >= _LIMIT32:
            at = self._file.tell()
            self._file.write(_END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start))
            self._file.write(_LOCATOR64.pack(b"PK\6\7", 0, at, 1))
        self._file.write(
            _END.pack(
                b"PK\5\6", 0, 0, min(count, _LIMIT16), min(count, _LIMIT16),
                min(size, _LIMIT32), min(start, _LIMIT32), 0,
            )
        )  # fmt: skip
        self._settle(last=True)

    def _settle(self, *, last: bool = False) -> None:
        """Tell whoever follows that what was written so far will not change."""
        if self._trail:
            self._trail.settled(self._file.tell(), last=last)

    def _begin(self, path: str) -> None:
        if path in self._names:
            raise AssertionError(f"{path} would be written twice")
        self._names.add(path)

    def _local_header(
        self,
        path: str,
        method: int,
        crc: int,
        compressed: int,
        size: int,
        extra: bytes = b"",
        *,
        force_zip64: bool = False,
    ) -> None:
        name, flags = _encode(path)
        zip64 = force_zip64 or compressed >= _LIMIT32 or size >= _LIMIT32
        if zip64:
            extra = struct.pack("<HHQQ", 1, 16, size, compressed) + extra
            compressed = size = _LIMIT32
        date, clock = self._stamp
        self._file.write(
            _LOCAL.pack(
                b"PK\3\4",
                45 if zip64 else 20,
                flags,
                method,
                clock,
                date,
                crc,
                compressed,
                size,
                len(name),
                len(extra),
            )
        )
        self._file.write(name + extra)

    def _remember(
        self,
        path: str,
        mode: int,
        method: int,
        crc: int,
        compressed: int,
        size: int,
        offset: int,
        extra: bytes,
    ) -> None:
        name, flags = _encode(path)
        wide = [value for value in (size, compressed, offset) if value >= _LIMIT32]
        if wide:
            extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) + extra
        version = 45 if wide else 20
        date, clock = self._stamp
        header = _CENTRAL.pack(
            b"PK\1\2", version, _UNIX, version, 0, flags, method, clock, date, crc,
            min(compressed, _LIMIT32), min(size, _LIMIT32), len(name), len(extra), 0, 0, 0,
            mode << 16, min(offset, _LIMIT32),
        )  # fmt: skip
        self._directory.append(header + name + extra)
        self._settle()


def _encode(path: str) -> tuple[bytes, int]:
    try:
        return path.encode("ascii"), 0
    except UnicodeEncodeError:
        return path.encode("utf-8"), _UTF8_FLAG
