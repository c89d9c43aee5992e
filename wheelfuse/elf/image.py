"""What a shared object says of itself: machine, soname, needed libraries, imported and exported symbols.

The ELF header is read by pyelftools; what has many entries with :mod:`struct`; sections that are not named here,
however damaged, are not looked into. No table is walked further than the file has bytes for it, whatever its counts
say. Format: System V gABI, chapters 4 and 5; symbol versions: LSB Core, section 10.7.
"""

from __future__ import annotations

import hashlib
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import takewhile
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.construct.core import ConstructError
from elftools.elf import enums
from elftools.elf.elffile import ELFFile

from wheelfuse.content import Content, failure_behind, pieces, stream
from wheelfuse.elf.layout import (
    DT_FLAGS_1,
    DT_NEEDED,
    DT_NULL,
    DT_RPATH,
    DT_RUNPATH,
    DT_SONAME,
    DT_STRSZ,
    DT_STRTAB,
    PT_DYNAMIC,
    PT_LOAD,
    SHT_DYNSYM,
    SHT_NOBITS,
    SHT_STRTAB,
    Dyn,
    Encoding,
    Phdr,
    Shdr,
)
from wheelfuse.elf.symbols import (
    OVERLAP,
    VER_FLG_BASE,
    VERDAUX,
    VERDEF,
    Import,
    Names,
    Needs,
    VersionNeed,
    as_version_needs,
    read_needs,
    read_symbols,
    read_versions,
    version_entries,
)
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.escape import as_bytes

MAGIC = b"\x7fELF"

_NAMED = (DT_NEEDED, DT_SONAME, DT_RUNPATH, DT_RPATH)
"""Tags of the dynamic section whose values are names."""
_SMALLEST_SYMBOL = 16  # bytes of Elf32_Sym
_LOADABLE = ("ET_DYN", "ET_EXEC")
_FIRST_OS_TYPE = 0xFE00  # ET_LOOS; what follows is for operating systems and processors
_ALLOC, _EXECINSTR, _NOBITS = 0x2, 0x4, "SHT_NOBITS"
_BUILD_ID = ".note.gnu.build-id"
_DT_TEXTREL, _DT_BIND_NOW, _DT_FLAGS = 22, 24, 30
_PT_TLS, _PT_GNU_STACK, _PT_GNU_RELRO = 7, 0x6474E551, 0x6474E552
_PF_X, _PF_W = 0x1, 0x2
# What ld.so takes for granted without PT_GNU_STACK: DEFAULT_STACK_PERMS in glibc's stackinfo.h of each machine.
_STACK_NOT_EXECUTABLE_BY_DEFAULT = ("EM_PPC64", "EM_RISCV", "EM_LOONGARCH")
_DF_TEXTREL, _DF_BIND_NOW, _DF_1_NOW = 0x4, 0x8, 0x1
_MOST_SEGMENTS, _MOST_SECTIONS, _MOST_TAGS, _MOST_SYMBOLS = 1 << 16, 1 << 16, 1 << 16, 1 << 21
"""What is in a file, at most; libtorch_cuda.so has 10, 40, 60 and less than a million of them."""
_MOST_NEEDED, _MOST_DIRECTORIES = 1 << 12, 1 << 10
"""Libraries, and directories of RUNPATH, at most."""


@dataclass(frozen=True, slots=True)
class Section:
    """Name, type, flags, and size and offset in bytes, of a section."""

    name: str
    kind: str
    flags: int
    size: int
    offset: int = 0

    @property
    def is_debug(self) -> bool:
        """Whether nothing needs it at run time: debug sections, and the full symbol table."""
        return self.name.startswith((".debug", ".zdebug")) or self.name in (".symtab", ".strtab")


@dataclass(frozen=True, slots=True)
class Hardening:
    """What the program headers and the dynamic section let the loader protect; *relro*: none, partial, full."""

    executable_stack: bool = False
    text_relocations: bool = False
    writable_code: bool = False
    relro: str = "none"


@dataclass(frozen=True)
class Image:
    """The facts of one ELF file. Objects that are not dynamic (``.o`` files, GPU code) have only the first four.

    ``runpath`` is DT_RUNPATH, or DT_RPATH in its absence (``has_rpath``), which what the file links inherits.
    ``version_definitions`` are the versions that it defines itself. The digests, over all that is loaded and over
    the machine code, are there only if they were asked for.
    """

    machine: str
    bits: int
    little_endian: bool
    kind: str
    soname: str = ""
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    imports: tuple[Import, ...] = ()
    exports: frozenset[str] = frozenset()
    sections: tuple[Section, ...] = ()
    has_rpath: bool = False
    version_needs: tuple[VersionNeed, ...] = ()
    version_definitions: frozenset[str] = frozenset()
    hardening: Hardening = Hardening()
    loaded_digest: str = ""
    code_digest: str = ""

    @property
    def format(self) -> tuple[str, int, bool]:
        """Machine, bits, and whether it is little-endian: what the loader compares first."""
        return self.machine, self.bits, self.little_endian

    @cached_property
    def imported(self) -> frozenset[str]:
        """Names of the symbols without which the file cannot be loaded: undefined and not weak."""
        return frozenset(symbol.name for symbol in self.imports if not symbol.weak)

    @property
    def size_of_debug(self) -> int:
        """Bytes of debug sections and of the full symbol table, which nothing needs at run time."""
        return sum(section.size for section in self.sections if section.is_debug)

    def initialises(self, stem: str) -> bool:
        """Whether import can use the file as the extension module *stem*."""
        return not self.exports.isdisjoint(entry_points(stem))


def entry_points(stem: str) -> tuple[str, str]:
    """What import looks for in the extension module *stem*: ``PyInit_spam`` (PEP 489), and since CPython 3.15
    ``PyModExport_spam`` (PEP 793)."""
    letter, encoding = ("", "ascii") if stem.isascii() else ("U", "punycode")
    suffix = stem.encode(encoding).decode().replace("-", "_")
    return f"PyInit{letter}_{suffix}", f"PyModExport{letter}_{suffix}"


def read_image(data: Content, *, deep: bool = False) -> Image:
    """Read the facts of an ELF file; *deep* adds the digest of the bytes that are loaded into memory.

    Raises:
        InvalidInput: the file is damaged, or of a form that is not understood.
    """
    try:
        # Objects of pyelftools refer to each other in circles: closed, the stream at least holds no content.
        with stream(data) as file:
            return _read(ELFFile(file), data, deep)
    except (ELFError, ConstructError, struct.error, ValueError, KeyError, IndexError, OverflowError,
            UnicodeError, AttributeError, TypeError, AssertionError, RecursionError) as error:  # fmt: skip
        if failure := failure_behind(error):
            raise failure from error
        # pyelftools answers a lying header with whichever exception its parsing happens to hit.
        told = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise InvalidInput(Problem(f"unreadable ELF file: {told}")) from error


def _read(elf: ELFFile, data: Content, deep: bool) -> Image:
    machine, kind = elf["e_machine"], elf["e_type"]
    head = (str(machine), elf.elfclass, elf.little_endian, str(kind))
    if isinstance(kind, int) and kind < _FIRST_OS_TYPE:  # pyelftools has no name for it
        raise ValueError(f"e_type {kind} is none that the gABI knows")
    encoding = Encoding(elf.elfclass, "<" if elf.little_endian else ">")
    segments = _segments(elf, encoding, data)  # first, since loaders look at nothing else
    headers = _section_headers(elf, encoding, data)
    if kind not in _LOADABLE:
        return Image(*head)
    sections = tuple(_sections(elf, headers, data))
    dynamic = next((segment for segment in segments if segment.type == PT_DYNAMIC), None)
    if dynamic is None:
        return Image(*head)
    names = Names(len(data))
    tags = _dynamic(encoding, dynamic, data)
    strings = _dynamic_strings(tags, segments, data) if any(tag in _NAMED for tag, _ in tags) else b""
    named = {kind: [names.at(strings, value) for tag, value in tags if tag == kind] for kind in _NAMED}
    runpath, rpath = (":".join(named[kind]).split(":") for kind in (DT_RUNPATH, DT_RPATH))
    if len(named[DT_NEEDED]) > _MOST_NEEDED or max(len(runpath), len(rpath)) > _MOST_DIRECTORIES:
        what = f"{len(named[DT_NEEDED])} needed libraries, to be sought in {max(len(runpath), len(rpath))} directories"
        raise ValueError(what)
    numbers = {section.name: number for number, section in enumerate(sections)}
    needs = _needs(encoding, data, headers, numbers, names)
    versions = {entry.number: entry.name for _, entries in needs for entry in entries}
    imports, exports = _symbols(
        encoding, data, headers, _versions(encoding, data, headers, numbers), versions, names
    )
    return Image(
        *head,
        soname="".join(named[DT_SONAME][-1:]),
        needed=tuple(map(sys.intern, named[DT_NEEDED])),
        runpath=tuple(
            filter(None, runpath if named[DT_RUNPATH] else rpath)
        ),  # ld.so ignores RPATH beside RUNPATH
        imports=imports,
        exports=exports,
        sections=sections,
        has_rpath=bool(named[DT_RPATH] and not named[DT_RUNPATH]),
        version_needs=as_version_needs(needs),
        version_definitions=_version_definitions(encoding, data, headers, numbers, names),
        hardening=_hardening(head[0], segments, dict(tags)),
        loaded_digest=_loaded_digest(segments, headers, sections, data) if deep else "",
        code_digest=_code_digest(sections, data) if deep else "",
    )


def _segments(elf: ELFFile, encoding: Encoding, data: Content) -> tuple[Phdr, ...]:
    """The program headers, none of which reaches beyond the end of the file."""
    count, size, start = elf.num_segments(), encoding.size(encoding.phdr), elf["e_phoff"]
    if count and elf["e_phentsize"] != size:
        raise ValueError(f"e_phentsize is {elf['e_phentsize']}")
    if count > _MOST_SEGMENTS:
        raise ValueError(f"{count} program headers")
    if count and start + count * size > len(data):
        raise ValueError("the program headers reach beyond the end of the file")
    segments = encoding.unpack_segments(data[start : start + count * size])
    if any(segment.offset + segment.filesz > len(data) for segment in segments):
        raise ValueError("a segment reaches beyond the end of the file")
    return segments


def _section_headers(elf: ELFFile, encoding: Encoding, data: Content) -> tuple[Shdr, ...]:
    count, size, start = elf.num_sections(), encoding.size(Shdr), elf["e_shoff"]
    if count and elf["e_shentsize"] != size:
        raise ValueError(f"e_shentsize is {elf['e_shentsize']}")
    if count > _MOST_SECTIONS:
        raise ValueError(f"{count} section headers")
    if start + count * size > len(data):
        raise ValueError("the section headers reach beyond the end of the file")
    return tuple(encoding.unpack(Shdr, data[start : start + count * size]))


def _sections(elf: ELFFile, headers: tuple[Shdr, ...], data: Content) -> Iterator[Section]:
    """The sections, none of which reaches beyond the end of the file, by their headers."""
    if not headers:
        return
    if (index := elf.get_shstrndx()) >= len(headers):
        raise ValueError(f"section {index} should have the names of all, but there are {len(headers)}")
    if sum(h.size for h in headers if h.type != SHT_NOBITS) > OVERLAP * len(data):
        raise ValueError("sections overlap, or reach beyond the end of the file")
    table, names, kinds = (
        _content(headers[index], data),
        Names(len(data)),
        _section_types(str(elf["e_machine"])),
    )
    for header in headers:
        name = sys.intern(names.at(table, header.name))
        if header.type != SHT_NOBITS and header.offset + header.size > len(data):
            raise ValueError(f"section {name} reaches beyond the end of the file")
        kind = kinds.get(header.type, str(header.type))
        yield Section(name, kind, header.flags, header.size, header.offset)


@cache
def _section_types(machine: str) -> dict[int, str]:
    """sh_type -> its name, for one machine."""
    special = {
        "EM_X86_64": enums.ENUM_SH_TYPE_AMD64,
        "EM_AARCH64": enums.ENUM_SH_TYPE_AARCH64,
        "EM_ARM": enums.ENUM_SH_TYPE_ARM,
        "EM_MIPS": enums.ENUM_SH_TYPE_MIPS,
        "EM_RISCV": enums.ENUM_SH_TYPE_RISCV,
    }
    return {number: name for name, number in special.get(machine, enums.ENUM_SH_TYPE_BASE).items()}


def _content(header: Shdr, data: Content) -> bytes:
    """The bytes of a section."""
    return data[header.offset : header.offset + header.size]


def _dynamic(encoding: Encoding, segment: Phdr, data: Content) -> tuple[Dyn, ...]:
    """The entries of the dynamic section before DT_NULL."""
    count = segment.filesz // encoding.size(Dyn)
    raw = data[segment.offset : segment.offset + min(count, _MOST_TAGS) * encoding.size(Dyn)]
    found = tuple(takewhile(lambda entry: entry.tag != DT_NULL, encoding.unpack(Dyn, raw)))
    if found and len(found) == min(count, _MOST_TAGS):
        raise ValueError("the dynamic section has no end")
    return found


def _dynamic_strings(tags: tuple[Dyn, ...], segments: tuple[Phdr, ...], data: Content) -> bytes:
    """The string table that loaders take; the section headers may tell of another one."""
    values = dict(tags)
    address, size = values.get(DT_STRTAB, 0), values.get(DT_STRSZ, 0)
    for load in segments:
        if load.type == PT_LOAD and load.vaddr <= address and address + size <= load.vaddr + load.filesz:
            start = load.offset + address - load.vaddr
            return data[start : start + size]
    raise ValueError(f"the string table is outside of the segments: {size} bytes at address {address:#x}")


def _symbols(
    encoding: Encoding,
    data: Content,
    headers: tuple[Shdr, ...],
    versions: tuple[int, ...],
    version_names: dict[int, str],
    names: Names,
) -> tuple[tuple[Import, ...], frozenset[str]]:
    """What the dynamic symbol table imports, sorted, and what it exports."""
    table = next((header for header in headers if header.type == SHT_DYNSYM), None)
    if table is None:
        raise ValueError("no section of type SHT_DYNSYM: the section headers were stripped")
    if table.link >= len(headers) or headers[table.link].type != SHT_STRTAB:
        raise ValueError("the dynamic symbols are not linked to a string table")
    if table.size > _MOST_SYMBOLS * _SMALLEST_SYMBOL:
        raise ValueError(f"dynamic symbols of {table.size} bytes")
    return read_symbols(
        encoding, _content(table, data), _content(headers[table.link], data), versions, version_names, names
    )


def _versions(
    encoding: Encoding, data: Content, headers: tuple[Shdr, ...], numbers: dict[str, int]
) -> tuple[int, ...]:
    """``.gnu.version``; empty if there is none."""
    if (number := numbers.get(".gnu.version")) is None:
        return ()
    return read_versions(encoding, _content(headers[number], data))


def _needs(
    encoding: Encoding, data: Content, headers: tuple[Shdr, ...], numbers: dict[str, int], names: Names
) -> Needs:
    """``.gnu.version_r``; empty if there is none."""
    if (number := numbers.get(".gnu.version_r")) is None:
        return ()
    strings = _version_strings(headers, number, data)
    return read_needs(encoding, _content(headers[number], data), headers[number].info, strings, names)


def _version_definitions(
    encoding: Encoding, data: Content, headers: tuple[Shdr, ...], numbers: dict[str, int], names: Names
) -> frozenset[str]:
    """Without the first, which names the file itself (VER_FLG_BASE)."""
    if (number := numbers.get(".gnu.version_d")) is None:
        return frozenset()
    strings, raw = _version_strings(headers, number, data), _content(headers[number], data)
    return frozenset(
        sys.intern(names.at(strings, entries[0][0]))  # the others are its predecessors
        for definition, entries in version_entries(encoding, raw, headers[number].info, VERDEF, VERDAUX)
        if not definition[1] & VER_FLG_BASE
    )


def _version_strings(headers: tuple[Shdr, ...], number: int, data: Content) -> bytes:
    """The names of a section of versions."""
    if headers[number].link >= len(headers):
        raise ValueError("a table of versions has its names nowhere")
    return _content(headers[headers[number].link], data)


def _hardening(machine: str, segments: tuple[Phdr, ...], dynamic: dict[int, int]) -> Hardening:
    by_type = {segment.type: segment.flags for segment in segments}
    loaded = [segment.flags for segment in segments if segment.type == PT_LOAD]
    flags, flags_1 = dynamic.get(_DT_FLAGS, 0), dynamic.get(DT_FLAGS_1, 0)
    now = _DT_BIND_NOW in dynamic or flags & _DF_BIND_NOW or flags_1 & _DF_1_NOW
    without = machine not in _STACK_NOT_EXECUTABLE_BY_DEFAULT
    relro = ("full" if now else "partial") if _PT_GNU_RELRO in by_type else "none"
    return Hardening(
        executable_stack=bool(by_type.get(_PT_GNU_STACK, _PF_X * without) & _PF_X),
        text_relocations=_DT_TEXTREL in dynamic or bool(flags & _DF_TEXTREL),
        writable_code=any(flags & _PF_X and flags & _PF_W for flags in loaded),
        relro=relro,
    )


def _loaded_digest(
    segments: tuple[Phdr, ...], headers: tuple[Shdr, ...], sections: tuple[Section, ...], data: Content
) -> str:
    """A digest over all that reaches memory, but for the build id: equal digests mean equal behaviour."""
    digest = hashlib.sha256()
    for segment in segments:
        if segment.type in (PT_LOAD, PT_DYNAMIC, _PT_TLS, _PT_GNU_STACK, _PT_GNU_RELRO):
            fields = (segment.type, segment.flags, segment.vaddr, segment.memsz, segment.align)
            digest.update(repr(fields).encode())
    for header, section in zip(headers, sections, strict=True):
        if not section.flags & _ALLOC or section.name == _BUILD_ID:
            continue
        digest.update(as_bytes(f"{section.name} {section.kind} {header.addr} {section.size}"))
        if section.kind != _NOBITS:
            _update(digest, data, section)
    return digest.hexdigest()


def _code_digest(sections: tuple[Section, ...], data: Content) -> str:
    """A digest over the machine code alone."""
    digest = hashlib.sha256()
    for section in sections:
        if section.flags & _EXECINSTR and section.kind != _NOBITS:
            _update(digest, data, section)
    return digest.hexdigest()


def _update(digest: Any, data: Content, section: Section) -> None:
    for piece in pieces(data, section.offset, section.offset + section.size):
        digest.update(piece)


_HASH_SUFFIX = re.compile(r"[0-9a-f]{8,}(?:_\d+)?")


def masked_exports(image: Image) -> frozenset[str]:
    """The exported names without the hashes that compilers (nvcc above all) put into internal ones."""
    return frozenset(_HASH_SUFFIX.sub("#", name) for name in image.exports)


def interchangeable(images: Sequence[Image]) -> str:
    """Why builds of one library cannot stand for each other; empty if they can. Needs images that were read deep.

    They can if they present the same face: soname, needed libraries and where they are looked for, undefined
    symbols with versions, exported symbols, the same loaded sections of the same sizes, and the same machine code.
    What remains to differ is what a build that is not reproducible leaves behind: times, paths and generated names.
    """
    faces = (_face_difference(images[0], other) for other in images[1:])
    same_code = len({image.code_digest for image in images}) == 1
    return (
        next((why for why in faces if why), "")
        or _layout_difference(images)
        or ("" if same_code else "code differs")
    )


def _face_difference(first: Image, second: Image) -> str:
    if first.format != second.format:
        return "machines differ"
    if first.soname != second.soname:
        return f"sonames differ ({first.soname or 'none'}, {second.soname or 'none'})"
    if sorted(first.needed) != sorted(second.needed):
        return "needed libraries differ: " + _difference(first.needed, second.needed)
    if _own_runpath(first) != _own_runpath(second):
        return "RUNPATHs differ"
    if first.imports != second.imports:
        names = ([f"{s.name}@{s.version}" for s in image.imports] for image in (first, second))
        return "undefined symbols differ: " + _difference(*names)
    if masked_exports(first) != masked_exports(second):
        return "exported symbols differ: " + _difference(masked_exports(first), masked_exports(second))
    return ""


def _own_runpath(image: Image) -> list[str]:
    """The part of RUNPATH that means anything where the wheel is installed, not where it was built."""
    return [path for path in image.runpath if path.startswith(("$ORIGIN", "${ORIGIN}"))]


_PADDED = (".rodata", ".dynstr", ".eh_frame")
_PADDING = 64
"""How far (bytes) sizes of the sections that hold text and paths may differ: one alignment unit more or less."""


def _layout_difference(images: Sequence[Image]) -> str:
    layouts = [
        {s.name: s for s in image.sections if s.flags & _ALLOC and s.name != _BUILD_ID} for image in images
    ]
    for layout in layouts[1:]:
        if layout.keys() != layouts[0].keys():
            return "sections differ: " + _difference(layout, layouts[0])
    for name in layouts[0]:
        builds = [layout[name] for layout in layouts]
        sizes = [section.size for section in builds]
        slack = _PADDING if name.startswith(_PADDED) else 0
        if len({(section.kind, section.flags) for section in builds}) > 1 or max(sizes) - min(sizes) > slack:
            return f"section {name} differs: {min(sizes)} and {max(sizes)} bytes"
    return ""


def _difference(first: Any, second: Any) -> str:
    only = sorted(set(first) ^ set(second))
    more = f" and {len(only) - 3} more" if len(only) > 3 else ""
    return ", ".join(only[:3]) + more if only else "the same names in another number"
