"""Reads the inputs of a merge: every member is verified, ELF files are looked into, differences looked at closely.

Here and in :mod:`wheelfuse.fuse.execute` bytes of wheels are read; everything between works on values.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from typing import BinaryIO, cast

from wheelfuse.elf.image import MAGIC, Image, read_image
from wheelfuse.elf.patch import Undo
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.fuse.model import Facts, File, Inline, Original, Stored
from wheelfuse.fuse.modules import parse_module
from wheelfuse.fuse.options import MergeOptions, Rule
from wheelfuse.fuse.originals import Source, Verified, assign_targets, check_same, originals_of
from wheelfuse.fuse.provenance import FILE, Origin, Provenance
from wheelfuse.wheel.archive import IN_MEMORY, Archive, Member
from wheelfuse.wheel.record import encode_digest
from wheelfuse.wheel.wheel import Wheel, read_wheel

Progress = Callable[[int, int], None]
"""Called with the bytes verified so far and those to verify in all."""

TEXT_LIMIT = 4 << 20
"""Differing files above this size (bytes) are compared by digest only."""

_ORIGIN_FIELD = 0x6677  # 'wf'; not among the registered header ids of APPNOTE 4.5.2


@dataclass(frozen=True)
class Survey:
    """All that a plan needs to know: the originals, the facts about their contents, and what is worth a warning."""

    originals: tuple[Original, ...]
    facts: Facts
    warnings: tuple[Problem, ...] = ()
    remembered: MergeOptions = field(default_factory=MergeOptions)
    """What the user decided when the fused inputs were made."""


def survey(archives: Sequence[Archive], progress: Progress | None = None) -> Survey:
    """Read and verify every input.

    Raises:
        InvalidInput: with every problem found in any of them.
        ConflictError: the wheels are not of one release, or two are for one CPython.
    """
    wheels = tuple(_gather(read_wheel, archives))
    sources = _verify(archives, wheels, progress)
    originals = tuple(original for source in sources for original in originals_of(source))
    check_same(originals)
    originals = assign_targets(originals)
    facts = _look_closer(archives, originals, _images(sources))
    warnings = [warning for wheel in wheels for warning in wheel.warnings]
    warnings += [
        Problem("fused by another tool: what each CPython had is guessed from the names", str(original.name))
        for original in originals
        if original.guessed
    ]
    return Survey(originals, facts, tuple(warnings), _remembered(sources))


def _remembered(sources: Iterable[Source]) -> MergeOptions:
    provenances = [source.provenance for source in sources if source.provenance]
    return MergeOptions(
        resolve=tuple(dict.fromkeys(Rule.parse(rule) for item in provenances for rule in item.resolve)),
        allow_missing=tuple(dict.fromkeys(hole for item in provenances for hole in item.holes)),
    )


def read_source(archive: Archive) -> Source:
    """Read and verify one wheel.

    Raises:
        InvalidInput: with every problem found in it.
    """
    return _verify((archive,), (read_wheel(archive),), None)[0]


def _gather(read: Callable[[Archive], Wheel], archives: Iterable[Archive]) -> Iterator[Wheel]:
    """Read them all; the problems of one do not hide those of another."""
    problems: list[Problem] = []
    for archive in archives:
        try:
            yield read(archive)
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)


def _verify(
    archives: Sequence[Archive], wheels: Sequence[Wheel], progress: Progress | None
) -> tuple[Source, ...]:
    provenances = tuple(_provenance(archive, wheel) for archive, wheel in zip(archives, wheels, strict=True))
    undos = tuple(
        {placed.path: placed.undo for placed in provenance.placed if placed.undo} if provenance else {}
        for provenance in provenances
    )
    jobs = [
        (number, member)
        for number, wheel in enumerate(wheels)
        for member in sorted(wheel.members.values(), key=lambda member: -member.size)
    ]
    total = sum(member.size for _, member in jobs)
    done = 0
    problems: list[Problem] = []
    verified: list[dict[str, Verified]] = [{} for _ in wheels]
    undone: list[dict[str, Verified]] = [{} for _ in wheels]

    def work(job: tuple[int, Member]) -> tuple[Verified, Verified | None] | InvalidInput:
        number, member = job
        try:
            return _verify_member(archives[number], wheels[number], member, undos[number].get(member.path))
        except InvalidInput as error:
            return error

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        digests = [pool.submit(archive.sha256) for archive in archives]
        for (number, member), result in zip(jobs, pool.map(work, jobs), strict=True):
            if isinstance(result, InvalidInput):
                problems += result.problems
                continue
            verified[number][member.path] = result[0]
            if result[1]:
                undone[number][member.path] = result[1]
            done += member.size
            if progress:
                progress(done, total)
    if problems:
        raise InvalidInput(problems)
    return tuple(
        Source(
            number, wheel, digests[number].result(), archive.size, verified[number], undone[number],
            provenances[number], _origin(archive, wheel),
        )
        for number, (archive, wheel) in enumerate(zip(archives, wheels, strict=True))
    )  # fmt: skip


def _verify_member(
    archive: Archive, wheel: Wheel, member: Member, undo: Undo | None
) -> tuple[Verified, Verified | None]:
    """Hold a member against RECORD; an edited one is also looked at as it was before the edit."""
    entry = wheel.record.get(member.path)
    algorithm = entry.algorithm if entry and entry.digest else "sha256"
    hashes = {name: hashlib.new(name) for name in {algorithm, "sha256"}}
    try:
        with _spooled(archive, member, hashes) as data:
            if entry and entry.digest and encode_digest(hashes[algorithm].digest()) != entry.digest:
                raise InvalidInput(
                    Problem(
                        f"its {algorithm} digest is not the one in RECORD",
                        todo="Build or download the wheel again.",
                    )
                )
            digest = encode_digest(hashes["sha256"].digest())
            here = Verified(digest, member.size, _image(data.content))
            if undo is None:
                return here, None
            assert data.content is not None, "an edited member is an ELF file"
            before = undo.apply(data.content)
            digest = encode_digest(hashlib.sha256(before).digest())
            return here, Verified(digest, len(before), _image(before))
    except InvalidInput as error:
        raise InvalidInput(
            Problem(p.what, p.wheel or archive.name, p.member or member.path, p.todo) for p in error.problems
        ) from error


class _spooled:
    """Reads a member once, feeding the hashes; keeps the content only if it is an ELF file.

    Small files stay in memory, large ones go to an unlinked temporary file, so that memory stays flat.
    """

    def __init__(self, archive: Archive, member: Member, hashes: dict[str, hashlib._Hash]) -> None:
        self.content: bytes | mmap | None = None
        self._archive, self._member, self._hashes = archive, member, hashes
        self._file: BinaryIO | None = None

    def __enter__(self) -> _spooled:
        chunks = self._hashed()
        first = next(chunks, b"")
        while len(first) < len(MAGIC) and (more := next(chunks, b"")):
            first += more
        if not first.startswith(MAGIC):
            for _ in chunks:
                pass
        elif self._member.size <= IN_MEMORY:
            self.content = b"".join((first, *chunks))
        else:
            self._file = cast(BinaryIO, tempfile.TemporaryFile())
            self._file.write(first)
            for chunk in chunks:
                self._file.write(chunk)
            self._file.flush()
            self.content = mmap(self._file.fileno(), 0, access=ACCESS_READ)
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self.content, mmap):
            self.content.close()
        if self._file:
            self._file.close()

    def _hashed(self) -> Iterator[bytes]:
        for chunk in self._archive.chunks(self._member):
            for digest in self._hashes.values():
                digest.update(chunk)
            yield chunk


def _image(content: bytes | mmap | None) -> Image | None:
    return read_image(content) if content is not None else None


def _provenance(archive: Archive, wheel: Wheel) -> Provenance | None:
    path = f"{wheel.dist_info}/{FILE}"
    if path not in wheel.members:
        return None
    try:
        return Provenance.from_bytes(archive.read(wheel.members[path]))
    except InvalidInput as error:
        raise InvalidInput(archive.problem(problem.what, path) for problem in error.problems) from error


def _origin(archive: Archive, wheel: Wheel) -> Origin | None:
    extra, position = archive.extras.get(wheel.record_path, b""), 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind == _ORIGIN_FIELD:
            return Origin.from_bytes(extra[position + 4 : position + 4 + length])
        position += 4 + length
    return None


def origin_field(origin: Origin) -> bytes:
    """The extra field of a zip header that holds an origin; empty if it would not fit."""
    content = origin.to_bytes()
    return struct.pack("<HH", _ORIGIN_FIELD, len(content)) + content if len(content) < 0xF000 else b""


def _images(sources: Iterable[Source]) -> dict[str, Image]:
    return {
        found.digest: found.image
        for source in sources
        for looked_at in (source.verified, source.undone)
        for found in looked_at.values()
        if found.image
    }


def content_of(archives: Sequence[Archive], file: File) -> bytes:
    """The whole content of a file, an edit of wheelfuse taken back."""
    if isinstance(file.source, Inline):
        return file.source.content
    content = archives[file.source.archive].read(file.source.member)
    return file.source.undo.apply(content) if file.source.undo else content


def _look_closer(
    archives: Sequence[Archive], originals: Sequence[Original], images: dict[str, Image]
) -> Facts:
    """Facts that only differing files need: full digests of ELF files, texts, listings of archives."""
    deep, contents, listings = dict(images), {}, {}
    for path, file in _differing(originals):
        if file.digest in images:
            module = parse_module(path)
            if (module is None or module.target is None) and not deep[file.digest].loaded_digest:
                deep[file.digest] = _deep_image(archives, file)
        elif file.size <= TEXT_LIMIT and file.digest not in contents:
            contents[file.digest] = content_of(archives, file)
            if listing := _listing(io.BytesIO(contents[file.digest])):
                listings[file.digest] = listing
        elif file.digest not in listings and isinstance(file.source, Stored):
            with archives[file.source.archive].view(file.source.member) as data:
                if listing := _listing(cast(BinaryIO, io.BytesIO(data) if isinstance(data, bytes) else data)):
                    listings[file.digest] = listing
    return Facts(deep, contents, listings)


def _deep_image(archives: Sequence[Archive], file: File) -> Image:
    if isinstance(file.source, Stored) and file.source.undo is None:
        with archives[file.source.archive].view(file.source.member) as data:
            return read_image(data, deep=True)
    return read_image(content_of(archives, file), deep=True)


def _differing(originals: Sequence[Original]) -> Iterator[tuple[str, File]]:
    """The files at paths where not every original has the same content."""
    digests: dict[str, set[str]] = {}
    for original in originals:
        for path, file in original.files.items():
            digests.setdefault(path, set()).add(file.digest)
    for original in originals:
        made = f"{original.dist_info}/WHEEL"  # written anew for the fused wheel, so each one's text is kept
        for path, file in original.files.items():
            if len(digests[path]) > 1 or path == made:
                yield path, file


def _listing(stream: BinaryIO) -> tuple[tuple[str, int, int], ...]:
    """Names, checksums and sizes of the members of a zip-like archive (``.npz``, ``.jar``); empty for other files."""
    if stream.read(4) != b"PK\3\4":
        return ()
    try:
        with zipfile.ZipFile(stream) as archive:
            return tuple(sorted((info.filename, info.CRC, info.file_size) for info in archive.infolist()))
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError, struct.error):
        return ()  # no archive after all: compared as plain data
