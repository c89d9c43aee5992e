"""What a shared object says of itself: machine, soname, needed libraries, imported and exported symbols.

Headers, the dynamic section and version tables are read by pyelftools; symbol tables, which can hold
hundreds of thousands of entries, with :mod:`struct`. Format: System V gABI, chapters 4 and 5; symbol
versions: LSB Core, section 10.7.
"""

from __future__ import annotations

import hashlib
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.construct.core import ConstructError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

from wheelfuse.content import Content, pieces, stream, unpack_from
from wheelfuse.errors import InvalidInput, Problem

MAGIC = b"\x7fELF"

_LOADABLE = ("ET_DYN", "ET_EXEC")
_FIRST_OS_TYPE = 0xFE00  # ET_LOOS; what follows is for operating systems and processors
_ALLOC, _EXECINSTR, _NOBITS = 0x2, 0x4, "SHT_NOBITS"
_BUILD_ID = ".note.gnu.build-id"
_STB_WEAK, _STB_LOCAL = 2, 0
_VERSION_ENTRY = 16  # bytes of Elf_Verneed and of Elf_Vernaux
_VER_FLG_BASE, _VER_FLG_WEAK = 0x1, 0x2
_PF_X, _PF_W = 0x1, 0x2
# What ld.so takes for granted without PT_GNU_STACK: DEFAULT_STACK_PERMS in glibc's stackinfo.h of each machine.
_STACK_NOT_EXECUTABLE_BY_DEFAULT = ("EM_PPC64", "EM_RISCV", "EM_LOONGARCH")
_DF_TEXTREL, _DF_BIND_NOW, _DF_1_NOW = 0x4, 0x8, 0x1
_HIDDEN = (1, 2)  # STV_INTERNAL, STV_HIDDEN


@dataclass(frozen=True, slots=True, order=True)
class Import:
    """An undefined dynamic symbol, with the version it asks for (empty: none); a weak one may stay undefined."""

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


@dataclass(frozen=True, slots=True)
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

    @property
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
        return _read(data, deep)
    except (ELFError, ConstructError, struct.error, ValueError, KeyError, IndexError, OverflowError,
            UnicodeError, AttributeError, TypeError, AssertionError, RecursionError) as error:  # fmt: skip
        # pyelftools answers a lying header with whichever exception its parsing happens to hit.
        told = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise InvalidInput(Problem(f"unreadable ELF file: {told}")) from error


def _read(data: Content, deep: bool) -> Image:
    elf = ELFFile(stream(data))
    machine, kind = elf["e_machine"], elf["e_type"]
    head = (str(machine), elf.elfclass, elf.little_endian, str(kind))
    if isinstance(kind, int) and kind < _FIRST_OS_TYPE:  # pyelftools has no name for it
        raise ValueError(f"e_type {kind} is none that the gABI knows")
    _check_segments(elf, data)  # first, since loaders look at nothing else
    _check_section_headers(elf, len(data))
    if kind not in _LOADABLE:
        return Image(*head)
    sections = tuple(elf.iter_sections())
    for section in sections:
        if section["sh_type"] != _NOBITS and section["sh_offset"] + section["sh_size"] > len(data):
            raise ValueError(f"section {section.name} reaches beyond the end of the file")
    dynamic = next((s for s in elf.iter_segments() if isinstance(s, DynamicSegment)), None)
    if dynamic is None:
        return Image(*head)
    soname, needed, runpath, rpath = "", [], [], []
    tags: Any = list(dynamic.iter_tags())  # pyelftools adds the attributes below to some tags only
    for tag in tags:
        if tag.entry.d_tag == "DT_NEEDED":
            needed.append(sys.intern(tag.needed))
        elif tag.entry.d_tag == "DT_SONAME":
            soname = tag.soname
        elif tag.entry.d_tag == "DT_RUNPATH":
            runpath += tag.runpath.split(":")
        elif tag.entry.d_tag == "DT_RPATH":
            rpath += tag.rpath.split(":")
    named = {section.name: section for section in sections}
    imports, exports = _symbols(elf, data, named)
    return Image(
        *head,
        soname=soname,
        needed=tuple(needed),
        runpath=tuple(path for path in runpath or rpath if path),  # ld.so ignores RPATH beside RUNPATH
        imports=imports,
        exports=exports,
        sections=tuple(
            Section(sys.intern(s.name), str(s["sh_type"]), s["sh_flags"], s["sh_size"], s["sh_offset"])
            for s in sections
        ),
        has_rpath=bool(rpath and not runpath),
        version_needs=_version_needs(named),
        version_definitions=_version_definitions(named),
        hardening=_hardening(elf, {tag.entry.d_tag: tag.entry.d_val for tag in tags}),
        loaded_digest=_loaded_digest(elf, data, sections) if deep else "",
        code_digest=_code_digest(data, sections) if deep else "",
    )


def _check_segments(elf: ELFFile, data: Content) -> None:
    """p_offset and p_filesz of every segment; pyelftools would read sections for that, which may be cut off."""
    order = "<" if elf.little_endian else ">"
    layout = struct.Struct(f"{order}8xQ16xQ16x" if elf.elfclass == 64 else f"{order}4xI8xI12x")
    if elf.num_segments() and elf["e_phentsize"] != layout.size:
        raise ValueError(f"e_phentsize is {elf['e_phentsize']}")
    for number in range(elf.num_segments()):
        offset, size = unpack_from(layout, data, elf["e_phoff"] + number * layout.size)
        if offset + size > len(data):
            raise ValueError("a segment reaches beyond the end of the file")


def _check_section_headers(elf: ELFFile, size: int) -> None:
    """So that a damaged count does not make for a long loop."""
    count, entry = elf.num_sections(), elf["e_shentsize"]
    if count and entry != (64 if elf.elfclass == 64 else 40):
        raise ValueError(f"e_shentsize is {entry}")
    if elf["e_shoff"] + count * entry > size:
        raise ValueError("the section headers reach beyond the end of the file")


def _symbols(
    elf: ELFFile, data: Content, sections: dict[str, Any]
) -> tuple[tuple[Import, ...], frozenset[str]]:
    table = next((s for s in sections.values() if s["sh_type"] == "SHT_DYNSYM"), None)
    if table is None:
        raise ValueError("no section of type SHT_DYNSYM: the section headers were stripped")
    strings = elf.get_section(table["sh_link"])
    start, end = strings["sh_offset"], strings["sh_offset"] + strings["sh_size"]
    names = data[start:end]
    versions = _versions(data, sections)
    required = _required_versions(sections)
    imports, exports = [], []
    for index, (name_at, info, other, shndx) in enumerate(_entries(elf, data, table)):
        binding = info >> 4
        if not name_at or binding == _STB_LOCAL:
            continue
        name = sys.intern(names[name_at : names.index(b"\0", name_at)].decode("utf-8", "replace"))
        if shndx == 0:
            version = required.get(versions[index] & 0x7FFF, "") if versions else ""
            imports.append(Import(name, version, binding == _STB_WEAK))
        elif other & 3 not in _HIDDEN:
            exports.append(name)
    return tuple(sorted(imports)), frozenset(exports)


def _entries(elf: ELFFile, data: Content, table: Any) -> Iterator[tuple[int, int, int, int]]:
    """st_name, st_info, st_other and st_shndx of every entry, whatever the class and byte order."""
    order = "<" if elf.little_endian else ">"
    layout = struct.Struct(f"{order}IBBH16x" if elf.elfclass == 64 else f"{order}I8xBBH")
    start = table["sh_offset"]
    count = table["sh_size"] // layout.size
    return layout.iter_unpack(data[start : start + count * layout.size])


def _versions(data: Content, sections: dict[str, Any]) -> tuple[int, ...]:
    section = sections.get(".gnu.version")
    if section is None:
        return ()
    order = "<" if section.elffile.little_endian else ">"
    raw = data[section["sh_offset"] : section["sh_offset"] + section["sh_size"]]
    return struct.unpack(f"{order}{len(raw) // 2}H", raw[: len(raw) // 2 * 2])


def _required_versions(sections: dict[str, Any]) -> dict[int, str]:
    """Index in ``.gnu.version`` -> the version needed."""
    return {
        auxiliary["vna_other"] & 0x7FFF: sys.intern(auxiliary.name)
        for _, auxiliaries in _need_entries(sections)
        for auxiliary in auxiliaries
    }


def _version_needs(sections: dict[str, Any]) -> tuple[VersionNeed, ...]:
    """Without the weak ones, whose absence the loader only reports."""
    return tuple(
        VersionNeed(
            sys.intern(needed.name),
            tuple(sorted(sys.intern(a.name) for a in auxiliaries if not a["vna_flags"] & _VER_FLG_WEAK)),
        )
        for needed, auxiliaries in _need_entries(sections)
    )


def _need_entries(sections: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    section = sections.get(".gnu.version_r")
    if section is None:
        return
    most = section["sh_size"] // _VERSION_ENTRY
    if section["sh_info"] > most:
        raise ValueError(f"section {section.name} has no room for {section['sh_info']} entries")
    for needed, auxiliaries in section.iter_versions():
        if needed["vn_cnt"] > most:
            raise ValueError(f"section {section.name} has no room for {needed['vn_cnt']} versions")
        yield needed, auxiliaries


def _version_definitions(sections: dict[str, Any]) -> frozenset[str]:
    """Without the first, which names the file itself (VER_FLG_BASE)."""
    section = sections.get(".gnu.version_d")
    if section is None:
        return frozenset()
    most = section["sh_size"] // _VERSION_ENTRY
    if section["sh_info"] > most:
        raise ValueError(f"section {section.name} has no room for {section['sh_info']} entries")
    found = set()
    for definition, auxiliaries in section.iter_versions():
        if definition["vd_cnt"] > most:
            raise ValueError(f"section {section.name} has no room for {definition['vd_cnt']} names")
        if not definition["vd_flags"] & _VER_FLG_BASE:
            found.add(sys.intern(next(iter(auxiliaries)).name))  # the others are its predecessors
    return frozenset(found)


def _hardening(elf: ELFFile, dynamic: dict[Any, int]) -> Hardening:
    segments = {str(segment["p_type"]): segment["p_flags"] for segment in elf.iter_segments()}
    loaded = [segment["p_flags"] for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD"]
    flags, flags_1 = dynamic.get("DT_FLAGS", 0), dynamic.get("DT_FLAGS_1", 0)
    now = "DT_BIND_NOW" in dynamic or flags & _DF_BIND_NOW or flags_1 & _DF_1_NOW
    without = str(elf["e_machine"]) not in _STACK_NOT_EXECUTABLE_BY_DEFAULT
    relro = ("full" if now else "partial") if "PT_GNU_RELRO" in segments else "none"
    return Hardening(
        executable_stack=bool(segments.get("PT_GNU_STACK", _PF_X * without) & _PF_X),
        text_relocations="DT_TEXTREL" in dynamic or bool(flags & _DF_TEXTREL),
        writable_code=any(flags & _PF_X and flags & _PF_W for flags in loaded),
        relro=relro,
    )


def _loaded_digest(elf: ELFFile, data: Content, sections: tuple[Any, ...]) -> str:
    """A digest over all that reaches memory, but for the build id: equal digests mean equal behaviour."""
    digest = hashlib.sha256()
    for segment in elf.iter_segments():
        if segment["p_type"] in ("PT_LOAD", "PT_DYNAMIC", "PT_TLS", "PT_GNU_STACK", "PT_GNU_RELRO"):
            fields = ("p_type", "p_flags", "p_vaddr", "p_memsz", "p_align")
            digest.update(repr([segment[field] for field in fields]).encode())
    for section in sections:
        if not section["sh_flags"] & _ALLOC or section.name == _BUILD_ID:
            continue
        digest.update(
            f"{section.name} {section['sh_type']} {section['sh_addr']} {section['sh_size']}".encode()
        )
        if section["sh_type"] != _NOBITS:
            _update(digest, data, section)
    return digest.hexdigest()


def _code_digest(data: Content, sections: tuple[Any, ...]) -> str:
    """A digest over the machine code alone."""
    digest = hashlib.sha256()
    for section in sections:
        if section["sh_flags"] & _EXECINSTR and section["sh_type"] != _NOBITS:
            _update(digest, data, section)
    return digest.hexdigest()


def _update(digest: Any, data: Content, section: Any) -> None:
    for piece in pieces(data, section["sh_offset"], section["sh_offset"] + section["sh_size"]):
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
