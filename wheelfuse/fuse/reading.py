"""Reads the inputs of a merge: every member is held against RECORD, and every ELF file is looked into.

Here, in :mod:`wheelfuse.fuse.survey` and in :mod:`wheelfuse.fuse.execute` bytes of wheels are read; all else works
on values.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from wheelfuse.abi.modules import parse_module
from wheelfuse.content import Content, pieces, reading, spooled
from wheelfuse.elf.fatbin import SECTIONS, read_device_code
from wheelfuse.elf.image import MAGIC, Image, read_image
from wheelfuse.elf.module_ids import FileNaming, read_naming
from wheelfuse.elf.outsource import immovable
from wheelfuse.elf.recipe import Recipe
from wheelfuse.elf.strip import strip_debug
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.fuse.model import File, HeldCode, HeldContainer, Inline, Original, Restoration, Stored
from wheelfuse.fuse.originals import Source, Verified, sketches
from wheelfuse.fuse.provenance import FILE, Origin, Provenance
from wheelfuse.wheel.archive import Archive, Member
from wheelfuse.wheel.record import encode_digest
from wheelfuse.wheel.wheel import Wheel, read_wheel
from wheelfuse.workers import threads

Archives = Sequence[Archive]
"""The open inputs, by their numbers."""

Progress = Callable[[int, int], None]
"""Called with the bytes done so far and those to do in all."""

_ROCM = ".hip_fatbin"
_BATCH = 1 << 20
"""Small members are verified several at a time, up to about this many bytes."""


@dataclass(frozen=True)
class Look:
    """What to look for in ELF files, beside what every command must know of them.

    *device_code*: GPU code, and what of it may be moved; *names*: also how its names may change. *debug*: what they
    are without that which only debuggers read; *build_id*: but only where a build ID leads a debugger to what was
    cut out. *deep*: what images tell of the bytes that are loaded; set for files that differ between the wheels.
    """

    device_code: bool = False
    names: bool = False
    debug: bool = False
    build_id: bool = False
    deep: bool = False


def read_sources(
    archives: Archives,
    progress: Progress | None = None,
    check: Callable[[Iterable[Original]], object] = tuple,
    look: Look = Look(),
) -> tuple[Source, ...]:
    """Read and verify every wheel.

    *check* gets the originals in them, as yet without files, and may refuse them before the long part begins.

    Raises:
        InvalidInput: with every problem found in any of them.
    """
    problems: list[Problem] = []
    readers = []
    compared = _compared_in_full(archives)
    for archive in archives:
        try:
            readers.append(_Reader(archive, look, compared))
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    check(
        original for number, reader in enumerate(readers) for original in sketches(reader.source(number, ""))
    )
    total, done = sum(reader.size for reader in readers), 0
    with ThreadPoolExecutor(threads()) as pool:
        digests = [pool.submit(archive.sha256) for archive in archives]
        for found in _in_order(pool, itertools.chain.from_iterable(reader.batches() for reader in readers)):
            problems += found.problems
            done += found.size
            if progress:
                progress(done, total)
    if problems:
        raise InvalidInput(problems)
    return tuple(
        reader.source(number, digest.result())
        for number, (reader, digest) in enumerate(zip(readers, digests, strict=True))
    )


def _compared_in_full(archives: Archives) -> frozenset[str]:
    """The paths to read deep: not all wheels have the same there, as their directories tell by size and checksum."""
    seen: dict[str, set[tuple[int, int]]] = {}
    for archive in archives:
        for member in archive.members:
            seen.setdefault(member.path, set()).add((member.crc, member.size))
    return frozenset(path for path, found in seen.items() if len(found) > 1 and compared_in_full(path))


def compared_in_full(path: str) -> bool:
    """Whether ELF files that differ at this path may still be one for all: not if each CPython has its own."""
    module = parse_module(path)
    return module is None or module.target is None


def _in_order(pool: ThreadPoolExecutor, batches: Iterable[_Batch]) -> Iterator[_Batch]:
    """Run the batches, as many at once as keep the threads busy, and give them back in order."""
    running: list[Any] = []
    for batch in batches:
        running.append(pool.submit(batch.run))
        if len(running) > 32:
            yield running.pop(0).result()
    for future in running:
        yield future.result()


class _Reader:
    """One wheel while it is read."""

    def __init__(self, archive: Archive, look: Look, compared: frozenset[str]) -> None:
        self.archive = archive
        self.look = look
        self.compared = compared
        self.wheel = read_wheel(archive)
        self.provenance = _provenance(archive, self.wheel)
        placed = self.provenance.placed if self.provenance else ()
        self.restorations = {
            member.path: Restoration(member.undo, member.recipe, self.wheel.members.get(member.carrier))
            for member in placed
            if member.edited
        }
        self.verified: dict[str, Verified] = {}
        self.undone: dict[str, Verified] = {}
        self.size = sum(member.size for member in self.wheel.members.values())

    def batches(self) -> Iterator[_Batch]:
        """The members, large ones first and alone, so that the threads end together."""
        batch = _Batch(self)
        for member in sorted(self.wheel.members.values(), key=lambda member: (-member.size, member.path)):
            if batch.members and batch.size + member.size > _BATCH:
                yield batch
                batch = _Batch(self)
            batch.members.append(member)
            batch.size += member.size
        yield batch

    def source(self, number: int, sha256: str) -> Source:
        return Source(
            number, str(self.archive.path), self.wheel, sha256, self.archive.size, self.verified, self.undone,
            self.provenance, Origin.from_extra(self.archive.extras.get(self.wheel.record_path, b"")),
        )  # fmt: skip


class _Batch:
    """Members of one wheel that one thread verifies."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        self.members: list[Member] = []
        self.problems: list[Problem] = []
        self.size = 0

    def run(self) -> _Batch:
        for member in self.members:
            try:
                self._verify(member)
            except InvalidInput as error:
                name = self.reader.archive.name
                self.problems += (
                    Problem(p.what, p.wheel or name, p.member or member.path, p.todo) for p in error.problems
                )
        return self

    def _verify(self, member: Member) -> None:
        """Hold a member against RECORD; an edited one is also looked at as it was before the edit."""
        entry = self.reader.wheel.record.get(member.path)
        algorithm = entry.algorithm if entry and entry.digest else "sha256"
        hashes = {name: hashlib.new(name) for name in {algorithm, "sha256"}}
        restoration = self.reader.restorations.get(member.path)
        with self.reader.archive.content_beginning(member, MAGIC, list(hashes.values())) as content:
            if entry and entry.digest and encode_digest(hashes[algorithm].digest()) != entry.digest:
                what = f"its {algorithm} digest is not the one in RECORD"
                raise InvalidInput(Problem(what, todo="Build or download the wheel again."))
            digest = encode_digest(hashes["sha256"].digest())
            look = self.reader.look
            if member.path in self.reader.compared:
                look = replace(look, deep=True)
            self.reader.verified[member.path] = _verified(digest, member.size, content, look)
            if restoration:
                if content is None:
                    raise InvalidInput(Problem("provenance tells of an edit, but it is no ELF file"))
                self.reader.undone[member.path] = _before(self.reader.archive, content, restoration, look)


def _verified(digest: str, size: int, content: Content | None, look: Look) -> Verified:
    if content is None:
        return Verified(digest, size)
    image = read_image(content, deep=look.deep)
    found = Verified(
        digest, size, image, held_code(content, image, names=look.names) if look.device_code else None
    )
    if not look.debug or not image.size_of_debug:
        return found
    try:
        stripped = strip_debug(content)
    except InvalidInput as error:
        return replace(found, unstripped="; ".join(problem.what for problem in error.problems))
    if stripped is None:
        return found
    if look.build_id and not stripped.build_id:
        why = "no build ID would lead a debugger to what was cut out (link with -Wl,--build-id)"
        return replace(found, unstripped=why)
    rest = _hashed(stripped.content.chunks(content), stripped.content.size, replace(look, debug=False))
    return replace(found, rest=rest)


def _before(archive: Archive, content: Content, restoration: Restoration, look: Look) -> Verified:
    chunks = restored(archive, pieces(content), len(content), restoration)
    return _hashed(chunks, restoration.size, look)


def _hashed(chunks: Iterable[bytes], size: int, look: Look) -> Verified:
    """What there is to know of an ELF file that comes in pieces, about *size* bytes in all."""
    digest, length = hashlib.sha256(), 0

    def hashed() -> Iterator[bytes]:
        nonlocal length
        for chunk in chunks:
            digest.update(chunk)
            length += len(chunk)
            yield chunk

    with spooled(hashed(), size) as content:
        return _verified(encode_digest(digest.digest()), length, content, look)


def held_code(content: Content, image: Image, *, names: bool = False) -> HeldCode | None:
    """The GPU code of an ELF file, what of it may be moved, and with *names* what they are; None if it has none."""
    if rocm := sum(section.size for section in image.sections if section.name == _ROCM):
        return HeldCode((), rocm, (f"ROCm's code ({_ROCM}) is not shared",), ())
    try:
        code = read_device_code(content, image)
    except InvalidInput as error:
        size = sum(section.size for section in image.sections if section.name in SECTIONS)
        return HeldCode((), size, tuple(problem.what for problem in error.problems), ())
    if not code:
        return None
    try:
        obstacles = immovable(content, code.containers)
        reasons = tuple(sorted(set(obstacles.values())))
        naming = read_naming(content, code.containers) if names else FileNaming()
    except InvalidInput as error:
        obstacles = dict.fromkeys(code.containers, "")
        reasons = tuple(problem.what for problem in error.problems)
        naming = FileNaming()
    held = tuple(
        HeldContainer(
            item,
            hashlib.sha256(content[item.offset : item.offset + item.size]).hexdigest(),
            naming.containers.get(item),
        )
        for item in code.containers
        if item not in obstacles
    )
    fixed = sum(container.size for container in obstacles)
    return HeldCode(held, fixed, reasons, code.architectures, naming.ids)


def _provenance(archive: Archive, wheel: Wheel) -> Provenance | None:
    path = f"{wheel.dist_info}/{FILE}"
    if path not in wheel.members:
        return None
    try:
        provenance = Provenance.from_bytes(archive.read(wheel.members[path]))
    except InvalidInput as error:
        raise InvalidInput(archive.problem(problem.what, path) for problem in error.problems) from error
    todo = "Take the wheel that wheelfuse wrote, unchanged."
    if wrong := tuple(provenance.contradictions(wheel.dist_info, wheel.members)):
        raise InvalidInput(archive.problem(what, path, todo) for what in wrong)
    return provenance


def chunks_of(archives: Archives, file: File) -> Iterable[bytes]:
    """The content of a file in pieces: edits of wheelfuse are taken back, and what is to be cut out is."""
    source = file.source
    if isinstance(source, Inline):
        return (source.content,)
    chunks = as_built(archives, source)
    return _stripped(chunks, source.size) if source.stripped else chunks


def as_built(archives: Archives, source: Stored) -> Iterable[bytes]:
    """The content that left the build, in pieces: edits of wheelfuse are taken back, and nothing is cut out."""
    archive = archives[source.archive]
    chunks = archive.chunks(source.member)
    if source.restoration is None:
        return chunks
    return restored(archive, chunks, source.member.size, source.restoration)


def _stripped(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    with spooled(chunks, size) as content:
        stripped = strip_debug(content)
        if stripped is None:
            raise InvalidInput(Problem("changed while it was read", todo="Run again."))
        yield from stripped.content.chunks(content)


def restored(
    archive: Archive, chunks: Iterable[bytes], size: int, restoration: Restoration
) -> Iterator[bytes]:
    """What a member of *size* bytes was before wheelfuse edited it, in pieces."""
    if restoration.recipe and restoration.carrier:
        chunks = _refilled(archive, chunks, size, restoration.recipe, restoration.carrier)
    return restoration.undo.apply_stream(chunks) if restoration.undo else iter(chunks)


def _refilled(
    archive: Archive, chunks: Iterable[bytes], size: int, recipe: Recipe, carrier: Member
) -> Iterator[bytes]:
    """The file with its GPU code back in its place."""
    held = archive.mapped(carrier)
    with spooled(chunks, size) as content:
        yield from recipe.apply(reading(content), reading(held))
