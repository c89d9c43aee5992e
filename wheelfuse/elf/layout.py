"""Where in a shared object the tables lie that a loader reads, each record with its offset in the file.

Formats: the gABI (System V Application Binary Interface, chapters 4 and 5) for the headers and the dynamic
section, the Linux Standard Base (Core, "Symbol Versioning") for `.gnu.version_r`; names as in glibc's elf.h.
All machines and both byte orders. The reader is strict: what it returns can be edited without a second look.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar

from wheelfuse.content import Read
from wheelfuse.errors import InvalidInput

ET_DYN = 3
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_PHDR = 1, 2, 3, 6
PF_R = 4
SHT_STRTAB, SHT_NOBITS, SHT_DYNSYM = 3, 8, 11
DT_NULL, DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_SONAME, DT_RPATH, DT_RUNPATH = 0, 1, 5, 10, 14, 15, 29
DT_FLAGS_1, DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFFB, 0x6FFFFFFE, 0x6FFFFFFF
DF_1_PIE = 0x08000000
VER_NEED_CURRENT = 1
_MOST_LOADS, _MOST_NEEDS, _MOST_TAGS, _MOST_SECTIONS = 1 << 8, 1 << 12, 1 << 16, 1 << 16
"""Segments to load, libraries with versions, entries of the dynamic section, and sections, at most; linkers write
about 4, 4, 40 and 40, patchelf some more."""


class Ehdr(NamedTuple):
    """The ELF header, without the prefixes of elf.h."""

    ident: bytes
    type: int
    machine: int
    version: int
    entry: int
    phoff: int
    shoff: int
    flags: int
    ehsize: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int


class Phdr32(NamedTuple):
    """An entry of the program header table, ELF32."""

    type: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    flags: int
    align: int


class Phdr64(NamedTuple):
    """An entry of the program header table, ELF64: the same fields in another order."""

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int


Phdr = Phdr32 | Phdr64


class Shdr(NamedTuple):
    """An entry of the section header table."""

    name: int
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    addralign: int
    entsize: int


class Dyn(NamedTuple):
    """An entry of the dynamic section."""

    tag: int
    value: int


class Verneed(NamedTuple):
    """One library that versioned symbols are taken from; *file* is its name's offset in the string table."""

    version: int
    cnt: int
    file: int
    aux: int
    next: int


Record = Ehdr | Phdr32 | Phdr64 | Shdr | Dyn | Verneed
R = TypeVar("R", Ehdr, Phdr32, Phdr64, Shdr, Dyn, Verneed)

_FIELDS: dict[type[Record], tuple[str, str]] = {
    Ehdr: ("16sHHIIIIIHHHHHH", "16sHHIQQQIHHHHHH"),
    Phdr32: ("8I", ""),
    Phdr64: ("", "2I6Q"),
    Shdr: ("10I", "2I4Q2I2Q"),
    Dyn: ("iI", "qQ"),
    Verneed: ("2H3I", "2H3I"),
}


@dataclass(frozen=True)
class Placed(Generic[R]):
    """A record and its offset in the file."""

    offset: int
    record: R


@dataclass(frozen=True)
class Encoding:
    """How one class (ELF32, ELF64) and one byte order write the records."""

    bits: int
    order: str

    @classmethod
    def of(cls, ident: bytes) -> Encoding:
        """The encoding that `e_ident` announces.

        Raises:
            InvalidInput: it is no ELF file, or of an unknown class, byte order or version.
        """
        bits = {1: 32, 2: 64}.get(ident[4]) if len(ident) == 16 else None
        order = {1: "<", 2: ">"}.get(ident[5]) if bits else None
        if ident[:4] != b"\x7fELF" or bits is None or order is None or ident[6] != 1:
            raise InvalidInput("not an ELF file of version 1")
        return cls(bits, order)

    @property
    def phdr(self) -> type[Phdr32] | type[Phdr64]:
        """The type of this class's program headers."""
        return Phdr64 if self.bits == 64 else Phdr32

    def size(self, kind: type[Record]) -> int:
        """Bytes in one record of this kind."""
        return self._struct(kind).size

    def unpack(self, kind: type[R], data: bytes) -> Iterator[R]:
        """The records in *data*."""
        return map(kind._make, self._struct(kind).iter_unpack(data))

    def unpack_segments(self, data: bytes) -> tuple[Phdr, ...]:
        """The program headers in *data*."""
        return tuple(self.unpack(Phdr64, data) if self.bits == 64 else self.unpack(Phdr32, data))

    def pack(self, record: Record) -> bytes:
        """The bytes of a record.

        Raises:
            InvalidInput: a field is too large for this class.
        """
        try:
            return self._struct(type(record)).pack(*record)
        except struct.error as error:
            raise InvalidInput(f"too large for an ELF{self.bits} file: {record}") from error

    def _struct(self, kind: type[Record]) -> struct.Struct:
        return struct.Struct(self.order + _FIELDS[kind][self.bits == 64])


@dataclass(frozen=True)
class Layout:
    """The tables of one shared object.

    *strings* is the table that the dynamic section refers to (`.dynstr`), *strings_section* its section
    header, None where the file has no section headers at all.
    """

    size: int
    encoding: Encoding
    header: Placed[Ehdr]
    segments: tuple[Phdr, ...]
    dynamic: tuple[Placed[Dyn], ...]
    strings: bytes
    needs: tuple[Placed[Verneed], ...]
    sections: tuple[Placed[Shdr], ...]
    strings_section: Placed[Shdr] | None

    @property
    def loads(self) -> tuple[Phdr, ...]:
        """The segments that are mapped into memory, by ascending address."""
        return _of_type(PT_LOAD, self.segments)

    def string(self, offset: int) -> bytes:
        """The string at an offset of the string table.

        Raises:
            InvalidInput: the offset is outside of the table.
        """
        if offset >= len(self.strings):
            raise InvalidInput(f"a name at offset {offset} of a string table of {len(self.strings)} bytes")
        return self.strings[offset : self.strings.index(b"\0", offset)]


def read_layout(read: Read, size: int) -> Layout:
    """The tables of a shared object of *size* bytes, of which *read* returns parts.

    Raises:
        InvalidInput: it is none, is damaged, is a program, or has what no linker writes: segments out of
            order, tables outside of the segments, a string table that the section headers do not know, symbols
            with names outside of it.
    """
    encoding = Encoding.of(read(0, 16))
    reader = _Reader(read, size, encoding)
    header = reader.one(Ehdr, 0, "the ELF header")
    segments = _segments(reader, header.record)
    dynamic = _dynamic(reader, segments)
    tags = tuple(entry.record for entry in dynamic)
    _refuse_program(header.record, segments, tags)
    strings = _strings(reader, segments, tags)
    needs = tuple(_needs(reader, segments, tags))
    sections = _sections(reader, header.record)
    _refuse_overlay(reader, segments, sections)
    strings_section = _strings_section(sections, segments, tags)
    _refuse_nameless(reader, sections, strings)
    return Layout(size, encoding, header, segments, dynamic, strings, needs, sections, strings_section)


@dataclass(frozen=True)
class _Reader:
    read: Read
    size: int
    encoding: Encoding

    def check(self, end: int, what: str) -> None:
        if end > self.size:
            raise InvalidInput(f"truncated: {what} would end at byte {end} of {self.size}")

    def bytes(self, offset: int, size: int, what: str) -> bytes:
        self.check(offset + size, what)
        return self.read(offset, size)

    def table(self, kind: type[R], offset: int, size: int, what: str) -> tuple[Placed[R], ...]:
        step = self.encoding.size(kind)
        records = self.encoding.unpack(kind, self.bytes(offset, size, what))
        return tuple(Placed(offset + index * step, record) for index, record in enumerate(records))

    def one(self, kind: type[R], offset: int, what: str) -> Placed[R]:
        return self.table(kind, offset, self.encoding.size(kind), what)[0]


def _segments(reader: _Reader, header: Ehdr) -> tuple[Phdr, ...]:
    """The program header table, of which the PT_LOADs are checked as loaders check them."""
    step = reader.encoding.size(reader.encoding.phdr)
    if header.phnum == 0 or header.phentsize != step:
        raise InvalidInput(f"{header.phnum} program headers of {header.phentsize} bytes each")
    raw = reader.bytes(header.phoff, header.phnum * step, "the program header table")
    segments = reader.encoding.unpack_segments(raw)
    loads = _of_type(PT_LOAD, segments)
    if len(loads) > _MOST_LOADS:
        raise InvalidInput(f"{len(loads)} segments to load")
    for load in loads:
        reader.check(load.offset + load.filesz, "a segment")
        align = max(load.align, 1)
        if load.filesz > load.memsz or align & (align - 1) or (load.vaddr - load.offset) % align:
            raise InvalidInput(f"a segment that no loader maps: {load}")
    for lower, upper in pairwise(loads):
        if lower.vaddr + lower.memsz > upper.vaddr:
            raise InvalidInput(f"the segments to load overlap or do not ascend: {lower}, {upper}")
    if len(_of_type(PT_PHDR, segments)) > 1:
        raise InvalidInput("several segments of the type PT_PHDR")
    return segments


def _dynamic(reader: _Reader, segments: tuple[Phdr, ...]) -> tuple[Placed[Dyn], ...]:
    """The entries of the dynamic section up to DT_NULL, which is not among them."""
    found = _of_type(PT_DYNAMIC, segments)
    if len(found) != 1:
        raise InvalidInput(f"{len(found)} dynamic sections; an object that is loaded dynamically has one")
    (segment,) = found
    if _file_offset(segments, segment.vaddr, segment.filesz, "the dynamic section") != segment.offset:
        raise InvalidInput("the dynamic section is not where its address says")
    step = reader.encoding.size(Dyn)
    size = min(segment.filesz // step, _MOST_TAGS) * step
    entries = reader.table(Dyn, segment.offset, size, "the dynamic section")
    for count, entry in enumerate(entries):
        if entry.record.tag == DT_NULL:
            return entries[:count]
    raise InvalidInput("the dynamic section has no end")


def _refuse_program(header: Ehdr, segments: tuple[Phdr, ...], tags: tuple[Dyn, ...]) -> None:
    """A program finds its program headers through AT_PHDR, and Linux before 5.18 takes for their address
    `e_phoff` bytes after the first segment, wherever they are mapped; so they must not move. A library that
    can also be started (libc.so.6, libQt5Core.so.5) is none: its soname shows that it is there to be loaded.
    """
    is_pie = (_only(DT_FLAGS_1, tags) or 0) & DF_1_PIE
    is_started = _of_type(PT_INTERP, segments) and _only(DT_SONAME, tags) is None
    if header.type != ET_DYN or is_pie or is_started:
        raise InvalidInput(f"a program or an object file, not a shared object (e_type is {header.type})")


def _strings(reader: _Reader, segments: tuple[Phdr, ...], tags: tuple[Dyn, ...]) -> bytes:
    address, size = _only(DT_STRTAB, tags), _only(DT_STRSZ, tags)
    if address is None or size is None:
        raise InvalidInput("the dynamic section names no string table")
    offset = _file_offset(segments, address, size, "the string table")
    strings = reader.bytes(offset, size, "the string table")
    if not strings.endswith(b"\0"):
        raise InvalidInput("the last name of the string table has no end")
    for entry in tags:
        if entry.tag in (DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH) and entry.value >= size:
            raise InvalidInput(f"a name at offset {entry.value} of a string table of {size} bytes")
    return strings


def _needs(reader: _Reader, segments: tuple[Phdr, ...], tags: tuple[Dyn, ...]) -> Iterator[Placed[Verneed]]:
    address, count = _only(DT_VERNEED, tags), _only(DT_VERNEEDNUM, tags)
    if address is None and count is None:
        return
    if address is None or not count:
        raise InvalidInput("a table of needed versions without an address or without a count")
    if count > _MOST_NEEDS:
        raise InvalidInput(f"needed versions of {count} libraries")
    size, loads = reader.encoding.size(Verneed), _of_type(PT_LOAD, segments)
    for index in range(count):
        offset = _file_offset(loads, address, size, "the table of needed versions")
        need = reader.one(Verneed, offset, "the table of needed versions")
        step, is_last = need.record.next, index == count - 1
        # ld.so ends the walk at vn_next == 0, binutils after DT_VERNEEDNUM entries: they must agree.
        if need.record.version != VER_NEED_CURRENT or is_last != (step == 0) or 0 < step < size:
            raise InvalidInput(f"a damaged table of needed versions: {need.record}")
        yield need
        address += step


def _sections(reader: _Reader, header: Ehdr) -> tuple[Placed[Shdr], ...]:
    if header.shoff == 0:
        return ()
    size, what = reader.encoding.size(Shdr), "the section header table"
    if header.shentsize != size:
        raise InvalidInput(f"section headers of {header.shentsize} bytes each")
    # gABI, "ELF Header": from 0xff00 sections on, e_shnum is 0 and the first section header has the number.
    count = header.shnum or reader.one(Shdr, header.shoff, what).record.size
    if count > _MOST_SECTIONS:
        raise InvalidInput(f"{count} sections")
    return reader.table(Shdr, header.shoff, count * size, what)


def _refuse_nameless(reader: _Reader, sections: tuple[Placed[Shdr], ...], strings: bytes) -> None:
    """A name beyond the strings would be another one once strings are added there: loaders do not check."""
    encoding = reader.encoding
    symbol = struct.Struct(encoding.order + {64: "I20x", 32: "I12x"}[encoding.bits])  # st_name
    for section in sections:
        if section.record.type == SHT_DYNSYM:
            size = section.record.size - section.record.size % symbol.size
            table = reader.bytes(section.record.offset, size, "the dynamic symbol table")
            if any(name >= len(strings) for (name,) in symbol.iter_unpack(table)):
                raise InvalidInput("a dynamic symbol has its name outside of the string table")


def _strings_section(
    sections: tuple[Placed[Shdr], ...], segments: tuple[Phdr, ...], tags: tuple[Dyn, ...]
) -> Placed[Shdr] | None:
    if not sections:
        return None
    address = _only(DT_STRTAB, tags) or 0
    place = (SHT_STRTAB, address, _file_offset(segments, address, 1, "the string table"))
    found = [s for s in sections if (s.record.type, s.record.addr, s.record.offset) == place]
    if len(found) != 1:
        raise InvalidInput(f"{len(found)} section headers describe the string table of the dynamic section")
    return found[0]


def _refuse_overlay(reader: _Reader, segments: tuple[Phdr, ...], sections: tuple[Placed[Shdr], ...]) -> None:
    """Signatures and payloads that tools append to a file are found from its end, so nothing may follow them.

    Padding is none of that: patchelf leaves a zero after the section headers.
    """
    ends = [segment.offset + segment.filesz for segment in segments]
    ends += [s.offset + reader.encoding.size(Shdr) for s in sections]
    ends += [s.record.offset + s.record.size for s in sections if s.record.type != SHT_NOBITS]
    end = min(max(ends), reader.size)
    if overlay := reader.read(end, reader.size - end).rstrip(b"\0"):
        raise InvalidInput(f"{len(overlay)} bytes at offset {end} belong to no section and no segment")


def _of_type(kind: int, segments: tuple[Phdr, ...]) -> tuple[Phdr, ...]:
    return tuple(segment for segment in segments if segment.type == kind)


def _only(tag: int, tags: tuple[Dyn, ...]) -> int | None:
    values = [entry.value for entry in tags if entry.tag == tag]
    if len(values) > 1:
        raise InvalidInput(f"{len(values)} entries with the tag {tag:#x} in the dynamic section")
    return values[0] if values else None


def _file_offset(segments: tuple[Phdr, ...], address: int, size: int, what: str) -> int:
    """Where the file has the *size* bytes that are mapped at an address."""
    for load in _of_type(PT_LOAD, segments):
        if load.vaddr <= address and address + size <= load.vaddr + load.filesz:
            return load.offset + address - load.vaddr
    raise InvalidInput(f"{what} is outside of the segments: {size} bytes at address {address:#x}")


def round_up(number: int, step: int) -> int:
    """The least multiple of *step* that is not below *number*."""
    return -(-number // step) * step
