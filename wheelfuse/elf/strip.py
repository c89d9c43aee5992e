"""Take what only debuggers read out of a shared object, and make a file of it that debuggers find.

`.debug_*`, `.symtab` and the like are often most of a file (seven eighths of uvloop's modules), and no loader
reads them. `strip` cuts them out too, but what it writes depends on whose `strip` of which version a machine
has, and a merged wheel must be the same wherever it is made. So it is done here: a function of the bytes.

The rest stays as it is. Every segment keeps its address and its bytes; only the fields that say where in the
file something lies change: in the ELF header and, if segments follow what was cut out (patchelf puts them
there), in the program headers. Such segments move by multiples of the largest page size that any segment asks
for, since a loader wants file offset and address equal modulo that. Sections keep their order. Dynamic symbols
name them by number, and are loaded, so must not change: where it matters to them, what is cut out leaves an
inactive section header behind (SHT_NULL).

For debuggers are the sections that binutils' bfd/elf.c (`_bfd_elf_make_section_from_shdr`) takes for
SEC_DEBUGGING, the symbol table with its strings, and `.gnu_debugdata`, which is a symbol table once more.
`.gnu_debuglink` stays: it says where the debug information is that was taken out before.

The debug file is like that of `objcopy --only-keep-debug`: all section headers under their old numbers, but
no bytes of what is loaded, apart from notes. Debuggers find it by build ID (GDB manual, "Debugging Information
in Separate Files").
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import accumulate, pairwise

from wheelfuse.content import Content, Read, reading
from wheelfuse.elf.layout import (
    PT_PHDR,
    SHT_DYNSYM,
    SHT_NOBITS,
    SHT_STRTAB,
    Ehdr,
    Layout,
    Phdr,
    Shdr,
    read_layout,
    round_up,
)
from wheelfuse.elf.patch import Edit, Patch
from wheelfuse.errors import InvalidInput

__all__ = ["Assembly", "Part", "Stripped", "strip_debug"]

PT_NULL = 0
SHT_NULL, SHT_SYMTAB, SHT_RELA, SHT_NOTE, SHT_REL = 0, 2, 4, 7, 9
SHT_SYMTAB_SHNDX = 18
SHF_ALLOC, SHF_INFO_LINK = 0x2, 0x40
SHN_LORESERVE, SHN_XINDEX = 0xFF00, 0xFFFF
NT_GNU_BUILD_ID = 3

_DEBUGGING = re.compile(
    rb"\.debug|\.zdebug|\.gnu\.debuglto_\.debug_|\.gnu\.linkonce\.wi\.|\.line$|\.stab|\.gdb_index$"
    rb"|\.gnu_debug(data|altlink)$"
)
_INACTIVE = Shdr(*[0] * 10)
_CHUNK = 1 << 20
_LARGEST_ALIGN = 1 << 21  # of a section; that of a huge page
_MOST_OLD_HEADERS = 1 << 12  # of sections, in a table that an editor left behind
_LONGEST_NAMES, _MOST_NOTES = (
    1 << 20,
    1 << 20,
)  # bytes of all names of sections, and of notes; most files have 500
_LONGEST_BUILD_ID = 64  # bytes; linkers write 20


@dataclass(frozen=True, order=True)
class Part:
    """Some bytes of a file; *offset* and *size* in bytes."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        """Offset of the first byte after it."""
        return self.offset + self.size

    def overlaps(self, other: Part) -> bool:
        """Whether both have a byte in common."""
        return max(self.offset, other.offset) < min(self.end, other.end)

    def holds(self, other: Part) -> bool:
        """Whether the other one lies within this one."""
        return self.offset <= other.offset and other.end <= self.end


class _Spans:
    """The bytes that some parts have, for quick answers: there may be some ten thousand parts."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._found: list[Part] = []
        for part in sorted(part for part in parts if part.size > 0):
            last = self._found[-1] if self._found else Part(0, 0)
            if part.offset < last.end:
                self._found[-1] = Part(last.offset, max(last.end, part.end) - last.offset)
            else:
                self._found.append(part)
        self._starts = [part.offset for part in self._found]

    def inside(self, part: Part) -> list[Part]:
        """Those that overlap a part, by offset; of parts that overlap each other, what they cover together."""
        first = max(bisect_right(self._starts, part.offset) - 1, 0)
        return [
            span for span in self._found[first : bisect_left(self._starts, part.end)] if span.overlaps(part)
        ]

    def hold(self, part: Part) -> bool:
        """Whether a part that has bytes lies within one of them."""
        place = bisect_right(self._starts, part.offset) - 1
        return place >= 0 and self._found[place].holds(part)


@dataclass(frozen=True)
class Assembly:
    """A file put together from parts of another one, to which *patch* is applied, and from bytes of its own."""

    patch: Patch
    pieces: tuple[Part | bytes, ...]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return sum(map(_length, self.pieces))

    def build(self, data: Content) -> bytes:
        """The whole file, given the whole one that it is made from.

        Raises:
            InvalidInput: *data* is another file.
        """
        return b"".join(self.chunks(data))

    def chunks(self, data: Content) -> Iterator[bytes]:
        """The file in chunks of a MiB at most, not counting tables, which come in one piece.

        Raises:
            InvalidInput: *data* is another file.
        """
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            for offset in range(piece.offset, piece.end, _CHUNK):
                yield self.patch.read(data, offset, min(_CHUNK, piece.end - offset))

    def read(self, data: Content, offset: int, size: int) -> bytes:
        """At most *size* bytes from *offset* of the file, which is not built; *data* as for `build`."""
        found = []
        first = max(bisect_right(self._starts, offset) - 1, 0)
        for place in range(first, bisect_left(self._starts, offset + size)):
            piece, start = self.pieces[place], self._starts[place]
            low, high = max(offset - start, 0), min(offset + size - start, _length(piece))
            if low < high and isinstance(piece, bytes):
                found.append(piece[low:high])
            elif low < high and isinstance(piece, Part):
                found.append(self.patch.read(data, piece.offset + low, high - low))
        return b"".join(found)

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        """Where the pieces begin in the file."""
        return tuple(accumulate(map(_length, self.pieces), initial=0))[:-1]


@dataclass(frozen=True)
class Stripped:
    """A shared object without what debuggers read, and a file with that.

    Both are to be built from the file that was stripped. *removed* is how many bytes the object became
    smaller; *build_id* is in hexadecimal, empty if there is none.
    """

    content: Assembly
    debug: Assembly
    build_id: str
    removed: int

    @property
    def debug_path(self) -> str | None:
        """Where debuggers look for the debug file, in a directory of such files; None without a build ID."""
        return f".build-id/{self.build_id[:2]}/{self.build_id[2:]}.debug" if self.build_id else None


def strip_debug(data: Content) -> Stripped | None:
    """Cut out what only debuggers read.

    Args:
        data: the whole file.

    Returns:
        None if there is nothing to cut out, or the file would not become smaller.

    Raises:
        InvalidInput: the file is damaged, is a program or an object file, or has an unusual form that cannot
            be edited safely.
    """
    read = reading(data)
    before = _Object.read_from(read, len(data))
    dropped = _dropped(before)
    if not dropped:
        return None
    build_id = _build_id(before, read)
    debug = _debug_file(before)
    kept = _stay(before, dropped, read)
    content = _cut(before, dropped, kept, read)
    if content.size >= len(data):
        return None
    _verify(before, content, kept, data)
    return Stripped(content, debug, build_id, len(data) - content.size)


@dataclass(frozen=True)
class _Section:
    """A section header with its number and name."""

    index: int
    name: bytes
    record: Shdr

    @property
    def is_loaded(self) -> bool:
        return bool(self.record.flags & SHF_ALLOC)

    @property
    def part(self) -> Part:
        """Where its bytes lie; no bytes if it has none in the file."""
        is_empty = self.record.type in (SHT_NULL, SHT_NOBITS)
        return Part(self.record.offset, 0 if is_empty else self.record.size)

    @property
    def references(self) -> Mapping[str, int]:
        """The fields of the header that are numbers of other sections (gABI, "Sections")."""
        record = self.record
        has_info = record.type in (SHT_REL, SHT_RELA) or record.flags & SHF_INFO_LINK
        numbers = {"link": record.link, "info": record.info if has_info else 0}
        return {name: number for name, number in numbers.items() if number and self.index}

    def __str__(self) -> str:
        return f"section {self.name.decode(errors='backslashreplace')}"


@dataclass(frozen=True)
class _Object:
    """A shared object with all its sections; *names* is the number of the one with their names."""

    layout: Layout
    sections: tuple[_Section, ...]
    names: int

    @classmethod
    def read_from(cls, read: Read, size: int) -> _Object:
        layout = read_layout(read, size)
        headers = [placed.record for placed in layout.sections]
        if not headers:
            return cls(layout, (), 0)
        if layout.header.record.ehsize != layout.encoding.size(Ehdr):
            raise InvalidInput(f"an ELF header of {layout.header.record.ehsize} bytes")
        index = layout.header.record.shstrndx
        # gABI, "ELF Header": a number from 0xff00 on is in the first section header.
        index = headers[0].link if index == SHN_XINDEX else index
        names = _names(headers, index, read)
        sections = tuple(
            _Section(number, names[header.name : names.index(b"\0", header.name)], header)
            for number, header in enumerate(headers)
        )
        for section in sections:
            if section.part.end > size:
                raise InvalidInput(f"truncated: {section} would end at byte {section.part.end} of {size}")
            align = section.record.addralign
            if align & (align - 1) or align > _LARGEST_ALIGN:
                raise InvalidInput(f"{section} is aligned to {align} bytes")
            if any(number >= len(sections) for number in section.references.values()):
                raise InvalidInput(f"{section} refers to one that does not exist")
        return cls(layout, sections, index)

    @property
    def section_headers(self) -> Part:
        """Where they lie."""
        size = self.layout.encoding.size(Shdr) * len(self.sections)
        return Part(self.layout.header.record.shoff, size)

    @cached_property
    def known(self) -> _Spans:
        """What the section headers tell of, and they themselves."""
        return _Spans([section.part for section in self.sections] + [self.section_headers])

    @property
    def mapped(self) -> tuple[Part, ...]:
        """What loaders read, by offset: the ELF header, the program headers and the segments."""
        header = self.layout.header.record
        parts = [Part(0, header.ehsize), Part(header.phoff, header.phentsize * header.phnum)]
        parts += [_part(load) for load in self.layout.loads if load.filesz]
        parts = [part for part in parts if not any(p != part and p.holds(part) for p in parts)]
        return tuple(sorted(set(parts)))


def _names(headers: list[Shdr], index: int, read: Read) -> bytes:
    if index >= len(headers) or headers[index].type != SHT_STRTAB:
        raise InvalidInput("the ELF header does not say where the names of the sections are")
    if headers[index].size > _LONGEST_NAMES:
        raise InvalidInput(f"{headers[index].size} bytes of names of sections")
    names = read(headers[index].offset, headers[index].size)
    if not names.endswith(b"\0") or any(header.name >= len(names) for header in headers):
        raise InvalidInput("a section has its name outside of the table of names")
    return names


def _dropped(file: _Object) -> frozenset[int]:
    """The numbers of the sections to cut out: of those for debuggers, and of what serves them alone."""
    sections = [section for section in file.sections if not section.is_loaded]
    dropped = {s.index for s in sections if s.record.type == SHT_SYMTAB or _DEBUGGING.match(s.name)}
    helpers = (SHT_REL, SHT_RELA, SHT_SYMTAB_SHNDX)
    dropped |= {
        s.index for s in sections if s.record.type in helpers and dropped.intersection(s.references.values())
    }
    used = {number for s in file.sections if s.index not in dropped for number in s.references.values()} | {
        file.names
    }
    if still := dropped & used:
        raise InvalidInput(f"{file.sections[min(still)]} is used by more than debuggers")
    strings = {s.index for s in sections if s.record.type == SHT_STRTAB}
    served = {number for index in dropped for number in file.sections[index].references.values()}
    return frozenset(dropped | (served & strings) - used)


def _build_id(file: _Object, read: Read) -> str:
    """The build ID in hexadecimal; empty if there is none, or one of a single byte, which makes no path."""
    header = struct.Struct(file.layout.encoding.order + "3I")
    left = _MOST_NOTES
    for section in file.sections:
        if section.record.type != SHT_NOTE or not section.is_loaded:
            continue
        notes, at = read(section.part.offset, min(section.part.size, left)), 0
        left -= len(notes)
        while len(notes) - at >= header.size:
            name_size, size, kind = header.unpack_from(notes, at)
            name, start = at + header.size, at + header.size + round_up(name_size, 4)
            if kind == NT_GNU_BUILD_ID and notes.startswith(b"GNU\0", name) and name_size == len(b"GNU\0"):
                value = notes[start : start + min(size, _LONGEST_BUILD_ID)]
                if len(value) == size > 1:
                    return value.hex()
            at = start + round_up(size, 4)
    return ""


@dataclass
class _Output:
    """A file as it grows, and where the parts of the old file went."""

    size: int = 0
    pieces: list[Part | bytes] = field(default_factory=list)
    places: list[tuple[Part, int]] = field(default_factory=list)

    def append(self, piece: Part | bytes, align: int, residue: int = 0) -> int:
        """Add a piece, after padding, at an offset that is *residue* modulo *align*; returns the offset."""
        offset = self.size + (residue - self.size) % max(align, 1)
        self.pieces += (bytes(offset - self.size), piece)
        if isinstance(piece, Part):
            self.places.append((piece, offset))
        self.size = offset + _length(piece)
        return offset

    def has(self, part: Part) -> bool:
        """Whether a part of the old file lies within one that was added."""
        return any(added.holds(part) for added, _ in self.places)

    def moved(self, offset: int) -> int:
        """The new offset for an old one that lies in a part that was added, or between two of them."""
        start, place = max((part.offset, place) for part, place in self.places if part.offset <= offset)
        return place + offset - start


def _debug_file(file: _Object) -> Assembly:
    """The headers of everything, but the bytes only of notes and of what is not loaded."""
    layout, encoding = file.layout, file.layout.encoding
    header = layout.header.record._replace(phoff=encoding.size(Ehdr))
    # Nothing of the segments is there, and so neither is the mapped table of them that PT_PHDR tells of.
    segments = b"".join(
        encoding.pack(segment._replace(type=PT_NULL if segment.type == PT_PHDR else segment.type, filesz=0))
        for segment in layout.segments
    )
    output = _Output(encoding.size(Ehdr) + len(segments))
    records = []
    for section in file.sections:
        record = section.record
        if section.is_loaded and record.type not in (SHT_NULL, SHT_NOTE):
            record = record._replace(type=SHT_NOBITS, offset=output.size)
        elif section.part.size:
            record = record._replace(offset=output.append(section.part, record.addralign))
        records.append(record)
    table = b"".join(map(encoding.pack, records))
    header = header._replace(shoff=output.append(table, encoding.bits // 8))
    return Assembly(Patch(layout.size, (), b""), (encoding.pack(header), segments, *output.pieces))


def _cut(file: _Object, dropped: frozenset[int], kept: tuple[_Section, ...], read: Read) -> Assembly:
    """The smaller file: what is mapped, then the other sections that stay, then the section headers."""
    layout, output = file.layout, _Output()
    page = max(load.align for load in layout.loads)
    for region in _regions(file, dropped, read):
        output.append(region, page, residue=region.offset)
    moves = {segment: output.moved(segment.offset) for segment in layout.segments}
    header = layout.header.record._replace(phoff=output.moved(layout.header.record.phoff))
    records = _place_sections(file, kept, output)
    numbers = {section.index: number for number, section in enumerate(kept)}
    for segment, section in _segments_of_sections(file).items():
        if section.index in dropped:
            raise InvalidInput(f"{section} is a segment, too")
        moves[segment] = records[numbers[section.index]].offset
    segments = [segment._replace(offset=moves[segment]) for segment in layout.segments]
    header, records[0] = _numbered(header, records[0], len(records), numbers[file.names])
    table = b"".join(map(layout.encoding.pack, records))
    header = header._replace(shoff=output.append(table, layout.encoding.bits // 8))
    return Assembly(_header_patch(layout, header, segments), tuple(output.pieces))


def _stay(file: _Object, dropped: frozenset[int], read: Read) -> tuple[_Section, ...]:
    """The sections of the new file; inactive ones where numbers in `.dynsym` would become wrong."""
    encoding, last = file.layout.encoding, 0
    symbol = struct.Struct(encoding.order + ("6xH16x" if encoding.bits == 64 else "14xH"))  # st_shndx
    for section in file.sections:
        if section.record.type == SHT_DYNSYM and section.is_loaded:
            symbols = read(section.part.offset, section.part.size - section.part.size % symbol.size)
            numbers = (number for (number,) in symbol.iter_unpack(symbols) if number < SHN_LORESERVE)
            last = max(last, *numbers, 0)
    sections = (s if s.index not in dropped else _Section(s.index, b"", _INACTIVE) for s in file.sections)
    return tuple(s for s in sections if s.index not in dropped or s.index < last)


def _regions(file: _Object, dropped: frozenset[int], read: Read) -> Iterator[Part]:
    """The parts that stay in one piece: what is mapped, with what lies between if nothing of that is cut out."""
    mapped, holes = file.mapped, [file.sections[index].part for index in dropped]
    solid = mapped + tuple(s.part for s in file.sections if s.index not in dropped and not s.is_loaded)
    solid_bytes, cut = _Spans(solid), _Spans((*holes, file.section_headers))
    if any(low.overlaps(high) for low, high in pairwise(mapped)) or any(map(solid_bytes.inside, holes)):
        raise InvalidInput("what lies in the file overlaps")
    inside = [s.part for s in file.sections if s.is_loaded and s.part.size]
    of_sections = _segments_of_sections(file)
    inside += [_part(s) for s in file.layout.segments if s.filesz and s not in of_sections]
    if not all(map(_Spans(mapped).hold, inside)):
        raise InvalidInput("a section or segment lies outside of the segments to load")
    start = mapped[0].offset
    for lower, upper in pairwise(mapped):
        gap = Part(lower.end, upper.offset - lower.end)
        if cut.inside(gap):
            _refuse_unknown(file, gap, read)
            yield Part(start, lower.end - start)
            start = upper.offset
    yield Part(start, mapped[-1].end - start)
    _refuse_unknown(file, Part(mapped[-1].end, file.layout.size - mapped[-1].end), read)


def _segments_of_sections(file: _Object) -> dict[Phdr, _Section]:
    """The segments that are one section which is not loaded: PT_RISCV_ATTRIBUTES of RISC-V is such."""
    sections = {section.part: section for section in file.sections if section.part.size}
    found = {s: sections[_part(s)] for s in file.layout.segments if s.filesz and _part(s) in sections}
    return {s: section for s, section in found.items() if not section.is_loaded}


def _part(segment: Phdr) -> Part:
    return Part(segment.offset, segment.filesz)


def _refuse_unknown(file: _Object, gap: Part, read: Read) -> None:
    """What belongs to no section must not be lost, as little as at the end of the file (see `read_layout`)."""
    position = gap.offset
    for part in (*file.known.inside(gap), Part(gap.end, 0)):
        unknown = Part(position, min(part.offset, gap.end) - position)
        content = read(unknown.offset, max(unknown.size, 0))
        if content.strip(b"\0") and not _is_old_table(file, content):
            what = f"{unknown.size} bytes at offset {unknown.offset}"
            raise InvalidInput(f"{what} belong to no section and no segment")
        position = max(position, part.end)


def _is_old_table(file: _Object, content: bytes) -> bool:
    """Whether these are section headers, with zeros around: patchelf leaves those that it writes anew elsewhere."""
    encoding, size = file.layout.encoding, file.layout.encoding.size(Shdr)
    first = len(content) - len(content.lstrip(b"\0"))
    used = content.rstrip(b"\0")
    if not 2 * size <= len(used) - first <= _MOST_OLD_HEADERS * size:
        return False
    for start in range(first, max(first - size, -1), -1):
        table = used[start:].ljust(round_up(len(used) - start, size), b"\0")
        if all(_is_header(record, file.layout.size) for record in encoding.unpack(Shdr, table)):
            return True
    return False


def _is_header(record: Shdr, size: int) -> bool:
    """Whether this may be the header of a section in a file of *size* bytes; not that of section 0."""
    is_inside = record.offset + (0 if record.type == SHT_NOBITS else record.size) <= size
    is_aligned = record.addralign & (record.addralign - 1) == 0 and record.addralign <= _LARGEST_ALIGN
    is_known = SHT_NULL < record.type < 0x20 or 0x6FF00000 <= record.type < 0x80000000  # of GNU, of machines
    return is_inside and is_aligned and is_known and record.link < SHN_LORESERVE


def _place_sections(file: _Object, kept: tuple[_Section, ...], output: _Output) -> list[Shdr]:
    """Add the sections that are not in the output yet; returns the headers of all."""
    numbers = {section.index: number for number, section in enumerate(kept)}
    names = _name_table([section.name for section in kept])
    loose = [s for s in kept if not s.is_loaded and s.part.size and not output.has(s.part)]
    contents: dict[int, Part | bytes] = {section.index: section.part for section in loose}
    offsets = {s.index: output.moved(s.record.offset) for s in kept if s.index and s.index not in contents}
    users = [section for section in kept if file.names in section.references.values()]
    if users or file.names not in contents:
        raise InvalidInput("the names of the sections are not in a section of their own")
    contents[file.names] = names
    for section in sorted(loose, key=lambda section: section.part):
        offsets[section.index] = output.append(contents[section.index], section.record.addralign)
    return [
        section.record._replace(
            name=names.index(section.name + b"\0"),
            offset=offsets.get(section.index, section.record.offset),
            size=len(names) if section.index == file.names else section.record.size,
            **{field: numbers[number] for field, number in section.references.items()},
        )
        for section in kept
    ]


def _name_table(names: list[bytes]) -> bytes:
    """A string table with these names; a name that ends another one is found within it."""
    table = b"\0"
    for name in sorted(set(names), key=lambda name: (-len(name), name)):
        if name + b"\0" not in table:
            table += name + b"\0"
    return table


def _numbered(header: Ehdr, first: Shdr, count: int, names: int) -> tuple[Ehdr, Shdr]:
    """Say how many sections there are, and which has their names (gABI, "ELF Header")."""
    many, far = count >= SHN_LORESERVE, names >= SHN_LORESERVE
    header = header._replace(shnum=0 if many else count, shstrndx=SHN_XINDEX if far else names)
    return header, first._replace(size=count if many else 0, link=names if far else 0)


def _header_patch(layout: Layout, header: Ehdr, segments: list[Phdr]) -> Patch:
    """The edits that make the ELF header and the program headers, where they lie, these."""
    pack, old = layout.encoding.pack, layout.header.record
    edits = [
        Edit(0, pack(old), pack(header)),
        Edit(old.phoff, b"".join(map(pack, layout.segments)), b"".join(map(pack, segments))),
    ]
    return Patch(layout.size, tuple(edit for edit in edits if edit.old != edit.new), b"")


def _verify(file: _Object, content: Assembly, sections: tuple[_Section, ...], data: Content) -> None:
    """Compare what the new file says, read afresh, with what the old one said."""
    old, new = partial(content.patch.read, data), partial(content.read, data)
    after = _Object.read_from(new, content.size)
    wrong = [what for what, value in _kept(file).items() if _kept(after)[what] != value]
    for before, load in zip(file.layout.loads, after.layout.loads, strict=True):
        if not _same(old, new, _part(before), _part(load)):
            wrong.append(f"segment at address {before.vaddr:#x}")
    wrong += [
        str(section)
        for section, other in zip(sections, after.sections, strict=False)
        if section.name != other.name
        or (section.index != file.names and not _same(old, new, section.part, other.part))
    ]
    if wrong:
        raise InvalidInput(f"cutting out debug information would damage the {', the '.join(wrong)}")


def _kept(file: _Object) -> dict[str, object]:
    """What stays as it is, apart from offsets in the file."""
    layout = file.layout
    return {
        "ELF header": layout.header.record._replace(phoff=0, shoff=0, shnum=0, shstrndx=0),
        "program headers": [segment._replace(offset=0) for segment in layout.segments],
        "dynamic section": [entry.record for entry in layout.dynamic],
        "string table": layout.strings,
        "needed versions": [need.record for need in layout.needs],
        "loaded sections": [
            (section.name, section.record._replace(name=0, offset=0, link=0, info=0))
            for section in file.sections
            if section.is_loaded
        ],
    }


def _same(old: Read, new: Read, before: Part, after: Part) -> bool:
    """Whether two parts of two files have the same bytes."""
    steps = range(0, before.size, _CHUNK)
    return before.size == after.size and all(
        old(before.offset + step, min(_CHUNK, before.size - step))
        == new(after.offset + step, min(_CHUNK, before.size - step))
        for step in steps
    )


def _length(piece: Part | bytes) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.size
