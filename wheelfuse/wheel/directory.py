"""The directory of a wheel's zip file: what it lists, if no two programs could read it differently.

Formats: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central header) and 4.5.3 (zip64).
"""

from __future__ import annotations

import stat
import struct
import sys
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, NamedTuple

from wheelfuse.errors import InvalidInput, Problem, told
from wheelfuse.wheel.layout import (
    CENTRAL_MAGIC,
    LOCAL_HEADER,
    EndRecord,
    LocalHeader,
    Read,
    has_other_sizes,
    has_second_name,
    has_zip64,
    misfit_zip64,
    reading_ahead,
    strays,
    wrong_extra,
)
from wheelfuse.wheel.limits import NAMES, Limits

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED

DEFAULT_MODE = stat.S_IFREG | 0o644
"""The mode of a member that states none, for all that installers make of it."""

_NAME_MAX, _PATH_MAX = 255, 4095
"""Bytes that Linux takes in a name and in a path (limits.h)."""
_DEEPEST = 128
"""Directories in each other; real wheels have some twenty."""

_ENCRYPTED_FLAG, _UTF8_FLAG, _UNIX = 0x1, 0x800, 3
_KNOWN_FLAGS = 0x80E
"""Flags that change nothing in how a member is read: how hard it was compressed, a data descriptor, UTF-8."""
_EMPTY_DEFLATED = 2
"""Bytes that nothing at all is packed to."""
_LINES = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
"""Characters that control, or are invisible (uv refuses both), and the two more at which Python ends a line."""
_NO_NAMES = frozenset(("", ".", ".."))
_AGAIN = "Build the wheel again."
_ELSE = "It is damaged, cut off, or something else: build or download it again."


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a zip: its path, Unix mode, and where its compressed bytes lie. Sizes in bytes."""

    path: str
    mode: int
    method: int
    crc: int
    compressed_size: int
    size: int
    offset: int

    @property
    def is_symlink(self) -> bool:
        return stat.S_ISLNK(self.mode)


class Listing(NamedTuple):
    """The files in a zip, the paths of directories that it lists (without their slashes), and the extra fields of what
    has any."""

    members: tuple[Member, ...]
    directories: tuple[str, ...]
    extras: dict[str, bytes]


@dataclass(frozen=True)
class Reader:
    """Reads and checks the directory of the zip file *wheel*, of *size* bytes; *open* gives it as a file object."""

    wheel: str
    open: Callable[[], BinaryIO]
    pread: Read
    size: int
    limits: Limits

    def read(self) -> Listing:
        """What the directory lists.

        Raises:
            InvalidInput: with all that is wrong, or with why not even that can be told.
        """
        infos, end = self._entries()
        problems: list[Problem] = []
        members, extents = [], []
        read = reading_ahead(self.pread)
        for info in infos:
            located = self._located(info, read)
            if isinstance(located, str):
                problems.append(self._problem(located, info.filename, _AGAIN))
                continue
            member, after = located
            extents.append((info.header_offset, after, info.filename))
            if not _is_directory(info):
                members.append(member)
        if not problems:
            problems += (self._problem(what, name, _AGAIN) for what, name in strays(extents, end))
        if problems:
            raise InvalidInput(told(problems))
        return _listing(infos, members)

    def read_directory(self) -> Listing:
        """What the directory lists, without a look at the members: their offsets are those of their local headers.

        Raises:
            InvalidInput: as :meth:`read`, as far as the directory alone tells.
        """
        infos, end = self._entries()
        if problems := list(self._reaching_too_far(infos, end)):
            raise InvalidInput(told(problems))
        return _listing(
            infos, [_member(info, info.header_offset) for info in infos if not _is_directory(info)]
        )

    def _reaching_too_far(self, infos: list[zipfile.ZipInfo], end: EndRecord) -> Iterator[Problem]:
        """Members that have no room before what follows them, even behind the shortest of local headers."""
        ordered = sorted(infos, key=lambda info: info.header_offset)
        offsets = (*(info.header_offset for info in ordered[1:]), end.start)
        for info, following in zip(ordered, offsets, strict=True):
            header = LOCAL_HEADER + len(info.filename.encode())
            if info.header_offset + header + info.compress_size > following:
                yield self._problem("reaches into what follows it", info.filename, _AGAIN)

    def _entries(self) -> tuple[list[zipfile.ZipInfo], EndRecord]:
        """The entries of the directory, of which each can be used."""
        end = self._end()
        infos = self._infos(end)
        problems = [*filter(None, map(self._refused, infos)), *self._duplicates(infos)]
        if end.count != len(infos):
            what = f"its end says {end.count} members, but its directory lists {len(infos)}"
            problems.append(self._problem(what, todo=_AGAIN))
        problems += self._needless(infos, end)
        if dense := self.limits.too_dense((info.file_size for info in infos), self.size):
            problems.append(self._problem(dense[0], todo=dense[1]))
        if problems:
            raise InvalidInput(told(problems))
        return infos, end

    def _needless(self, infos: list[zipfile.ZipInfo], end: EndRecord) -> Iterator[Problem]:
        if any(has_zip64(info.extra) for info in infos):
            for info, misfit in zip(infos, misfit_zip64(self.pread(end.length, end.start)), strict=False):
                if misfit:
                    what = (
                        "its zip64 field has other numbers than the directory leaves to it, which uv refuses"
                    )
                    yield self._problem(what, info.filename, _AGAIN)

    def _problem(self, what: str, member: str = "", todo: str = "") -> Problem:
        return Problem(what, self.wheel, member, todo)

    def _end(self) -> EndRecord:
        """Where the directory is: one that is not too large to be read."""
        end = EndRecord.read(self.pread, self.size)
        if isinstance(end, str):
            raise InvalidInput(self._problem(end, todo=_AGAIN if "not a zip" not in end else _ELSE))
        count = end.count
        if end.length > NAMES * self.limits.members:
            count = max(count, end.length // NAMES)
        elif not self.limits.too_many(count):  # its end may lie
            count = max(count, self.pread(end.length, end.start).count(CENTRAL_MAGIC))
        if many := self.limits.too_many(count):
            raise InvalidInput(self._problem(many[0], todo=many[1]))
        return end

    def _infos(self, end: EndRecord) -> list[zipfile.ZipInfo]:
        try:
            with self.open() as file, zipfile.ZipFile(file) as archive:
                infos, comment = archive.infolist(), archive.comment
        except (
            zipfile.BadZipFile,
            OSError,
            EOFError,
            ValueError,
            NotImplementedError,
            struct.error,
        ) as error:
            raise InvalidInput(
                self._problem(f"not a zip file that can be read: {error}", todo=_ELSE)
            ) from error
        if len(comment) != end.comment:
            raise InvalidInput(self._problem("programs disagree on where it ends", todo=_AGAIN))
        return infos

    def _duplicates(self, infos: list[zipfile.ZipInfo]) -> Iterator[Problem]:
        spellings = Counter(info.filename.rstrip("/") for info in infos)
        for name, count in _repeated(spellings):
            yield self._problem(
                f"{count} members of this name; installers disagree on which one counts", name
            )
        if not all(map(str.isascii, spellings)):
            for name, _ in _repeated(Counter(unicodedata.normalize("NFC", name) for name in spellings)):
                yield self._problem("two members whose names differ in Unicode normalisation only", name)
        files = (info.filename for info in infos if not _is_directory(info))
        for name in also_directories(files, spellings):
            yield self._problem("both a file and the directory of other members", name)

    def _refused(self, info: zipfile.ZipInfo) -> Problem | None:
        """What makes a member unusable, from the central directory alone."""
        if wrong := _wrong_name(info):
            return self._problem(*wrong)
        what, todo = _wrong_entry(info) or self._too_large(info) or ("", "")
        return self._problem(what, info.filename, todo) if what else None

    def _too_large(self, info: zipfile.ZipInfo) -> tuple[str, str] | None:
        return None if _is_directory(info) else self.limits.too_large(info.file_size, info.compress_size)

    def _located(self, info: zipfile.ZipInfo, read: Read) -> tuple[Member, int] | str:
        """The member, after its local header was held against the central one, and where it ends in the file; or what
        is wrong with it."""
        header = LocalHeader.read(read, info.header_offset)
        if header is None:
            return "no local header where the directory says"
        if differing := header.disagreements(info):
            return f"local and central header disagree ({', '.join(differing)})"
        if not header.open_sizes and has_other_sizes(header.extra, info.file_size, info.compress_size):
            return "the zip64 field of its local header disagrees"
        if header.extra and (wrong := wrong_extra(header.extra)):
            return f"{wrong}, in its local header"
        if has_second_name(header.extra):
            return "a second name in its local header"
        if header.data + info.compress_size > self.size:
            return "reaches beyond the end of the file: truncated wheel"
        if (end := header.end(read, info)) is None:
            return "its data descriptor disagrees with the directory"
        if info.compress_type == STORED and info.compress_size != info.file_size:
            return "stored, yet its two sizes differ"
        return _member(info, header.data), end


def _member(info: zipfile.ZipInfo, offset: int) -> Member:
    mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
    return Member(
        sys.intern(info.filename), mode or DEFAULT_MODE, info.compress_type, info.CRC, info.compress_size,
        info.file_size, offset,
    )  # fmt: skip


def _listing(infos: list[zipfile.ZipInfo], members: list[Member]) -> Listing:
    directories = tuple(info.filename[:-1] for info in infos if _is_directory(info))
    return Listing(tuple(members), directories, {info.filename: info.extra for info in infos if info.extra})


def _wrong_name(info: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Why a member's name is refused, and the name as far as it may be shown."""
    name = info.filename
    if name != info.orig_filename or has_second_name(info.extra):
        return "programs read its name differently: NUL byte, or a second name", info.orig_filename
    if not name.isascii() and not info.flag_bits & _UTF8_FLAG:
        return "its name is not ASCII, and not said to be UTF-8: programs read it differently", name
    return wrong_path(name)


def wrong_path(name: str) -> tuple[str, str] | None:
    """Why no member may have this path (of a directory: with a slash), and the path as far as it may be shown."""
    if not name.isprintable() and any(unicodedata.category(letter) in _LINES for letter in name):
        return "control character, or one that nobody sees, in the member's name", name
    if name.startswith("/") or (len(name) > 1 and name[1] == ":") or "\\" in name:
        return "absolute path or backslash in the member's name", name
    if not _NO_NAMES.isdisjoint(parts := name.removesuffix("/").split("/")):
        return "path with an empty, '.' or '..' part", name
    if len(parts) > _DEEPEST or (len(name) > _NAME_MAX // 4 and _is_long(name, parts)):
        what = f"path of {len(parts)} names and {len(name)} letters: too deep or too long for Linux"
        return f"{what} (at most {_DEEPEST} names of {_NAME_MAX} bytes)", f"{name[:100]}…"
    return None


def _wrong_entry(info: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Why a member of a good name is refused, and what to do."""
    if info.flag_bits & _ENCRYPTED_FLAG:
        return "encrypted", ""
    if unknown := info.flag_bits & ~_KNOWN_FLAGS:
        return f"flags {unknown:#x}, which few programs know", _AGAIN
    if info.compress_type not in (STORED, DEFLATED):
        kind = zipfile.compressor_names.get(info.compress_type, info.compress_type)  # type: ignore[attr-defined]
        return f"compression method {kind}; only stored and deflated are allowed in wheels", ""
    if has_other_sizes(info.extra, info.file_size, info.compress_size, info.header_offset):
        return "its zip64 field disagrees with the directory", _AGAIN
    if info.extra and (wrong := wrong_extra(info.extra)):
        return wrong, _AGAIN
    kind_of_file = stat.S_IFMT(info.external_attr >> 16)
    if _is_directory(info):
        if kind_of_file == stat.S_IFLNK:
            return "both a directory and a symbolic link", ""
        return (
            ("a directory with content", "")
            if info.file_size or info.compress_size > _EMPTY_DEFLATED
            else None
        )
    if kind_of_file not in (0, stat.S_IFREG, stat.S_IFLNK):
        return "neither a file nor a symbolic link", ""
    return None


def _is_directory(info: zipfile.ZipInfo) -> bool:
    """As `ZipInfo.is_dir`, which cannot take an empty name before CPython 3.12."""
    return info.filename.endswith("/")


def _is_long(name: str, parts: Iterable[str]) -> bool:
    return len(name.encode()) > _PATH_MAX or any(len(part.encode()) > _NAME_MAX for part in parts)


def _repeated(counts: Counter[str]) -> Iterator[tuple[str, int]]:
    return ((name, count) for name, count in counts.items() if count > 1)


def also_directories(files: Iterable[str], paths: Iterable[str]) -> list[str]:
    """The files that other paths lie below. No prefix of a path is made: there may be thousands in one."""
    # With a separator that sorts first, what lies below a path follows at once.
    ordered = sorted(path.replace("/", "\0") for path in paths)
    above = {path for path, following in pairwise(ordered) if following.startswith(f"{path}\0")}
    return sorted(file for file in files if file.replace("/", "\0") in above)
