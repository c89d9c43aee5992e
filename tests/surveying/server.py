"""A web server on this machine that has wheels, knows byte ranges, counts, and fails when it is told to.

    with serving(directory) as server:
        server.fail("a-1.0-py3-none-any.whl", [Fault(status=503, retry_after="1"), None, Fault(close_after=100)])

Below `Server.url` lies the directory, with listings such as ``python -m http.server`` makes; below `Server.simple_url`
an index of all wheels in it (PEP 503 and PEP 691). Paths are those of URLs, unquoted, without the slash in front.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from packaging.utils import canonicalize_name

SIMPLE = "simple"
JSON = "application/vnd.pypi.simple.v1+json"
PIECE = 1 << 16


@dataclass(frozen=True)
class Fault:
    """What is wrong with one answer; several things may be."""

    status: int = 0
    """Nothing but this status."""
    retry_after: str = ""
    """The field Retry-After: seconds, or a date."""
    location: str = ""
    """The field Location of a redirect."""
    close_after: int | None = None
    """The connection is closed after so many bytes of the body."""
    reset: bool = False
    """The connection is reset (RST) in place of an answer."""
    hang: float = 0.0
    """Seconds that pass before the answer."""
    whole: bool = False
    """Ranges are ignored: 200, and all."""
    ranges: bool = True
    """Whether it says that it knows ranges (Accept-Ranges)."""
    shift: int = 0
    """The range that comes begins so many bytes later than the one asked for, and says so."""
    trimmed: int = 0
    """So many bytes less than announced by Content-Range."""
    chunked: bool = False
    """In chunks: the length is not told before."""
    packed: bool = False
    """Content-Encoding says that it is packed, which it is not."""
    etag: str | None = None
    """Another ETag than that of the file; none at all if it is empty."""
    page: str = ""
    """This page in place of what is there."""
    kind: str = "text/html"
    """Content-Type of that page."""


class Request(NamedTuple):
    """One request as it came."""

    method: str
    path: str
    headers: Message
    """Found whatever the case of the letters."""


@dataclass
class Server:
    """A running server, and what was asked of it.

    *requests* and *sent* (bytes of bodies) are by path; *seen* is every request, the first one first; *connections* is
    how many were made.
    """

    directory: Path
    latency: float = 0.0
    url: str = ""
    requests: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    seen: list[Request] = field(default_factory=list)
    connections: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    _faults: dict[str, list[Fault | None]] = field(default_factory=dict)
    _projects: dict[str, list[Path]] = field(default_factory=dict)
    _connections: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def simple_url(self) -> str:
        """The index of all wheels."""
        return f"{self.url}{SIMPLE}/"

    def fail(self, path: str, faults: Iterable[Fault | None]) -> None:
        """What is to be wrong with the next answers for *path*, one after the other; None is an answer in order."""
        with self._lock:
            self._faults[path] = list(faults)

    def reset(self) -> None:
        """Forget what was asked so far, and what was to be wrong."""
        with self._lock:
            self.requests.clear()
            self.sent.clear()
            self.seen.clear()
            self._faults.clear()

    def next_fault(self, request: Request) -> Fault:
        """Count the request, and say what is to be wrong with its answer."""
        with self._lock:
            self.requests[request.path] += 1
            self.seen.append(request)
            faults = self._faults.get(request.path)
            return (faults.pop(0) if faults else None) or Fault()

    def count(self, path: str, sent: int) -> None:
        """So many bytes of a body went out."""
        with self._lock:
            self.sent[path] += sent

    def projects(self, *, anew: bool = False) -> dict[str, list[Path]]:
        """The wheels by normalised name of the project. A new look at the directory takes its time."""
        with self._lock:
            if anew or not self._projects:
                found: dict[str, list[Path]] = {}
                for path in sorted(self.directory.rglob("*.whl")):
                    found.setdefault(canonicalize_name(path.name.split("-")[0]), []).append(path)
                self._projects = dict(sorted(found.items()))
            return self._projects

    def keep(self, connection: socket.socket, *, closed: bool = False) -> None:
        """A connection is open, or not any more."""
        with self._lock:
            (self._connections.discard if closed else self._connections.add)(connection)
            self.connections += not closed

    def close(self) -> None:
        """End what hangs, and close the connections that clients keep."""
        self.closing.set()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(directory: Path, latency: float = 0.0) -> Iterator[Server]:
    """Serve *directory*; each answer takes *latency* seconds to begin."""
    server = Server(directory, latency)
    listener = _Listener(("127.0.0.1", 0), type("_Bound", (_Handler,), {"ours": server}))
    server.url = f"http://127.0.0.1:{listener.server_address[1]}/"
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        server.close()
        thread.join()


class _Listener(ThreadingHTTPServer):
    request_queue_size = 128
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    ours: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = PIECE

    def setup(self) -> None:
        super().setup()
        self.ours.keep(self.connection)

    def finish(self) -> None:
        self.ours.keep(self.connection, closed=True)
        with suppress(OSError):
            super().finish()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing on standard error."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        fault = self.ours.next_fault(Request(self.command, path, self.headers))
        if delay := self.ours.latency + fault.hang:
            self.ours.closing.wait(delay)
        if fault.reset:
            # SO_LINGER of no seconds: RST in place of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        elif fault.status:
            fields = {"Retry-After": fault.retry_after, "Location": fault.location}
            self._answer(path, fault, fault.status, {name: value for name, value in fields.items() if value})
        elif fault.page:
            self._answer(path, fault, 200, {"Content-Type": fault.kind}, fault.page.encode())
        elif path.startswith(f"{SIMPLE}/"):
            self._simple(path, fault)
        else:
            self._file(path, fault)

    def _answer(
        self, path: str, fault: Fault, status: int, fields: Mapping[str, str], body: bytes = b""
    ) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self._send(path, fault, [body])

    def _send(self, path: str, fault: Fault, pieces: Iterable[bytes], *, chunked: bool = False) -> None:
        left = fault.close_after
        for piece in pieces if self.command != "HEAD" else ():
            part = piece if left is None else piece[:left]
            self.ours.count(path, len(part))  # before the client can look
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            if left is not None:
                left -= len(part)
                if len(part) < len(piece):
                    break
        if fault.close_after is not None:
            self.close_connection = True
        elif chunked:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _file(self, path: str, fault: Fault) -> None:
        found = self.ours.directory / path
        if ".." in path.split("/") or not found.exists():
            self._answer(path, fault, 404, {}, b"there is no such file\n")
        elif found.is_dir():
            if path and not path.endswith("/"):
                self._answer(path, fault, 301, {"Location": f"/{quote(path)}/"})
            else:
                self._answer(path, fault, 200, {"Content-Type": "text/html; charset=utf-8"}, _listing(found))
        else:
            self._ranges(path, found, fault)

    def _ranges(self, path: str, found: Path, fault: Fault) -> None:
        """RFC 9110, 13 and 14, for one range."""
        size = found.stat().st_size
        etag = etag_of(found) if fault.etag is None else fault.etag
        fields = {"Content-Type": "application/octet-stream"}
        if fault.ranges:
            fields["Accept-Ranges"] = "bytes"
        if etag:
            fields["ETag"] = etag
        if etag and self.headers.get("If-None-Match") in (etag, "*"):
            self._answer(path, fault, 304, fields)
            return
        if self.headers.get("If-Match", etag) not in (etag, "*"):
            self._answer(path, fault, 412, fields)
            return
        asked = self.headers.get("Range", "") if self.headers.get("If-Range", etag) == etag else ""
        part = None if fault.whole else _part(asked, size)
        if part and part.start >= size:
            self._answer(path, fault, 416, fields | {"Content-Range": f"bytes */{size}"})
            return
        if part and fault.shift:
            part = range(part.start + fault.shift, part.stop)
        self.send_response(206 if part else 200)
        for name, value in fields.items():
            self.send_header(name, value)
        if part:
            self.send_header("Content-Range", f"bytes {part.start}-{part.stop - 1}/{size}")
        part = part or range(size)
        if fault.packed:
            self.send_header("Content-Encoding", "gzip")
        part = part[: len(part) - fault.trimmed]
        if fault.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self._send(path, fault, _pieces(found, part), chunked=fault.chunked)

    def _simple(self, path: str, fault: Fault) -> None:
        _, *project = path.strip("/").split("/")
        if not path.endswith("/"):
            self._answer(path, fault, 301, {"Location": f"/{quote(path)}/"})
            return
        as_json = JSON in self.headers.get("Accept", "")
        fields = {"Content-Type": JSON if as_json else "text/html; charset=utf-8"}
        projects = self.ours.projects(anew=not project)
        if not project:
            body = _index_json(projects) if as_json else _anchors((f"{name}/", name) for name in projects)
        elif len(project) == 1 and project[0] in projects:
            body = (_project_json if as_json else _project_html)(project[0], projects, self.ours.directory)
        else:
            self._answer(path, fault, 404, {})
            return
        self._answer(path, fault, 200, fields, body)


def etag_of(path: Path) -> str:
    """The ETag of a file as it is now."""
    state = path.stat()
    return f'"{state.st_mtime_ns:x}-{state.st_size:x}"'


def sha256_of(path: Path) -> str:
    """The digest of a file as it is now, in hexadecimal."""
    return _sha256(path, path.stat().st_mtime_ns)


@cache
def _sha256(path: Path, time: int) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(path, range(path.stat().st_size)):
        digest.update(piece)
    return digest.hexdigest()


def _part(asked: str, size: int) -> range | None:
    """The bytes that the field Range asks for; None if it asks for all, or for what may be ignored."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked)
    if not found or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        return range(max(0, size - int(last)), size) if int(last) else range(size, size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(size, int(last) + 1) if last else size)


def _pieces(path: Path, part: range) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(part.start)
        left = len(part)
        while left and (piece := file.read(min(left, PIECE))):
            left -= len(piece)
            yield piece


def _anchors(links: Iterable[tuple[str, str]]) -> bytes:
    lines = "".join(f'<a href="{html.escape(link)}">{html.escape(text)}</a><br>\n' for link, text in links)
    return f"<!DOCTYPE html>\n<html><head><title>Links</title></head><body>\n{lines}</body></html>\n".encode()


def _listing(directory: Path) -> bytes:
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in directory.iterdir())
    return _anchors((quote(name), name) for name in names)


def _index_json(projects: Mapping[str, list[Path]]) -> bytes:
    return json.dumps(
        {"meta": {"api-version": "1.1"}, "projects": [{"name": name} for name in projects]}
    ).encode()


def _from_page(path: Path, directory: Path) -> str:
    return f"../../{quote(path.relative_to(directory).as_posix())}"


def _project_html(project: str, projects: Mapping[str, list[Path]], directory: Path) -> bytes:
    return _anchors(
        (f"{_from_page(path, directory)}#sha256={sha256_of(path)}", path.name) for path in projects[project]
    )


def _project_json(project: str, projects: Mapping[str, list[Path]], directory: Path) -> bytes:
    files = [
        {
            "filename": path.name,
            "url": _from_page(path, directory),
            "hashes": {"sha256": sha256_of(path)},
            "size": path.stat().st_size,
        }
        for path in projects[project]
    ]
    return json.dumps(
        {"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": files}
    ).encode()
