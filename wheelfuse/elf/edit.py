"""Give a shared object, and the libraries that it needs, other names.

Longer names need a longer string table, and a loader wants that table in one piece. Instead of moving what
is there, the change appends one read-only segment with a copy of the program header table, which has to
name that segment, and a copy of the string table with the new names after the old ones. In place change
only the fields that refer to them, so the change is a `Patch` that can be taken back exactly.

How loaders cope: glibc (elf/dl-load.c, `_dl_map_object_from_fd`) and musl (ldso/dynlink.c, `map_library`)
read the program headers from `e_phoff` in the file, and later use them in memory, to unwind the stack among
other things. musl takes the segment that covers `e_phoff`. glibc takes the first one of which any page does,
even if it is the last page of the data, cleared from the end of the data on; but PT_PHDR comes before that,
so the table gets one. PT_LOADs ascend by address: the gABI demands it and glibc relies on it. Since both
loaders clear the rest of the last page of the data, which musl even donates to malloc, the new segment
begins on a page of its own.

What stays as it is: DT_RPATH and DT_RUNPATH, since directories do not change; and the name of the object
itself in `.gnu.version_d` (the entry with VER_FLG_BASE). It was the soname when the object was linked, but
no loader looks for it: a `vn_file` is compared with the DT_NEEDED names and DT_SONAMEs of the loaded
objects, and what is looked up in `.gnu.version_d` is versions, of which the base name may be one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from wheelfuse.content import Content, reading
from wheelfuse.elf.layout import (
    DT_NEEDED,
    DT_SONAME,
    DT_STRSZ,
    DT_STRTAB,
    PF_R,
    PT_LOAD,
    PT_PHDR,
    Dyn,
    Layout,
    Phdr,
    Placed,
    R,
    Verneed,
    read_layout,
    round_up,
)
from wheelfuse.elf.patch import Edit, Patch, Undo
from wheelfuse.errors import InvalidInput

__all__ = ["Edit", "Patch", "Undo", "rename"]

_PN_XNUM = 0xFFFF  # as e_phnum, says that the number is elsewhere (elf.h); loaders do not look there
_SMALLEST_PAGE = 0x1000
_FILE_ALIGN = 8  # of a program header in ELF64


def rename(data: Content, *, soname: str | None = None, needed: Mapping[str, str]) -> Patch | None:
    """The change that gives a shared object another name, and other names to libraries that it needs.

    Args:
        data: the whole file.
        soname: the new DT_SONAME; an object that has none gets none.
        needed: from old to new names, in DT_NEEDED and in the `vn_file` of `.gnu.version_r`, which the loader
            looks up among the objects loaded for DT_NEEDED. Names that the object does not need are ignored.

    Returns:
        None if the object already says all that.

    Raises:
        InvalidInput: the file is damaged, is a program, or has an unusual form that cannot be edited safely;
            or a new name is empty or has a NUL.
    """
    names = _Names(
        None if soname is None else _encoded(soname),
        {_encoded(old): _encoded(new) for old, new in needed.items()},
    )
    before = read_layout(reading(data), len(data))
    patch = _patch(before, names)
    if patch is not None:
        after = read_layout(partial(patch.read, data), patch.size + len(patch.tail))
        _verify(before, after, names)
        _refuse_two_places(before, patch)
    return patch


@dataclass(frozen=True)
class _Reference:
    """A record that names a library: as DT_SONAME, or as DT_NEEDED, of which a `vn_file` is a repetition."""

    tag: int
    placed: Placed[Dyn] | Placed[Verneed]
    name: bytes

    def edit(self, layout: Layout, offset: int) -> Edit:
        """The edit that makes the record refer to another offset of the string table."""
        if isinstance(self.placed.record, Dyn):
            return _edit(
                layout, self.placed.offset, self.placed.record, self.placed.record._replace(value=offset)
            )
        return _edit(layout, self.placed.offset, self.placed.record, self.placed.record._replace(file=offset))


@dataclass(frozen=True)
class _Names:
    """What was asked for."""

    soname: bytes | None
    needed: Mapping[bytes, bytes]

    def of(self, reference: _Reference) -> bytes:
        """The name that is to be there."""
        if reference.tag == DT_SONAME:
            return reference.name if self.soname is None else self.soname
        return self.needed.get(reference.name, reference.name)


def _encoded(name: str) -> bytes:
    try:
        raw = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidInput(f"not the name of a library: {name!r}") from error
    if not raw or b"\0" in raw:
        raise InvalidInput(f"not the name of a library: {name!r}")
    return raw


def _references(layout: Layout) -> tuple[_Reference, ...]:
    dynamic = (
        _Reference(entry.record.tag, entry, layout.string(entry.record.value))
        for entry in layout.dynamic
        if entry.record.tag in (DT_NEEDED, DT_SONAME)
    )
    needs = (_Reference(DT_NEEDED, need, layout.string(need.record.file)) for need in layout.needs)
    return (*dynamic, *needs)


def _patch(layout: Layout, names: _Names) -> Patch | None:
    """The change, yet to be verified."""
    renamed = [(ref, names.of(ref)) for ref in _references(layout) if names.of(ref) != ref.name]
    if not renamed:
        return None
    new_names = tuple(dict.fromkeys(name for _, name in renamed))
    strings = layout.strings + b"".join(name + b"\0" for name in new_names)
    # A name that ends another one is found within it, as linkers share them.
    offsets = {name: strings.index(name + b"\0", len(layout.strings)) for name in new_names}
    segment = _new_segment(layout, len(strings))
    table = _segment_table(layout, segment)
    edits = [ref.edit(layout, offsets[name]) for ref, name in renamed]
    edits += _moves(layout, segment, len(table), len(strings))
    padding = bytes(segment.offset - layout.size)
    return Patch(layout.size, tuple(sorted(edits)), padding + table + strings)


def _table_entries(layout: Layout) -> int:
    """How many entries the program header table is to have: with the added segment, and with PT_PHDR."""
    entries = len(layout.segments) + 1 + all(segment.type != PT_PHDR for segment in layout.segments)
    if entries >= _PN_XNUM:
        raise InvalidInput("no room for another program header")
    return entries


def _new_segment(layout: Layout, strings_size: int) -> Phdr:
    """The segment for the program header table and the strings after it, behind everything else."""
    encoding, last = layout.encoding, layout.loads[-1]
    page = max(_SMALLEST_PAGE, *(load.align for load in layout.loads))
    offset = round_up(layout.size, _FILE_ALIGN)
    # The address follows the file offset, modulo the page, so that the file needs no padding up to a page.
    vaddr = round_up(last.vaddr + last.memsz, page) + offset % page
    size = _table_entries(layout) * encoding.size(encoding.phdr) + strings_size
    if vaddr + size > 1 << encoding.bits:
        raise InvalidInput("no room for another segment in the address space")
    return encoding.phdr(
        type=PT_LOAD,
        flags=PF_R,
        offset=offset,
        vaddr=vaddr,
        paddr=vaddr,
        filesz=size,
        memsz=size,
        align=page,
    )


def _segment_table(layout: Layout, added: Phdr) -> bytes:
    """The program header table as it lies at the start of the segment that is added."""
    encoding, segments = layout.encoding, list(layout.segments)
    size = _table_entries(layout) * encoding.size(encoding.phdr)
    itself = added._replace(type=PT_PHDR, filesz=size, memsz=size, align=_FILE_ALIGN)
    after_loads = 1 + max(index for index, segment in enumerate(segments) if segment.type == PT_LOAD)
    segments.insert(after_loads, added)
    places = [index for index, segment in enumerate(segments) if segment.type == PT_PHDR]
    if places:
        segments[places[0]] = itself
    else:
        segments.insert(0, itself)  # the gABI wants it before the PT_LOADs
    return b"".join(map(encoding.pack, segments))


def _moves(layout: Layout, added: Phdr, table_size: int, strings_size: int) -> list[Edit]:
    """The edits that say where the program headers and the strings are now."""
    header = layout.header
    moved = header.record._replace(phoff=added.offset, phnum=_table_entries(layout))
    edits = [_edit(layout, header.offset, header.record, moved)]
    values = {DT_STRTAB: added.vaddr + table_size, DT_STRSZ: strings_size}
    for entry in layout.dynamic:
        if (value := values.get(entry.record.tag)) is not None:
            edits.append(_edit(layout, entry.offset, entry.record, entry.record._replace(value=value)))
    if section := layout.strings_section:
        place = {"addr": values[DT_STRTAB], "offset": added.offset + table_size, "size": strings_size}
        edits.append(_edit(layout, section.offset, section.record, section.record._replace(**place)))
    return edits


def _edit(layout: Layout, offset: int, record: R, replacement: R) -> Edit:
    """The edit that makes one record another, without the bytes at both ends that are the same."""
    old, new = layout.encoding.pack(record), layout.encoding.pack(replacement)
    differing = [index for index, (before, after) in enumerate(zip(old, new, strict=True)) if before != after]
    start, stop = (differing[0], differing[-1] + 1) if differing else (0, 0)
    return Edit(offset + start, old[start:stop], new[start:stop])


def _verify(before: Layout, after: Layout, names: _Names) -> None:
    """Compare what the new file says, read afresh, with what the old one said and what was asked for."""
    *loads, added = after.loads
    asked = [(ref.placed.offset, names.of(ref)) for ref in _references(before)]
    found = [(ref.placed.offset, ref.name) for ref in _references(after)]
    kept, expected = _kept(after, without=added), _kept(before)
    wrong = [what for what in expected if kept[what] != expected[what]]
    wrong += ["names"] * (found != asked)
    wrong += ["segments to load"] * (tuple(loads) != before.loads)
    wrong += ["program header table"] * (not _is_mapped(after, added))
    wrong += ["string table"] * (not after.strings.startswith(before.strings))
    if wrong:
        raise InvalidInput(f"tables of the file overlap: other names would damage the {', the '.join(wrong)}")


def _refuse_two_places(layout: Layout, patch: Patch) -> None:
    """No linker has two segments load the same bytes; what is edited for one would change in the other, too."""
    for edit in patch.edits:
        places = sum(
            load.offset < edit.end and edit.offset < load.offset + load.filesz for load in layout.loads
        )
        if places > 1:
            raise InvalidInput(f"{places} segments load the bytes at offset {edit.offset}")


def _kept(layout: Layout, without: Phdr | None = None) -> dict[str, object]:
    """What other names leave as it is."""
    changing = (DT_NEEDED, DT_SONAME, DT_STRTAB, DT_STRSZ)
    entries = [entry.record for entry in layout.dynamic]
    sections = [
        section.record._replace(addr=0, offset=0, size=0)
        if section is layout.strings_section
        else section.record
        for section in layout.sections
    ]
    return {
        "ELF header": layout.header.record._replace(phoff=0, phnum=0),
        "program headers": [s for s in layout.segments if s.type != PT_PHDR and s is not without],
        "dynamic section": [(entry.tag, entry.tag in changing or entry.value) for entry in entries],
        "needed versions": [need.record._replace(file=0) for need in layout.needs],
        "section headers": sections,
    }


def _is_mapped(layout: Layout, added: Phdr) -> bool:
    """Whether the program header table lies at the start of the added segment, and PT_PHDR says so."""
    size = len(layout.segments) * layout.encoding.size(layout.encoding.phdr)
    place = (added.offset, added.vaddr, size)
    says = [(s.offset, s.vaddr, s.filesz) for s in layout.segments if s.type == PT_PHDR]
    return layout.header.record.phoff == added.offset and size <= added.filesz and says == [place]
