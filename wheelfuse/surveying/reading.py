"""Reads one wheel by ranges: its directory, what its ``.dist-info`` says, and the front of each shared object.

Checksums of what is not read are held against nothing, and local headers only of what is: that is for ``audit``.
"""

from __future__ import annotations

import posixpath
import re
import stat
from collections import OrderedDict
from typing import BinaryIO, NamedTuple

from wheelfuse.auditing.subject import SharedObject, Subject
from wheelfuse.content import stream
from wheelfuse.elf.front import read_front
from wheelfuse.elf.image import MAGIC, Image, read_image
from wheelfuse.errors import InvalidInput, Problem, UsageError
from wheelfuse.surveying.facts import rows_of
from wheelfuse.surveying.failed import failed
from wheelfuse.surveying.http import Tally
from wheelfuse.surveying.inflating import FIRST, Inflating
from wheelfuse.surveying.ranges import Source, Unchanged, opened
from wheelfuse.surveying.rows import Remote, Rows
from wheelfuse.wheel.directory import Member, Reader
from wheelfuse.wheel.layout import LocalHeader, Read
from wheelfuse.wheel.limits import DEFAULT_LIMITS, Limits
from wheelfuse.wheel.wheel import Statements, statements

_WHOLE = 64 << 10
"""Bytes that a shared object takes in the wheel up to which all of it is read: one request."""
_FRONT = 48 << 10
"""Bytes of a shared object that are looked into first."""
_HEADER = 30 + 64
"""Bytes of a local header without the name, an extra field of the usual kind included."""
_SMALL = 64 << 20
"""Bytes of a member that is read as a whole, at most."""
_LOADABLE = ("ET_DYN", "ET_EXEC")
_LIBRARY = re.compile(r"\.so(\.|$)")
_NO_ELF = re.compile(
    r"\.(c|cc|cfg|conf|cpp|css|csv|cuh?|exe|gif|gz|h|hpp|html?|ini|ipynb|jpg|js|json|lua|map|md|np[yz]|pem|pkl|png|pth"
    r"|pxd|pxi|pyc?|pyi|pyx|r|rs|rst|sh|svg|toml|ts|ttf|txt|typed|woff2?|xml|ya?ml|zip)$",
    re.IGNORECASE,
)
"""Files that are executable by their mode alone."""
_MOST_KEPT = 500_000
"""Symbols of files that are kept, for other wheels with the same file."""


def read_wheel(remote: Remote, limits: Limits = DEFAULT_LIMITS, unless: str = "") -> Rows | Unchanged:
    """What a survey keeps of one wheel; of one that cannot be read, the reason. Unchanged: it is still *unless*.

    Raises:
        UsageError: what its location needs is not installed.
    """
    tally = Tally()
    try:
        with opened(remote, unless=unless, tally=tally) as source:
            return _read(remote, source, limits)
    except Unchanged as unchanged:
        return unchanged
    except UsageError:
        raise
    except InvalidInput as error:
        reason = "; ".join(_reason(problem) for problem in error.problems[:3])
        return failed(remote, reason, fetched=tally.fetched, requests=tally.requests)


def _reason(problem: Problem) -> str:
    return f"{problem.member}: {problem.what}" if problem.member else problem.what


def _read(remote: Remote, source: Source, limits: Limits) -> Rows:
    wheel = _Wheel(remote.name, source, limits)
    said = statements(wheel)
    seen = {member.path: wheel.shared_object(member, said) for member in wheel.members}
    files = {path: found for path, found in seen.items() if isinstance(found, _Seen)}
    unreadable = tuple(found for found in seen.values() if isinstance(found, Problem))
    shared = {path: found.file for path, found in files.items()}
    subject = Subject.of_wheel(remote.name, said, shared, source.size, unreadable=unreadable)
    whole = frozenset(path for path, found in files.items() if found.whole)
    return rows_of(
        remote, subject, said, whole, source.identity, fetched=source.fetched, requests=source.requests
    )


class _Seen(NamedTuple):
    """A shared object, and whether it was read to its end."""

    file: SharedObject
    whole: bool


class _Kept:
    """Shared objects that were read, by what RECORD says of them: grafted libraries are in the wheels for all CPythons,
    and these come one after the other."""

    def __init__(self) -> None:
        self._files: OrderedDict[tuple[str, str], tuple[Image, bool]] = OrderedDict()
        self._symbols = 0

    def get(self, digest: str, path: str) -> tuple[Image, bool] | None:
        return self._files.get((digest, posixpath.basename(path))) if digest else None

    def put(self, digest: str, path: str, image: Image, whole: bool) -> None:
        key = (digest, posixpath.basename(path))
        if not digest or key in self._files:
            return
        self._files[key] = image, whole
        self._symbols += _symbols(image)
        while self._symbols > _MOST_KEPT:
            _, (oldest, _) = self._files.popitem(last=False)
            self._symbols -= _symbols(oldest)


def _symbols(image: Image) -> int:
    return len(image.imports) + len(image.exports) + 100  # for the rest of it


_KEPT = _Kept()


class _Wheel:
    """A wheel that lies elsewhere, with its directory."""

    def __init__(self, name: str, source: Source, limits: Limits) -> None:
        self.name = name
        self._source = source
        self._page = (0, b"")
        listing = Reader(name, self._file, self._pread, source.size, limits).read_directory()
        self.members, self.directories = listing.members, listing.directories

    def problem(self, what: str, member: str = "", todo: str = "") -> Problem:
        return Problem(what, self.name, member, todo)

    def read(self, member: Member) -> bytes:
        """The content of a small member.

        Raises:
            InvalidInput: it is damaged, or not small.
        """
        if member.size > _SMALL:
            what = f"{member.size} bytes, where at most {_SMALL} are ever read at once"
            raise InvalidInput(self.problem(what, member.path))
        return self._content(member)[:]

    def shared_object(self, member: Member, said: Statements) -> _Seen | Problem | None:
        """The shared object that a member is; why it cannot be read; None if it is none that a loader takes."""
        if not _may_be_elf(member):
            return None
        row = (said.record or {}).get(member.path)
        digest = f"{row.algorithm}={row.digest}" if row and row.digest else ""
        try:
            known = _KEPT.get(digest, member.path) or self._image(member)
        except InvalidInput as error:
            return self.problem("; ".join(problem.what for problem in error.problems), member.path)
        if known is None:
            return None
        _KEPT.put(digest, member.path, *known)
        return _Seen(SharedObject(member.path, member.size, known[0]), known[1])

    def _image(self, member: Member) -> tuple[Image, bool] | None:
        content = self._content(member)
        if content.front(len(MAGIC))[: len(MAGIC)] != MAGIC:
            return None
        size = len(content) if member.compressed_size <= _WHOLE else _FRONT
        while size < len(content):
            found = read_front(content.front(size), len(content), member.path)
            if isinstance(found, Image):
                return found, False
            if found is None:
                break
            size = max(found.size, 2 * size)
        image = read_image(content)
        return (image, True) if image.kind in _LOADABLE else None

    def _content(self, member: Member) -> Inflating:
        """The content, whose local header comes with the first bytes.

        Raises:
            InvalidInput: there is no local header, or that of another file.
        """
        name = len(member.path.encode())
        first = self._source.read(_HEADER + name + min(member.compressed_size, FIRST), member.offset)
        header = LocalHeader.read(lambda length, offset: first[offset : offset + length], 0)
        if header is None or header.name != member.path.encode() or header.method != member.method:
            raise InvalidInput(
                self.problem("no local header where the directory says, or another one", member.path)
            )
        start = header.data

        def read(offset: int, size: int) -> bytes:
            end = start + offset + size
            if end <= len(first):
                return first[start + offset : end]
            begun = first[start + offset :]
            return begun + self._source.read(size - len(begun), member.offset + start + offset + len(begun))

        return Inflating(read, member)

    def _pread(self, length: int, offset: int) -> bytes:
        """Part of the file. The directory, which several look at, is fetched once."""
        start, page = self._page
        if not start <= offset <= offset + length <= start + len(page):
            start, page = self._page = offset, self._source.read(length, offset)
        return page[offset - start : offset - start + length]

    def _file(self) -> BinaryIO:
        return stream(_File(self._pread, self._source.size))


class _File:
    """All of the wheel, as a content that can be read as a file."""

    def __init__(self, pread: Read, size: int) -> None:
        self._pread, self._size = pread, size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        return self._pread(stop - start, start)


def _may_be_elf(member: Member) -> bool:
    """Whether a member is looked into: by its name, or because it is a program by its mode or place."""
    if member.is_symlink or member.size < 64:
        return False
    program = bool(stat.S_IMODE(member.mode) & 0o111) or ".data/scripts/" in member.path
    return bool(_LIBRARY.search(posixpath.basename(member.path))) or (
        program and not _NO_ELF.search(member.path)
    )
