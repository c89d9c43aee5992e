"""GPU code that several files of the fused wheel hold moves into one carrier, which all of them link. Pure.

GPU code does not depend on the CPython, so the builds of one module for several CPythons hold the same containers, or
such that differ in names alone (`wheelfuse.elf.module_ids`).
"""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Container as Holding
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wheelfuse.abi.modules import installed_path
from wheelfuse.elf.fatbin import Container, Entry
from wheelfuse.errors import Problem
from wheelfuse.fuse.model import (
    Facts,
    File,
    HeldCode,
    HeldContainer,
    Original,
    Output,
    Outsourcing,
    SeenCode,
)
from wheelfuse.fuse.options import Share

if TYPE_CHECKING:  # most wheels have no GPU code: what moves it is loaded where some is to move
    from wheelfuse.elf.carrier import Carrier
    from wheelfuse.elf.module_ids import Naming

WORTH_IT = 1 << 20
"""What sharing has to save, in bytes on disk, for it to be done unasked."""
WORTH_ASKING = 64 << 10
"""What it has to save where it was asked for."""


@dataclass(frozen=True)
class Part:
    """GPU code that lies in a file of an input: *offset* and *size* in bytes, *sha256* in hexadecimal."""

    file: File
    offset: int
    size: int
    sha256: str


@dataclass(frozen=True)
class ModuleShare:
    """What became of the GPU code of one file: containers that moved, their bytes, and the bytes that stay and why.

    Of the moved bytes, *renamed_bytes* are those for which another build's stand in that differ in names alone; *ids*
    are the module ids in the host code that became others for it (old, new).
    """

    path: str
    containers: int
    shared_bytes: int
    left_bytes: int
    architectures: tuple[str, ...]
    why_left: tuple[str, ...] = ()
    renamed_bytes: int = 0
    ids: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Sharing:
    """The GPU code of a fused wheel: the carrier (path empty: none), what is in it, and what each file has of it.

    *saved* are the bytes that are not repeated on disk; *possible* those that would not be, had it been asked for, as
    far as headers tell.
    """

    path: str = ""
    carrier: Carrier | None = None
    parts: tuple[Part, ...] = ()
    modules: tuple[ModuleShare, ...] = ()
    saved: int = 0
    possible: int = 0

    @property
    def renamed(self) -> int:
        """Bytes of GPU code for which another build's stand in that differ in names alone."""
        return sum(row.renamed_bytes for row in self.modules)


@dataclass(frozen=True)
class _Held:
    """What one file can share: its containers, each with the one that is taken for it, itself or another build's.

    *why_own* tells why another build's is not taken where only names differ.
    """

    code: HeldCode
    taken: Mapping[HeldContainer, HeldContainer]
    why_own: Mapping[HeldContainer, str]


Form = tuple[int, tuple[Entry, ...]]
"""What headers tell of a container: equal for all that are equal."""


def form(container: Container) -> Form:
    """The form of a container."""
    return container.size, container.entries


def forms(outputs: Iterable[Output], seen: Mapping[str, SeenCode]) -> Counter[Form]:
    """How often the outputs hold each form of a container."""
    codes = (seen[output.file.digest] for output in outputs if output.file.digest in seen)
    return Counter(form(container) for code in codes for container in code.containers)


def could_save(outputs: Iterable[Output], seen: Mapping[str, SeenCode]) -> int:
    """What sharing can save at most, as far as headers tell, in bytes on disk: there is more to compare only if this
    is worth it. (Containers of one form are hardly ever different ones.)"""
    return sum(size * (count - 1) for (size, _), count in forms(outputs, seen).items())


def damaged_code(originals: Iterable[Original], seen: Mapping[str, SeenCode]) -> Iterator[Problem]:
    """A warning for each original of which GPU code cannot be read. It goes into the fused wheel as it is."""
    for original in originals:
        why = {
            path: seen[file.digest].damage
            for path, file in sorted(original.files.items())
            if file.digest in seen and seen[file.digest].damage
        }
        if why:
            path, first = next(iter(why.items()))
            more = f" (and of {len(why) - 1} other files)" if len(why) > 1 else ""
            yield Problem(f"{first}{more}, so that it is kept as it is, and not shared", original.where, path)


def is_worth_it(saved: int, asked: Share | None) -> bool:
    """Whether sharing that saves so many bytes is to be done."""
    return asked is not False and saved >= (WORTH_ASKING if asked else WORTH_IT)


def share(
    outputs: Sequence[Output],
    facts: Facts,
    code: Mapping[str, HeldCode],
    distribution: str,
    asked: Share | None,
) -> tuple[tuple[Output, ...], Sharing]:
    """The outputs, with the edits that sharing needs, and what is shared.

    *code* is the GPU code of files, by their digests. *asked*: False never does it, None where it saves a lot,
    anything else where it saves anything to speak of.
    """
    holders = {output: held for output in outputs if (held := code.get(output.file.digest))}
    sharers = _with_stand_ins(_sharers(holders, facts))
    repeated = _repeated(sharers)
    saved = sum(part.size * (count - 1) for part, count in repeated.values())
    if not is_worth_it(saved, asked):
        rows = tuple(_row(output, held, sharers.get(output), ()) for output, held in holders.items())
        return tuple(outputs), Sharing(modules=rows, possible=saved)
    from wheelfuse.elf.carrier import carrier_name, lay_out, symbol_name

    parts = tuple(part for part, _ in repeated.values())
    digests = [part.sha256 for part in parts]
    soname, symbol = carrier_name(distribution, digests), symbol_name(digests)
    path = f"{distribution}.libs/{soname}"
    carrier = lay_out(_machine(next(iter(sharers)), facts), soname, symbol, [part.size for part in parts])
    places = dict(zip(digests, carrier.offsets, strict=True))
    edited = tuple(
        _outsourced(output, sharers[output], places, path, soname, symbol) if output in sharers else output
        for output in outputs
    )
    rows = tuple(_row(output, held, sharers.get(output), places.keys()) for output, held in holders.items())
    return edited, Sharing(path, carrier, parts, rows, saved, saved)


def _sharers(holders: Mapping[Output, HeldCode], facts: Facts) -> dict[Output, HeldCode]:
    """The files that can link a carrier: for the machine of the first, and installed below site-packages as it is."""
    able = {
        output: code
        for output, code in holders.items()
        if code.movable and ".data/" not in installed_path(output.path)
    }
    machines = [_machine(output, facts) for output in able]
    return {output: code for output, code in able.items() if _machine(output, facts) == machines[0]}


def _machine(output: Output, facts: Facts) -> str:
    return facts.images[output.file.digest].machine


def _with_stand_ins(holders: Mapping[Output, HeldCode]) -> dict[Output, _Held]:
    """What can be shared, with stand-ins for containers that differ from another build's in names alone.

    Of those that are alike, the one that most files have is taken; of several, the first. That depends on nothing but
    the originals, so that merging in steps is merging at once.
    """
    alike: dict[str, list[HeldContainer]] = defaultdict(list)
    for code in holders.values():
        for held in code.movable:
            if held.naming and held.naming.masked:
                alike[held.naming.masked].append(held)
    chosen = {}
    for masked, found in alike.items():
        count = Counter(held.sha256 for held in found)
        chosen[masked] = max(found, key=lambda held: count[held.sha256])
    return {output: _held(code, chosen) for output, code in holders.items()}


def _held(code: HeldCode, chosen: Mapping[str, HeldContainer]) -> _Held:
    taken = {held: held for held in code.movable}
    why_own: dict[HeldContainer, str] = {}
    ids = set(code.ids)
    for held in code.movable:
        if held.naming is None:
            continue
        other = chosen.get(held.naming.masked)
        if other is None or other.naming is None:
            why_own[held] = held.naming.why
        elif other.sha256 == held.sha256:
            continue
        elif why := held.naming.obstacle(other.naming):
            why_own[held] = why
        elif other.naming.id in ids:
            why_own[held] = "would get names that the file has already"
        else:
            taken[held] = other
            ids.add(other.naming.id)
    return _Held(code, taken, why_own)


def _repeated(holders: Mapping[Output, _Held]) -> dict[str, tuple[Part, int]]:
    """The containers that are wanted more than once, by digest, in the order in which files have them; how often."""
    count: dict[str, int] = defaultdict(int)
    first: dict[str, Part] = {}
    for output, held in holders.items():
        for own, taken in held.taken.items():
            count[taken.sha256] += 1
            part = Part(output.file, own.container.offset, own.container.size, own.sha256)
            first.setdefault(own.sha256, part)
    return {digest: (part, count[digest]) for digest, part in first.items() if count[digest] > 1}


def _outsourced(
    output: Output, held: _Held, places: Mapping[str, int], path: str, soname: str, symbol: str
) -> Output:
    taken = {own: other for own, other in held.taken.items() if other.sha256 in places}
    if not taken:
        return output
    from wheelfuse.elf.outsource import Move

    moves = tuple(Move(own.container, places[other.sha256]) for own, other in taken.items())
    renamed = list(_renamed(taken))
    directory = posixpath.dirname(installed_path(output.path))
    runpath = posixpath.join("$ORIGIN", posixpath.relpath(posixpath.dirname(path), directory or "."))
    edits = tuple(edit for own, other in renamed for edit in own.edits(other))
    ids = tuple((own.id, other.id) for own, other in renamed)
    return replace(output, outsourcing=Outsourcing(path, soname, symbol, runpath, moves, ids, edits))


def _renamed(taken: Mapping[HeldContainer, HeldContainer]) -> Iterator[tuple[Naming, Naming]]:
    """What the names were, and what they become, where another build's container stands in."""
    for own, other in taken.items():
        if own.sha256 != other.sha256 and own.naming and other.naming:
            yield own.naming, other.naming


def _row(output: Output, code: HeldCode, held: _Held | None, shared: Holding[str]) -> ModuleShare:
    taken = {own: other for own, other in held.taken.items() if other.sha256 in shared} if held else {}
    renamed = list(_renamed(taken))
    size = sum(own.container.size for own in taken)
    total = code.fixed_bytes + sum(own.container.size for own in code.movable)
    why = {why for own, why in held.why_own.items() if own not in taken} if held else set()
    return ModuleShare(
        path=output.path,
        containers=len(taken),
        shared_bytes=size,
        left_bytes=total - size,
        architectures=code.architectures,
        why_left=(*code.why_fixed, *sorted(why)),
        renamed_bytes=sum(own.size for own, _ in renamed),
        ids=tuple((own.id, other.id) for own, other in renamed),
    )
