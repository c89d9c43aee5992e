"""Reads the inputs of a merge: every member is held against RECORD, and every ELF file is looked into.

Here and in `survey`, `contents`, `held_code` and `execute` bytes of wheels are read; all else works on values.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import islice

from wheelfuse.abi.modules import parse_module
from wheelfuse.content import Content, pieces
from wheelfuse.elf.image import MAGIC
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.fuse.contents import Archives, restored
from wheelfuse.fuse.looking import Look, hashed, looked_at
from wheelfuse.fuse.model import Original, Restoration
from wheelfuse.fuse.options import Rule, Rules
from wheelfuse.fuse.originals import Source, Verified, sketches
from wheelfuse.fuse.provenance import FILE, Origin, Provenance
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.batches import SIZE, batches
from wheelfuse.wheel.directory import Member
from wheelfuse.wheel.limits import MEMBERS
from wheelfuse.wheel.record import encode_digest
from wheelfuse.wheel.wheel import Wheel, read_wheel
from wheelfuse.workers import threads

Progress = Callable[[int, int], None]
"""Called with the bytes done so far and those to do in all."""

_NOTHING_MORE = Look()
_SHOWN = 100
"""Contradictions of one provenance that are told."""
_TOGETHER = 16
"""How many wheels' files may be told of in one: large wheels are for few CPythons, and have far from all the files
that a wheel may have."""
_CHEAPER = 3
"""How many times as long as hashing a byte of the wheel it takes to inflate, verify and look into one of a member."""


def read_sources(
    archives: Archives,
    progress: Progress | None = None,
    check: Callable[[Iterable[Original]], object] = tuple,
    look: Look = _NOTHING_MORE,
    rules: Sequence[Rule] = (),
) -> tuple[Source, ...]:
    """Read and verify every wheel.

    *check* gets the originals in them, as yet without files, and may refuse them before the long part begins.
    Where *rules* settle what differs, nobody looks at how it does.

    Raises:
        InvalidInput: with every problem found in any of them.
    """
    problems: list[Problem] = []
    readers: list[_Reader] = []
    compared = _compared_in_full(archives, rules)
    for archive in archives:
        try:
            readers.append(_Reader(archive, look, compared))
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    check(original for number, reader in enumerate(readers) for original in sketches(reader.source(number)))
    twins = _Twins(readers)
    portions = [
        _Portion(reader, members, twins)
        for reader in readers
        for members in batches(reader.wheel.members.values())
    ]
    total, done = sum(reader.size for reader in readers), 0
    # Those that take longest begin first, so that all threads have something to do until the end.
    tasks: list[_Task] = [*portions, *map(_FileDigest, readers)]
    tasks.sort(key=lambda task: -task.cost)
    if progress:
        progress(0, total)
    with ThreadPoolExecutor(threads()) as pool:
        for task in _as_they_end(pool, tasks):
            done += task.size
            if progress:
                progress(done, total)
        problems = [problem for portion in portions for problem in portion.problems]
        if not problems:
            problems = twins.settle()
    if problems:
        raise InvalidInput(problems)
    return tuple(reader.source(number) for number, reader in enumerate(readers))


def _compared_in_full(archives: Archives, rules: Sequence[Rule]) -> frozenset[str]:
    """The paths to read deep: not all wheels have the same there, as their directories tell by size and checksum."""
    first: dict[str, Member] = {}
    differing = set()
    for archive in archives:
        for member in archive.members:
            known = first.setdefault(member.path, member)
            if (known.crc, known.size) != (member.crc, member.size):
                differing.add(member.path)
    by_path = Rules(rules)
    return frozenset(path for path in differing if compared_in_full(path, by_path))


def compared_in_full(path: str, rules: Rules) -> bool:
    """Whether ELF files that differ at this path may still be one for all: not if each CPython has its own, and
    nobody asks if the user has chosen one."""
    module = parse_module(path)
    if module and module.target:
        return False
    return next((rule.strategy == "rename" for rule in rules.matching(path)), True)


def _as_they_end(pool: ThreadPoolExecutor, tasks: Iterable[_Task]) -> Iterator[_Task]:
    """Run the tasks, as many at once as keep the threads busy, and give them back as they end."""
    running: set[Future[_Task]] = set()
    for task in tasks:
        if len(running) > 4 * threads():
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in ended)
        running.add(pool.submit(task.run))
    for future in running:
        yield future.result()


class _Reader:
    """One wheel while it is read."""

    def __init__(self, archive: Archive, look: Look, compared: frozenset[str]) -> None:
        self.archive = archive
        self.look = look
        self.compared = compared
        self.wheel = read_wheel(archive)
        self.provenance = read_provenance(archive, self.wheel)
        placed = self.provenance.placed if self.provenance else ()
        self.restorations = {
            member.path: Restoration(member.undo, member.recipe, self.wheel.members.get(member.carrier))
            for member in placed
            if member.edited
        }
        self.verified: dict[str, Verified] = {}
        self.undone: dict[str, Verified] = {}
        self.size = sum(member.size for member in self.wheel.members.values())
        self.sha256 = ""

    def source(self, number: int) -> Source:
        """What was read so far, of the input of this number."""
        return Source(
            number, str(self.archive.path), self.wheel, self.sha256, self.archive.size, self.verified, self.undone,
            self.provenance, Origin.from_extra(self.archive.extras.get(self.wheel.record_path, b"")),
        )  # fmt: skip

    def verify(self, member: Member, *, closely: bool = True) -> None:
        """Hold a member against RECORD, and look into it if asked to; an edited one also as it was before the edit.

        Raises:
            InvalidInput: it is damaged.
        """
        entry = self.wheel.record.get(member.path)
        algorithm = entry.algorithm if entry and entry.digest else "sha256"
        hashes = {name: hashlib.new(name) for name in {algorithm, "sha256"}}
        magic = MAGIC if closely else None
        with self.archive.content_beginning(member, magic, list(hashes.values())) as content:
            if entry and entry.digest and encode_digest(hashes[algorithm].digest()) != entry.digest:
                what = f"its {algorithm} digest is not the one in RECORD"
                raise InvalidInput(Problem(what, todo="Build or download the wheel again."))
            digest = sys.intern(encode_digest(hashes["sha256"].digest()))  # RECORD has it already
            look = replace(self.look, deep=True) if member.path in self.compared else self.look
            self.verified[member.path] = found = looked_at(digest, member.size, content, look)
            if look.keep and content is not None and found.device_code:
                self.archive.keep(member, content)
            if restoration := self.restorations.get(member.path):
                self.undone[member.path] = self._before(content, restoration, look)

    def _before(self, content: Content | None, restoration: Restoration, look: Look) -> Verified:
        if content is None:
            raise InvalidInput(Problem("provenance tells of an edit, but it is no ELF file"))
        chunks = restored(self.archive, pieces(content), len(content), restoration)
        return hashed(chunks, restoration.size, look)


class _Portion:
    """Members of one wheel that one thread verifies."""

    def __init__(self, reader: _Reader, members: Sequence[Member], twins: _Twins) -> None:
        self.reader = reader
        self.members = members
        self.twins = twins
        self.problems: list[Problem] = []
        self.size = sum(member.size for member in members)
        self.cost = _CHEAPER * self.size

    def run(self) -> _Portion:
        for member in self.members:
            try:
                self.reader.verify(member, closely=self.twins.is_first(self.reader, member))
            except InvalidInput as error:
                self.problems += _named(error, self.reader, member)
        return self


class _FileDigest:
    """The digest of a whole wheel, as a task among the others."""

    size = 0

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        self.cost = reader.archive.size

    def run(self) -> _FileDigest:
        self.reader.sha256 = self.reader.archive.sha256()
        return self


_Task = _Portion | _FileDigest


class _Twins:
    """Large members that seem equal, by size and checksum: all are verified, but one of each is looked into."""

    def __init__(self, readers: Iterable[_Reader]) -> None:
        self._first: dict[tuple[int, int], tuple[_Reader, Member]] = {}
        self._others: list[tuple[_Reader, Member]] = []
        for reader in readers:
            for member in reader.wheel.members.values():
                if member.size <= SIZE or member.path in reader.restorations:
                    continue
                first = self._first.setdefault((member.size, member.crc), (reader, member))
                if first != (reader, member):
                    self._others.append((reader, member))

    def is_first(self, reader: _Reader, member: Member) -> bool:
        """Whether to look into a member."""
        key = member.size, member.crc
        return (
            self._first.get(key, (reader, member)) == (reader, member) or member.path in reader.restorations
        )

    def settle(self) -> list[Problem]:
        """What was seen in the first holds for the others; one that turns out to be different is looked into."""
        problems: list[Problem] = []
        for reader, member in self._others:
            first, looked_into = self._first[member.size, member.crc]
            seen = first.verified[looked_into.path]
            if seen.digest == reader.verified[member.path].digest:
                reader.verified[member.path] = seen
                continue
            try:
                reader.verify(member)
            except InvalidInput as error:
                problems += _named(error, reader, member)
        return problems


def _named(error: InvalidInput, reader: _Reader, member: Member) -> Iterator[Problem]:
    """The problems, with the wheel and the member that they are about."""
    for problem in error.problems:
        yield Problem(
            problem.what, problem.wheel or reader.archive.name, problem.member or member.path, problem.todo
        )


def read_provenance(archive: Archive, wheel: Wheel) -> Provenance | None:
    """What a fused wheel tells of the originals in it; None if wheelfuse did not fuse it.

    Raises:
        InvalidInput: it cannot be true, or what it brings back is out of proportion to the wheel.
    """
    path = f"{wheel.dist_info}/{FILE}"
    if path not in wheel.members:
        return None
    try:
        provenance = Provenance.from_bytes(archive.read(wheel.members[path]))
    except InvalidInput as error:
        raise InvalidInput(archive.problem(p.what, path, p.todo) for p in error.problems) from error
    todo = "Take the wheel that wheelfuse wrote, unchanged."
    if wrong := tuple(islice(provenance.contradictions(wheel.dist_info, wheel.members), _SHOWN)):
        raise InvalidInput(archive.problem(what, path, todo) for what in wrong)
    for what, todo in _out_of_proportion(provenance, archive, wheel):
        raise InvalidInput(archive.problem(f"what it brings back {what}", path, todo))
    return provenance


def _out_of_proportion(provenance: Provenance, archive: Archive, wheel: Wheel) -> Iterator[tuple[str, str]]:
    """What is too much for a wheel of this size, and what to do about it."""
    limits = archive.limits
    sizes = [placed.recipe.size for placed in provenance.placed if placed.recipe]
    too_large = filter(None, (limits.too_large(size, archive.size) for size in sizes))
    too_many = filter(None, (limits.too_many(len(item.restore)) for item in provenance.inputs))
    yield from ((f"has {what}", todo) for what, todo in (*too_large, *too_many))
    files, size = provenance.volume(wheel.members)
    if found := limits.too_dense([max(size, sum(sizes))], archive.size):
        yield found
    if files > _TOGETHER * limits.members:
        what = f"has {files} files in {len(provenance.inputs)} wheels, more than {_TOGETHER} wheels may have"
        yield what, f"If that is what the project means to publish: --{MEMBERS} {-(-files // _TOGETHER)}."
