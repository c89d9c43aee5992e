"""Where the parts of a zip file lie, and that it has no others: what one program skips, another one may read.

A zip file says most things twice: in the directory at its end, and in the header before each member. Programs
differ in which they believe, so both must say the same, and no byte may belong to neither.
Formats: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.9 (data descriptor), 4.3.14 to 4.3.16 (ends of
the directory) and 4.5.3 (zip64).
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Read = Callable[[int, int], bytes]
"""Reads *length* bytes at *offset*, or what there is of them."""

_PAGE = 1 << 12  # bytes; a disk reads no less
_LONGEST_COMMENT = 0xFFFF  # bytes

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
LOCAL_HEADER = _LOCAL.size
"""Bytes of a local header without the name and the extra field."""
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64 = struct.Struct("<4sIQI")
_DESCRIPTOR_FLAG, _UTF8_FLAG = 0x8, 0x800
_ZIP64_FIELD, _UNICODE_PATH_FIELD = 0x0001, 0x7075
_SEE_ZIP64_16, _SEE_ZIP64 = 0xFFFF, 0xFFFFFFFF
NEWEST = 63
"""The highest version of the format that a reader may have to know (APPNOTE 4.4.3.2), times ten."""
_END_MAGIC = b"PK\5\6"
CENTRAL_MAGIC = b"PK\1\2"
"""What each entry of the directory begins with."""
_MAGICS = (b"PK\3\4", CENTRAL_MAGIC, _END_MAGIC, b"PK\6\6", b"PK\6\7", b"PK\7\10")
_END64_HEAD = 12  # bytes of the zip64 end record that the length in it does not count


class LocalHeader(NamedTuple):
    """The header before a member's data; *data* is the offset at which that begins. Sizes in bytes."""

    version: int
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int
    name: bytes
    extra: bytes
    data: int

    @classmethod
    def read(cls, read: Read, offset: int) -> LocalHeader | None:
        """The header at *offset*; None if there is none."""
        fixed = read(_LOCAL.size, offset)
        if len(fixed) < _LOCAL.size or not fixed.startswith(b"PK\3\4"):
            return None
        _, version, flags, method, _, _, crc, compressed, size, *lengths = _LOCAL.unpack(fixed)
        name_length, extra_length = lengths
        tail = read(name_length + extra_length, offset + _LOCAL.size)
        name, extra = tail[:name_length], tail[name_length:]
        if _SEE_ZIP64 in (compressed, size):
            compressed, size = _zip64_sizes(extra, compressed, size)
        data = offset + _LOCAL.size + name_length + extra_length
        return cls(version, flags, method, crc, compressed, size, name, extra, data)

    @property
    def open_sizes(self) -> bool:
        """Whether a data descriptor follows, which may be all that tells the sizes."""
        return bool(self.flags & _DESCRIPTOR_FLAG)

    def disagreements(self, info: zipfile.ZipInfo) -> list[str]:
        """What this header says otherwise than the directory."""
        ascii_ = info.orig_filename.isascii()  # then all codecs are one, and this is the fastest
        codec = "utf-8" if info.flag_bits & _UTF8_FLAG or ascii_ else "cp437"
        here = self.flags, self.method, self.crc, self.compressed_size, self.size
        there = info.flag_bits, info.compress_type, info.CRC, info.compress_size, info.file_size
        if here == there and self.name == info.orig_filename.encode(codec) and self.version <= NEWEST:
            return []
        found = [f"version {self.version} is needed"] if self.version > NEWEST else []
        if self.name != info.orig_filename.encode(codec):
            found.append(f"name {self.name.decode(codec, 'replace')!r}")
        if self.method != info.compress_type:
            found.append(f"compression method {self.method}")
        if self.flags != info.flag_bits:
            found.append(f"flags {self.flags:#x}")
        # Before a data descriptor these may be left open.
        unknown = (0, _SEE_ZIP64) if self.flags & _DESCRIPTOR_FLAG else ()
        for title, own, listed in (
            ("checksum", self.crc, info.CRC),
            ("compressed size", self.compressed_size, info.compress_size),
            ("size", self.size, info.file_size),
        ):
            if own != listed and own not in unknown:
                found.append(f"{title} {own}")
        return found

    def end(self, read: Read, info: zipfile.ZipInfo) -> int | None:
        """Where the member ends, its data descriptor included; None if that contradicts the directory."""
        end = self.data + info.compress_size
        if not self.flags & _DESCRIPTOR_FLAG:
            return end
        sizes = (info.CRC, info.compress_size, info.file_size)
        found = read(24, end)
        for signature in (b"PK\7\10", b""):
            for form in ("<IQQ", "<III"):
                try:
                    descriptor = signature + struct.pack(form, *sizes)
                except struct.error:  # sizes of zip64 in a form of 32 bits
                    continue
                if found.startswith(descriptor):
                    return end + len(descriptor)
        return None


def reading_ahead(read: Read) -> Read:
    """The same as *read*, for headers that lie close together: what one page of the file holds is read once."""
    page, start = b"", 0

    def ahead(length: int, offset: int) -> bytes:
        nonlocal page, start
        if not start <= offset <= offset + length <= start + len(page):
            page, start = read(max(length, _PAGE), offset), offset
        return page[offset - start : offset - start + length]

    return ahead


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The parts of an extra field: header id and data of each (APPNOTE 4.5.1)."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        yield kind, extra[position + 4 : position + 4 + length]
        position += 4 + length


def wrong_extra(extra: bytes) -> str:
    """What uv refuses in an extra field, and others pass over; empty if nothing is wrong."""
    kinds, position = set(), 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        position += 4 + length
        if position > len(extra):
            return "its extra field is cut off"
        if kind in kinds:
            return f"two extra fields of kind {kind:#06x}"
        if kind == _ZIP64_FIELD and length % 8:
            return f"a zip64 field of {length} bytes, which are no whole numbers"
        kinds.add(kind)
    return ""


def has_zip64(extra: bytes) -> bool:
    """Whether there is a zip64 field in an extra field."""
    return bool(extra) and any(kind == _ZIP64_FIELD for kind, _ in extra_fields(extra))


def misfit_zip64(directory: bytes) -> Iterator[bool]:
    """For each entry of a directory, whether it has a zip64 field of more or fewer numbers than it leaves to that
    (APPNOTE 4.5.3)."""
    position = 0
    while position + _CENTRAL.size <= len(directory):
        _, *fields = _CENTRAL.unpack_from(directory, position)
        name, extra, comment, offset = *fields[9:12], fields[15]
        position += _CENTRAL.size + name
        numbers = [
            data
            for kind, data in extra_fields(directory[position : position + extra])
            if kind == _ZIP64_FIELD
        ]
        position += extra + comment
        yield bool(numbers) and len(numbers[0]) != 8 * [*fields[7:9], offset].count(_SEE_ZIP64)


def has_second_name(extra: bytes) -> bool:
    """Whether an extra field gives the member another name (Info-ZIP's Unicode path), which some programs use."""
    return bool(extra) and any(kind == _UNICODE_PATH_FIELD for kind, _ in extra_fields(extra))


def has_other_sizes(extra: bytes, *values: int) -> bool:
    """Whether a zip64 field has anything but these values, or has them in another order.

    Programs differ in when they look into it: only where the plain field is too small, as they should, or always.
    """
    for kind, data in extra_fields(extra):
        if kind == _ZIP64_FIELD:
            known = iter(values)
            if not all(
                value in known for value in struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8])
            ):
                return True
    return False


def _zip64_sizes(extra: bytes, compressed: int, size: int) -> tuple[int, int]:
    """Compressed size and size from a local header's extra field, where the 32-bit ones say 0xFFFFFFFF."""
    for kind, data in extra_fields(extra):
        if kind == _ZIP64_FIELD:
            values = iter(struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8]))
            size = next(values, size) if size == _SEE_ZIP64 else size
            compressed = next(values, compressed) if compressed == _SEE_ZIP64 else compressed
    return compressed, size


@dataclass(frozen=True)
class EndRecord:
    """What the end of a zip file says of its directory: where it begins, its length, and how many members it lists.

    *comment* is the length of the comment that ends the file. Lengths are in bytes.
    """

    start: int
    length: int
    count: int
    comment: int

    @classmethod
    def read(cls, read: Read, size: int) -> EndRecord | str:
        """Read the end records of a file of *size* bytes; a text if they are not all of its end."""
        ends = _ends(read, size)
        if isinstance(ends, str):
            return ends
        (at,) = ends
        _, *disks, on_disk, count, length, start, comment = _END.unpack(read(_END.size, at))
        if any(disks) or on_disk != count:
            return "its end record tells of several disks"
        locator = read(_LOCATOR64.size, at - _LOCATOR64.size) if at >= _LOCATOR64.size else b""
        if locator.startswith(b"PK\6\7"):
            at -= _LOCATOR64.size + _END64.size
            _, disk, place, total = _LOCATOR64.unpack(locator)
            record = read(_END64.size, max(at, 0))
            if not record.startswith(b"PK\6\6") or place != at or disk or total > 1:
                return "no zip64 end record where its locator says"
            _, rest, _, _, *disks, on_disk, count64, length64, start64 = _END64.unpack(record)
            narrow = (
                (count, count64, _SEE_ZIP64_16),
                (length, length64, _SEE_ZIP64),
                (start, start64, _SEE_ZIP64),
            )
            if any(value not in (wide, see) for value, wide, see in narrow):
                return "its two end records disagree"
            if rest != _END64.size - _END64_HEAD or any(disks) or on_disk != count64:
                return "its zip64 end record tells of several disks, or of a length that it has not"
            count, length, start = count64, length64, start64
        if start + length != at:
            return "bytes before the zip archive, or around its directory, that belong to no member"
        return cls(start, length, count, comment)


def _ends(read: Read, size: int) -> tuple[int] | str:
    """Where the one end record is that ends with the file, its comment included; a text if there is not just one.

    Programs look for it from different ends of what the comment may be, so a second one would be another archive.
    """
    first = max(size - _END.size - _LONGEST_COMMENT, 0)
    tail = read(size - first, first)
    found, at = [], tail.find(_END_MAGIC)
    ends = 0
    while at >= 0:
        ends += 1
        if at + _END.size + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail):
            found.append(first + at)
        at = tail.find(_END_MAGIC, at + 1)
    if not ends:
        return "not a zip file that can be read"
    if not found:
        return "data after the end of the zip archive"
    if len(found) > 1:
        return "two end records: which archive is meant, programs disagree on"
    if any(magic in tail[found[0] - first + _END.size :] for magic in _MAGICS):
        return "a comment that looks like another zip file, which uv refuses"
    return (found[0],)


def strays(extents: Sequence[tuple[int, int, str]], directory: EndRecord) -> Iterator[tuple[str, str]]:
    """Where members overlap, or bytes belong to none: what is wrong, and at which member.

    *extents* are the begin and the end of each member in the file, and its name.
    """
    position = 0
    for begin, end, name in (*sorted(extents), (directory.start, directory.start, "")):
        if begin < position:
            yield "overlaps another member" if name else "the last member overlaps the directory", name
        elif begin > position:
            yield f"{begin - position} bytes before it belong to no member", name or "(directory)"
        position = max(position, end)
