"""What a shared object links at run time, and what of it refers to its GPU code.

Only for little-endian ELF64 on x86-64 and AArch64. Formats: the gABI, chapters 4 and 5, and the machines' psABIs for
the relocations; the records of ``.nvFatBinSegment`` are ``__fatBinC_Wrapper_t`` of CUDA's ``fatbinary_section.h``:
magic, version, address of a container, and a pointer that version 2 needs. The host code hands the address of a
record to the CUDA runtime, so the address in it is all by which a container is found. With ``-rdc=true`` a record of
version 2 has what was linked; the pointer is to an array, into which the host code copies at run time the addresses
that are in the records of what it was linked from (``crt/link.stub`` of CUDA). So these containers can be elsewhere,
too; kernels of such a library ran on an H200 with all of its containers in another file (CUDA 13.0).
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from wheelfuse.content import Read
from wheelfuse.elf.fatbin import SECTIONS, Container
from wheelfuse.elf.gaps import Range
from wheelfuse.elf.layout import (
    DT_STRTAB,
    PT_DYNAMIC,
    SHT_DYNSYM,
    SHT_NOBITS,
    SHT_STRTAB,
    Dyn,
    Layout,
    Placed,
    Shdr,
    read_layout,
)
from wheelfuse.errors import InvalidInput

RECORDS = ".nvFatBinSegment"
CONSTANTS = ".rodata"
"""Where linkers put strings, and whatever else is read and neither written nor run."""

DT_HASH, DT_SYMTAB, DT_RELA, DT_RELASZ, DT_RELAENT, DT_SYMENT = 4, 6, 7, 8, 9, 11
DT_REL, DT_PLTRELSZ, DT_JMPREL, DT_RELRSZ, DT_RELR = 17, 2, 23, 35, 36
DT_VERSYM, DT_RELACOUNT = 0x6FFFFFF0, 0x6FFFFFF9
_ANDROID_REL, _ANDROID_RELA = 0x6000000F, 0x60000011
SHT_PROGBITS, SHT_SYMTAB, SHT_RELA, SHT_HASH, SHT_DYNAMIC = 1, 2, 4, 5, 6
SHT_GNU_VERSYM = 0x6FFFFFFF
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 0x1, 0x2, 0x4
_ACCESS = SHF_WRITE | SHF_ALLOC | SHF_EXECINSTR
STT_SECTION, STT_TLS = 3, 6
SHN_UNDEF, SHN_ABS = 0, 0xFFF1

SYM = struct.Struct("<IBBHQQ")
RELA = struct.Struct("<QQq")
_RECORD = struct.Struct("<IIQQ")
_RECORD_MAGIC = 0x466243B1
_RECORD_VERSIONS = (1, 2)
_WORD = 8  # bytes that a relocation changes, at most
_POINTER = 8  # where in a record the address of the container is


class Sym(NamedTuple):
    """An entry of a symbol table."""

    name: int
    info: int
    other: int
    shndx: int
    value: int
    size: int


class Rela(NamedTuple):
    """A relocation with an addend."""

    offset: int
    info: int
    addend: int

    @property
    def type(self) -> int:
        return self.info & 0xFFFFFFFF

    @property
    def symbol(self) -> int:
        return self.info >> 32


class Machine(NamedTuple):
    """Relocation types: the load address plus addend, a symbol plus addend; and the largest page size."""

    relative: int
    absolute: int
    page: int


EM_X86_64, EM_AARCH64 = 62, 183
_MACHINES = {EM_X86_64: Machine(8, 1, 0x1000), EM_AARCH64: Machine(1027, 257, 0x10000)}


@dataclass(frozen=True, slots=True)
class Table:
    """A table that an entry of the dynamic section and a section header point to: its place and its bytes."""

    tag: Placed[Dyn]
    section: Placed[Shdr]
    data: bytes


@dataclass(frozen=True, slots=True)
class Relocations:
    """A table of relocations: its place in the file, and its bytes."""

    offset: int
    data: bytes

    def __iter__(self) -> Iterator[Rela]:
        return map(Rela._make, RELA.iter_unpack(self.data))

    def __len__(self) -> int:
        return len(self.data) // RELA.size

    def __getitem__(self, index: int) -> Rela:
        return Rela._make(RELA.unpack_from(self.data, index * RELA.size))


@dataclass(frozen=True, slots=True)
class FatbinRecord:
    """A record of ``.nvFatBinSegment``: the address of the pointer to its container, and its version."""

    pointer: int
    version: int


@dataclass(frozen=True)
class Linked:
    """What is linked at run time; *relative_count* is DT_RELACOUNT, None if there is none.

    ``hash`` is DT_HASH; the table of DT_GNU_HASH has defined symbols only. ``spare`` are the entries of the dynamic
    section that are unused, without the one that ends it.
    """

    layout: Layout
    machine: Machine
    names: tuple[str, ...]
    symbols: Table
    strings: Table
    versions: Table | None
    hash: Table | None
    relocations: Relocations
    plt_relocations: Relocations
    relative_count: Placed[Dyn] | None
    records: tuple[FatbinRecord, ...]
    spare: tuple[int, ...]

    def symbol(self, index: int) -> Sym:
        return Sym._make(SYM.unpack_from(self.symbols.data, index * SYM.size))

    @property
    def symbol_count(self) -> int:
        return len(self.symbols.data) // SYM.size

    @property
    def code(self) -> tuple[Range, ...]:
        """Where sections with machine code lie in the file."""
        found = (section.record for section in self.layout.sections)
        return tuple(Range(s.offset, s.offset + s.size) for s in found if s.flags & SHF_EXECINSTR)

    @property
    def fatbins(self) -> tuple[Range, ...]:
        """Where sections with GPU code lie in the file."""
        named = zip(self.names, (section.record for section in self.layout.sections), strict=True)
        found = (s for name, s in named if name in SECTIONS and s.type == SHT_PROGBITS)
        return tuple(Range(s.offset, s.offset + s.size) for s in found)

    def constants(self, offset: int) -> Range | None:
        """The section with constants of the host code that an offset in the file is in."""
        for name, section in zip(self.names, (placed.record for placed in self.layout.sections), strict=True):
            span = Range(section.offset, section.offset + section.size)
            is_constant = (name, section.type) == (
                CONSTANTS,
                SHT_PROGBITS,
            ) and section.flags & _ACCESS == SHF_ALLOC
            if is_constant and span.start <= offset < span.end:
                return span
        return None

    def is_constant(self, offset: int, size: int) -> bool:
        """Whether bytes of the file are constants of the host code, which no relocation changes."""
        section = self.constants(offset)
        load = next((load for load in self.layout.loads if 0 <= offset - load.offset < load.filesz), None)
        if section is None or load is None or offset + size > section.end:
            return False
        address = offset - load.offset + load.vaddr
        index = bisect_right(self._relocated, address - _WORD)
        return index == len(self._relocated) or self._relocated[index] >= address + size

    @cached_property
    def _relocated(self) -> Sequence[int]:
        tables = (self.relocations, self.plt_relocations)
        return sorted(relocation.offset for table in tables for relocation in table)

    def tag(self, tag: int) -> Placed[Dyn] | None:
        return _tag(self.layout, tag)

    def file_offset(self, address: int, size: int, what: str) -> int:
        return _file_offset(self.layout, address, size, what)


def read_linked(read: Read, size: int) -> Linked:
    """Read the tables of a shared object of *size* bytes, of which *read* returns parts.

    Raises:
        InvalidInput: it is damaged, for another machine, or of a form that no usual linker writes.
    """
    layout = read_layout(read, size)
    machine = _MACHINES.get(layout.header.record.machine)
    if machine is None or (layout.encoding.bits, layout.encoding.order) != (64, "<"):
        raise InvalidInput("not for x86-64 or AArch64 in 64 bits and little-endian")
    for tag in (DT_REL, DT_RELR, DT_RELRSZ, _ANDROID_REL, _ANDROID_RELA):
        if _tag(layout, tag):
            raise InvalidInput(
                f"its relocations are packed or have no addends (tag {tag:#x} in the dynamic section)"
            )
    _check_bounds(layout)
    reader = _Reader(read, layout)
    symbols, strings = reader.table(DT_SYMTAB, SHT_DYNSYM), reader.table(DT_STRTAB, SHT_STRTAB)
    if strings is None or strings.data != layout.strings:
        raise InvalidInput("the section headers do not know the string table")
    if (
        symbols is None
        or not symbols.data
        or len(symbols.data) % SYM.size
        or reader.value(DT_SYMENT) != SYM.size
    ):
        raise InvalidInput("a damaged dynamic symbol table")
    if symbols.section.record.link != layout.sections.index(strings.section):
        raise InvalidInput("the dynamic symbol table has its names elsewhere")
    versions, hash_ = reader.table(DT_VERSYM, SHT_GNU_VERSYM), reader.table(DT_HASH, SHT_HASH)
    count = len(symbols.data) // SYM.size
    if versions and len(versions.data) != 2 * count:
        raise InvalidInput("not one version for each dynamic symbol")
    if hash_ and not _is_hash(hash_.data, count):
        raise InvalidInput("a damaged hash table")
    linked = Linked(
        layout=layout,
        machine=machine,
        names=reader.names(),
        symbols=symbols,
        strings=strings,
        versions=versions,
        hash=hash_,
        relocations=reader.relocations(DT_RELA, DT_RELASZ),
        plt_relocations=reader.relocations(DT_JMPREL, DT_PLTRELSZ),
        relative_count=_tag(layout, DT_RELACOUNT),
        records=tuple(reader.records()),
        spare=tuple(reader.spare()),
    )
    _check_relocations(linked)
    return linked


def _check_bounds(layout: Layout) -> None:
    """Whether all that sections and segments have in the file is there; those that are mapped were checked before."""
    ends = [segment.offset + segment.filesz for segment in layout.segments]
    ends += [s.record.offset + s.record.size for s in layout.sections if s.record.type not in (0, SHT_NOBITS)]
    if max(ends) > layout.size:
        raise InvalidInput("a section or a segment reaches beyond the end of the file")


def _is_hash(data: bytes, symbols: int) -> bool:
    if len(data) < 8:
        return False
    buckets, chains = map(int, struct.unpack_from("<2I", data))
    return buckets > 0 and chains == symbols and len(data) == 4 * (2 + buckets + chains)


def _check_relocations(linked: Linked) -> None:
    count, relative = linked.relative_count, linked.machine.relative
    block = count.record.value if count else 0
    if block > len(linked.relocations):
        raise InvalidInput("more relative relocations than relocations")
    for index, relocation in enumerate(linked.relocations):
        if index < block and relocation.info != relative:
            raise InvalidInput("the relative relocations do not come first")
        if relocation.symbol >= linked.symbol_count:
            raise InvalidInput("a relocation by a symbol that does not exist")
    if any(relocation.symbol >= linked.symbol_count for relocation in linked.plt_relocations):
        raise InvalidInput("a relocation by a symbol that does not exist")


@dataclass(frozen=True)
class _Reader:
    read: Read
    layout: Layout

    def value(self, tag: int) -> int | None:
        entry = _tag(self.layout, tag)
        return entry.record.value if entry else None

    def table(self, tag: int, kind: int) -> Table | None:
        """The table of a tag, for which there has to be just one section."""
        entry = _tag(self.layout, tag)
        if entry is None:
            return None
        found = [
            section
            for section in self.layout.sections
            if section.record.type == kind and section.record.addr == entry.record.value
        ]
        if len(found) != 1:
            raise InvalidInput(f"{len(found)} section headers for the table with the tag {tag:#x}")
        record = found[0].record
        offset = _file_offset(self.layout, record.addr, record.size, "a table")
        if offset != record.offset:
            raise InvalidInput(f"the table with the tag {tag:#x} is not where its section header says")
        return Table(entry, found[0], self.read(offset, record.size))

    def relocations(self, tag: int, size_tag: int) -> Relocations:
        address, size = self.value(tag), self.value(size_tag)
        if not size:
            return Relocations(0, b"")
        if address is None or size % RELA.size:
            raise InvalidInput("a damaged table of relocations")
        offset = _file_offset(self.layout, address, size, "a table of relocations")
        return Relocations(offset, self.read(offset, size))

    def names(self) -> tuple[str, ...]:
        """The names of the sections."""
        sections, index = self.layout.sections, self.layout.header.record.shstrndx
        if index >= len(sections):
            raise InvalidInput("the sections have no names")
        table = sections[index].record
        if table.type == SHT_NOBITS or table.offset + table.size > self.layout.size:
            raise InvalidInput("the names of the sections are outside of the file")
        data = self.read(table.offset, table.size)
        names, left = [], self.layout.size  # names that share their ends are still no longer than the file
        for section in sections:
            end = data.find(b"\0", section.record.name)
            left -= max(end - section.record.name, 0)
            if end < 0 or left < 0:
                raise InvalidInput("the name of a section has no end")
            names.append(data[section.record.name : end].decode("utf-8", "surrogateescape"))
        return tuple(names)

    def records(self) -> Iterator[FatbinRecord]:
        for name, section in zip(self.names(), self.layout.sections, strict=True):
            if name != RECORDS:
                continue
            record = section.record
            offset = _file_offset(self.layout, record.addr, record.size, RECORDS)
            if record.type != SHT_PROGBITS or offset != record.offset or record.size % _RECORD.size:
                raise InvalidInput(f"a section {RECORDS} of an unknown form")
            data = self.read(offset, record.size)
            for index, (magic, version, _, _) in enumerate(_RECORD.iter_unpack(data)):
                if magic != _RECORD_MAGIC:
                    raise InvalidInput(f"a record of {RECORDS} of an unknown form")
                yield FatbinRecord(record.addr + index * _RECORD.size + _POINTER, version)

    def spare(self) -> Iterator[int]:
        """Offsets of the unused entries at the end of the dynamic section."""
        dynamic = next(segment for segment in self.layout.segments if segment.type == PT_DYNAMIC)
        step = self.layout.encoding.size(Dyn)
        first = dynamic.offset + len(self.layout.dynamic) * step
        end = dynamic.offset + dynamic.filesz - dynamic.filesz % step
        data = self.read(first, end - first)
        unused = (len(data) - len(data.lstrip(b"\0"))) // step
        yield from range(first, first + (unused - 1) * step, step)


def _tag(layout: Layout, tag: int) -> Placed[Dyn] | None:
    found = [entry for entry in layout.dynamic if entry.record.tag == tag]
    if len(found) > 1:
        raise InvalidInput(f"{len(found)} entries with the tag {tag:#x} in the dynamic section")
    return found[0] if found else None


def _file_offset(layout: Layout, address: int, size: int, what: str) -> int:
    """Where the file has the *size* bytes that are mapped at an address."""
    for load in layout.loads:
        if load.vaddr <= address and address + size <= load.vaddr + load.filesz:
            return load.offset + address - load.vaddr
    raise InvalidInput(f"{what} is outside of the segments: {size} bytes at address {address:#x}")


@dataclass(frozen=True, slots=True)
class Uses:
    """How containers of GPU code are used by the host code of their file.

    ``relocations`` are the indices of the relative relocations that set the pointers of records to a container;
    ``obstacles`` tell why a container cannot be had from elsewhere.
    """

    relocations: dict[Container, tuple[int, ...]]
    obstacles: dict[Container, str]


def find_uses(linked: Linked, containers: Iterable[Container], read: Read) -> Uses:
    """Who refers to each of these containers. A container is movable if records do and nothing else.

    Raises:
        InvalidInput: a container is not in a section of the file.
    """
    places = _Places.of(linked, containers)
    found: dict[Container, list[int]] = {place.container: [] for place in places.all}
    obstacles: dict[Container, str] = {}

    def obstruct(container: Container | None, why: str) -> None:
        if container is not None:
            obstacles.setdefault(container, why)

    pointers = {record.pointer: record for record in linked.records}
    near = {pointer + step for pointer in pointers for step in range(-7, 8)} - pointers.keys()
    seen: set[int] = set()
    for table in (linked.relocations, linked.plt_relocations):
        for index, (offset, info, addend) in enumerate(RELA.iter_unpack(table.data)):
            obstruct(places.at(offset), "is itself changed when the file is loaded")
            if offset in near:
                raise InvalidInput(f"a relocation overlaps a record of {RECORDS}")
            record = pointers.get(offset)
            if record:
                if offset in seen:
                    raise InvalidInput(f"several relocations of one record of {RECORDS}")
                seen.add(offset)
            target = _target(linked, info >> 32, addend)
            container = places.at(target) if target is not None else None
            if container is None:
                continue
            if table is linked.plt_relocations or info != linked.machine.relative or record is None:
                obstruct(container, f"is referred to by something else than a record of {RECORDS}")
            elif target != places.start(container):
                obstruct(container, f"is referred to in its middle by a record of {RECORDS}")
            elif record.version not in _RECORD_VERSIONS:
                obstruct(container, f"has a record of version {record.version}, which is not known")
            else:
                found[container].append(index)
    for sym in map(Sym._make, SYM.iter_unpack(linked.symbols.data)):
        if sym.shndx not in (SHN_UNDEF, SHN_ABS) and sym.info & 15 not in (STT_SECTION, STT_TLS):
            obstruct(places.at(sym.value), "has a symbol of its own")
    for address in _addresses_in_code(linked, places, read):
        obstruct(places.at(address), "is referred to by code")
    for container, indices in found.items():
        if not indices:
            obstruct(container, f"is not referred to by a record of {RECORDS}")
    return Uses({container: tuple(indices) for container, indices in found.items()}, obstacles)


def address_of(linked: Linked, container: Container) -> int:
    """Where a container is mapped.

    Raises:
        InvalidInput: it is not in the section that it names.
    """
    for name, section in zip(linked.names, linked.layout.sections, strict=True):
        record = section.record
        skip = container.offset - record.offset
        if name != container.section or name not in SECTIONS or record.type != SHT_PROGBITS:
            continue
        if skip >= 0 and skip + container.size <= record.size:
            address = record.addr + skip
            if linked.file_offset(address, container.size, "GPU code") != container.offset:
                break
            return address
    raise InvalidInput(f"no GPU code of {container.size} bytes at offset {container.offset}")


class _Place(NamedTuple):
    start: int
    end: int
    container: Container


@dataclass(frozen=True)
class _Places:
    """Containers by their addresses."""

    all: Sequence[_Place]
    starts: Sequence[int]
    by_container: dict[Container, int]

    @classmethod
    def of(cls, linked: Linked, containers: Iterable[Container]) -> _Places:
        addresses = {container: address_of(linked, container) for container in containers}
        found = sorted(_Place(start, start + c.size, c) for c, start in addresses.items())
        if any(lower.end > upper.start for lower, upper in pairwise(found)):
            raise InvalidInput("GPU code overlaps")
        return cls(found, [place.start for place in found], addresses)

    def at(self, address: int) -> Container | None:
        """The container that an address lies in."""
        index = bisect_right(self.starts, address) - 1
        return self.all[index].container if index >= 0 and address < self.all[index].end else None

    def start(self, container: Container) -> int:
        return self.by_container[container]


def _target(linked: Linked, symbol: int, addend: int) -> int | None:
    """What a relocation refers to in this file, if anything."""
    if not symbol:
        return addend
    sym = linked.symbol(symbol)
    return None if sym.shndx == SHN_UNDEF or sym.info & 15 == STT_TLS else sym.value + addend


_X86_LEA = re.compile(rb"\x8d(?<=[\x48-\x4f]\x8d)(?=[\x05\x0d\x15\x1d\x25\x2d\x35\x3d](.{4}))", re.DOTALL)
"""``lea`` of an address relative to the one after it; its second byte leads, since one byte is found fastest."""
_LEA = 7  # bytes
_SCANNED = 1 << 20  # bytes of code at once, a multiple of an instruction
_OVERLAP = 80  # bytes: what forms an address is found in one piece
_NEXT = 16  # instructions between ``adrp`` and ``add``, at most


def _addresses_in_code(linked: Linked, places: _Places, read: Read) -> Iterator[int]:
    """The starts of containers whose address the machine code forms by itself, as nothing of CUDA's does."""
    scan = _scan_x86_64 if linked.layout.header.record.machine == EM_X86_64 else _scan_aarch64
    starts = frozenset(places.starts)
    for section in linked.layout.sections:
        record = section.record
        if record.flags & SHF_EXECINSTR and record.type == SHT_PROGBITS:
            for at in range(0, record.size, _SCANNED):
                size = min(_SCANNED + _OVERLAP, record.size - at)
                yield from scan(read(record.offset + at, size), record.addr + at, starts)


def _scan_x86_64(code: bytes, address: int, starts: frozenset[int]) -> Iterator[int]:
    for match in _X86_LEA.finditer(code):
        target = address + match.start() - 1 + _LEA + int.from_bytes(match[1], "little", signed=True)
        if target in starts:
            yield target


def _scan_aarch64(code: bytes, address: int, starts: frozenset[int]) -> Iterator[int]:
    """``adrp`` of the page, and within the next instructions ``add`` of the rest (or ``adr`` of it all)."""
    words = memoryview(code[: len(code) // 4 * 4]).cast("I")
    pages = {start >> 12 for start in starts}
    for index, word in enumerate(words):
        if word & 0x1F000000 != 0x10000000:
            continue
        here = address + 4 * index
        offset = (word >> 29 & 3) | (word >> 5 & 0x7FFFF) << 2
        offset -= (offset & 1 << 20) << 1
        if not word >> 31:  # adr
            if here + offset in starts:
                yield here + offset
        elif (here >> 12) + offset in pages:
            register = word & 31
            for later in words[index + 1 : index + 1 + _NEXT]:
                if later & 0xFFC003E0 == 0x91000000 | register << 5:
                    target = ((here >> 12) + offset << 12) + (later >> 10 & 0xFFF)
                    if target in starts:
                        yield target
