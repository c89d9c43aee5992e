"""A shared object that holds GPU code and nothing else, written without a compiler.

Its section `.nv_fatbin` has the containers one after another, as in any other file, so that cuobjdump lists them.
One global data symbol at the start of the section is what modules refer to.

What lies where, with pages of *P* bytes, the largest that the machine may have:

    ========  ========================================  ==========  ===========
    in file   what                                      at address  mapped
    ========  ========================================  ==========  ===========
    0         headers, notes, names, symbols            0           read
    *P* - n   `.dynamic`, of n bytes                    2 *P* - n   read, write
    *P*       `.nv_fatbin`                              2 *P*       read
    after it  `.shstrtab` and section headers           none        no
    ========  ========================================  ==========  ===========

The dynamic section is writable since glibc turns its offsets into addresses in place; it ends with a page, so that
PT_GNU_RELRO protects it as a whole afterwards. Without any code the object still says, in `.note.gnu.property`, that
all of its code is made for control-flow protection: glibc refuses to load what does not into a process with shadow
stacks, or turns them off.

Formats: System V gABI, chapters 4 and 5, and the supplements for x86-64 and AArch64 (machine, properties, pages);
`.gnu.hash` is read by `do_lookup_x` of glibc's elf/dl-lookup.c.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from typing import NamedTuple

from wheelfuse.elf.layout import (
    DT_NULL,
    DT_SONAME,
    DT_STRSZ,
    DT_STRTAB,
    ET_DYN,
    PF_R,
    PT_DYNAMIC,
    PT_LOAD,
    SHT_STRTAB,
    Dyn,
    Ehdr,
    Encoding,
    Phdr64,
    Shdr,
    round_up,
)
from wheelfuse.errors import InvalidInput

_ALIGNMENT = 8  # of a container, and of `.nv_fatbin`, as nvcc has it
_LONGEST_NAME = 255  # NAME_MAX of Linux; two of these fit into the first page
_ENCODING = Encoding(64, "<")
_IDENT = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)  # 64 bits, little-endian, version 1, System V
_SEGMENTS = 9
_HEADERS_SIZE = _ENCODING.size(Ehdr) + _SEGMENTS * _ENCODING.size(Phdr64)
_PF_RW = PF_R | 2
_PT_NOTE, _PT_GNU_STACK, _PT_GNU_RELRO, _PT_GNU_PROPERTY = 4, 0x6474E551, 0x6474E552, 0x6474E553
_SHT_PROGBITS, _SHT_DYNAMIC, _SHT_NOTE, _SHT_DYNSYM, _SHT_GNU_HASH = 1, 6, 7, 11, 0x6FFFFFF6
_SHF_WRITE, _SHF_ALLOC = 1, 2
_DT_SYMTAB, _DT_SYMENT, _DT_FLAGS, _DT_GNU_HASH, _DF_BIND_NOW = 6, 11, 30, 0x6FFFFEF5, 8
_NT_GNU_BUILD_ID, _NT_GNU_PROPERTY_TYPE_0 = 3, 5
_GLOBAL_OBJECT = 1 << 4 | 1  # STB_GLOBAL, STT_OBJECT
_SYMBOL = struct.Struct("<IBBHQQ")
_DYNSYM, _DYNSTR, _FATBIN, _SHSTRTAB = 4, 5, 7, 8  # indices of sections


class _Machine(NamedTuple):
    number: int  # e_machine
    page: int  # bytes of the largest page
    property: int  # GNU_PROPERTY_..._FEATURE_1_AND
    features: int  # its bits: IBT and SHSTK, or BTI, PAC and GCS


_MACHINES = {
    "EM_X86_64": _Machine(62, 0x1000, 0xC0000002, 0b11),
    "EM_AARCH64": _Machine(183, 0x10000, 0xC0000000, 0b111),
}


@dataclass(frozen=True)
class Carrier:
    """A carrier to be written: the bytes before and after the containers, and the size of each of these."""

    head: bytes
    sizes: tuple[int, ...]
    trailer: bytes

    @property
    def offsets(self) -> tuple[int, ...]:
        """Where each container begins, in bytes from the start of the section, which is the symbol's value."""
        return tuple(accumulate(map(_aligned, self.sizes[:-1]), initial=0))

    @property
    def section_offset(self) -> int:
        """Where the section begins in the file."""
        return len(self.head)

    @property
    def section_size(self) -> int:
        """Bytes of the section: of all containers, each with its padding."""
        return sum(map(_aligned, self.sizes))

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.head) + self.section_size + len(self.trailer)

    def write(self, contents: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
        """The file in chunks, given each container in chunks; holds one chunk at a time.

        Raises:
            InvalidInput: a container has another size than was announced, or there are more or fewer of them;
                what was yielded is worthless then.
        """
        yield self.head
        for number, (size, content) in enumerate(zip_longest(self.sizes, contents), start=1):
            if size is None or content is None:
                raise InvalidInput(f"other than {len(self.sizes)} containers of GPU code for their carrier")
            left = size
            for chunk in content:
                left -= len(chunk)
                yield chunk
            if left:
                raise InvalidInput(f"container {number} of GPU code for a carrier has not {size} bytes")
            yield bytes(_aligned(size) - size)
        yield self.trailer


def lay_out(machine: str, soname: str, symbol: str, sizes: Sequence[int]) -> Carrier:
    """Lay out a carrier.

    Args:
        machine: what it is for, ``EM_X86_64`` or ``EM_AARCH64``.
        soname: its name, which has to tell the content (see `carrier_name`): the build id is made from it.
        symbol: the name of the symbol at the start of the containers (see `symbol_name`).
        sizes: of each container, in bytes.

    Raises:
        InvalidInput: another machine, names that no library or symbol has, no container, or an empty one.
    """
    if machine not in _MACHINES:
        raise InvalidInput(f"no form of a carrier of GPU code is known for {machine}")
    if not sizes or min(sizes) < 1:
        raise InvalidInput("a carrier without GPU code, or with an empty container")
    section_size = sum(map(_aligned, sizes))
    names = _encoded(soname), _encoded(symbol)
    identity = b"\0".join((machine.encode(), *names, *(b"%d" % size for size in sizes)))
    build_id = hashlib.sha256(identity).digest()[:20]
    sections = _sections(_MACHINES[machine], *names, build_id, section_size)
    return Carrier(_head(_MACHINES[machine], sections), tuple(sizes), _trailer(sections))


def carrier_name(distribution: str, digests: Iterable[str]) -> str:
    """The file name, and soname, of the carrier of the containers with these hexadecimal digests, in this order:
    ``libspam_kernels-device-5feceb66ffc86f38.so`` for the distribution ``Spam.Kernels``."""
    return f"lib{re.sub('[-_.]+', '_', distribution).lower()}-device-{_content_hash(digests)}.so"


def symbol_name(digests: Iterable[str]) -> str:
    """The name of the symbol at the start of the containers with these hexadecimal digests, in this order."""
    return f"wheelfuse_device_{_content_hash(digests)}"


class _Section(NamedTuple):
    """A section header, and of a section in the first page, the content."""

    name: str
    type: int
    content: bytes
    align: int = 1
    link: int = 0
    info: int = 0
    entsize: int = 0
    flags: int = _SHF_ALLOC
    addr: int = 0
    offset: int = 0
    more: int = 0  # bytes that are not in *content*

    @property
    def size(self) -> int:
        return len(self.content) + self.more


def _sections(
    machine: _Machine, soname: bytes, symbol: bytes, build_id: bytes, size: int
) -> tuple[_Section, ...]:
    """All sections but the empty first one, with *size* bytes of GPU code."""
    page, base = machine.page, 2 * machine.page
    property_ = struct.pack("<IIII", machine.property, 4, machine.features, 0)
    strings = b"\0" + soname + b"\0" + symbol + b"\0"
    symbols = bytes(_SYMBOL.size) + _SYMBOL.pack(len(soname) + 2, _GLOBAL_OBJECT, 0, _FATBIN, base, size)
    tables = tuple(
        _one_after_another(
            _HEADERS_SIZE,
            _Section(".note.gnu.property", _SHT_NOTE, _note(_NT_GNU_PROPERTY_TYPE_0, property_), align=8),
            _Section(".note.gnu.build-id", _SHT_NOTE, _note(_NT_GNU_BUILD_ID, build_id), align=4),
            _Section(".gnu.hash", _SHT_GNU_HASH, _gnu_hash(symbol), align=8, link=_DYNSYM),
            _Section(".dynsym", _SHT_DYNSYM, symbols, 8, link=_DYNSTR, info=1, entsize=_SYMBOL.size),
            _Section(".dynstr", SHT_STRTAB, strings),
        )
    )
    dynamic = _dynamic({table.name: table.addr for table in tables}, len(strings))
    n, writable = len(dynamic), _SHF_ALLOC | _SHF_WRITE
    entsize = _ENCODING.size(Dyn)
    names = (*(table.name for table in tables), ".dynamic", ".nv_fatbin", ".shstrtab")
    listing = b"".join(b"\0" + name.encode() for name in names) + b"\0"
    return (
        *tables,
        _Section(".dynamic", _SHT_DYNAMIC, dynamic, 8, _DYNSTR, 0, entsize, writable, base - n, page - n),
        _Section(".nv_fatbin", _SHT_PROGBITS, b"", _ALIGNMENT, addr=base, offset=page, more=size),
        _Section(".shstrtab", SHT_STRTAB, listing, flags=0, offset=page + size),
    )


def _one_after_another(at: int, *sections: _Section) -> Iterator[_Section]:
    """These sections at their places in the first segment, whose addresses are offsets in the file."""
    for section in sections:
        at = _aligned(at, section.align)
        yield section._replace(addr=at, offset=at)
        at += section.size


def _dynamic(address: Mapping[str, int], strings_size: int) -> bytes:
    entries = (
        Dyn(DT_SONAME, 1),
        Dyn(_DT_GNU_HASH, address[".gnu.hash"]),
        Dyn(DT_STRTAB, address[".dynstr"]),
        Dyn(_DT_SYMTAB, address[".dynsym"]),
        Dyn(DT_STRSZ, strings_size),
        Dyn(_DT_SYMENT, _SYMBOL.size),
        Dyn(_DT_FLAGS, _DF_BIND_NOW),
        Dyn(DT_NULL, 0),
    )
    return b"".join(map(_ENCODING.pack, entries))


def _gnu_hash(symbol: bytes) -> bytes:
    """The hash table that finds the symbol with the index 1, the only one."""
    value = 5381
    for byte in symbol:
        value = (value * 33 + byte) & 0xFFFFFFFF
    shift, first = 6, 1
    bloom = 1 << value % 64 | 1 << (value >> shift) % 64
    # one bucket, index of the first symbol, one word of the filter, shift; filter; bucket; end of its chain
    return struct.pack("<4IQII", 1, first, 1, shift, bloom, first, value | 1)


def _note(kind: int, value: bytes) -> bytes:
    return struct.pack("<III4s", 4, len(value), kind, b"GNU") + value


def _segments(machine: _Machine, sections: tuple[_Section, ...]) -> Iterator[Phdr64]:
    """The program headers, in the order of the gABI: those to load ascend by address."""
    properties, build_id, *_, last_table, dynamic, code, _ = sections

    def over(kind: int, first: _Section, last: _Section, flags: int = PF_R, align: int = 0) -> Phdr64:
        size = last.offset + last.size - first.offset
        align = align or first.align
        return Phdr64(kind, flags, first.offset, first.addr, first.addr, size, size, align)

    everything = _Section("", 0, b"")
    yield over(PT_LOAD, everything, last_table, align=machine.page)
    yield over(PT_LOAD, dynamic, dynamic, _PF_RW, machine.page)
    yield over(PT_LOAD, code, code, align=machine.page)
    yield over(PT_DYNAMIC, dynamic, dynamic, _PF_RW)
    yield over(_PT_NOTE, properties, properties)
    yield over(_PT_NOTE, build_id, build_id)
    yield over(_PT_GNU_PROPERTY, properties, properties)
    yield Phdr64(_PT_GNU_STACK, _PF_RW, 0, 0, 0, 0, 0, 16)
    yield over(_PT_GNU_RELRO, dynamic, dynamic, align=1)


def _head(machine: _Machine, sections: tuple[_Section, ...]) -> bytes:
    """The first page: all that lies before the GPU code."""
    names = sections[-1]
    header = Ehdr(
        ident=_IDENT,
        type=ET_DYN,
        machine=machine.number,
        version=1,
        entry=0,
        phoff=_ENCODING.size(Ehdr),
        shoff=_aligned(names.offset + names.size),
        flags=0,
        ehsize=_ENCODING.size(Ehdr),
        phentsize=_ENCODING.size(Phdr64),
        phnum=_SEGMENTS,
        shentsize=_ENCODING.size(Shdr),
        shnum=len(sections) + 1,
        shstrndx=_SHSTRTAB,
    )
    page = bytearray(machine.page)
    segments = b"".join(map(_ENCODING.pack, _segments(machine, sections)))
    page[:_HEADERS_SIZE] = _ENCODING.pack(header) + segments
    for section in sections:
        if section.flags & _SHF_ALLOC:
            page[section.offset : section.offset + len(section.content)] = section.content
    return bytes(page)


def _trailer(sections: tuple[_Section, ...]) -> bytes:
    """What lies behind the GPU code: the names of the sections, and their headers."""
    names = sections[-1].content
    headers = [Shdr(*[0] * 10)]
    for section in sections:
        name = names.index(b"\0" + section.name.encode() + b"\0") + 1
        headers.append(
            Shdr(
                name,
                section.type,
                section.flags,
                section.addr,
                section.offset,
                section.size,
                section.link,
                section.info,
                section.align,
                section.entsize,
            )
        )
    padding = bytes(_aligned(len(names)) - len(names))
    return names + padding + b"".join(map(_ENCODING.pack, headers))


def _encoded(name: str) -> bytes:
    if not (name.isascii() and 0 < len(name) <= _LONGEST_NAME) or set(name) & {"\0", "/"}:
        raise InvalidInput(f"not the name of a library or symbol: {name!r:.300}")
    return name.encode()


def _content_hash(digests: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


def _aligned(size: int, align: int = _ALIGNMENT) -> int:
    return round_up(size, align)
