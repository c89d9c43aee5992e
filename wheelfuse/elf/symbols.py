"""Dynamic symbols and their versions, read from the bytes of the tables, wherever these were found.

Formats: System V gABI, chapter 4 (symbol table, string table); symbol versions: LSB Core, section 10.7.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wheelfuse.elf.layout import Encoding

VERNEED, VERNAUX, VERDEF, VERDAUX = "2H3I", "I2H2I", "4H3I", "2I"
"""Entries of the tables of versions; the last field leads to the next entry."""
VERSION = 0x7FFF
"""The number of a version, without the bit that hides it (VERSYM_HIDDEN)."""
VER_FLG_BASE, VER_FLG_WEAK = 0x1, 0x2
STB_LOCAL, STB_WEAK = 0, 2
_HIDDEN = (1, 2)  # STV_INTERNAL, STV_HIDDEN
_MOST_IMPORTS = 1 << 17
"""Undefined symbols, at most; libtorch_python.so imports 20,000."""
_LONGEST_NAME = 1 << 18
"""Bytes of a name, at most; C++ templates make some of 10,000."""
OVERLAP = 2
"""How many times the bytes of a file its sections, and its names, may have; with most linkers it is once."""


class Import(NamedTuple):
    """An undefined dynamic symbol, with the version it asks for (empty: none); a weak one may stay undefined.

    A NamedTuple, since there are thousands in a file, and they are sorted.
    """

    name: str
    version: str
    weak: bool


@dataclass(frozen=True, slots=True)
class VersionNeed:
    """Versions that a file needs of a library (``.gnu.version_r``): ``libc.so.6``, ``("GLIBC_2.2.5", …)``."""

    library: str
    versions: tuple[str, ...]


class NeededVersion(NamedTuple):
    """An entry of ``.gnu.version_r``: the number that ``.gnu.version`` has for it, and whether it may be absent."""

    number: int
    name: str
    weak: bool


Needs = tuple[tuple[str, tuple[NeededVersion, ...]], ...]
"""The libraries of which versions are needed, each with those."""


class Names:
    """Names in string tables of a file of *size* bytes. All together they are not longer than the file is: linkers let
    short ones be the ends of long ones, but not so often that reading them would have no end."""

    def __init__(self, size: int) -> None:
        self._left = OVERLAP * size

    def at(self, table: bytes, start: int) -> str:
        """The name at an offset of a table.

        Raises:
            ValueError: there is none.
        """
        end = table.find(b"\0", start)
        if end < 0:
            raise ValueError(f"a name at offset {start} of a string table of {len(table)} bytes")
        if end - start > _LONGEST_NAME:
            raise ValueError(f"a name of {end - start} bytes")
        self._left -= end - start
        if self._left < 0:
            raise ValueError("names overlap")
        return table[start:end].decode("utf-8", "surrogateescape")


def symbol_layout(encoding: Encoding) -> struct.Struct:
    """st_name, st_info, st_other and st_shndx of a symbol."""
    return struct.Struct(encoding.order + ("IBBH16x" if encoding.bits == 64 else "I8xBBH"))


def read_symbols(
    encoding: Encoding,
    entries: bytes,
    strings: bytes,
    versions: Sequence[int],
    version_names: Mapping[int, str],
    names: Names,
) -> tuple[tuple[Import, ...], frozenset[str]]:
    """What a dynamic symbol table imports, sorted, and what it exports. *versions* are those of ``.gnu.version``.

    Raises:
        ValueError: the tables contradict each other.
    """
    layout = symbol_layout(encoding)
    entries = entries[: len(entries) // layout.size * layout.size]
    if versions and len(versions) * layout.size < len(entries):
        raise ValueError("not one version for each dynamic symbol")
    imports, exports, named = [], [], names.at
    for index, (name, info, other, section) in enumerate(layout.iter_unpack(entries)):
        binding = info >> 4
        if not name or binding == STB_LOCAL:
            continue
        if section == 0:
            version = version_names.get(versions[index] & VERSION, "") if versions else ""
            imports.append(Import(sys.intern(named(strings, name)), version, binding == STB_WEAK))
            if len(imports) > _MOST_IMPORTS:
                raise ValueError(f"more than {_MOST_IMPORTS} undefined symbols")
        elif other & 3 not in _HIDDEN:
            exports.append(named(strings, name))
    return tuple(sorted(imports)), frozenset(exports)


def read_versions(encoding: Encoding, raw: bytes) -> tuple[int, ...]:
    """``.gnu.version``: which version each symbol has, by the numbers of those that are needed or defined."""
    return struct.unpack(f"{encoding.order}{len(raw) // 2}H", raw[: len(raw) // 2 * 2])


def read_needs(encoding: Encoding, raw: bytes, count: int, strings: bytes, names: Names) -> Needs:
    """``.gnu.version_r``, which begins with so many entries for libraries.

    Raises:
        ValueError, struct.error: the table is damaged.
    """
    return tuple(
        (
            sys.intern(names.at(strings, need[2])),
            tuple(
                NeededVersion(
                    number & VERSION, sys.intern(names.at(strings, name)), bool(flags & VER_FLG_WEAK)
                )
                for _, flags, number, name, _ in entries
            ),
        )
        for need, entries in version_entries(encoding, raw, count, VERNEED, VERNAUX)
    )


def as_version_needs(needs: Needs) -> tuple[VersionNeed, ...]:
    """The versions without which the file cannot be loaded."""
    return tuple(
        VersionNeed(library, tuple(sorted(entry.name for entry in entries if not entry.weak)))
        for library, entries in needs
    )


def version_entries(
    encoding: Encoding, raw: bytes, count: int, outer: str, inner: str
) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]]]]:
    """So many entries of a table of versions, each with those that hang on it.

    Raises:
        ValueError, struct.error: the table is damaged.
    """
    entry, hanging = struct.Struct(encoding.order + outer), struct.Struct(encoding.order + inner)
    left = len(raw) // hanging.size  # of all that hang on entries
    for at, fields in _chain(raw, entry, 0, count):
        number, first = (fields[1], fields[3]) if outer == VERNEED else (fields[3], fields[5])
        left -= number
        if left < 0:
            raise ValueError("a table of versions has no room for all that its counts tell of")
        yield fields, [found for _, found in _chain(raw, hanging, at + first, number)]


def _chain(raw: bytes, layout: struct.Struct, at: int, count: int) -> Iterable[tuple[int, tuple[int, ...]]]:
    """So many entries of which each tells how far away the next is: where each is, and its fields."""
    for left in reversed(range(count)):
        fields = layout.unpack_from(raw, at)
        yield at, fields
        if left and fields[-1] < layout.size:
            raise ValueError("a table of versions runs in circles")
        at += fields[-1]
