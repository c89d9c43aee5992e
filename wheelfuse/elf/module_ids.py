"""Module ids: how nvcc keeps names of one translation unit apart from those of others; and what they are in a file.

What is local to a translation unit gets a name with its module id in it, ``9eab5346_4_k_cu``: CRC-32 of the path of the
source file, length of its name, and the name. (More follows, made of the name of a function.) So builds in different
directories have the same GPU code under other names::

    _ZN36_GLOBAL__N__9eab5346_4_k_cu_5916767c6hiddenEPf                              a kernel
    _ZN34_INTERNAL_9eab5346_4_k_cu_5916767c36_GLOBAL__N__9eab5346_4_k_cu_5916767c5tableE   a variable

The host code registers kernels and variables by these names (``__cudaRegisterFunction``, ``__cudaRegisterVar``), and
the CUDA runtime looks them up among the symbols of the container. So the container of one build can stand in for that
of another if, with one id put for the other, all entries of both are the same bytes, and the host code registers the
names that the container has. Why that changes nothing else: let *f* put the new id for the old one.

- The entries of the new container are those of the old one, *f* applied to each. So *name* is a symbol of an entry
  of the old container exactly where *f(name)* is one of the same entry of the new one.
- Of the strings in the host code with the old id, those that are symbols of any entry become *f(string)*, and are found
  where they were found. All others stay; they were found nowhere, and are still, as the new container has no old id.
- No other container of the file has the old id, so nothing else is looked up by these strings; and the file has the
  new id nowhere, so none of them becomes equal to another.

The forms of nvcc 12 and 13 were looked at. Names of code that was left to be linked (``-rdc=true``) are known to more
than one container, and to the linker: it is left alone.
"""

from __future__ import annotations

import hashlib
import re
import struct
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from zlib import crc32

from wheelfuse.content import Content, reading, windows
from wheelfuse.elf.fatbin import SECTIONS, Container
from wheelfuse.elf.gaps import Range
from wheelfuse.elf.layout import Ehdr, Encoding, Shdr
from wheelfuse.elf.patch import Edit
from wheelfuse.elf.payloads import READABLE, Payload, payloads
from wheelfuse.elf.references import CONSTANTS, SHT_SYMTAB, SYM, Linked, read_linked
from wheelfuse.errors import InvalidInput

DIGITS = 8
"""What differs between ids of the same source file: the first hash, in hexadecimal."""

_LENGTH = re.compile(rb"_(?<=[0-9a-f]{8}_)(?=([0-9]{1,3})_)")
_NAME = re.compile(rb"[0-9A-Za-z_]+_")
_IDENTIFIER = re.compile(rb"[\w$]+")
_LONGEST = DIGITS + len("_999_") + 1000  # of an id, with what follows it
_LONGEST_NAME = 1 << 16  # of a symbol
_MASK = bytes(DIGITS)
_NOWHERE: tuple[int, ...] = ()
_BLOCK = 128  # bytes that are compared together where GPU code is compressed
_OF_A_PIECE = 48  # about what a recipe takes for each difference
_WORTH_IT = 20  # of the bytes of a container, recipes may take the part that this divides it into
_RDC = SECTIONS[1]


def module_ids(data: Content, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """The module ids in a part of *data*, with their offsets, in whatever names they are."""
    end = len(data) if end is None else end
    for at, own, window in windows(data, start, end, _LONGEST):
        for match in _LENGTH.finditer(window):
            begin, name = match.start() - DIGITS, match.end(1) + 1
            stop = name + int(match[1])
            if begin < own and stop < len(window) and _NAME.fullmatch(window, name, stop + 1):
                yield at + begin, window[begin:stop]


@dataclass(frozen=True, slots=True)
class Naming:
    """What a container is but for its module id, and what the host code has of that.

    *id* is the only one in it; *masked* the SHA-256, in hexadecimal, of all that it holds, decompressed, with the first
    hash of the id left out: equal for containers that differ in that alone. *places* are the offsets in the file where
    the id is in names that the host code registers. *why* says why the host code cannot be given other names (empty:
    it can). *size* is that of the container; *count* and *blocks* tell how far two of them differ as they are stored:
    how often the id occurs in what is not compressed, and checksums of the blocks of what is.
    """

    id: str
    masked: str
    size: int
    count: int = 0
    blocks: bytes = b""
    places: tuple[int, ...] = ()
    why: str = ""

    def obstacle(self, other: Naming) -> str:
        """Why a container that is equal but for the id cannot stand in for this one (empty: it can)."""
        if self.why:
            return self.why
        if self.size != other.size or len(self.blocks) != len(other.blocks):
            return "has another size, compressed, than the code that it equals but for names"
        words = (struct.iter_unpack("<I", naming.blocks) for naming in (self, other))
        differing = sum(one != two for one, two in zip(*words, strict=True))
        if (self.count * _OF_A_PIECE + differing * _BLOCK) * _WORTH_IT > self.size:
            return "differs too much, as it is stored, from the code that it equals but for names"
        return ""

    def edits(self, other: Naming) -> tuple[Edit, ...]:
        """What gives the host code the names that the other container has."""
        old, new = (naming.id[:DIGITS].encode() for naming in (self, other))
        return tuple(Edit(place, old, new) for place in self.places)


@dataclass(frozen=True)
class FileNaming:
    """The containers of a file that have module ids, and all ids in the file, wherever they are."""

    containers: dict[Container, Naming] = field(default_factory=dict)
    ids: frozenset[str] = frozenset()


def read_naming(data: Content, containers: Sequence[Container]) -> FileNaming:
    """What the names of the GPU code in a shared object are, and where its host code has them.

    Raises:
        InvalidInput: the file is of a form that is not edited.
        UsageError: a library that decompresses is missing.
    """
    contents = {container: _Content.of(data, container) for container in containers}
    host = _Host.of(data, containers)
    holders = Counter(id_ for content in contents.values() for id_ in content.ids)
    hidden = any(content.hidden for content in contents.values())
    found = {}
    for container, content in contents.items():
        if not content.ids:
            continue
        why, places = content.why, _NOWHERE
        if not why and hidden:
            why = "is beside GPU code in which names cannot be found"
        if not why and any(holders[id_] > 1 for id_ in content.ids):
            why = "has names that other GPU code of the file has, too"
        if not why:
            why, places = host.places(content)
        found[container] = content.naming(places, why)
    ids = {id_ for content in contents.values() for id_ in content.ids} | host.ids.keys()
    return FileNaming(found, frozenset(id_.decode() for id_ in ids))


@dataclass
class _Content:
    """What is found in a container while its entries are read, one after another."""

    container: Container
    ids: set[bytes] = field(default_factory=set)
    symbols: set[bytes] = field(default_factory=set)
    """Those that have an id in them."""
    count: int = 0
    blocks: list[int] = field(default_factory=list)
    masked: str = ""
    why: str = ""
    hidden: bool = False
    """Whether there may be ids that were not found."""

    @classmethod
    def of(cls, data: Content, container: Container) -> _Content:
        found, digest = cls(container), hashlib.sha256()
        try:
            for payload in payloads(data, container):
                for part in found.masking(payload):
                    digest.update(hashlib.sha256(part).digest())
        except (InvalidInput, struct.error, ValueError) as error:
            found.hidden, found.why = True, f"cannot be read: {error}"
        if container.section == _RDC:
            found.why = "was left to be linked (-rdc=true)"
        elif len(found.ids) > 1:
            found.why = "has the names of several source files"
        found.masked = "" if found.why else digest.hexdigest()
        return found

    def masking(self, payload: Payload) -> Iterator[bytes]:
        """The header of an entry, and its content without the first hash of the id."""
        content = payload.content
        ids = [id_ for _, id_ in module_ids(content)]
        self.ids.update(ids)
        if payload.kind not in READABLE:
            self.hidden, self.why = True, f"has code of a kind whose names are not known ({payload.kind})"
        elif ids and len(self.ids) == 1:  # of several, none is put for another, and there may be a great many
            self.symbols |= _symbols(content) if payload.kind == "sass" else _identifiers(content, ids)
        if payload.compressed:
            stored = payload.stored
            self.blocks += (crc32(stored[at : at + _BLOCK]) for at in range(0, len(stored), _BLOCK))
        else:
            self.count += len(ids)
        yield payload.header
        yield self._masked(content, set(ids)) if len(self.ids) == 1 else content

    def _masked(self, content: bytes, ids: set[bytes]) -> bytes:
        for id_ in ids:
            name = id_ + b"_"
            mask = _MASK + name[DIGITS:]
            if mask in content:
                raise InvalidInput("it has what stands for its module id")
            content = content.replace(name, mask)
            if name in content:
                raise InvalidInput("its module id overlaps itself")
        return content

    def naming(self, places: tuple[int, ...], why: str) -> Naming:
        id_ = min(self.ids).decode() if len(self.ids) == 1 else ""
        blocks = struct.pack(f"<{len(self.blocks)}I", *self.blocks)
        return Naming(id_, self.masked, self.container.size, self.count, blocks, places, why)


def _symbols(cubin: bytes) -> set[bytes]:
    """The names in the symbol table of machine code that have a module id in them.

    Raises:
        InvalidInput: it is no ELF file.
        ValueError, struct.error: it is damaged.
    """
    encoding = Encoding.of(cubin[:16])
    if encoding.bits != 64:
        raise InvalidInput("it is not ELF of 64 bits")
    (header,) = encoding.unpack(Ehdr, cubin[: encoding.size(Ehdr)])
    step = encoding.size(Shdr)
    (first,) = encoding.unpack(Shdr, cubin[header.shoff : header.shoff + step])
    count = header.shnum or first.size
    sections = tuple(encoding.unpack(Shdr, cubin[header.shoff : header.shoff + count * step]))
    found = set()
    for table in sections:
        if table.type != SHT_SYMTAB or table.link >= len(sections):
            continue
        strings = _bytes(cubin, sections[table.link])
        starts = sorted({name for name, *_ in SYM.iter_unpack(_bytes(cubin, table))})
        for at, _ in module_ids(strings):
            begin, end = strings.rfind(b"\0", 0, at) + 1, strings.find(b"\0", at)
            inside = starts[bisect_left(starts, begin) : bisect_right(starts, at)]
            found |= {strings[start:end] for start in inside}
    return found


def _bytes(cubin: bytes, section: Shdr) -> bytes:
    return cubin[section.offset : section.offset + section.size]


def _identifiers(ptx: bytes, ids: Iterable[bytes]) -> set[bytes]:
    """The identifiers in PTX with a module id in them."""
    wanted = set(ids)
    return {name for name in set(_IDENTIFIER.findall(ptx)) if any(id_ in name for id_ in wanted)}


@dataclass(frozen=True)
class _Host:
    """A file without its GPU code: where module ids are in it, by offset, and what may be changed there."""

    data: Content
    linked: Linked
    ids: Mapping[bytes, Sequence[int]]

    @classmethod
    def of(cls, data: Content, containers: Iterable[Container]) -> _Host:
        linked = read_linked(reading(data), len(data))
        ids: dict[bytes, list[int]] = {}
        taken = sorted(Range(c.offset, c.offset + c.size) for c in containers)
        bounds = [Range(0, 0), *taken, Range(len(data), len(data))]
        for before, after in pairwise(bounds):
            for offset, id_ in module_ids(data, before.end, after.start):
                ids.setdefault(id_, []).append(offset)
        return cls(data, linked, ids)

    def places(self, content: _Content) -> tuple[str, tuple[int, ...]]:
        """Why the names of a container cannot be changed (empty: they can), and the offsets of its id in them."""
        found = []
        (id_,) = content.ids
        for offset in self.ids.get(id_, ()):
            if not any(0 <= offset - load.offset < load.filesz for load in self.linked.layout.loads):
                continue
            strings = self.linked.constants(offset)
            if strings is None:
                return f"has names that are also elsewhere in the file than in {CONSTANTS}", _NOWHERE
            if not self.linked.is_constant(offset, DIGITS):
                return "has names that change when the file is loaded", _NOWHERE
            before = self._before(offset, strings.start)
            name, end, _ = self.data[offset : min(offset + _LONGEST_NAME, strings.end)].partition(b"\0")
            if not end:
                return "has names in a string that has no end", _NOWHERE
            if before + name in content.symbols:
                found.append(offset)
            elif any(before[start:] + name in content.symbols for start in range(1, len(before) + 1)):
                return "has names that are parts of other strings", _NOWHERE
        return "", tuple(found)

    def _before(self, offset: int, start: int) -> bytes:
        """What is before *offset* in the string that it lies in."""
        return self.data[max(start, offset - _LONGEST_NAME) : offset].rpartition(b"\0")[2]
