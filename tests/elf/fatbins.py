"""Fat binaries written by hand, as nvcc lays them out."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from wheelfuse.elf.image import Image, Section

PTX, SASS, LTO = 1, 2, 8
DEBUG, LZ4, ZSTD, ONE_GPU, FAMILY = 0x2, 0x2000, 0x8000, 0x100000, 0x200000
_USUAL = 0x11  # set in everything that nvcc writes: 64 bits, Linux


def entry(
    kind: int,
    arch: int,
    flags: int = 0,
    *,
    payload: int = 64,
    compressed: int = 0,
    uncompressed: int = 0,
    version: tuple[int, int] = (1, 8),
    header: int = 64,
    entry_version: int = 0x0101,
) -> bytes:
    """One entry: a header of *header* bytes and a *payload* of that many."""
    major, minor = version
    head = struct.pack("<HHIQ", kind, entry_version, header, payload)
    head += struct.pack(
        "<II HH I II Q Q Q", compressed, 0, minor, major, arch, 0, 0, flags | _USUAL, 0, uncompressed
    )
    return head + bytes(max(header - len(head), 0)) + b"\xab" * payload


def container(*entries: bytes, magic: int = 0xBA55ED50, version: int = 1, header: int = 16) -> bytes:
    """A container of these entries."""
    body = b"".join(entries)
    return struct.pack("<IHHQ", magic, version, header, len(body)) + bytes(header - 16) + body


def image(sections: Iterable[tuple[str, int, int]]) -> Image:
    """An image with sections of these names, sizes and offsets."""
    found = tuple(Section(name, "SHT_PROGBITS", 0x2, size, offset) for name, size, offset in sections)
    return Image("EM_X86_64", 64, True, "ET_DYN", sections=found)
