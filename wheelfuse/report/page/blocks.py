"""What the bytes of an input are: its files as a tree of blocks, shared objects divided by their sections.

Sizes add up: those of the parts of a block are its own, and the root's is what an installer writes. Of a wheel with
many files those that would be too small to be seen are taken together.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat

from wheelfuse.abi.modules import parse_module
from wheelfuse.auditing.subject import SharedObject, Subject
from wheelfuse.elf.fatbin import SECTIONS
from wheelfuse.elf.image import Section
from wheelfuse.report.page.model import Block, Stuff

_ALL_SHOWN = 300
"""Up to so many files all are shown."""
_VISIBLE = 1000
"""Of more files those that have at least one part in so many of the bytes."""
_DEEPEST = 12
"""Directories within each other; what lies deeper keeps the rest of its path as its name."""

_BY_SUFFIX = (
    (re.compile(r"\.(?:cubin|fatbin|ptx|hsaco)"), Stuff.DEVICE_CODE),
    (re.compile(r"\.(?:debug|dwo|dwp)"), Stuff.DEBUG),
    (re.compile(r"\.pyi?"), Stuff.PYTHON),
    (re.compile(r"\.pyd"), Stuff.MODULE),
    (re.compile(r"\.(?:so(?:\.\d+)*|dylib|dll)"), Stuff.LIBRARY),
)


def contents(subject: Subject, notes: Mapping[str, str] | None = None) -> Block:
    """The files of a subject as a tree, below a block with its label; *notes* by path tell more of them.

    Of what is no wheel *packed* is the size as well.
    """
    root = _Directory()
    packed = chain(subject.packed, repeat(-1)) if subject.packed else repeat(-1)
    for (path, size), inside in zip(subject.sizes.items(), packed, strict=False):
        *above, name = path.split("/", _DEEPEST)
        directory = root
        for part in above:
            directory = directory.inside[part]
        note = (notes or {}).get(path, "")
        directory.files.append(_file(name, path, size, size if inside < 0 else inside, subject, note))
    many = len(subject.sizes) > _ALL_SHOWN
    least = sum(subject.sizes.values()) // _VISIBLE if many else 0
    return _tree(subject.label, root, least)[0]


@dataclass
class _Directory:
    inside: defaultdict[str, _Directory] = field(default_factory=lambda: defaultdict(_Directory))
    files: list[Block] = field(default_factory=list)


def _file(name: str, path: str, size: int, packed: int, subject: Subject, note: str) -> Block:
    shared = subject.files.get(path)
    whole = _stuff(path, shared)
    parts = _sections(shared, size) if shared else {}
    if not parts:
        return Block(name, size, packed, whole, note=note)
    parts = {whole: size - sum(parts.values()), **parts}
    named = {
        "code" if stuff is whole else stuff.value: (stuff, number)
        for stuff, number in parts.items()
        if number
    }
    if len(named) == 1:
        return Block(name, size, packed, next(iter(parts)) if parts[whole] else stuff_of(parts), note=note)
    return Block(name, size, packed, None, tuple(_in_proportion(named, size, packed)), note)


def stuff_of(parts: Mapping[Stuff, int]) -> Stuff:
    """What the largest of the parts is."""
    return max(parts, key=parts.__getitem__)


def _in_proportion(named: Mapping[str, tuple[Stuff, int]], size: int, packed: int) -> Iterator[Block]:
    """The parts of a file of *size* bytes, of which each takes its share of the *packed* ones."""
    end = 0
    for name, (stuff, number) in named.items():
        start, end = end, end + number
        yield Block(name, number, packed * end // size - packed * start // size, stuff)


def _stuff(path: str, shared: SharedObject | None) -> Stuff:
    """What a file is as a whole; of what is no shared object, or cannot be read, the name tells."""
    if shared:
        return Stuff.MODULE if shared.module else Stuff.LIBRARY
    name = path.rpartition("/")[2]
    for pattern, stuff in _BY_SUFFIX:
        if re.search(rf"{pattern.pattern}$", name):
            return Stuff.MODULE if stuff is Stuff.LIBRARY and parse_module(path) else stuff
    return Stuff.DATA


def _sections(shared: SharedObject, size: int) -> dict[Stuff, int]:
    """Bytes of GPU code and of what only debuggers read. Headers may lie: together they are no more than the file."""
    found: Counter[Stuff] = Counter()
    for section in shared.image.sections:
        if section.kind != "SHT_NOBITS" and (stuff := _of_section(section)):
            found[stuff] += section.size
    device = min(found[Stuff.DEVICE_CODE], size)
    sizes = {Stuff.DEVICE_CODE: device, Stuff.DEBUG: min(found[Stuff.DEBUG], size - device)}
    return {stuff: number for stuff, number in sizes.items() if number}


def _of_section(section: Section) -> Stuff | None:
    if section.name in SECTIONS:
        return Stuff.DEVICE_CODE
    return Stuff.DEBUG if section.is_debug else None


def _tree(name: str, directory: _Directory, least: int) -> tuple[Block, int]:
    """The block of a directory, the largest parts first, and how many files are in it."""
    found = [(file, 1) for file in directory.files]
    found += (_tree(inside, below, least) for inside, below in directory.inside.items())
    found.sort(key=lambda item: (-item[0].size, item[0].name))
    shown = [block for block, _ in found if block.size >= least]
    small = found[len(shown) :]
    if len(small) == 1 and small[0][1] == 1:
        shown.append(small[0][0])
    elif small:
        count = sum(number for _, number in small)
        shown.append(_together(f"{count} {'more' if shown else 'files'}", [block for block, _ in small]))
    total = sum(number for _, number in found)
    return Block(name, sum(b.size for b in shown), sum(b.packed for b in shown), None, tuple(shown)), total


def _together(name: str, blocks: Iterable[Block]) -> Block:
    """Blocks as one, divided by what the bytes are."""
    sizes: Counter[Stuff] = Counter()
    packed: Counter[Stuff] = Counter()
    for leaf in chain.from_iterable(map(leaves, blocks)):
        sizes[leaf.stuff or Stuff.DATA] += leaf.size
        packed[leaf.stuff or Stuff.DATA] += leaf.packed
    parts = tuple(Block(s.value, number, packed[s], s) for s, number in sizes.most_common())
    if len(parts) == 1:
        return Block(name, parts[0].size, parts[0].packed, parts[0].stuff)
    return Block(name, sizes.total(), packed.total(), None, parts)


def leaves(block: Block) -> Iterator[Block]:
    """The blocks within a block that have no parts."""
    if not block.parts:
        yield block
    for part in block.parts:
        yield from leaves(part)
