"""Parts of a wheel, wherever it lies: what is asked for is fetched, and nothing is written to disk.

The end of the file comes first, with its size and what identifies it, in one request (RFC 9110, 14: a suffix range).
A zip file's directory is there, and a small wheel is there as a whole. Every later answer has to be of the same file:
its Content-Range, size and ETag are held against those of the first. No precondition (If-Match, If-Range) is sent, as
servers disagree on what weak ones mean; to compare says as much.
"""

from __future__ import annotations

import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from wheelfuse import content
from wheelfuse.errors import InvalidInput, Problem, UsageError
from wheelfuse.surveying import http
from wheelfuse.surveying.http import Answer, RequestFailed, Tally
from wheelfuse.surveying.rows import Remote

TAIL = 256 << 10
"""Bytes at the end of a file that come first, if its size is not known, and at most."""
_LEAST_TAIL = 32 << 10
WHOLE = 64 << 20
"""Bytes of a file that are taken at once, into memory, from a server that does not know ranges."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})")
_MODIFIED = "modified: "
"""Before the date of Last-Modified, where that is all there is to identify a file."""

T = TypeVar("T")


class Unchanged(Exception):
    """The file is the one that is known already. *tally* is what it took to find that out."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(tally)  # what it is made of again in another process
        self.tally = tally


class Source(ABC):
    """One file to read parts of, for one thread at a time.

    *size* is in bytes; *identity* changes if the file does; empty if nothing tells.
    """

    def __init__(self, remote: Remote, tally: Tally) -> None:
        self.remote = remote
        self.size = 0
        self.identity = ""
        self._tally = tally
        self._tail = b""

    @property
    def fetched(self) -> int:
        """Bytes that came so far, those of requests that failed and were made again among them."""
        return self._tally.fetched

    @property
    def requests(self) -> int:
        """Requests so far, those that failed among them."""
        return self._tally.requests

    def read(self, length: int, offset: int) -> bytes:
        """*length* bytes from *offset* on; fewer only at the end of the file. What came at first is not fetched again.

        Raises:
            InvalidInput: it cannot be read, or is no longer the file that it was.
        """
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        tail = self._tail  # which may become more by the next line
        start = self.size - len(tail)
        front = self._fetch(offset, min(end, start)) if offset < start else b""
        return front + tail[max(0, offset - start) : max(0, end - start)]

    @abstractmethod
    def _fetch(self, start: int, end: int) -> bytes:
        """The bytes from *start* up to *end*, which lies within the file; all of them."""

    def _wrong(self, what: str, todo: str = "") -> InvalidInput:
        return InvalidInput(Problem(what, self.remote.name, todo=todo))

    def _changed(self) -> InvalidInput:
        return self._wrong(
            "it changed while it was read", "Run again with --resume, when it is there for good."
        )


def tail_of(size: int | None) -> int:
    """How many bytes at the end of a file come first, if its size is known: those of a small one are all."""
    return TAIL if size is None or size <= TAIL else min(TAIL, max(_LEAST_TAIL, size // 32))


@contextmanager
def opened(remote: Remote, *, unless: str = "", tally: Tally | None = None) -> Iterator[Source]:
    """A wheel to read parts of. *tally*, which a caller may give, also knows what an attempt took that failed.

    Raises:
        InvalidInput: it cannot be read at all.
        Unchanged: its identity is *unless*.
        UsageError: what is needed to open it is not installed.
    """
    tally = tally or Tally()
    if unless and remote.identity.startswith("sha256:") and remote.identity == unless:
        raise Unchanged(tally)
    if re.match(r"https?://", remote.url):
        yield _Web(remote, tally, unless)
    elif (path := local_path(remote.url)) is not None:
        with _descriptor(remote, path) as descriptor:
            yield _File(remote, tally, unless, descriptor)
    else:
        yield _Stored(remote, tally, unless)


def local_path(url: str) -> Path | None:
    """The path that a location means if it is one of this machine: ``wheels``, ``file:///wheels``."""
    if "::" in url and not Path(url).exists():
        return None
    if url.startswith("file://"):
        from urllib.request import url2pathname

        return Path(url2pathname(url.removeprefix("file://").removeprefix("localhost")))
    return None if "://" in url else Path(url)


def identity_of(state: os.stat_result) -> str:
    """What identifies a file of this machine: size and time."""
    return f"{state.st_size}:{state.st_mtime_ns}"


@contextmanager
def _descriptor(remote: Remote, path: Path) -> Iterator[int]:
    try:
        descriptor = content.descriptor_of(path)
    except OSError as error:
        raise InvalidInput(Problem(f"cannot be read: {error.strerror or error}", remote.name)) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _File(Source):
    """A file of this machine."""

    def __init__(self, remote: Remote, tally: Tally, unless: str, descriptor: int) -> None:
        super().__init__(remote, tally)
        self._descriptor = descriptor
        self.identity = identity_of(os.fstat(descriptor))
        if unless == self.identity:
            raise Unchanged(tally)
        self.size = os.fstat(descriptor).st_size
        self._tail = self._fetch(max(0, self.size - tail_of(self.size)), self.size)

    def _fetch(self, start: int, end: int) -> bytes:
        self._tally.requests += 1
        try:
            found = content.OnDisk(self._descriptor, end - start, start)[:]
        except OSError as error:
            if identity_of(os.fstat(self._descriptor)) != self.identity:
                raise self._changed() from error
            raise self._wrong(f"cannot be read: {error.strerror or error}") from error
        self._tally.fetched += len(found)
        if identity_of(os.fstat(self._descriptor)) != self.identity:
            raise self._changed()
        return found


class _Web(Source):
    """A file of a web server."""

    def __init__(self, remote: Remote, tally: Tally, unless: str) -> None:
        super().__init__(remote, tally)
        self._validator: str | None = None
        conditions = {}
        if unless.startswith(('"', "W/")):
            conditions["If-None-Match"] = unless
        elif unless.startswith(_MODIFIED):
            conditions["If-Modified-Since"] = unless.removeprefix(_MODIFIED)
        self._ending = tail_of(remote.size)
        answer = self._asked({"Range": f"bytes=-{self._ending}"} | conditions, _wanted(self._ending))
        if answer.status == 304 and conditions:
            raise Unchanged(tally)
        self._first(answer)
        if remote.size is not None and remote.size != self.size:
            what = f"the listing says that it has {remote.size} bytes, the server has {self.size}"
            raise self._wrong(what, "One of them is wrong; ask whoever runs the index.")
        if unless and self.identity == unless:
            raise Unchanged(tally)

    def _first(self, answer: Answer) -> None:
        """What the answer tells of the file, and its end."""
        if answer.status == 304:
            raise self._wrong("the server answers 304 Not Modified, which nobody asked for")
        if answer.status != 416:
            self._check(answer)
        if answer.status == 206:
            first, last, size = self._content_range(answer)
            self.size = last + 1 if size is None else size
            if (first, last) != (max(0, self.size - self._ending), self.size - 1):
                raise self._wrong(f"the server sent bytes {first}-{last} of {self.size}, not the last ones")
            self._tail = self._body(answer, last + 1 - first)
        elif answer.status == 416:  # it is empty, or the server minds ranges longer than the file
            self._second(_unsatisfied(answer.headers))
        elif answer.body is None:
            self._second(_length(answer.headers))
        else:
            self.size = len(answer.body)
            self._tail = answer.body

    def _second(self, size: int | None) -> None:
        """The end of a file of known size, from a server that does not know ranges that count from the end."""
        size = self.remote.size if size is None else size
        if size is None:
            raise self._wrong("the server does not know ranges, nor says how large the file is", _DOWNLOAD)
        self.size = size
        start = max(0, size - self._ending)
        found = self._fetch(start, size) if size else b""
        self._tail = self._tail or found

    def _fetch(self, start: int, end: int) -> bytes:
        answer = self._asked({"Range": f"bytes={start}-{end - 1}"}, _explicit(end - start))
        if answer.status == 416:
            raise self._changed()
        self._check(answer)
        if answer.status == 200:
            return self._all(answer)[start:end]
        first, last, size = self._content_range(answer)
        if size not in (None, self.size):
            raise self._changed()
        if (first, last + 1) != (start, end):
            raise self._wrong(f"the server sent bytes {first}-{last}, and was asked for {start}-{end - 1}")
        return self._body(answer, end - start)

    def _check(self, answer: Answer) -> None:
        """Whether it is of the file that the first answer was of."""
        found = _validator(answer.headers)
        if self._validator is None:
            self._validator = found
            self.identity = self.remote.identity or found
        elif found != self._validator:
            raise self._changed()

    def _all(self, answer: Answer) -> bytes:
        """The whole file, from a server that does not know ranges."""
        if answer.body is None:
            what = f"the server does not know ranges, and the file has more than {WHOLE >> 20} MiB"
            raise self._wrong(what, _DOWNLOAD)
        if len(answer.body) != self.size:
            raise self._changed()
        self._tail = answer.body
        return answer.body

    def _asked(self, headers: Mapping[str, str], take: http.Take) -> Answer:
        try:
            answer = http.get(self.remote.address, headers, self._tally, _plain(take))
        except RequestFailed as error:
            raise self._wrong(error.what, error.todo) from error
        if _packed(answer.headers):
            raise self._wrong(
                "the server packs the file once more (Content-Encoding), so that ranges mean nothing"
            )
        return answer

    def _content_range(self, answer: Answer) -> tuple[int, int, int | None]:
        """First and last byte of an answer, and the size of the file if it says that."""
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        if not found:
            raise self._wrong("the server sent a part, and does not say which (Content-Range)")
        first, last, size = found.groups()
        return int(first), int(last), None if size == "*" else int(size)

    def _body(self, answer: Answer, length: int) -> bytes:
        if answer.body is None or len(answer.body) != length:
            raise self._wrong(f"the server sent another number of bytes than the {length} that it announced")
        return answer.body


_DOWNLOAD = "Download it, and survey the directory."


def _wanted(most: int) -> http.Take:
    """Of a part all; of a whole file as well, if it is small or comes from a server without ranges."""

    def take(status: int, headers: Mapping[str, str]) -> int:
        if status == 206:
            return most
        size = _length(headers)
        large = size is not None and size > TAIL and "bytes" in headers.get("Accept-Ranges", "")
        return WHOLE if status == 200 and not large else 0

    return take


def _plain(take: http.Take) -> http.Take:
    return lambda status, headers: 0 if _packed(headers) else take(status, headers)


def _packed(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Encoding", "identity") != "identity"


def _explicit(most: int) -> http.Take:
    return lambda status, headers: {200: WHOLE, 206: most}.get(status, 0)


def _length(headers: Mapping[str, str]) -> int | None:
    length = headers.get("Content-Length", "")
    return int(length) if re.fullmatch("[0-9]{1,18}", length) else None


def _unsatisfied(headers: Mapping[str, str]) -> int | None:
    found = _UNSATISFIED.fullmatch(headers.get("Content-Range", "").strip())
    return int(found[1]) if found else None


def _validator(headers: Mapping[str, str]) -> str:
    """What identifies the file, as the server says."""
    modified = headers.get("Last-Modified", "")
    return headers.get("ETag", "") or (modified and _MODIFIED + modified)


class _Stored(Source):
    """A file of one of the file systems that fsspec has."""

    def __init__(self, remote: Remote, tally: Tally, unless: str) -> None:
        super().__init__(remote, tally)
        self._system, self._path = self._repeated(lambda: file_system(remote.address), requests=0)
        info: Mapping[str, Any] = self._repeated(lambda: self._system.info(self._path))
        self.identity = etag_of(info) or remote.identity or _time_of(info)
        if unless and self.identity == unless:
            raise Unchanged(tally)
        size = info.get("size")
        if info.get("type") != "file" or not isinstance(size, int):
            raise self._wrong("is no file of a known size")
        self.size = size
        self._tail = self._fetch(max(0, size - tail_of(size)), size)

    def _fetch(self, start: int, end: int) -> bytes:
        if start == end:
            return b""
        found: bytes = self._repeated(lambda: self._system.cat_file(self._path, start=start, end=end))
        self._tally.fetched += len(found)
        if len(found) != end - start:
            raise self._changed()
        return found

    def _repeated(self, request: Callable[[], T], requests: int = 1) -> T:
        """What *request* returns, tried again after errors that may pass."""
        for attempt in range(http.ATTEMPTS):
            self._tally.requests += requests
            try:
                return request()
            except UsageError:
                raise
            except _FINAL as error:
                raise self._wrong(_told(error)) from error
            except Exception as error:  # noqa: BLE001 (each driver has errors of its own)
                failure = error
            if attempt < http.ATTEMPTS - 1:
                time.sleep(http.pause(attempt))
        raise self._wrong(f"{_told(failure)} ({http.ATTEMPTS} attempts)") from failure


_FINAL = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    ValueError,
)


def _told(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else http.public(str(error))
    return f"cannot be read: {reason or type(error).__name__}"


def file_system(url: str) -> tuple[Any, str]:
    """The file system of fsspec that *url* names, and what is called so within it.

    Raises:
        UsageError: it is not installed, or there is none of that name.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise UsageError(f"{http.public(url)} needs fsspec: pip install 'wheelfuse[survey]'") from error
    try:
        system, path = url_to_fs(url)
    except (ImportError, ValueError) as error:  # "Install s3fs to access S3", "Protocol not known: s4"
        todo = (
            "pip install 'wheelfuse[s3]'" if url.startswith("s3") and isinstance(error, ImportError) else ""
        )
        raise UsageError(Problem(http.public(str(error)), http.public(url), todo=todo)) from error
    return system, path


def etag_of(info: Mapping[str, Any]) -> str:
    """What a file system of fsspec calls an ETag; empty if it has none."""
    return next((str(info[key]) for key in ("ETag", "etag", "e_tag") if info.get(key)), "")


def _time_of(info: Mapping[str, Any]) -> str:
    """Size and time of modification; empty if the file system has none. Its listings may spell the time otherwise."""
    names = ("mtime", "LastModified", "last_modified", "updated", "modified", "created", "date_time")
    return next((f"{info.get('size')}:{info[key]}" for key in names if info.get(key)), "")
