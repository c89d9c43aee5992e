"""A wheel: its name, its files, and what its ``.dist-info`` says, all held against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from packaging.utils import canonicalize_name, canonicalize_version

from wheelfuse.errors import InvalidInput, Problem, told
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.directory import Member
from wheelfuse.wheel.installing import disagreements, parse_scripts, symlink_escapes
from wheelfuse.wheel.metadata import Headers, WheelFile, parse_metadata, parse_wheel_file
from wheelfuse.wheel.name import WheelName
from wheelfuse.wheel.portability import unportable
from wheelfuse.wheel.record import STRONG_HASHES, UNHASHED, RecordEntry, parse_record
from wheelfuse.wheel.requires_python import read_specifier

_T = TypeVar("_T")

LARGEST_TEXT = 16 << 20
"""Bytes of METADATA; with a page for an index and all licences it has some hundred thousand."""
LARGEST_WHEEL = 1 << 20
"""Bytes of WHEEL, which has some hundred: it is read whole, and kept for each wheel that goes into a fused one."""
_ROW, _ROWS = 256, 1000
"""Bytes of a row of RECORD beside the path (a digest, a size, quotes) at most; and rows of what is not in the wheel,
which are told one by one."""
_SHOWN = 200
"""Letters of a list that are shown."""


@dataclass(frozen=True)
class Wheel:
    """A wheel whose directory, RECORD, WHEEL and METADATA agree. The digests of its members are in *record*,
    but not yet held against their content: that is for who reads the content anyway.

    *members* and *record* are keyed by path; RECORD itself has no row in *record* worth looking at.
    """

    name: WheelName
    dist_info: str
    members: Mapping[str, Member]
    record: Mapping[str, RecordEntry]
    record_bytes: bytes
    wheel_file: WheelFile
    metadata: Headers
    warnings: tuple[Problem, ...] = ()

    @property
    def record_path(self) -> str:
        return f"{self.dist_info}/RECORD"

    @property
    def requires_python(self) -> str:
        """The value of Requires-Python; empty if there is none."""
        found = self.metadata.get_all("Requires-Python")
        return found[0].flat if found else ""


@dataclass(frozen=True)
class Statements:
    """What a wheel says of itself, as far as it can be read; *problems* are the contradictions in that.

    What is missing or cannot be read is None, and among the problems.
    """

    name: WheelName
    dist_info: str
    members: Mapping[str, Member]
    record: Mapping[str, RecordEntry] | None
    record_bytes: bytes
    wheel_file: WheelFile | None
    metadata: Headers | None
    problems: tuple[Problem, ...]


def read_wheel(archive: Archive) -> Wheel:
    """Read a wheel's own statements about itself.

    Raises:
        InvalidInput: with every contradiction found, each naming the wheel and the member.
    """
    found = statements(archive)
    if found.problems or found.record is None or found.wheel_file is None or found.metadata is None:
        raise InvalidInput(found.problems)
    warnings = tuple(_warnings(archive, found.name, found.dist_info, found.members, found.wheel_file))
    return Wheel(
        found.name, found.dist_info, found.members, found.record, found.record_bytes, found.wheel_file,
        found.metadata, warnings,
    )  # fmt: skip


class Readable(Protocol):
    """What statements are read of: an archive, or one that lies elsewhere."""

    name: str
    members: tuple[Member, ...]
    directories: tuple[str, ...]

    def read(self, member: Member) -> bytes:
        """The content of a small member."""

    def problem(self, what: str, member: str = "", todo: str = "") -> Problem:
        """A problem that names the wheel."""


def statements(archive: Readable) -> Statements:
    """What a wheel says of itself, and what is wrong with that.

    Raises:
        InvalidInput: the file name is not one of a wheel.
    """
    name = WheelName.parse(archive.name)
    members = {member.path: member for member in archive.members}
    problems: list[Problem] = []
    try:
        dist_info = _dist_info(archive, name, members)
    except InvalidInput as error:
        return Statements(name, "", members, None, b"", None, None, error.problems)
    contents: dict[str, bytes] = {}

    def parsed(file: str, parse: Callable[[bytes], _T]) -> _T | None:
        path = f"{dist_info}/{file}"
        if path not in members:
            problems.append(archive.problem("missing; the wheel cannot be trusted without it", path))
            return None
        try:
            _refuse_enormous(archive, file, members[path])
            content = archive.read(members[path])
            if file == "RECORD":
                _refuse_endless(content, len(members))
            contents[file] = content
            return parse(content)
        except InvalidInput as error:
            problems.extend(archive.problem(p.what, p.member or path, p.todo) for p in error.problems)
            return None

    rows = parsed("RECORD", parse_record)
    wheel_file = parsed("WHEEL", parse_wheel_file)
    metadata = parsed("METADATA", parse_metadata)
    record = {entry.path: entry for entry in rows} if rows is not None else None
    if record is not None:
        problems += _record_problems(archive, dist_info, members, record)
    problems += _symlink_problems(archive, members)
    problems += _installing_problems(archive, dist_info, members)
    if metadata is not None:
        problems += _metadata_problems(archive, name, f"{dist_info}/METADATA", metadata)
        problems += _requires_python_problems(archive, f"{dist_info}/METADATA", metadata)
        problems += _requires_dist_problems(archive, f"{dist_info}/METADATA", metadata)
    return Statements(
        name, dist_info, members, record, contents.get("RECORD", b""), wheel_file, metadata, told(problems)
    )


def _refuse_enormous(archive: Readable, file: str, member: Member) -> None:
    """What lists the members is no larger than that takes; what else is text has an end."""
    most = LARGEST_WHEEL if file == "WHEEL" else LARGEST_TEXT
    if file == "RECORD":
        most = 2 * (_ROWS * _ROW + sum(len(other.path.encode()) + _ROW for other in archive.members))
    if member.size > most:
        what = f"{member.size} bytes, where at most {most} make sense in this wheel"
        raise InvalidInput(Problem(what, todo="Build the wheel again."))


def _refuse_endless(content: bytes, members: int) -> None:
    rows = content.count(b"\n") + content.count(b"\r")
    if rows > 2 * (_ROWS + members):
        what = f"RECORD has {rows} lines, for {members} files"
        raise InvalidInput(Problem(what, todo="Build the wheel again."))


def _dist_info(archive: Readable, name: WheelName, members: Mapping[str, Member]) -> str:
    # What lies there as a file, or an empty directory, counts for installers, too.
    tops = {path.partition("/")[0] for path in (*members, *archive.directories)}
    found = {top for top in tops if top.endswith(".dist-info")}
    same = [
        directory
        for directory in found
        if len(parts := directory[: -len(".dist-info")].split("-")) == 2
        and (str(canonicalize_name(parts[0])), str(canonicalize_version(parts[1]))) == name.project
    ]
    if len(found) != 1 or len(same) != 1:
        shown = _cut(", ".join(sorted(found))) or "none"
        raise InvalidInput(archive.problem(f"needs exactly one directory {name.dist_info}, but has: {shown}"))
    return same[0]


def _record_problems(
    archive: Readable, dist_info: str, members: Mapping[str, Member], record: Mapping[str, RecordEntry]
) -> Iterator[Problem]:
    exempt = {f"{dist_info}/{file}" for file in UNHASHED}
    for path in sorted(path for path in members if path not in record and path not in exempt):
        yield archive.problem("not listed in RECORD", path, "Build the wheel again, or remove the file.")
    for path in sorted(path for path in record if path not in members and path not in exempt):
        yield archive.problem("listed in RECORD, but not in the wheel", path)
    for path, entry in record.items():
        if path in exempt or path not in members:
            if path in exempt and (entry.digest or entry.size != -1):
                yield archive.problem("listed in RECORD with a digest or size, which it cannot have", path)
            continue
        if not entry.digest:
            yield archive.problem("listed in RECORD without a digest", path)
        elif entry.algorithm not in STRONG_HASHES:
            yield archive.problem(
                f"digest by {entry.algorithm} in RECORD; PEP 427 wants sha256 or better", path
            )
        if entry.size not in (-1, members[path].size):
            yield archive.problem(f"RECORD says {entry.size} bytes, but it has {members[path].size}", path)


def _symlink_problems(archive: Readable, members: Mapping[str, Member]) -> Iterator[Problem]:
    for member in members.values():
        if member.is_symlink:
            destination = archive.read(member).decode("utf-8", "replace") if member.size < 4096 else "/"
            if symlink_escapes(member.path, destination):
                yield archive.problem(f"symbolic link out of the wheel, to {destination[:80]!r}", member.path)


def _installing_problems(
    archive: Readable, dist_info: str, members: Mapping[str, Member]
) -> Iterator[Problem]:
    entry_points, programs = f"{dist_info}/entry_points.txt", frozenset[str]()
    if entry_points in members:
        try:
            _refuse_enormous(archive, "entry_points.txt", members[entry_points])
            programs = parse_scripts(archive.read(members[entry_points]))
        except InvalidInput as error:
            yield from (archive.problem(p.what, p.member or entry_points, p.todo) for p in error.problems)
    for what, path in disagreements(members, archive.directories, dist_info, programs):
        yield archive.problem(what, path)


def _metadata_problems(archive: Readable, name: WheelName, path: str, metadata: Headers) -> Iterator[Problem]:
    for field, expected in zip(("Name", "Version"), name.project, strict=True):
        values = [header.flat for header in metadata.get_all(field)]
        if len(values) != 1:
            yield archive.problem(f"needs one field {field}, but has {len(values)}", path)
            continue
        found = canonicalize_name(values[0]) if field == "Name" else canonicalize_version(values[0])
        if found != expected:
            yield archive.problem(f"{field} is {values[0]}, but the file name says {expected}", path)


def _requires_python_problems(archive: Readable, path: str, metadata: Headers) -> Iterator[Problem]:
    found = metadata.get_all("Requires-Python")
    if len(found) > 1:
        yield archive.problem(
            f"Requires-Python occurs {len(found)} times; programs disagree on which counts", path
        )
    for header in found:
        try:
            read_specifier(header.flat)
        except InvalidInput as error:
            yield from (archive.problem(problem.what, path) for problem in error.problems)


def _requires_dist_problems(archive: Readable, path: str, metadata: Headers) -> Iterator[Problem]:
    found = metadata.get_all("Requires-Dist")
    if found:  # what parses them takes long to load
        from wheelfuse.wheel.requirements import why_refused
    for header in found:
        if why := why_refused(header.flat):
            yield archive.problem(f"Requires-Dist {_cut(header.flat)!r}, {_cut(why)}", path)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _warnings(
    archive: Readable, name: WheelName, dist_info: str, members: Mapping[str, Member], wheel_file: WheelFile
) -> Iterator[Problem]:
    for file in UNHASHED[1:]:
        if (path := f"{dist_info}/{file}") in members:
            yield archive.problem("a signature cannot survive a change of the wheel: it is left out", path)
    for what, paths in unportable(members):
        yield archive.problem(f"{_cut(', '.join(paths))}: {what}")
    if set(wheel_file.tags) != set(name.tags):
        tags = _cut(", ".join(wheel_file.tags)) or "none"
        what = f"Tag says {tags}; installers go by the file name, and so does wheelfuse"
        if wheel_file.unread:
            what += f" (after a blank line, where nobody reads: {_cut(', '.join(wheel_file.unread))})"
        yield archive.problem(what, f"{dist_info}/WHEEL")
