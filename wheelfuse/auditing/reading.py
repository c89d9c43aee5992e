"""Reads what is audited: wheels, shared objects, directories. Here and in :mod:`wheelfuse.auditing.installed` alone
does the audit touch the file system.

Nothing raises for a bad content: what cannot be read is in the subject, so that other inputs still have their say.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

from wheelfuse.abi.producers import read_producers
from wheelfuse.auditing.python_sources import PythonSources
from wheelfuse.auditing.subject import Kind, SharedObject, Subject
from wheelfuse.content import Content, opened, pieces, read_small
from wheelfuse.elf.fatbin import read_device_code
from wheelfuse.elf.image import MAGIC, read_image
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.temporary import TemporaryFileError, keeping, scratch
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.batches import batches
from wheelfuse.wheel.directory import Member
from wheelfuse.wheel.limits import DEFAULT_LIMITS, Limits
from wheelfuse.wheel.metadata import Headers, WheelFile, parse_metadata, parse_wheel_file
from wheelfuse.wheel.record import RecordEntry, encode_digest
from wheelfuse.wheel.wheel import LARGEST_TEXT, Statements, statements

_T = TypeVar("_T")
_DYNAMIC = ("ET_DYN", "ET_EXEC")


def read_subject(
    path: Path,
    label: str = "",
    *,
    threads: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    tell: Callable[[int], None] | None = None,
) -> Subject:
    """What lies at *path*: a wheel, a directory, or any other file, taken for a shared object.

    The members of a wheel are read by so many *threads*; of one beyond the *limits* none is. *tell* is told how many
    bytes of it are read.
    """
    label = label or (path.name if path.suffix == ".whl" else str(path))
    try:
        if path.is_dir():
            return read_directory(path, label, limits)
        if path.suffix == ".whl":
            return read_wheel_subject(path, label, threads, limits, tell)
        return _read_file(path, label, limits)
    except InvalidInput as error:
        kind = Kind.WHEEL if path.suffix == ".whl" else Kind.FILE
        return Subject(label, kind, unreadable=error.problems, size=_size(path))
    except TemporaryFileError:
        raise
    except OSError as error:
        return Subject(label, Kind.FILE, unreadable=(Problem(f"cannot be read: {error.strerror}", label),))


def wheels_in_zip(path: Path, limits: Limits = DEFAULT_LIMITS) -> tuple[str, ...]:
    """The wheels in a zip file that is no wheel itself, such as the artifact of a CI job.

    Raises:
        InvalidInput: it cannot be read, or is beyond the *limits*.
    """
    with Archive(path, limits) as archive:
        return tuple(sorted(member.path for member in archive.members if member.path.endswith(".whl")))


def read_wheel_in_zip(
    path: Path, member: str, *, threads: int = 1, limits: Limits = DEFAULT_LIMITS
) -> Subject:
    """The wheel *member* of the zip file at *path*."""
    label = f"{path.name}/{member}"
    with scratch() as directory:
        copy = directory / Path(member).name
        try:
            with Archive(path, limits) as archive, keeping(), copy.open("wb") as target:
                found = {found.path: found for found in archive.members}
                target.writelines(archive.chunks(found[member]))
        except InvalidInput as error:
            return Subject(label, Kind.WHEEL, unreadable=error.problems)
        return read_subject(copy, label, threads=threads, limits=limits)


def read_wheel_subject(
    path: Path,
    label: str,
    threads: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    tell: Callable[[int], None] | None = None,
) -> Subject:
    """A wheel. Every member is held against RECORD.

    Raises:
        InvalidInput: it is no zip file that can be trusted, is beyond the *limits*, or its name is not one of a wheel.
    """
    with Archive(path, limits) as archive:
        return read_archive(archive, label, threads, tell)


def read_archive(
    archive: Archive, label: str, threads: int = 1, tell: Callable[[int], None] | None = None
) -> Subject:
    """The wheel in an open archive.

    Raises:
        InvalidInput: its name is not one of a wheel.
    """
    said = statements(archive)
    seen = _read_members(archive, said, threads, tell or (lambda _: None))
    members = [seen[path] for path in said.members]
    subject = Subject.of_wheel(
        label,
        said,
        {member.shared.path: member.shared for member in members if member.shared},
        archive.size,
        (problem for member in members for problem in member.problems),
        (problem for member in members for problem in member.unreadable),
    )
    return replace(
        subject,
        preloads=any(member.sources.open_libraries for member in members),
        opens_globally=any(member.sources.open_globally for member in members),
    )


@dataclass(frozen=True)
class _Seen:
    """What a member of a wheel is: what contradicts RECORD, why it cannot be read, and the facts of an ELF file."""

    problems: tuple[Problem, ...] = ()
    unreadable: tuple[Problem, ...] = ()
    shared: SharedObject | None = None
    sources: PythonSources = field(default_factory=PythonSources)


def _read_members(
    archive: Archive, said: Statements, threads: int, tell: Callable[[int], None]
) -> dict[str, _Seen]:
    """All members, by path, which are inflated, hashed and looked into once."""

    def read(batch: tuple[Member, ...]) -> list[tuple[str, _Seen]]:
        return [(member.path, _read_member(archive, member, said)) for member in batch]

    def told(found: Iterable[list[tuple[str, _Seen]]]) -> Iterator[list[tuple[str, _Seen]]]:
        done = 0
        for portion in found:
            yield portion
            done += sum(said.members[path].compressed_size for path, _ in portion)
            tell(done)

    portions = batches(said.members.values())
    if threads == 1:
        return dict(chain.from_iterable(told(map(read, portions))))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        return dict(chain.from_iterable(told(pool.map(read, portions))))


def _read_member(archive: Archive, member: Member, said: Statements) -> _Seen:
    entry = (said.record or {}).get(member.path)
    known = entry and entry.digest and entry.algorithm in hashlib.algorithms_available
    digest = hashlib.new(entry.algorithm) if entry and known else None
    sources = PythonSources()
    fed = [*([digest] if digest else []), *([sources] if member.path.endswith(".py") else [])]
    try:
        with archive.content_beginning(member, MAGIC, fed) as content:
            wrong = _digest_problem(entry, digest)
            shared = _shared_object(member.path, content) if content is not None else None
    except InvalidInput as error:
        problems = (Problem(p.what, archive.name, p.member or member.path, p.todo) for p in error.problems)
        return _Seen(unreadable=tuple(problems), sources=sources)
    todo = "Build or download the wheel again."
    return _Seen(
        (archive.problem(wrong, member.path, todo),) if wrong else (),
        shared=None if member.is_symlink else shared,
        sources=sources,
    )


def _digest_problem(entry: RecordEntry | None, digest: hashlib._Hash | None) -> str:
    if entry and digest and encode_digest(digest.digest()) != entry.digest:
        return f"its {entry.algorithm} digest is not the one in RECORD"
    return ""


def _shared_object(path: str, content: Content) -> SharedObject | None:
    """The facts of an ELF file; None for those that no loader takes (``.o`` files, GPU code).

    GPU code that cannot be read takes nothing from what there is to say of the rest: loaders do not look at it.

    Raises:
        InvalidInput: it is damaged.
    """
    image = read_image(content)
    if image.kind not in _DYNAMIC:
        return None
    shared = SharedObject(path, len(content), image, read_producers(content, image))
    try:
        return replace(shared, device_code=read_device_code(content, image))
    except InvalidInput as error:
        return replace(shared, damaged_code="; ".join(problem.what for problem in error.problems))


def read_file(
    path: Path, name: str, limits: Limits = DEFAULT_LIMITS, sources: PythonSources | None = None
) -> SharedObject | None:
    """The shared object at *path*, to be called *name*; None if it is something else. Python code feeds *sources*.

    Raises:
        InvalidInput: it is an ELF file, but damaged, or is beyond the *limits*.
        OSError: it cannot be read, or is no regular file.
    """
    with opened(path) as content:
        if wrong := limits.too_large(len(content), len(content)):
            raise InvalidInput(Problem(wrong[0], todo=wrong[1]))
        if content[: len(MAGIC)] == MAGIC:
            return _shared_object(name, content)
        if sources and name.endswith(".py"):
            for piece in pieces(content):
                sources.update(piece)
        return None


def _read_file(path: Path, label: str, limits: Limits) -> Subject:
    shared = read_file(path, path.name, limits)
    if shared is None:
        what = "neither a wheel, a zip file with wheels, a directory, nor a shared object"
        raise InvalidInput(Problem(what, label))
    return Subject(label, Kind.FILE, sizes={path.name: shared.size}, files={path.name: shared})


def read_directory(path: Path, label: str, limits: Limits = DEFAULT_LIMITS) -> Subject:
    """A directory tree: an unpacked wheel if it has one ``.dist-info`` with WHEEL and METADATA, else just files."""
    closed: list[Problem] = []

    def refused(error: OSError) -> None:
        inside = Path(error.filename).relative_to(path)
        member = str(inside) if inside.parts else ""
        closed.append(Problem(f"cannot be read: {error.strerror}", label, member, "Make it readable."))

    paths = sorted(walk(path, refused))
    infos = sorted({name.split("/")[0] for name in paths if ".dist-info/" in name and name.count("/") == 1})
    claims = read_claims(path, infos[0]) if len(infos) == 1 else Claims()
    subject = read_tree(label, Kind.DIRECTORY, path, paths, claims, limits)
    return replace(subject, unreadable=(*closed, *subject.unreadable))


@dataclass(frozen=True)
class Claims:
    """What the ``.dist-info`` of an unpacked or installed wheel says of it: fields of :class:`Subject`.

    The problems in *problems* and *unreadable* do not name the subject.
    """

    dist_info: str = ""
    wheel_file: WheelFile | None = None
    metadata: Headers | None = None
    problems: tuple[Problem, ...] = ()
    unreadable: tuple[Problem, ...] = ()

    @property
    def tags(self) -> tuple[tuple[str, str, str], ...]:
        """Python, ABI and platform of each tag in WHEEL."""
        parts = (tag.split("-") for tag in (self.wheel_file.tags if self.wheel_file else ()))
        return tuple((python, abi, platform) for python, abi, platform in parts)


def read_tree(
    label: str, kind: Kind, root: Path, paths: Iterable[str], claims: Claims, limits: Limits = DEFAULT_LIMITS
) -> Subject:
    """The files *paths* below *root* as a subject; each is held against the *limits* of a single one."""
    sizes: dict[str, int] = {}
    files: dict[str, SharedObject] = {}
    unreadable = [replace(problem, wheel=label) for problem in claims.unreadable]
    sources = PythonSources()
    for name in paths:
        path = root / name
        try:
            sizes[name] = path.stat().st_size
            if path.is_symlink() or path.is_dir():
                continue
            wanted = None if sources.open_libraries else sources
            if (shared := read_file(path, name, limits, wanted)) is not None:
                files[name] = shared
        except InvalidInput as error:
            unreadable += [Problem(problem.what, label, name, problem.todo) for problem in error.problems]
        except TemporaryFileError:
            raise
        except OSError as error:
            unreadable.append(Problem(f"cannot be read: {error.strerror}", label, name))
    return Subject(
        label,
        kind,
        interpreter_tags=tuple(dict.fromkeys((python, abi) for python, abi, _ in claims.tags)),
        platforms=tuple(dict.fromkeys(platform for *_, platform in claims.tags)),
        dist_info=claims.dist_info,
        wheel_file=claims.wheel_file,
        metadata=claims.metadata,
        sizes=sizes,
        files=files,
        problems=claims.problems,
        unreadable=tuple(dict.fromkeys(unreadable)),
        preloads=sources.open_libraries or not claims.dist_info,
        opens_globally=sources.open_globally,
    )


def read_claims(root: Path, dist_info: str) -> Claims:
    """What WHEEL and METADATA below *root* say; a file that is not there says nothing."""
    problems: list[Problem] = []
    unreadable: list[Problem] = []

    def parsed(file: str, parse: Callable[[bytes], _T]) -> _T | None:
        member = f"{dist_info}/{file}"
        try:
            return parse(read_small(root / member, LARGEST_TEXT))
        except FileNotFoundError:
            return None
        except InvalidInput as error:
            problems.extend(Problem(p.what, "", member, p.todo) for p in error.problems)
        except OSError as error:
            unreadable.append(Problem(f"cannot be read: {error.strerror}", "", member))
        return None

    wheel_file, metadata = parsed("WHEEL", parse_wheel_file), parsed("METADATA", parse_metadata)
    return Claims(dist_info, wheel_file, metadata, tuple(problems), tuple(unreadable))


def walk(root: Path, refused: Callable[[OSError], None]) -> Iterator[str]:
    """The files below a directory, as paths from there; *refused* is told of directories that cannot be read."""
    for directory, subdirectories, names in os.walk(root, onerror=refused):
        subdirectories.sort()
        for name in sorted(names):
            yield str((Path(directory) / name).relative_to(root))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
