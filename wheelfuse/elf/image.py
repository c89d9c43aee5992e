"""What a shared object says of itself: machine, soname, needed libraries, imported and exported symbols.

The ELF header, the dynamic section and version tables are read by pyelftools; what has many entries of one size,
symbols above all, with :mod:`struct`; other sections, however damaged, are not looked into. Format: System V gABI,
chapters 4 and 5; symbol versions: LSB Core, section 10.7.
"""

from __future__ import annotations

import hashlib
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

from elftools.common.exceptions import ELFError
from elftools.construct.core import ConstructError
from elftools.elf import enums
from elftools.elf.dynamic import Dynamic
from elftools.elf.elffile import ELFFile

from wheelfuse.content import Content, failure_behind, pieces, stream
from wheelfuse.elf.layout import PT_DYNAMIC, PT_LOAD, SHT_DYNSYM, SHT_NOBITS, SHT_STRTAB, Encoding, Phdr, Shdr
from wheelfuse.errors import InvalidInput, Problem

MAGIC = b"\x7fELF"

_LOADABLE = ("ET_DYN", "ET_EXEC")
_FIRST_OS_TYPE = 0xFE00  # ET_LOOS; what follows is for operating systems and processors
_ALLOC, _EXECINSTR, _NOBITS = 0x2, 0x4, "SHT_NOBITS"
_BUILD_ID = ".note.gnu.build-id"
_SHT_DYNAMIC = 6
_PT_TLS, _PT_GNU_STACK, _PT_GNU_RELRO = 7, 0x6474E551, 0x6474E552
_STB_WEAK, _STB_LOCAL = 2, 0
_VERSION = 0x7FFF  # without the bit that hides a version (VERSYM_HIDDEN)
_VERSION_ENTRY = 16  # bytes of Elf_Verneed and of Elf_Vernaux
_VER_FLG_BASE, _VER_FLG_WEAK = 0x1, 0x2
_PF_X, _PF_W = 0x1, 0x2
# What ld.so takes for granted without PT_GNU_STACK: DEFAULT_STACK_PERMS in glibc's stackinfo.h of each machine.
_STACK_NOT_EXECUTABLE_BY_DEFAULT = ("EM_PPC64", "EM_RISCV", "EM_LOONGARCH")
_DF_TEXTREL, _DF_BIND_NOW, _DF_1_NOW = 0x4, 0x8, 0x1
_HIDDEN = (1, 2)  # STV_INTERNAL, STV_HIDDEN


class Import(NamedTuple):
    """An undefined dynamic symbol, with the version it asks for (empty: none); a weak one may stay undefined.

    A NamedTuple, since there are thousands in a file, and they are sorted.
    """

    name: str
    version: str
    weak: bool


@dataclass(frozen=True, slots=True)
class Section:
    """Name, type, flags, and size and offset in bytes, of a section."""

    name: str
    kind: str
    flags: int
    size: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class VersionNeed:
    """Versions that a file needs of a library (``.gnu.version_r``): ``libc.so.6``, ``("GLIBC_2.2.5", …)``."""

    library: str
    versions: tuple[str, ...]


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
        return sum(
            section.size
            for section in self.sections
            if section.name.startswith((".debug", ".zdebug")) or section.name in (".symtab", ".strtab")
        )

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
    soname, needed, runpath, rpath = "", [], [], []
    tags: Any = tuple(_dynamic(elf, dynamic, headers).iter_tags())  # of which some have further attributes
    for tag in tags:
        if tag.entry.d_tag == "DT_NEEDED":
            needed.append(sys.intern(tag.needed))
        elif tag.entry.d_tag == "DT_SONAME":
            soname = tag.soname
        elif tag.entry.d_tag == "DT_RUNPATH":
            runpath += tag.runpath.split(":")
        elif tag.entry.d_tag == "DT_RPATH":
            rpath += tag.rpath.split(":")
    numbers = {section.name: number for number, section in enumerate(sections)}
    needs = tuple(_needs(elf, numbers))
    names = {entry.number: entry.name for _, entries in needs for entry in entries}
    imports, exports = _symbols(encoding, data, headers, _versions(encoding, data, headers, numbers), names)
    return Image(
        *head,
        soname=soname,
        needed=tuple(needed),
        runpath=tuple(path for path in runpath or rpath if path),  # ld.so ignores RPATH beside RUNPATH
        imports=imports,
        exports=exports,
        sections=sections,
        has_rpath=bool(rpath and not runpath),
        version_needs=tuple(
            VersionNeed(library, tuple(sorted(entry.name for entry in entries if not entry.weak)))
            for library, entries in needs
        ),
        version_definitions=_version_definitions(elf, numbers),
        hardening=_hardening(head[0], segments, {tag.entry.d_tag: tag.entry.d_val for tag in tags}),
        loaded_digest=_loaded_digest(segments, headers, sections, data) if deep else "",
        code_digest=_code_digest(sections, data) if deep else "",
    )


def _segments(elf: ELFFile, encoding: Encoding, data: Content) -> tuple[Phdr, ...]:
    """The program headers, none of which reaches beyond the end of the file."""
    count, size, start = elf.num_segments(), encoding.size(encoding.phdr), elf["e_phoff"]
    if count and elf["e_phentsize"] != size:
        raise ValueError(f"e_phentsize is {elf['e_phentsize']}")
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
    if start + count * size > len(data):
        raise ValueError("the section headers reach beyond the end of the file")
    return tuple(encoding.unpack(Shdr, data[start : start + count * size]))


def _sections(elf: ELFFile, headers: tuple[Shdr, ...], data: Content) -> Iterator[Section]:
    """The sections, none of which reaches beyond the end of the file, by their headers."""
    if not headers:
        return
    names, kinds = _content(headers[elf.get_shstrndx()], data), _section_types(str(elf["e_machine"]))
    for header in headers:
        name = sys.intern(_string(names, header.name))
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


def _string(table: bytes, start: int) -> str:
    return table[start : table.index(b"\0", start)].decode("utf-8", "replace")


def _dynamic(elf: ELFFile, segment: Phdr, headers: tuple[Shdr, ...]) -> Dynamic:
    """The dynamic section. DynamicSegment of pyelftools would read all the sections, to find its string table."""
    link = next((h.link for h in headers if h.type == _SHT_DYNAMIC and h.offset == segment.offset), None)
    strings = None if link is None else elf.get_section(link)
    return Dynamic(elf.stream, elf, strings, segment.offset, segment.filesz == 0)


def _symbols(
    encoding: Encoding,
    data: Content,
    headers: tuple[Shdr, ...],
    versions: tuple[int, ...],
    version_names: dict[int, str],
) -> tuple[tuple[Import, ...], frozenset[str]]:
    """What the dynamic symbol table imports, sorted, and what it exports."""
    table = next((header for header in headers if header.type == SHT_DYNSYM), None)
    if table is None:
        raise ValueError("no section of type SHT_DYNSYM: the section headers were stripped")
    if headers[table.link].type != SHT_STRTAB:
        raise ValueError("the dynamic symbols are not linked to a string table")
    strings = _content(headers[table.link], data)
    # st_name, st_info, st_other and st_shndx
    layout = struct.Struct(encoding.order + ("IBBH16x" if encoding.bits == 64 else "I8xBBH"))
    entries = _content(table, data)
    entries = entries[: len(entries) // layout.size * layout.size]
    imports, exports = [], []
    for index, (name, info, other, section) in enumerate(layout.iter_unpack(entries)):
        binding = info >> 4
        if not name or binding == _STB_LOCAL:
            continue
        if section == 0:
            version = version_names.get(versions[index] & _VERSION, "") if versions else ""
            imports.append(Import(sys.intern(_string(strings, name)), version, binding == _STB_WEAK))
        elif other & 3 not in _HIDDEN:
            exports.append(_string(strings, name))
    return tuple(sorted(imports)), frozenset(exports)


def _versions(
    encoding: Encoding, data: Content, headers: tuple[Shdr, ...], numbers: dict[str, int]
) -> tuple[int, ...]:
    """``.gnu.version``: which version each symbol has, by the numbers of those that are needed or defined."""
    if (number := numbers.get(".gnu.version")) is None:
        return ()
    raw = _content(headers[number], data)
    return struct.unpack(f"{encoding.order}{len(raw) // 2}H", raw[: len(raw) // 2 * 2])


class _NeededVersion(NamedTuple):
    """An entry of ``.gnu.version_r``: the number that ``.gnu.version`` has for it, and whether it may be absent."""

    number: int
    name: str
    weak: bool


def _needs(elf: ELFFile, numbers: dict[str, int]) -> Iterator[tuple[str, tuple[_NeededVersion, ...]]]:
    """The libraries of which versions are needed, each with those."""
    for need, entries in _version_entries(elf, numbers, ".gnu.version_r", "vn_cnt"):
        yield (
            sys.intern(need.name),
            tuple(
                _NeededVersion(
                    entry["vna_other"] & _VERSION,
                    sys.intern(entry.name),
                    bool(entry["vna_flags"] & _VER_FLG_WEAK),
                )
                for entry in entries
            ),
        )


def _version_definitions(elf: ELFFile, numbers: dict[str, int]) -> frozenset[str]:
    """Without the first, which names the file itself (VER_FLG_BASE)."""
    return frozenset(
        sys.intern(next(iter(names)).name)  # the others are its predecessors
        for definition, names in _version_entries(elf, numbers, ".gnu.version_d", "vd_cnt")
        if not definition["vd_flags"] & _VER_FLG_BASE
    )


def _version_entries(elf: ELFFile, numbers: dict[str, int], name: str, count: str) -> Iterator[Any]:
    """The entries of a section of versions, each with an iterator over what hangs on it; *count* says how many."""
    if name not in numbers:
        return
    section: Any = elf.get_section(numbers[name])
    most = section["sh_size"] // _VERSION_ENTRY
    if section["sh_info"] > most:
        raise ValueError(f"section {name} has no room for {section['sh_info']} entries")
    for entry, hanging in section.iter_versions():
        if entry[count] > most:
            raise ValueError(f"section {name} has no room for {entry[count]} of one entry")
        yield entry, hanging


def _hardening(machine: str, segments: tuple[Phdr, ...], dynamic: dict[Any, int]) -> Hardening:
    by_type = {segment.type: segment.flags for segment in segments}
    loaded = [segment.flags for segment in segments if segment.type == PT_LOAD]
    flags, flags_1 = dynamic.get("DT_FLAGS", 0), dynamic.get("DT_FLAGS_1", 0)
    now = "DT_BIND_NOW" in dynamic or flags & _DF_BIND_NOW or flags_1 & _DF_1_NOW
    without = machine not in _STACK_NOT_EXECUTABLE_BY_DEFAULT
    relro = ("full" if now else "partial") if _PT_GNU_RELRO in by_type else "none"
    return Hardening(
        executable_stack=bool(by_type.get(_PT_GNU_STACK, _PF_X * without) & _PF_X),
        text_relocations="DT_TEXTREL" in dynamic or bool(flags & _DF_TEXTREL),
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
        digest.update(f"{section.name} {section.kind} {header.addr} {section.size}".encode())
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
