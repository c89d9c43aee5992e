"""GPU code in an ELF file (CUDA fat binaries): which architectures it is for, and where each piece of it lies.

nvcc puts the GPU code of a translation unit into one container, and the containers of a file one after another
into ``.nv_fatbin``, or into ``__nv_relfatbin`` if the code was left to be linked (``-rdc=true``). A container
holds an entry per architecture: machine code (SASS, a cubin), PTX, or the intermediate code of link-time
optimisation. NVIDIA does not document the format; what is here was read from the output of nvcc 11 to 13,
agrees with ``struct fatBinaryHeader`` of ``fatbinary_section.h``, and is held against cuobjdump by tests.
Nothing is decompressed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from wheelfuse.content import Content, unpack_from
from wheelfuse.elf.image import Image, Section
from wheelfuse.errors import InvalidInput, Problem

SECTIONS = (".nv_fatbin", "__nv_relfatbin")

_CONTAINER = struct.Struct("<IHHQ")  # magic, version, size of this header, size of what follows it
_MAGIC = 0xBA55ED50
_ENTRY = struct.Struct("<HHIQ I4x HH I 8x Q 8x Q")
"""Kind, version, size of this header, size of the payload with its padding, compressed size (0: not compressed),
minor and major of the code's version, architecture, flags, uncompressed size."""
_VERSION, _ENTRY_VERSION = 1, 0x0101
_DEBUG, LZ4, ZSTD, _ARCH_SPECIFIC, _FAMILY_SPECIFIC = 0x2, 0x2000, 0x8000, 0x100000, 0x200000
_COMPRESSED = LZ4 | ZSTD
_MOST = 1 << 18
"""Containers in a file, and entries in them, at most; libraries for all GPUs have some ten thousand."""
_CHUNK = 4096  # bytes of padding that are looked at together
_KINDS = {1: ("ptx", "compute"), 2: ("sass", "sm"), 8: ("lto", "lto")}
_PREFIXES = ("sm", "compute", "lto")


class EntryHeader(NamedTuple):
    """What an entry begins with. *header* and *size*, of the payload with its padding, are in bytes."""

    kind: int
    version: int
    header: int
    size: int
    compressed_size: int
    minor: int
    major: int
    arch: int
    flags: int
    uncompressed_size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of GPU code.

    ``kind`` is ``sass``, ``ptx`` or ``lto`` (``kind 64`` for what is not known). ``arch`` is what nvcc's ``code=``
    calls it: ``sm_90a``, ``compute_90``, ``lto_90``. ``size`` and ``uncompressed_size`` of the payload are in
    bytes, without padding where the file tells (padding is up to 8 bytes). ``version`` is that of the PTX
    language (9, 0) or of the machine code's format. ``debug``: compiled for a debugger (``nvcc -G``).
    """

    kind: str
    arch: str
    size: int
    uncompressed_size: int
    compressed: bool
    debug: bool
    version: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Container:
    """The GPU code of one translation unit. ``offset`` in the file and ``size``, with the header, are in bytes."""

    section: str
    offset: int
    size: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class DeviceCode:
    """The GPU code of one file, in file order."""

    containers: tuple[Container, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.containers)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(entry for container in self.containers for entry in container.entries)

    @property
    def architectures(self) -> tuple[str, ...]:
        """All that there is code for: machine code first, then PTX, then LTO; each by generation."""
        return tuple(sorted({entry.arch for entry in self.entries}, key=natural))

    @property
    def sass(self) -> tuple[str, ...]:
        """The architectures of machine code: ``sm_80``, ``sm_90a``."""
        return self._of("sass")

    @property
    def ptx(self) -> tuple[str, ...]:
        """The virtual architectures of PTX, which the driver can compile for newer GPUs: ``compute_90``."""
        return self._of("ptx")

    @property
    def lto(self) -> tuple[str, ...]:
        """What link-time optimisation can start from: ``lto_90``."""
        return self._of("lto")

    @property
    def size(self) -> int:
        """Bytes of all containers."""
        return sum(container.size for container in self.containers)

    def _of(self, kind: str) -> tuple[str, ...]:
        return tuple(sorted({entry.arch for entry in self.entries if entry.kind == kind}, key=natural))


def natural(arch: str) -> tuple[int, int, str]:
    """A sort key that puts ``sm_90`` before ``sm_90a``, and that before ``sm_100`` and all ``compute_``."""
    match = re.fullmatch(r"(.+)_(\d+)(\w*)", arch)
    prefix, number, suffix = match.groups() if match else (arch, "0", "")
    return (_PREFIXES.index(prefix) if prefix in _PREFIXES else len(_PREFIXES), int(number), suffix)


def read_device_code(data: Content, image: Image) -> DeviceCode:
    """Read the fat binaries in the ELF file *data*, of which *image* has the sections.

    Raises:
        InvalidInput: a structure is damaged, or of a form that is not known.
    """
    found: list[Container] = []
    left = _MOST
    for section in image.sections:
        if section.name in SECTIONS and section.kind != "SHT_NOBITS":
            try:
                for container in _containers(data, section):
                    left -= 1 + len(container.entries)
                    if left < 0:
                        raise ValueError(f"more than {_MOST} pieces")
                    found.append(container)
            except (struct.error, ValueError) as error:
                what = f"unreadable GPU code: section {section.name}: {error}"
                raise InvalidInput(Problem(what)) from error
    return DeviceCode(tuple(found))


def _containers(data: Content, section: Section) -> Iterator[Container]:
    position, end = section.offset, section.offset + section.size
    if end > len(data):
        raise ValueError("it reaches beyond the end of the file")
    while (position := _skip_padding(data, position, end)) < end:
        where = f"container at 0x{position - section.offset:x}"
        if end - position < _CONTAINER.size:
            raise ValueError(f"{where} is cut off")
        magic, version, header, size = unpack_from(_CONTAINER, data, position)
        if magic != _MAGIC:
            raise ValueError(f"no container at 0x{position - section.offset:x}, but 0x{magic:08x}")
        if version != _VERSION or header < _CONTAINER.size:
            raise ValueError(f"{where} is of version {version} with a header of {header} bytes")
        if header + size > end - position:
            raise ValueError(f"{where} has {header + size} bytes, the section only {end - position} more")
        inside = _entries(data, position + header, position + header + size, where)
        entries = tuple(islice(inside, _MOST + 1))
        yield Container(section.name, position, header + size, entries)
        position += header + size


def _skip_padding(data: Content, position: int, end: int) -> int:
    """Where the next 8 bytes begin that are not all zeros; *end* if there are none.

    Containers are aligned to 8 bytes, in a section that is so aligned itself.
    """
    while position < end:
        chunk = data[position : min(position + _CHUNK, end)]
        zeros = len(chunk) - len(chunk.lstrip(b"\0"))
        if zeros < len(chunk):
            return position + zeros - zeros % 8
        position += len(chunk)
    return end


def headers(data: Content, position: int, end: int, where: str) -> Iterator[tuple[int, EntryHeader]]:
    """The entries from *position* to *end*: where each begins, and its header. *where* names them in errors.

    Raises:
        ValueError: one is damaged, or of a form that is not known.
    """
    while position < end:
        if end - position < _ENTRY.size:
            raise ValueError(f"{where} ends within the header of an entry")
        entry = EntryHeader._make(unpack_from(_ENTRY, data, position))
        if entry.version != _ENTRY_VERSION or entry.header < _ENTRY.size:
            what = f"an entry of version 0x{entry.version:x} with a header of {entry.header} bytes"
            raise ValueError(f"{where} has {what}")
        if entry.header + entry.size > end - position or entry.compressed_size > entry.size:
            raise ValueError(f"{where} has an entry that reaches beyond it")
        yield position, entry
        position += entry.header + entry.size


def headers_of(data: Content, container: Container) -> Iterator[tuple[int, EntryHeader]]:
    """The entries of a container that was read from *data*: where in *data* each begins, and its header."""
    _, _, header, _ = unpack_from(_CONTAINER, data, container.offset)
    yield from headers(data, container.offset + header, container.offset + container.size, "the container")


def kind_of(entry: EntryHeader) -> str:
    """``sass``, ``ptx`` or ``lto``; ``kind 64`` for what is not known."""
    return _KINDS.get(entry.kind, (f"kind {entry.kind}", ""))[0]


def _entries(data: Content, position: int, end: int, where: str) -> Iterator[Entry]:
    for _, entry in headers(data, position, end, where):
        _, prefix = _KINDS.get(entry.kind, ("", f"kind{entry.kind}"))
        packed = bool(entry.flags & _COMPRESSED)
        yield Entry(
            kind=kind_of(entry),
            arch=f"{prefix}_{entry.arch}{_suffix(entry.flags)}",
            size=entry.compressed_size if packed else entry.size,
            uncompressed_size=entry.uncompressed_size if packed else entry.size,
            compressed=packed,
            debug=bool(entry.flags & _DEBUG),
            version=(entry.major, entry.minor),
        )


def _suffix(flags: int) -> str:
    """``a``: runs on this GPU alone; ``f``: on its family (NVCC documentation, GPU feature list)."""
    if flags & _ARCH_SPECIFIC:
        return "a"
    return "f" if flags & _FAMILY_SPECIFIC else ""
