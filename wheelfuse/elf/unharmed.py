"""Hold a shared object that was edited against what it was: nothing that a loader or a tool reads got lost.

Both are read afresh. What is compared: every byte that is mapped, at its address; the segments; symbols, their names
and versions; the effect of every relocation; the dynamic section; and what the section headers describe.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from wheelfuse.content import Read
from wheelfuse.elf.gaps import PF_X, Gaps, Range, apart
from wheelfuse.elf.layout import (
    DT_NEEDED,
    DT_RPATH,
    DT_RUNPATH,
    DT_STRSZ,
    DT_STRTAB,
    PT_LOAD,
    PT_PHDR,
    SHT_NOBITS,
    Phdr,
    Placed,
    Shdr,
)
from wheelfuse.elf.patch import Edit
from wheelfuse.elf.references import (
    DT_HASH,
    DT_RELACOUNT,
    DT_SYMTAB,
    DT_VERSYM,
    RELA,
    SHN_ABS,
    SHT_SYMTAB,
    STT_SECTION,
    SYM,
    Linked,
    Rela,
    Sym,
)
from wheelfuse.errors import InvalidInput

_CHUNK = 1 << 20
_UNVERSIONED = struct.pack("<H", 1)  # VER_NDX_GLOBAL
_MOVING = (DT_SYMTAB, DT_STRTAB, DT_STRSZ, DT_VERSYM, DT_HASH, DT_RELACOUNT)
_PATHS = (DT_RPATH, DT_RUNPATH)


@dataclass(frozen=True)
class Expected:
    """What is to be different.

    *changed* are the ranges of the old file that have other bytes, with the type of the sections that they lie in
    (zero: in none); of them *removed* are the moved containers, of which *gaps* are cut out. *pointers* are the
    addresses that refer to the symbol, with the offset from it; *relocated* the indices of the relocations that
    change or change places. *renamings* are names in constants of the host code that become others.
    """

    changed: tuple[tuple[Range, int], ...]
    removed: tuple[Range, ...]
    gaps: Gaps
    pointers: dict[int, int]
    relocated: frozenset[int]
    renamings: tuple[Edit, ...]
    symbol: bytes
    needed: bytes
    path: bytes

    def unchanged(self, span: Range) -> Iterator[Range]:
        """The parts of a range of the old file in which nothing changes."""
        start = span.start
        for change, _ in self.changed:
            if change.overlaps(*span):
                if start < change.start:
                    yield Range(start, change.start)
                start = change.end
        if start < span.end:
            yield Range(start, span.end)


def verify(before: Linked, after: Linked, expected: Expected, read: Read, read_after: Read) -> None:
    """Compare two shared objects.

    Raises:
        InvalidInput: they differ in more than what is expected, or not in all of that.
    """
    comparison = _Comparison(before, after, expected, read, read_after)
    checks = {
        "tables": comparison.tables_are_apart,
        "ELF header": comparison.same_header,
        "contents": comparison.same_memory,
        "segments": comparison.same_segments,
        "sections": comparison.same_sections,
        "symbols": comparison.same_symbols,
        "symbols for debuggers": comparison.same_debug_symbols,
        "hash table": comparison.same_hash,
        "relocations": comparison.same_relocations,
        "dynamic section": comparison.same_dynamic_section,
        "names of GPU code": comparison.other_names,
    }
    if wrong := [name for name, check in checks.items() if not check()]:
        raise InvalidInput(f"tables of the file overlap: to edit it would damage the {', the '.join(wrong)}")


@dataclass(frozen=True)
class _Comparison:
    before: Linked
    after: Linked
    expected: Expected
    read: Read
    read_after: Read

    def tables_are_apart(self) -> bool:
        """Whether the changes are apart from each other, and from all that they are not meant for."""
        layout = self.before.layout
        encoding = layout.encoding
        header = layout.header.record
        headers = [Range(header.phoff, header.phoff + header.phnum * header.phentsize)]
        headers += [Range(placed.offset, placed.offset + header.shentsize) for placed in layout.sections]
        headers.append(Range(0, encoding.size(type(header))))
        tables = [self.before.symbols, self.before.strings, self.before.versions, self.before.hash]
        kept = [Range(t.section.record.offset, t.section.record.offset + len(t.data)) for t in tables if t]
        plt = self.before.plt_relocations
        kept.append(Range(plt.offset, plt.offset + len(plt.data)))
        sections = [(section.record.type, _span(section)) for section in layout.sections]
        for span, within in self.expected.changed:
            if any(table.overlaps(*span) for table in kept) or (
                within and any(table.overlaps(*span) for table in headers)
            ):
                return False
            if any(kind != within and section.overlaps(*span) for kind, section in sections):
                return False
        if not all(
            any(f.start <= r.start and r.end <= f.end for f in self.before.fatbins)
            for r in self.expected.removed
        ):
            return False
        return apart([*headers, *kept]) and apart(span for span, _ in self.expected.changed)

    def same_header(self) -> bool:
        before, after = (
            linked.layout.header.record._replace(phoff=0, phnum=0, shoff=0, shnum=0)
            for linked in (self.before, self.after)
        )
        return before == after

    def same_memory(self) -> bool:
        """Whether all that was mapped is mapped at the same address, and nothing else but the new tables."""
        *loads, added = self.after.layout.loads
        for load in self.before.layout.loads:
            for span in self.expected.unchanged(Range(load.offset, load.offset + load.filesz)):
                address = span.start + load.vaddr - load.offset
                home = _at(loads, address, span.size)
                if home is None or not self._same_access(load, home, span):
                    return False
                if not self._same(span, home.offset + address - home.vaddr):
                    return False
        mapped = sum(load.memsz for load in self.before.layout.loads) - self.expected.gaps.size
        end = max(load.vaddr + load.memsz for load in self.before.layout.loads)
        return sum(load.memsz for load in loads) == mapped and added.vaddr >= end

    def same_segments(self) -> bool:
        """Whether the segments that are not mapped by themselves are the same and where they say."""
        before = [s for s in self.before.layout.segments if s.type not in (PT_LOAD, PT_PHDR)]
        after = [s for s in self.after.layout.segments if s.type not in (PT_LOAD, PT_PHDR)]
        zeros = [
            [
                (load.vaddr + load.filesz, load.memsz - load.filesz)
                for load in loads
                if load.memsz > load.filesz
            ]
            for loads in (self.before.layout.loads, self.after.layout.loads)
        ]
        return (
            [s._replace(offset=0) for s in before] == [s._replace(offset=0) for s in after]
            and zeros[0] == zeros[1]
            and all(
                self._same_parts(Range(old.offset, old.offset + old.filesz), new.offset)
                for old, new in zip(before, after, strict=True)
            )
        )

    def same_sections(self) -> bool:
        """Whether section headers are the same, and so is what they describe, but for tables that moved."""
        tables = (self.before.symbols, self.before.strings, self.before.versions, self.before.hash)
        moved = [table.section.offset for table in tables if table]
        after = self.after.layout.sections
        for index, old in enumerate(self.before.layout.sections):
            new = after[index]
            if old.record._replace(addr=0, offset=0, size=0) != new.record._replace(addr=0, offset=0, size=0):
                return False
            if old.offset in moved or any(gap.overlaps(*_span(old)) for gap in self.expected.gaps.ranges):
                continue
            if (old.record.addr, old.record.size) != (new.record.addr, new.record.size):
                return False
            if not self._same_parts(_span(old), new.record.offset):
                return False
        return self.before.names == self.after.names[: len(self.before.names)] and all(
            self._is_part(section) for section in after[len(self.before.layout.sections) :]
        )

    def same_symbols(self) -> bool:
        before, after = self.before, self.after
        new = after.symbol(after.symbol_count - 1)
        return (
            after.symbols.data[: -SYM.size] == before.symbols.data
            and after.strings.data.startswith(before.strings.data)
            and after.layout.string(new.name) == self.expected.symbol
            and new[1:] == (1 << 4, 0, 0, 0, 0)
            and (after.versions.data if after.versions else b"")
            == (before.versions.data + _UNVERSIONED if before.versions else b"")
        )

    def same_debug_symbols(self) -> bool:
        """Whether symbols for debuggers are the same, but for the section, if that moved or lost its contents."""
        for old_table, new_table in zip(
            self.before.layout.sections, self.after.layout.sections, strict=False
        ):
            if old_table.record.type != SHT_SYMTAB:
                continue
            tables = [
                read(table.record.offset, table.record.size - table.record.size % SYM.size)
                for read, table in ((self.read, old_table), (self.read_after, new_table))
            ]
            if len({len(data) for data in tables}) > 1 or len(tables[0]) % SYM.size:  # it is cut off
                return False
            for old, new in zip(*(map(Sym._make, SYM.iter_unpack(data)) for data in tables), strict=True):
                if old != new and not self._same_symbol(old, new):
                    return False
        return True

    def _same_symbol(self, old: Sym, new: Sym) -> bool:
        sections = [section.record for section in self.after.layout.sections]
        home = sections[new.shndx] if new.shndx < len(sections) else None
        if old.info & 15 == STT_SECTION:
            return home is not None and new == old._replace(value=home.addr)
        inside = home is not None and home.addr <= new.value < home.addr + home.size
        return new == old._replace(shndx=new.shndx) and (inside or new.shndx == SHN_ABS)

    def same_hash(self) -> bool:
        """Whether the chains of DT_HASH are the same, but for one that has the new symbol at its head."""
        if self.before.hash is None or self.after.hash is None:
            return self.before.hash is self.after.hash
        old, new = (
            struct.unpack(f"<{len(t.data) // 4}I", t.data) for t in (self.before.hash, self.after.hash)
        )
        buckets, chains = old[:2]
        differing = [index for index in range(2, len(old)) if old[index] != new[index]]
        return (
            new[:2] == (buckets, chains + 1)
            and len(differing) == 1
            and differing[0] < 2 + buckets
            and new[differing[0]] == chains
            and new[-1] == old[differing[0]]
        )

    def same_relocations(self) -> bool:
        """Whether the relocations that changed do what they did, or refer to the symbol if they should."""
        before, after = self.before.relocations, self.after.relocations
        if len(before) != len(after) or before.data == after.data:
            return False
        new = self.before.symbol_count << 32 | self.before.machine.absolute
        found = {after[index] for index in self.expected.relocated}
        wanted = {before[index] for index in self.expected.relocated}
        wanted = {rela for rela in wanted if rela.offset not in self.expected.pointers}
        wanted |= {Rela(pointer, new, at) for pointer, at in self.expected.pointers.items()}
        return found == wanted and all(
            before.data[start : start + RELA.size] == after.data[start : start + RELA.size]
            for start in range(0, len(before.data), RELA.size)
            if start // RELA.size not in self.expected.relocated
        )

    def same_dynamic_section(self) -> bool:
        before = [entry.record for entry in self.before.layout.dynamic]
        after = [entry.record for entry in self.after.layout.dynamic]
        added = after[len(before) :]
        for old, new in zip(before, after, strict=False):
            if old.tag != new.tag or (old.value != new.value and old.tag not in (*_MOVING, *_PATHS)):
                return False
        if [entry.tag for entry in added] not in ([DT_NEEDED], [DT_NEEDED, DT_RPATH]):
            return False
        paths = [self._path(linked).split(b":") for linked in (self.before, self.after)]
        new_path = [path for path in (*paths[0], self.expected.path) if path]
        return (
            self.after.layout.string(added[0].value) == self.expected.needed
            and (paths[0] == paths[1] or paths[1] == new_path)
            and self.expected.path in (*paths[1], b"")
        )

    def other_names(self) -> bool:
        """Whether the names that were to become others did, and are constants that no relocation changes."""
        return all(
            len(edit.old) == len(edit.new)
            and self.before.is_constant(edit.offset, len(edit.old))
            and self.read(edit.offset, len(edit.old)) == edit.old
            and self.read_after(self.expected.gaps.moved(edit.offset), len(edit.new)) == edit.new
            for edit in self.expected.renamings
        )

    def _same_access(self, old: Phdr, new: Phdr, span: Range) -> bool:
        return new.flags == old.flags or (
            new.flags == old.flags & ~PF_X and not any(code.overlaps(*span) for code in self.before.code)
        )

    def _path(self, linked: Linked) -> bytes:
        entry = linked.tag(DT_RUNPATH) or linked.tag(DT_RPATH)
        return linked.layout.string(entry.record.value) if entry else b""

    def _is_part(self, section: Placed[Shdr]) -> bool:
        """Whether an added section describes what is mapped at its address."""
        record = section.record
        home = _at(self.after.layout.loads, record.addr, record.size)
        return home is not None and home.offset + record.addr - home.vaddr == record.offset

    def _same_parts(self, span: Range, new_offset: int) -> bool:
        return all(
            self._same(
                part, new_offset + self.expected.gaps.moved(part.start) - self.expected.gaps.moved(span.start)
            )
            for part in self.expected.unchanged(span)
        )

    def _same(self, span: Range, new_offset: int) -> bool:
        return all(
            self.read(span.start + done, min(_CHUNK, span.size - done))
            == self.read_after(new_offset + done, min(_CHUNK, span.size - done))
            for done in range(0, span.size, _CHUNK)
        )


def _span(section: Placed[Shdr]) -> Range:
    """What a section has in the file."""
    record = section.record
    return Range(record.offset, record.offset + (record.size if record.type not in (0, SHT_NOBITS) else 0))


def _at(loads: list[Phdr] | tuple[Phdr, ...], address: int, size: int) -> Phdr | None:
    found = (load for load in loads if load.vaddr <= address and address + size <= load.vaddr + load.filesz)
    return next(found, None)
