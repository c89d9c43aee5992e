"""The facts of a shared object from its front alone: what a loader looks up by name lies there, as linkers lay it out.

The dynamic section, which tells where the tables are, comes after the code, and the section headers come last. A
file that is fetched by ranges, and whose deflate stream can only be read from its beginning, would have to be read as
a whole for them. So the tables are recognised by themselves: GNU ld, gold and mold write ``.gnu.hash .dynsym .dynstr
.gnu.version .gnu.version_r``, lld ``.dynsym .gnu.version .gnu.version_r .gnu.hash .dynstr``. What is taken for a table
is proved: ``.gnu.hash`` holds a hash of each exported name and the number of symbols, ``.gnu.version_r`` one of each
version, and ``.gnu.version`` must fit both. Where anything does not fit (patchelf moves tables to the end), the front
does not tell, and the file has to be read on.

Two facts have no proof: which of the other names in the string table are needed libraries, and which is the soname.
They are told by their form.

Formats: System V gABI, chapters 4 and 5; symbol versions: LSB Core, section 10.7; the hash table: glibc,
``elf/dl-lookup.c``, and https://sourceware.org/legacy-ml/binutils/2006-10/msg00377.html.
"""

from __future__ import annotations

import posixpath
import re
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from elftools.elf.enums import ENUM_E_MACHINE

from wheelfuse.elf.image import Image
from wheelfuse.elf.layout import Ehdr, Encoding, round_up
from wheelfuse.elf.symbols import (
    STB_LOCAL,
    VER_FLG_BASE,
    VERDAUX,
    VERDEF,
    VERNAUX,
    VERNEED,
    VERSION,
    Names,
    as_version_needs,
    read_needs,
    read_symbols,
    read_versions,
    symbol_layout,
)
from wheelfuse.errors import InvalidInput

_ET_DYN = 3
_NEAR = 1 << 16
"""Bytes after the program headers in which the first table begins: notes and the like come before."""
_SLACK = 1 << 16
"""Bytes of names of libraries, versions and directories in a string table, and of tables of versions, at most."""
_SAMPLES = 50
"""How many names of a table are held against their hashes: of what is no table, the first is wrong already."""
_MOST_SYMBOLS = 1 << 21
_BINDINGS, _TYPES = frozenset((0, 1, 2, 10)), frozenset((0, 1, 2, 3, 4, 5, 6, 10))
_VER_CURRENT = 1
_LIBRARY = re.compile(r"[^/$\s]+\.so(\.[\w.+-]+)*")
_DIRECTORY = re.compile(r"(/|\$ORIGIN|\$\{ORIGIN\})[^\s()<>]*")
_MACHINES = {number: name for name, number in ENUM_E_MACHINE.items() if isinstance(number, int)}


class More(NamedTuple):
    """So many bytes of the front are needed to tell."""

    size: int


def read_front(front: bytes, size: int, name: str) -> Image | More | None:
    """The facts of the shared object *name*, of *size* bytes, of which *front* is the beginning.

    None if its front does not tell; then all of it must be read. Sections, hardening and digests are not known;
    *runpath* may be that of DT_RPATH.
    """
    try:
        return _image(_Bytes(front), size, posixpath.basename(name))
    except _Short as short:
        return More(min(short.end, size)) if len(front) < size else None
    except (InvalidInput, ValueError, struct.error):
        return None


class _Short(Exception):
    """The front ends before what is to be looked at."""

    def __init__(self, end: int) -> None:
        super().__init__(end)
        self.end = end


@dataclass(frozen=True)
class _Bytes:
    front: bytes

    def at(self, start: int, size: int) -> bytes:
        if start + size > len(self.front):
            raise _Short(start + size)
        return self.front[start : start + size]

    def name(self, start: int) -> bytes:
        """A name, and nothing but that: without the zero at its end."""
        if (end := self.front.find(b"\0", start)) < 0:
            raise _Short(max(start, len(self.front)) + 256)
        return self.front[start:end]


def _image(data: _Bytes, size: int, name: str) -> Image:
    encoding = Encoding.of(data.at(0, 16))
    (header,) = encoding.unpack(Ehdr, data.at(0, encoding.size(Ehdr)))
    step = encoding.size(encoding.phdr)
    if header.type != _ET_DYN or header.phentsize != step or header.phoff != encoding.size(Ehdr):
        raise ValueError("no shared object, or one whose program headers were moved")
    symbols = _symbols(_Tables(data, encoding), header.phoff + header.phnum * step)
    versions = _versions(symbols)
    strings = data.front[symbols.strings : _end_of_strings(symbols, versions)]
    names = Names(size)
    needs = read_needs(encoding, versions.needs, versions.libraries, strings, names)
    numbers = {entry.number: entry.name for _, found in needs for entry in found}
    listed = read_versions(encoding, versions.listed)
    imports, exports = read_symbols(encoding, symbols.entries, strings, listed, numbers, names)
    others = _others(strings, exports.union(symbol.name for symbol in imports), numbers.values())
    libraries = tuple(library for library, _ in needs)
    soname = versions.base or _soname(others, name, libraries)
    needed = (text for text in (*others, *libraries) if _LIBRARY.fullmatch(text) and text != soname)
    return Image(
        _MACHINES.get(header.machine, str(header.machine)),
        encoding.bits,
        encoding.order == "<",
        "ET_DYN",
        soname=soname,
        needed=tuple(dict.fromkeys(needed)),
        runpath=tuple(part for text in others if _DIRECTORY.fullmatch(text) for part in text.split(":")),
        imports=imports,
        exports=exports,
        version_needs=as_version_needs(needs),
        version_definitions=frozenset(versions.defined),
    )


@dataclass(frozen=True)
class _Hashes:
    """``.gnu.hash``: where it begins and ends, how many symbols there are, and the hash of each from *first* on,
    without its lowest bit."""

    start: int
    end: int
    count: int
    first: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class _Tables:
    """What is a table at a place, if it is one there."""

    data: _Bytes
    encoding: Encoding

    @property
    def word(self) -> int:
        return self.encoding.bits // 8

    def unpack(self, form: str, start: int) -> tuple[int, ...]:
        layout = struct.Struct(self.encoding.order + form)
        return layout.unpack(self.data.at(start, layout.size))

    def hashes(self, start: int) -> _Hashes | None:
        buckets, first, bloom, shift = self.unpack("4I", start)
        if not buckets or not first or not bloom or bloom & (bloom - 1) or shift >= self.encoding.bits:
            return None
        # Linkers take some bits, and a part of a bucket, for each symbol.
        if max(buckets, first, bloom) > _MOST_SYMBOLS or bloom > 8 * buckets + 8 or buckets > 64 * bloom:
            return None
        at = start + 16 + bloom * self.word
        end = at + 4 * buckets
        known = min(buckets, max(0, (len(self.data.front) - at) // 4))
        firsts = [index for index in self.unpack(f"{known}I", at) if index] if known else []
        if firsts and (firsts[0] != first or firsts != sorted(set(firsts)) or firsts[-1] > _MOST_SYMBOLS):
            return None
        if known < buckets:
            raise _Short(end)
        if not firsts:
            return None
        length = firsts[-1] - first + 1
        values = list(self.unpack(f"{length}I", end))
        while not values[-1] & 1:  # the last of a chain has the lowest bit
            values += self.unpack("I", end + 4 * len(values))
        return _Hashes(start, end + 4 * len(values), first + len(values), first, tuple(values))

    def begins_symbols(self, start: int) -> bool:
        """Whether there may be a dynamic symbol table: its first entry is all zero."""
        size = symbol_layout(self.encoding).size
        raw = self.data.at(start, 2 * size)
        return not any(raw[:size]) and any(raw[size:]) and self.plausible(start) > 1

    def plausible(self, start: int) -> int:
        """How many entries from *start* on can be of one symbol table: the local ones come first."""
        layout, local = symbol_layout(self.encoding), True
        front = memoryview(self.data.front)[start:]
        entries = layout.iter_unpack(front[: len(front) // layout.size * layout.size])
        for count, (name, info, _, _) in enumerate(entries):
            binding = info >> 4
            local &= binding == STB_LOCAL
            if binding not in _BINDINGS or info & 15 not in _TYPES or (binding == STB_LOCAL) != local:
                return count
            if name >= 1 << 29:  # text
                return count
        raise _Short(len(self.data.front) + len(front))

    def after_hash(self, start: int, count: int) -> int:
        """Where ``.hash`` ends that begins at *start*, or *start* if there is none."""
        buckets, chains = self.unpack("2I", start)
        return start + 4 * (2 + buckets + chains) if chains == count and buckets <= count else start


@dataclass(frozen=True)
class _Symbols:
    """The dynamic symbols, and where their names begin; *after* is where the symbol table ends."""

    tables: _Tables
    hashes: _Hashes
    after: int
    entries: bytes
    strings: int

    @property
    def count(self) -> int:
        return self.hashes.count

    def name(self, offset: int) -> bytes:
        return self.tables.data.name(self.strings + offset)

    def named(self, offset: int, value: int) -> bytes:
        """The name of a version whose hash is *value*; empty if there is another name, or none."""
        if self.strings + offset > self.names_end + _SLACK:
            return b""
        return name if elf_hash(name := self.name(offset)) == value else b""

    def end_of(self, offset: int) -> int:
        """Where in the file the name at an offset of the string table ends, its zero included."""
        return self.strings + offset + len(self.name(offset)) + 1

    @cached_property
    def names_end(self) -> int:
        """No name ends later than the one that begins last: others may have it as their end."""
        layout = symbol_layout(self.tables.encoding)
        return self.end_of(max(name for name, *_ in layout.iter_unpack(self.entries)))


def _symbols(tables: _Tables, start: int) -> _Symbols:
    """The symbols with their names, as their hashes prove."""
    for at in range(round_up(start, tables.word), start + _NEAR, tables.word):
        if hashes := tables.hashes(at):
            begin = round_up(hashes.end, tables.word)
        elif tables.begins_symbols(at):
            begin, hashes = at, _hashes_after(tables, at)
        if hashes and (found := _proved(tables, begin, hashes)):
            return found
    raise ValueError("no symbols near the program headers")


def _hashes_after(tables: _Tables, begin: int) -> _Hashes | None:
    """The hashes of the symbols that begin before them."""
    size = symbol_layout(tables.encoding).size
    start = begin + size * tables.plausible(begin)
    for at in range(round_up(start, tables.word), start + _SLACK + start - begin, tables.word):
        if (hashes := tables.hashes(at)) and begin + size * hashes.count <= at:
            return hashes
    return None


def _proved(tables: _Tables, begin: int, hashes: _Hashes) -> _Symbols | None:
    size = symbol_layout(tables.encoding).size
    after = begin + size * hashes.count
    entries = tables.data.at(begin, after - begin)
    if any(entries[:size]):
        return None
    places = (after, hashes.end, tables.after_hash(round_up(hashes.end, 4), hashes.count))
    for strings in places:
        found = _Symbols(tables, hashes, after, entries, strings)
        if tables.data.at(strings, 1) == b"\0" and _names_fit(found):
            return found
    return None


def _names_fit(symbols: _Symbols) -> bool:
    layout, hashes = symbol_layout(symbols.tables.encoding), symbols.hashes
    for index in range(0, len(hashes.values), max(1, len(hashes.values) // _SAMPLES)):
        offset, *_ = layout.unpack_from(symbols.entries, (hashes.first + index) * layout.size)
        if (gnu_hash(symbols.name(offset)) ^ hashes.values[index]) & ~1:
            return False
    return True


def gnu_hash(name: bytes) -> int:
    """The hash of a name in ``.gnu.hash``: that of Bernstein, in 32 bits."""
    value = 5381
    for letter in name:
        value = value * 33 + letter & 0xFFFFFFFF
    return value


def elf_hash(name: bytes) -> int:
    """The hash of the name of a version (gABI, "Hash Table")."""
    value = 0
    for letter in name:
        value = (value << 4) + letter
        value = (value ^ (value >> 24 & 0xF0)) & 0x0FFFFFFF
    return value


@dataclass(frozen=True)
class _Versions:
    """``.gnu.version``, the names of ``.gnu.version_d`` (*base*: of the file itself), and ``.gnu.version_r`` with
    the number of its *libraries*.

    *start* is where the first of them begins; *last* the end of the last name that they refer to.
    """

    start: int
    listed: bytes
    defined: tuple[str, ...] = ()
    base: str = ""
    needs: bytes = b""
    libraries: int = 0
    last: int = 0


@dataclass(frozen=True)
class _Chain:
    """A table of versions: where it lies, the numbers of its versions, its entries for libraries (of ``_r``) or the
    names that it defines (of ``_d``), *base* being that of the file itself, and where the last of its names ends."""

    start: int
    end: int
    numbers: frozenset[int]
    libraries: int = 0
    defined: tuple[str, ...] = ()
    base: str = ""
    last: int = 0


def _versions(symbols: _Symbols) -> _Versions:
    """The versions of the symbols; there may be none if what would come after them follows at once."""
    length = 2 * symbols.count
    if symbols.strings == symbols.after:  # GNU ld: names, versions
        least = symbols.names_end
        if _relocations_follow(symbols, round_up(_end_of_names(symbols, least), 8)):
            return _Versions(0, b"")
        chains = _chains(symbols, round_up(round_up(least, 2) + length, 4), _SLACK)
        if not chains:
            raise ValueError("no versions after the names")
        least = max(least, *(chain.last for chain in chains))
        end = min(chain.start for chain in chains)
        starts = range(end - length - (end - length) % 2, max(end - length - 8, least - 1), -2)
    else:  # lld: versions, hashes, names
        start = round_up(symbols.after, 2)
        if symbols.hashes.start < start + length:
            return _Versions(start, b"")
        chains = _chains(symbols, round_up(start + length, 4), 1)
        end = min((chain.start for chain in chains), default=round_up(start + length, 4))
        starts = range(start, start + 1)
    data = symbols.tables.data
    fitting = [start for start in starts if _fits(symbols, data.at(start, end - start), chains)]
    if len(fitting) != 1:
        raise ValueError("versions that fit nowhere, or in several places")
    (start,) = fitting
    needs = [chain for chain in chains if chain.libraries]
    return _Versions(
        start,
        data.at(start, length),
        tuple(name for chain in chains for name in chain.defined),
        "".join(chain.base for chain in chains),
        data.front[needs[0].start : needs[0].end] if needs else b"",
        needs[0].libraries if needs else 0,
        max((chain.last for chain in chains), default=0),
    )


def _chains(symbols: _Symbols, start: int, slack: int) -> tuple[_Chain, ...]:
    """The tables of versions, the first of which begins at most *slack* bytes after *start*."""
    for at in range(start, start + slack, 4):
        if first := _needed(symbols, at) or _defined(symbols, at):
            other = _defined if first.libraries else _needed
            places = dict.fromkeys((round_up(first.end, 4), round_up(first.end, 8)))
            return (first, *filter(None, (other(symbols, place) for place in places)))[:2]
    return ()


def _needed(symbols: _Symbols, start: int) -> _Chain | None:
    tables = symbols.tables
    version, count, library, first, following = tables.unpack(VERNEED, start)
    if version != _VER_CURRENT or not count:
        return None
    numbers, last, libraries, end, at = set[int](), 0, 0, start, start
    while True:
        version, count, library, first, following = tables.unpack(VERNEED, at)
        if version != _VER_CURRENT or not 16 <= first < _SLACK or not _leads(following, 16):
            return None
        inner = at + first
        for left in reversed(range(count)):
            value, _, number, name, step = tables.unpack(VERNAUX, inner)
            if not symbols.named(name, value) or bool(left) != bool(step) or not _leads(step, 16):
                return None
            numbers.add(number & VERSION)
            last, end = max(last, symbols.end_of(name)), max(end, inner + 16)
            inner += step
        if symbols.strings + library > symbols.names_end + _SLACK:
            return None
        libraries, last = libraries + 1, max(last, symbols.end_of(library))
        if not following:
            return _Chain(start, end, frozenset(numbers), libraries, last=last)
        at += following


def _defined(symbols: _Symbols, start: int) -> _Chain | None:
    tables, numbers, last, end, at = symbols.tables, set[int](), 0, start, start
    names, base = list[str](), ""
    while True:
        version, flags, number, count, value, first, following = tables.unpack(VERDEF, at)
        if version != _VER_CURRENT or not count or not 20 <= first < _SLACK or not _leads(following, 20):
            return None
        name, _ = tables.unpack(VERDAUX, at + first)
        if not (text := symbols.named(name, value)):
            return None
        numbers.add(number & VERSION)
        decoded = text.decode("utf-8", "surrogateescape")
        base = decoded if flags & VER_FLG_BASE else base
        names += [decoded] if not flags & VER_FLG_BASE else []
        last, end = max(last, symbols.end_of(name)), max(end, at + first + 8 * count)
        if not following:
            return _Chain(start, end, frozenset(numbers), defined=tuple(names), base=base, last=last)
        at += following


def _leads(step: int, size: int) -> bool:
    """Whether an entry of so many bytes may be followed by the next at this distance; 0: it is the last."""
    return not step or size <= step < _SLACK


def _fits(symbols: _Symbols, raw: bytes, chains: Sequence[_Chain]) -> bool:
    """Whether ``.gnu.version`` is what begins with *raw*, which reaches to the next table."""
    listed = read_versions(symbols.tables.encoding, raw)
    if len(listed) < symbols.count or any(listed[symbols.count :]):
        return False
    needed = frozenset((0, 1)).union(*(chain.numbers for chain in chains if chain.libraries))
    defined = frozenset((1,)).union(*(chain.numbers for chain in chains if not chain.libraries))
    layout = symbol_layout(symbols.tables.encoding)
    for number, (_, info, _, section) in zip(listed, layout.iter_unpack(symbols.entries), strict=False):
        allowed = needed if section == 0 else defined
        if info >> 4 != STB_LOCAL and number & VERSION not in allowed:
            return False
    return listed[0] == 0


def _relocations_follow(symbols: _Symbols, start: int) -> bool:
    """Whether ``.rela.dyn`` begins there, as in files without versions (musl has none)."""
    if symbols.tables.encoding.bits != 64:
        return False
    entries = [symbols.tables.unpack("QIIq", start + 24 * index) for index in range(4)]
    if symbols.tables.encoding.order == ">":
        entries = [(offset, kind, symbol, addend) for offset, symbol, kind, addend in entries]
    return all(
        0 < offset < 1 << 32 and symbol < symbols.count and kind for offset, kind, symbol, _ in entries
    )


def _end_of_strings(symbols: _Symbols, versions: _Versions) -> int:
    """Where the string table ends: before the next table, or where what follows is no name."""
    end = max(symbols.names_end, versions.last)
    following = [start for start in (versions.start, symbols.hashes.start) if start >= end]
    return min(following) if following else _end_of_names(symbols, end)


def _end_of_names(symbols: _Symbols, end: int) -> int:
    """Where the names of libraries and directories end that follow those of symbols."""
    table, limit = symbols.tables.data, end + _SLACK
    while end < limit:
        following = end
        while following < limit and table.at(following, 1) == b"\0":  # conda shortens directories in place
            following += 1
        name = table.name(following).decode("latin-1")
        if not (_LIBRARY.fullmatch(name) or _DIRECTORY.fullmatch(name)):
            break
        end = following + len(name) + 1
    return end


def _others(strings: bytes, symbols: Collection[str], versions: Collection[str]) -> tuple[str, ...]:
    """The names in the string table that neither symbols nor versions have, in their order."""
    every = strings.decode("utf-8", "surrogateescape").split("\0")
    known = {*symbols, *versions}
    return tuple(dict.fromkeys(text for text in every if text and text not in known))


def _soname(others: Sequence[str], name: str, libraries: Collection[str]) -> str:
    """The name that is that of the file but for the version, and is not needed."""
    like = [
        text
        for text in others
        if text not in libraries
        and _LIBRARY.fullmatch(text)
        and text.partition(".so")[0] == name.partition(".so")[0]
    ]
    return max(like, key=len, default="")
