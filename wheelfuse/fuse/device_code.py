"""GPU code that several files of the fused wheel hold moves into one carrier, which all of them link. Pure.

GPU code does not depend on the CPython, so the builds of one module for several CPythons hold the same containers.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from wheelfuse.abi.modules import installed_path
from wheelfuse.elf.carrier import Carrier, carrier_name, lay_out, symbol_name
from wheelfuse.elf.outsource import Move
from wheelfuse.fuse.model import Facts, File, HeldCode, Output, Outsourcing

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
    """What became of the GPU code of one file: containers that moved, their bytes, and the bytes that stay and why."""

    path: str
    containers: int
    shared_bytes: int
    left_bytes: int
    architectures: tuple[str, ...]
    why_left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sharing:
    """The GPU code of a fused wheel: the carrier (path empty: none), what is in it, and what each file has of it.

    *saved* are the bytes that are not repeated on disk; *possible* those that would not be, had it been asked for.
    """

    path: str = ""
    carrier: Carrier | None = None
    parts: tuple[Part, ...] = ()
    modules: tuple[ModuleShare, ...] = ()
    saved: int = 0
    possible: int = 0


def share(
    outputs: Sequence[Output], facts: Facts, distribution: str, asked: bool | None
) -> tuple[tuple[Output, ...], Sharing]:
    """The outputs, with the edits that sharing needs, and what is shared.

    *asked*: True does it where it saves anything to speak of, False never, None where it saves a lot.
    """
    holders = {output: code for output in outputs if (code := facts.device_code.get(output.file.digest))}
    sharers = _sharers(holders, facts)
    repeated = _repeated(sharers)
    saved = sum(part.size * (count - 1) for part, count in repeated.values())
    if asked is False or saved < (WORTH_ASKING if asked else WORTH_IT):
        rows = tuple(_row(output, code, frozenset()) for output, code in holders.items())
        return tuple(outputs), Sharing(modules=rows, possible=saved)
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
    rows = tuple(
        _row(output, code, places.keys() if output in sharers else ()) for output, code in holders.items()
    )
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


def _repeated(holders: Mapping[Output, HeldCode]) -> dict[str, tuple[Part, int]]:
    """The containers that occur more than once, by digest, in the order in which files have them; how often they do."""
    count: dict[str, int] = defaultdict(int)
    first: dict[str, Part] = {}
    for output, code in holders.items():
        for held in code.movable:
            count[held.sha256] += 1
            part = Part(output.file, held.container.offset, held.container.size, held.sha256)
            first.setdefault(held.sha256, part)
    return {digest: (part, count[digest]) for digest, part in first.items() if count[digest] > 1}


def _outsourced(
    output: Output, code: HeldCode, places: Mapping[str, int], path: str, soname: str, symbol: str
) -> Output:
    moves = tuple(Move(held.container, places[held.sha256]) for held in code.movable if held.sha256 in places)
    if not moves:
        return output
    directory = posixpath.dirname(installed_path(output.path))
    runpath = posixpath.join("$ORIGIN", posixpath.relpath(posixpath.dirname(path), directory or "."))
    return replace(output, outsourcing=Outsourcing(path, soname, symbol, runpath, moves))


def _row(output: Output, code: HeldCode, shared: Container[str]) -> ModuleShare:
    moved = [held.container for held in code.movable if held.sha256 in shared]
    size = sum(container.size for container in moved)
    total = code.fixed_bytes + sum(held.container.size for held in code.movable)
    return ModuleShare(output.path, len(moved), size, total - size, code.architectures, code.why_fixed)
