"""Let a shared object take its GPU code from another file, the carrier, and be without it itself.

The relative relocations that set the records of ``.nvFatBinSegment`` become ones against a symbol of the carrier:
its address, plus where in the carrier's section the container is. They lie at the start of the table, where relative
ones have to be; so each changes places with one of the last relative ones, and DT_RELACOUNT falls. The symbol, its
name and version, and the names of the carrier and of its directory make tables longer. As in `wheelfuse.elf.edit`,
whose docstring has what loaders demand of that, one read-only segment is appended with the longer copies and the
program headers; what refers to them is changed in place. New entries of the dynamic section take the place of unused
ones, of which linkers leave a few. The symbol is undefined, so the table of DT_GNU_HASH, which has defined ones only,
stays as it is.

The moved containers are cut out of the file in whole pages (`wheelfuse.elf.gaps`). What of them shares a page with
something else becomes zeros. Section headers tell what is left: ``.nv_fatbin`` shrinks, and there are several of it
where gaps divide it. Symbols of moved containers in ``.symtab`` keep their address, but have no section.

Where the carrier's container has other names than the file's own (`wheelfuse.elf.module_ids`), the names in the
constants of the host code change with it, at the same length.

An object without DT_RUNPATH or DT_RPATH gets DT_RPATH. DT_RUNPATH would disable the DT_RPATH of the program for all
that the object needs (ld.so(8)): that of conda's Python, for one, by which the libraries of an environment are found.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from wheelfuse.content import Content, Read, reading
from wheelfuse.elf.fatbin import Container
from wheelfuse.elf.gaps import Gaps, Range, is_zero
from wheelfuse.elf.layout import (
    DT_NEEDED,
    DT_RPATH,
    DT_RUNPATH,
    DT_STRSZ,
    PF_R,
    PT_LOAD,
    PT_PHDR,
    SHT_NOBITS,
    Dyn,
    Layout,
    Phdr,
    Phdr64,
    Placed,
    R,
    Shdr,
    round_up,
)
from wheelfuse.elf.patch import Edit as Renaming
from wheelfuse.elf.recipe import Borrow, Keep, Literal, Piece, Recipe, Zeros, borrowing
from wheelfuse.elf.references import (
    RELA,
    SHN_ABS,
    SHT_DYNAMIC,
    SHT_PROGBITS,
    SHT_RELA,
    SHT_SYMTAB,
    STT_SECTION,
    SYM,
    Linked,
    Rela,
    Sym,
    Table,
    find_uses,
    read_linked,
)
from wheelfuse.elf.unharmed import Expected, verify
from wheelfuse.errors import InvalidInput, Problem

__all__ = ["Move", "Outsourced", "immovable", "outsource"]

_PN_XNUM, _SHN_LORESERVE = 0xFFFF, 0xFF00  # elf.h: counts from these on are elsewhere
_ALIGN = 8  # of program headers, symbols and section headers in ELF64, and of containers
_SMALLEST_PAGE = 0x1000
_GLOBAL_NOTYPE, _VER_NDX_GLOBAL = 1 << 4, 1
_CONTAINER = struct.Struct("<IHHQ")  # magic, version, size of this header, size of what follows it
_MAGIC = 0xBA55ED50
_LARGEST_ADDEND = (1 << 63) - 1


@dataclass(frozen=True)
class Move:
    """A container of the file, and where it lies in the ``.nv_fatbin`` section of the carrier, in bytes."""

    container: Container
    at: int


@dataclass(frozen=True)
class Outsourced:
    """A file without the GPU code that it takes from a carrier.

    ``recipe`` makes it of the original file. ``undo`` is the way back: what it borrows lies in the carrier's section,
    so ``undo.borrowing_from(offset of that section)`` takes it from the carrier file. Of the moved bytes ``cut`` are
    no longer in the file, and ``zeroed`` are zeros.
    """

    recipe: Recipe
    undo: Recipe
    cut: int
    zeroed: int


def immovable(data: Content, containers: Iterable[Container]) -> dict[Container, str]:
    """The containers that have to stay where they are, with the reasons.

    Raises:
        InvalidInput: the file is damaged, or of a form that cannot be edited safely; all of them have to stay.
    """
    read = reading(data)
    return find_uses(read_linked(read, len(data)), containers, read).obstacles


def outsource(
    data: Content,
    moves: Sequence[Move],
    *,
    symbol: str,
    carrier: str,
    runpath: str,
    renamings: Sequence[Renaming] = (),
    held: Read | None = None,
    sha256: str = "",
) -> Outsourced:
    """Take GPU code out of a shared object, to be found in a carrier.

    Args:
        data: the whole file.
        moves: which containers, and where the carrier has them.
        symbol: what the carrier calls the start of its section.
        carrier: the soname of the carrier, which becomes a DT_NEEDED.
        runpath: where the loader finds the carrier (``$ORIGIN/…``); empty if it does so anyway.
        renamings: names in the host code that become those of the carrier's containers.
        held: the carrier's section, if it has other bytes than this file at the places of the moves.
        sha256: that of the file, in hexadecimal, if it is known already.

    Raises:
        InvalidInput: the file is damaged, or of a form that cannot be edited safely; or a container has to stay.
    """
    names = _Names.encoded(symbol, carrier, runpath)
    read = reading(data)
    before = read_linked(read, len(data))
    checked = _checked(moves, read)
    plan = _Plan.of(before, checked, names, read, tuple(renamings), held)
    forth, back = plan.pieces()
    recipe = Recipe.of(forth, read)
    read_after = recipe.reader(read)
    after = read_linked(read_after, recipe.size)
    verify(before, after, plan.expected(names), read, read_after)
    undo = Recipe.of(back, read_after, held or _section_of_carrier(plan.moves, read))
    if undo.sha256 != (sha256 or Recipe.of([Keep(0, len(data))], read).sha256):
        raise InvalidInput("the change could not be taken back: tables or containers overlap")
    moved = sum(run.range.size for run in plan.runs)
    return Outsourced(recipe, undo, plan.gaps.size, moved - plan.gaps.size)


class _Names(NamedTuple):
    """What was asked for."""

    symbol: bytes
    carrier: bytes
    path: bytes

    @classmethod
    def encoded(cls, *names: str) -> _Names:
        try:
            symbol, carrier, path = (name.encode("utf-8", "surrogateescape") for name in names)
        except UnicodeEncodeError as error:
            raise InvalidInput(f"not names in an ELF file: {names!r}") from error
        if not symbol or not carrier or b"\0" in symbol + carrier + path:
            raise InvalidInput(f"not names in an ELF file: {names!r}")
        return cls(symbol, carrier, path)


def _checked(moves: Sequence[Move], read: Read) -> tuple[Move, ...]:
    """The moves by offset in the file."""
    if not moves:
        raise InvalidInput("no GPU code to move")
    for move in moves:
        container = move.container
        header = read(container.offset, _CONTAINER.size) if container.offset >= 0 else b""
        magic, _, head, size = _CONTAINER.unpack(header) if len(header) == _CONTAINER.size else (0, 0, 0, 0)
        if magic != _MAGIC or head + size != container.size:
            raise InvalidInput(f"no GPU code of {container.size} bytes at offset {container.offset}")
        if move.at % _ALIGN or not 0 <= move.at <= _LARGEST_ADDEND - container.size:
            raise InvalidInput(f"GPU code cannot lie at offset {move.at} of a section")
    return tuple(sorted(moves, key=lambda move: move.container.offset))


def _section_of_carrier(moves: Sequence[Move], read: Read) -> Read:
    """The carrier's section, as far as it is to have what is in this file."""
    offsets = {move.at: move.container.offset for move in moves}

    def read_section(offset: int, size: int) -> bytes:
        at = max(at for at in offsets if at <= offset)
        return read(offsets[at] + offset - at, size)

    return read_section


class _Run(NamedTuple):
    """Moved containers with nothing but padding between them."""

    range: Range
    moves: tuple[Move, ...]


class _Edit(NamedTuple):
    """A range of the original file that becomes something else, and what makes it again.

    It lies in a section of the type *within*, or in none if that is zero.
    """

    range: Range
    within: int
    forth: tuple[Piece, ...]
    back: tuple[Piece, ...]


@dataclass(frozen=True)
class _Plan:
    """All that changes: the edits by offset, and the tail that follows them at the offset *end* of the new file.

    *runs* are the moved containers, *gaps* what of them is cut out; *relocated* are the relocations that change, by
    index.
    """

    size: int
    moves: tuple[Move, ...]
    runs: tuple[_Run, ...]
    gaps: Gaps
    pointers: dict[int, int]
    relocated: frozenset[int]
    renamings: tuple[Renaming, ...]
    edits: tuple[_Edit, ...]
    end: int
    tail: bytes

    @classmethod
    def of(
        cls,
        linked: Linked,
        moves: tuple[Move, ...],
        names: _Names,
        read: Read,
        renamings: tuple[Renaming, ...] = (),
        held: Read | None = None,
    ) -> _Plan:
        uses = find_uses(linked, (move.container for move in moves), read)
        if uses.obstacles:
            raise InvalidInput(_obstructed(uses.obstacles))
        layout, runs = linked.layout, tuple(_runs(linked, moves, read))
        gaps = Gaps(layout.loads, (run.range for run in runs), linked.machine.page, linked.code)
        sources = {index: move.at for move in moves for index in uses.relocations[move.container]}
        relocated, relative_count = _relocated(linked, sources)
        growth = _Growth.of(linked, names, relative_count)
        segments, growth = _segments(layout, gaps, growth)
        sections = _Sections.of(linked, runs, gaps, growth, read)
        tail = b"".join(map(layout.encoding.pack, segments)) + growth.data
        header = layout.header.record
        end, shoff = round_up(layout.size - gaps.size, _ALIGN), gaps.moved(header.shoff)
        if len(sections.headers) > len(layout.sections):
            tail += bytes(-len(tail) % _ALIGN)
            shoff = end + len(tail)
            tail += b"".join(map(layout.encoding.pack, sections.headers))
        new_header = header._replace(phoff=end, phnum=len(segments), shoff=shoff, shnum=len(sections.headers))
        edits = [
            _edit(layout, 0, header, new_header, 0),
            *growth.edits(layout),
            *sections.edits(layout),
            *_relocation_edits(linked, relocated),
            *_removals(runs, gaps, read, held),
            *(_replacement(edit.offset, edit.old, edit.new, SHT_PROGBITS) for edit in renamings),
        ]
        pointers = {linked.relocations[index].offset: at for index, at in sources.items()}
        found = tuple(sorted((edit for edit in edits if edit.range.size), key=lambda edit: edit.range))
        changed = frozenset(relocated)
        return cls(layout.size, moves, runs, gaps, pointers, changed, renamings, found, end, tail)

    def pieces(self) -> tuple[list[Piece], list[Piece]]:
        """What the new file is made of, and what the old one."""
        forth: list[Piece] = []
        back: list[Piece] = []
        done = 0
        for edit in self.edits:
            kept = edit.range.start - done
            forth += [Keep(done, kept), *edit.forth]
            back += [Keep(self.gaps.moved(done), kept), *edit.back]
            done = edit.range.end
        kept, padding = self.size - done, self.end - (self.size - self.gaps.size)
        forth += [Keep(done, kept), Zeros(padding), Literal(self.tail)]
        back += [Keep(self.gaps.moved(done), kept)]
        if any(piece.size < 0 for piece in forth):
            raise InvalidInput("tables of the file overlap")
        return forth, back

    def expected(self, names: _Names) -> Expected:
        """What the new file has to say."""
        changed = tuple((edit.range, edit.within) for edit in self.edits)
        removed = tuple(run.range for run in self.runs)
        return Expected(changed, removed, self.gaps, self.pointers, self.relocated, self.renamings, *names)


def _obstructed(obstacles: dict[Container, str]) -> list[Problem]:
    return [
        Problem(f"the GPU code at offset 0x{container.offset:x} has to stay: it {why}")
        for container, why in sorted(obstacles.items(), key=lambda item: item[0].offset)
    ]


def _runs(linked: Linked, moves: Sequence[Move], read: Read) -> Iterator[_Run]:
    found: list[Move] = []
    for move in moves:
        if found and not _is_padding(linked, Range(_end(found[-1]), move.container.offset), read):
            yield _Run(Range(found[0].container.offset, _end(found[-1])), tuple(found))
            found = []
        found.append(move)
    yield _Run(Range(found[0].container.offset, _end(found[-1])), tuple(found))


def _is_padding(linked: Linked, span: Range, read: Read) -> bool:
    """Whether there are only zeros between two containers, and they are of one section."""
    return is_zero(read, span) and any(
        section.start < span.start and span.end < section.end for section in linked.fatbins
    )


def _end(move: Move) -> int:
    return move.container.offset + move.container.size


def _relocated(linked: Linked, sources: dict[int, int]) -> tuple[dict[int, Rela], int]:
    """The relocations that change, and how many are relative then and come first.

    *sources* are the offsets in the carrier by the indices of the relocations that are to refer to it.
    """
    table, count = linked.relocations, linked.relative_count
    block = count.record.value if count else 0
    info = linked.symbol_count << 32 | linked.machine.absolute
    symbolic = {index: Rela(table[index].offset, info, at) for index, at in sorted(sources.items())}
    leaving = [index for index in symbolic if index < block]
    last = range(block - len(leaving), block)
    found = {index: rela for index, rela in symbolic.items() if index >= block}
    found |= {index: symbolic[old] for index, old in zip(last, leaving, strict=True)}
    free = [index for index in leaving if index < last.start]
    found |= {
        index: table[old] for index, old in zip(free, (i for i in last if i not in symbolic), strict=True)
    }
    return found, last.start


def _relocation_edits(linked: Linked, relocated: dict[int, Rela]) -> Iterator[_Edit]:
    for index, rela in relocated.items():
        start = index * RELA.size
        old = linked.relocations.data[start : start + RELA.size]
        yield _replacement(linked.relocations.offset + start, old, RELA.pack(*rela), SHT_RELA)


def _removals(runs: Iterable[_Run], gaps: Gaps, read: Read, held: Read | None) -> Iterator[_Edit]:
    """The moved containers become nothing, or zeros."""
    for run in runs:
        left = tuple(gaps.left(run.range))
        ends = sorted({run.range.start, run.range.end, *(end for part in left for end in part)})
        for part in map(Range._make, pairwise(ends)):
            forth = (Zeros(part.size),) if part in left else ()
            yield _Edit(part, SHT_PROGBITS, forth, tuple(_borrowed(run, part, read, held)))


def _borrowed(run: _Run, part: Range, read: Read, held: Read | None) -> Iterator[Piece]:
    """What a part of a run is made of again."""
    done = part.start
    for move in run.moves:
        start, end = max(move.container.offset, part.start), min(_end(move), part.end)
        if start < end:
            yield Zeros(start - done)
            at = move.at + start - move.container.offset
            yield from borrowing(read, start, held, at, end - start) if held else (Borrow(at, end - start),)
            done = end
    yield Zeros(part.end - done)


def _segments(layout: Layout, gaps: Gaps, growth: _Growth) -> tuple[list[Phdr], _Growth]:
    """The program headers, with a segment for themselves and for the tables that grow, which have a place then."""
    encoding, last = layout.encoding, layout.loads[-1]
    segments = list(gaps.segments(layout.segments))
    entries = len(segments) + 1 + all(segment.type != PT_PHDR for segment in segments)
    if entries >= _PN_XNUM:
        raise InvalidInput("no room for another program header")
    page = max(_SMALLEST_PAGE, *(load.align for load in layout.loads))
    offset = round_up(layout.size - gaps.size, _ALIGN)
    vaddr = round_up(last.vaddr + last.memsz, page) + offset % page
    own = entries * encoding.size(encoding.phdr)
    size = own + len(growth.data)
    if vaddr + size > 1 << encoding.bits:
        raise InvalidInput("no room for another segment in the address space")
    added = Phdr64(PT_LOAD, PF_R, offset, vaddr, vaddr, size, size, page)
    itself = added._replace(type=PT_PHDR, filesz=own, memsz=own, align=_ALIGN)
    segments.insert(1 + max(i for i, segment in enumerate(segments) if segment.type == PT_LOAD), added)
    places = [index for index, segment in enumerate(segments) if segment.type == PT_PHDR]
    if places:
        segments[places[0]] = itself
    else:
        segments.insert(0, itself)  # the gABI wants it before the PT_LOADs
    return segments, replace(growth, offset=offset + own, address=vaddr + own)


@dataclass(frozen=True)
class _Growth:
    """The longer tables, one after another at an offset and an address; and new entries of the dynamic section.

    *entries* are the offsets of these, what is there, and what is to be there.
    """

    tables: tuple[tuple[Table, bytes], ...]
    entries: tuple[tuple[int, Dyn, Dyn], ...]
    offset: int = 0
    address: int = 0

    @classmethod
    def of(cls, linked: Linked, names: _Names, relative_count: int) -> _Growth:
        strings = linked.strings.data + b"\0".join((names.symbol, names.carrier, b""))
        symbol = Sym(len(linked.strings.data), _GLOBAL_NOTYPE, 0, 0, 0, 0)
        added = [Dyn(DT_NEEDED, symbol.name + len(names.symbol) + 1)]
        entries: list[tuple[int, Dyn, Dyn]] = []
        old_path = linked.tag(DT_RUNPATH) or linked.tag(DT_RPATH)
        directories = linked.layout.string(old_path.record.value) if old_path else b""
        if names.path and names.path not in directories.split(b":"):
            new_path = Dyn(old_path.record.tag if old_path else DT_RPATH, len(strings))
            strings += b":".join(filter(None, (directories, names.path))) + b"\0"
            if old_path:
                entries.append((old_path.offset, old_path.record, new_path))
            else:
                added.append(new_path)
        if len(added) > len(linked.spare):
            what = f"{len(linked.spare)} unused entries in the dynamic section, {len(added)} are needed"
            raise InvalidInput(
                Problem(what, todo="Link with -z spare-dynamic-tags=5, as GNU ld does by itself.")
            )
        entries += [(offset, Dyn(0, 0), new) for offset, new in zip(linked.spare, added, strict=False)]
        if linked.relative_count:
            entries.append(_changed(linked.relative_count, relative_count))
        size = linked.tag(DT_STRSZ)
        assert size is not None
        entries.append(_changed(size, len(strings)))
        tables = [(linked.symbols, linked.symbols.data + SYM.pack(*symbol))]
        if linked.hash:
            tables.append((linked.hash, _hash(linked.hash.data, names.symbol)))
        if linked.versions:
            tables.append((linked.versions, linked.versions.data + struct.pack("<H", _VER_NDX_GLOBAL)))
        return cls((*tables, (linked.strings, strings)), tuple(entries))

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.tables)

    @property
    def sections(self) -> dict[int, Shdr]:
        """The new section headers of the tables, by the offsets of the old ones."""
        return {
            table.section.offset: table.section.record._replace(addr=address, offset=offset, size=size)
            for table, offset, address, size in self._places()
        }

    def edits(self, layout: Layout) -> Iterator[_Edit]:
        """The edits of the dynamic section."""
        moved = [_changed(table.tag, address) for table, _, address, _ in self._places()]
        for offset, old, new in (*self.entries, *moved):
            yield _edit(layout, offset, old, new, SHT_DYNAMIC)

    def _places(self) -> Iterator[tuple[Table, int, int, int]]:
        done = 0
        for table, data in self.tables:
            yield table, self.offset + done, self.address + done, len(data)
            done += len(data)


def _changed(entry: Placed[Dyn], value: int) -> tuple[int, Dyn, Dyn]:
    return entry.offset, entry.record, entry.record._replace(value=value)


def _hash(data: bytes, symbol: bytes) -> bytes:
    """The table of DT_HASH (gABI, "Hash Table") with one more symbol, at the head of its chain."""
    buckets, chains, *links = (number for (number,) in struct.iter_unpack("<I", data))
    value = 0
    for byte in symbol:
        value = (value << 4) + byte
        value = (value ^ (value & 0xF0000000) >> 24) & 0x0FFFFFFF
    bucket = value % buckets
    links.append(links[bucket])
    links[bucket] = chains
    return struct.pack(f"<{2 + len(links)}I", buckets, chains + 1, *links)


@dataclass(frozen=True)
class _Sections:
    """The section headers, of which more may follow than there were; and symbols in ``.symtab`` that change."""

    headers: tuple[Shdr, ...]
    symbols: tuple[_Edit, ...]

    @classmethod
    def of(cls, linked: Linked, runs: Sequence[_Run], gaps: Gaps, growth: _Growth, read: Read) -> _Sections:
        headers: list[Shdr] = []
        more: list[Shdr] = []
        divided: dict[int, list[int]] = {}
        grown = growth.sections
        for index, placed in enumerate(linked.layout.sections):
            record = placed.record
            span = Range(record.offset, record.offset + (record.size if record.type != SHT_NOBITS else 0))
            parts = []
            if any(gap.overlaps(*span) for gap in gaps.ranges):
                parts = [
                    record._replace(
                        addr=record.addr + p.start - span.start, offset=gaps.moved(p.start), size=p.size
                    )
                    for p in _parts(span, runs, gaps, read)
                ]
                first = len(linked.layout.sections) + len(more)
                divided[index] = [index, *range(first, first + len(parts) - 1)]
            default = record._replace(offset=gaps.moved(record.offset)) if record.type else record
            headers.append(grown.get(placed.offset, parts[0] if parts else default))
            more += parts[1:]
        if len(headers) + len(more) >= _SHN_LORESERVE or linked.layout.header.record.shnum == 0:
            raise InvalidInput("no room for another section header")
        headers += more
        return cls(tuple(headers), tuple(_symbol_edits(linked, headers, divided, read)))

    def edits(self, layout: Layout) -> Iterator[_Edit]:
        """What changes in place."""
        if len(self.headers) == len(layout.sections):
            for placed, record in zip(layout.sections, self.headers, strict=True):
                yield _edit(layout, placed.offset, placed.record, record, 0)
        yield from self.symbols


def _parts(span: Range, runs: Iterable[_Run], gaps: Gaps, read: Read) -> list[Range]:
    """What is left of a section: for each part between gaps from the first to the last container that stays."""
    kept, start = [], span.start
    for run in runs:
        if run.range.overlaps(*span):
            kept.append(Range(start, run.range.start))
            start = run.range.end
    kept.append(Range(start, span.end))
    kept = [part for part in kept if part.size > 0 and not is_zero(read, part)]
    left = tuple(gaps.left(span))
    inside = [[part for part in kept if part.overlaps(*whole)] for whole in left]
    found = [Range(parts[0].start, parts[-1].end) for parts in inside if parts]
    nothing = left[0] if left and left[0].start == span.start else Range(span.start, span.start)
    return found or [nothing]


def _symbol_edits(
    linked: Linked, headers: Sequence[Shdr], divided: dict[int, list[int]], read: Read
) -> Iterator[_Edit]:
    """Symbols that stand for a section that moved get its address; those of a section that is divided get the part
    that they are in now, or none."""
    addresses = [
        (old.record.addr, new.addr) for old, new in zip(linked.layout.sections, headers, strict=False)
    ]
    for placed in linked.layout.sections:
        table = placed.record
        if table.type != SHT_SYMTAB:
            continue
        data = read(table.offset, table.size - table.size % SYM.size)
        for index, sym in enumerate(map(Sym._make, SYM.iter_unpack(data))):
            new = sym
            if sym.info & 15 == STT_SECTION:
                if sym.shndx < len(addresses) and sym.value == addresses[sym.shndx][0]:
                    new = sym._replace(value=addresses[sym.shndx][1])
            elif sym.shndx in divided:
                homes = (h for h in divided[sym.shndx] if 0 <= sym.value - headers[h].addr < headers[h].size)
                new = sym._replace(shndx=next(homes, SHN_ABS))
            offset = table.offset + index * SYM.size
            yield _replacement(offset, SYM.pack(*sym), SYM.pack(*new), SHT_SYMTAB)


def _edit(layout: Layout, offset: int, old: R, new: R, within: int) -> _Edit:
    return _replacement(offset, layout.encoding.pack(old), layout.encoding.pack(new), within)


def _replacement(offset: int, old: bytes, new: bytes, within: int) -> _Edit:
    """The edit that makes some bytes others, without the bytes at both ends that are the same."""
    differing = [index for index, (before, after) in enumerate(zip(old, new, strict=True)) if before != after]
    start, stop = (differing[0], differing[-1] + 1) if differing else (0, 0)
    span = Range(offset + start, offset + stop)
    return _Edit(span, within, (Literal(new[start:stop]),), (Literal(old[start:stop]),))
