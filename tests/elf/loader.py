"""What a loader makes of a shared object, read by segments and the dynamic section alone, as loaders read it.

It is written against the formats (gABI, psABIs), not with the help of wheelfuse or its reader, to hold edited objects
against what they were; also where a linker would not make such an object.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count, pairwise, takewhile
from typing import NamedTuple

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ, DT_STRSZ = 1, 4, 5, 6, 7, 8, 10
DT_SONAME, DT_RPATH, DT_PLTRELSZ, DT_JMPREL, DT_RUNPATH = 14, 15, 2, 23, 29
DT_VERSYM, DT_RELACOUNT, DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFF0, 0x6FFFFFF9, 0x6FFFFFFE, 0x6FFFFFFF
NAMES = (DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH)
RELATIVE, ABSOLUTE = {62: 8, 183: 1027}, {62: 1, 183: 257}
"""By e_machine: the relocations that set an address of the object itself, and one of a symbol."""


class Load(NamedTuple):
    """A segment that is mapped: *content*, at *offset* in the file, at *address*; then zeros up to *size*."""

    address: int
    content: bytes
    size: int
    flags: int
    offset: int


class Relocation(NamedTuple):
    """*symbol* is its entry in the table of symbols, with the name in place of the name's offset, and its version."""

    place: int
    type: int
    symbol: tuple[bytes | int, ...]
    addend: int


@dataclass(frozen=True)
class Mapped:
    """A shared object that was mapped to address 0, before any relocation."""

    data: bytes

    @property
    def machine(self) -> int:
        (number,) = struct.unpack_from(self._order + "H", self.data, 18)
        return int(number)

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        return tuple(
            Load(address, self.data[offset : offset + size], memory, flags, offset)
            for kind, flags, offset, address, size, memory in self._segments
            if kind == PT_LOAD
        )

    @property
    def zeros(self) -> set[tuple[int, int]]:
        """Ranges of addresses for which the file has nothing."""
        ends = ((load.address + len(load.content), load.address + load.size) for load in self.loads)
        return {(start, end) for start, end in ends if start < end}

    @cached_property
    def dynamic(self) -> tuple[tuple[int, int], ...]:
        """Tags and values, up to DT_NULL."""
        start, _ = self.dynamic_section
        entry = struct.Struct(self._order + ("qQ" if self._wide else "iI"))
        entries = (entry.unpack(self.read(address, entry.size)) for address in count(start, entry.size))
        return tuple(takewhile(lambda tag: tag[0] != 0, entries))

    @property
    def dynamic_section(self) -> tuple[int, int]:
        """Its address, and the one after it."""
        ((address, size),) = (
            (address, size) for kind, _, _, address, size, _ in self._segments if kind == PT_DYNAMIC
        )
        return address, address + size

    @property
    def headers(self) -> list[tuple[int, int]]:
        """The addresses of the ELF header, and of the tables of program and section headers as far as mapped."""
        layout = "32x2Q6x5H" if self._wide else "28x2I6x5H"
        phoff, shoff, phentsize, phnum, shentsize, shnum, _ = struct.unpack_from(
            self._order + layout, self.data
        )
        files = (
            (0, 64 if self._wide else 52),
            (phoff, phoff + phentsize * phnum),
            (shoff, shoff + shentsize * shnum),
        )
        return [
            (max(start, load.offset) + load.address - load.offset, stop + load.address - load.offset)
            for load in self.loads
            for start, stop in files
            if start < load.offset + len(load.content) and load.offset < stop
        ]

    @property
    def needed_versions(self) -> Iterator[tuple[int, int]]:
        """The addresses of the entries of DT_VERNEED, one for each library."""
        tags = dict(self.dynamic)
        address, entry = tags.get(DT_VERNEED, 0), struct.Struct(self._order + "2H3I")
        for _ in range(tags.get(DT_VERNEEDNUM, 0)):
            yield address, address + entry.size
            *_, step = entry.unpack(self.read(address, entry.size))
            address += step

    def told(self, *moved: int) -> list[tuple[int, int | bytes]]:
        """The dynamic section with names in place of their offsets, and 0 as the value of tags that are *moved*."""
        return [
            (tag, self.string(value) if tag in NAMES else 0 if tag in moved else value)
            for tag, value in self.dynamic
        ]

    def read(self, address: int, size: int) -> bytes:
        """What is at an address; it may lie in several segments that follow each other.

        Raises:
            LookupError: it is not all mapped.
        """
        found = b""
        while len(found) < size:
            at = address + len(found)
            load = next((one for one in self.loads if one.address <= at < one.address + one.size), None)
            if load is None:
                raise LookupError(f"nothing is mapped at {at:#x}")
            skip = at - load.address
            part = load.content[skip : skip + size - len(found)]
            found += part or bytes(min(size - len(found), load.size - skip))
        return found

    def address(self, offset: int) -> int:
        """Where a byte of the file is mapped."""
        skips = ((load, offset - load.offset) for load in self.loads)
        return next(load.address + skip for load, skip in skips if 0 <= skip < len(load.content))

    def string(self, offset: int) -> bytes:
        address = dict(self.dynamic)[DT_STRTAB] + offset
        text = b""
        while (byte := self.read(address + len(text), 1)) != b"\0":
            text += byte
        return text

    @cached_property
    def relocations(self) -> tuple[Relocation, ...]:
        """Those of DT_RELA, then those of DT_JMPREL. Only for little-endian ELF64."""
        return tuple(
            Relocation(place, info & 0xFFFFFFFF, self._symbol(info >> 32), addend)
            for start, end in self.relocation_tables
            for place, info, addend in struct.iter_unpack("<QQq", self.read(start, end - start))
        )

    @property
    def relocation_tables(self) -> list[tuple[int, int]]:
        tags = dict(self.dynamic)
        tables = ((DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ))
        return [(tags[table], tags[table] + tags[size]) for table, size in tables if tags.get(size)]

    def _symbol(self, index: int) -> tuple[bytes | int, ...]:
        if not index:
            return ()
        tags = dict(self.dynamic)
        name, *rest = struct.unpack("<IBBHQQ", self.read(tags[DT_SYMTAB] + 24 * index, 24))
        if name >= tags[DT_STRSZ]:
            raise ValueError(f"symbol {index} has no name in the table of strings")
        version = self.read(tags[DT_VERSYM] + 2 * index, 2) if DT_VERSYM in tags else b"\1\0"
        return (self.string(name), version, *rest)

    @cached_property
    def _segments(self) -> list[tuple[int, int, int, int, int, int]]:
        """Type, flags, offset, address, size in the file, size in memory."""
        table, number = struct.unpack_from(
            self._order + ("32xQ16xH" if self._wide else "28xI12xH"), self.data
        )
        entry = struct.Struct(self._order + ("2I2Q8x2Q8x" if self._wide else "3I4x3I4x"))
        found = [entry.unpack_from(self.data, table + index * entry.size) for index in range(number)]
        if self._wide:
            return found
        return [
            (kind, flags, offset, address, size, memory)
            for kind, offset, address, size, memory, flags in found
        ]

    @property
    def _wide(self) -> bool:
        return self.data[4] == 2

    @property
    def _order(self) -> str:
        return "<>"[self.data[5] - 1]


def changes(before: Mapped, after: Mapped, expected: Iterable[tuple[int, int]]) -> list[str]:
    """What is mapped otherwise than it was, but for *expected* ranges of addresses, and for what was added."""
    ranges = sorted(expected)
    found = []
    for load in before.loads:
        for start, end in _without(ranges, load.address, load.address + len(load.content)):
            try:
                if after.read(start, end - start) != before.read(start, end - start):
                    found.append(f"other bytes between {start:#x} and {end:#x}")
            except LookupError as error:
                found.append(str(error))
            flags = {one.flags for one in after.loads if one.address < end and start < one.address + one.size}
            if not flags <= {load.flags, load.flags & ~1}:  # what is no code need not be executable
                found.append(f"other permissions between {start:#x} and {end:#x}: {flags}")
    if before.zeros != after.zeros:
        found.append(f"zeros in {after.zeros} instead of {before.zeros}")
    spans = sorted((one.address, one.address + one.size) for one in after.loads if one.size)
    found += [f"mapped twice at {b:#x}" for (_, a), (b, _) in pairwise(spans) if b < a]
    return found


def _without(ranges: Iterable[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    for low, high in ranges:
        if low < end and start < high:
            if start < low:
                yield start, low
            start = max(start, high)
    if start < end:
        yield start, end


def check_outsourced(
    before: Mapped, after: Mapped, moved: Mapping[int, tuple[int, int]], symbol: str, carrier: str, path: str
) -> None:
    """Hold an object without its GPU code against what it was.

    *moved* says which containers are in the carrier: address -> size, and where in the carrier.
    """
    relative, absolute = RELATIVE[before.machine], ABSOLUTE[before.machine]
    undefined = (symbol.encode(), b"\1\0", 1 << 4, 0, 0, 0, 0)  # STB_GLOBAL, STT_NOTYPE, VER_NDX_GLOBAL
    wanted: Counter[Relocation] = Counter()
    for one in before.relocations:
        if one.type == relative and one.addend in moved:
            wanted[Relocation(one.place, absolute, undefined, moved[one.addend][1])] += 1
        else:
            inside = not one.symbol and any(a <= one.addend < a + size for a, (size, _) in moved.items())
            assert not inside, f"{one} refers to what was moved"
            wanted[one] += 1
    assert Counter(after.relocations) == wanted
    number = dict(after.dynamic).get(DT_RELACOUNT, 0)
    assert all(one.type == relative for one in after.relocations[:number])

    moving = (DT_STRTAB, DT_STRSZ, DT_SYMTAB, DT_HASH, DT_VERSYM, DT_RELACOUNT)
    old = [(tag, value) for tag, value in before.told(*moving) if tag not in (DT_RPATH, DT_RUNPATH)]
    new = [(tag, value) for tag, value in after.told(*moving) if tag not in (DT_RPATH, DT_RUNPATH)]
    assert new == [*old, (DT_NEEDED, carrier.encode())]
    assert _directories(after) == _directories(before) | ({path.encode()} if path else set())

    codes = [(address, address + size) for address, (size, _) in moved.items()]
    tables = [*before.headers, before.dynamic_section, *before.relocation_tables[:1]]
    assert not changes(before, after, [*tables, *codes])
    for start, end in codes:
        assert not any(_mapped(after, start, end)), f"bytes of a container are left at {start:#x}"


def _directories(mapped: Mapped) -> set[bytes]:
    paths = [mapped.string(value) for tag, value in mapped.dynamic if tag in (DT_RPATH, DT_RUNPATH)]
    return {directory for path in paths for directory in path.split(b":") if directory}


def _mapped(mapped: Mapped, start: int, end: int) -> bytes:
    """What is mapped of a range."""
    parts = (load.content[max(start - load.address, 0) : max(end - load.address, 0)] for load in mapped.loads)
    return b"".join(parts)
