"""Where wheels lie: a path, a directory, a web page, or what fsspec opens; and which wheels are there.

A web page is one of an index (PEP 503 as HTML, PEP 691 as JSON), with the wheels of a project or links to all projects,
or a listing of a directory, as web servers make them. They are the same thing: links to wheels are taken, wherever
they lead, and links that end in a slash are followed, as long as they lead further down. Yanked wheels count.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urldefrag, urlsplit, urlunsplit

from packaging.utils import canonicalize_name

from wheelfuse.errors import InvalidInput, Problem, UsageError
from wheelfuse.glob import glob_pattern
from wheelfuse.surveying import http
from wheelfuse.surveying.http import RequestFailed, Tally
from wheelfuse.surveying.ranges import etag_of, file_system, identity_of, local_path
from wheelfuse.surveying.rows import Remote

SUFFIX = ".whl"
PAGE = 512 << 20
"""Bytes that a page may have; the list of projects of the public index has some tens of MB."""
DEPTH = 16
"""Directories that listings are followed down: a link to the directory above would make it endless."""

_JSON = "application/vnd.pypi.simple.v1+json"
_HTML = "application/vnd.pypi.simple.v1+html"
_HEADERS = {"Accept": f"{_JSON}, {_HTML};q=0.2, text/html;q=0.1", "Accept-Encoding": "gzip, deflate"}
Wanted = Callable[[str], bool]


@dataclass(frozen=True)
class Unlisted:
    """A part of a location whose wheels are not known, since it could not be read: a page of a project, a directory."""

    url: str
    reason: str


def wheels_at(
    location: str, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Iterator[Remote | Unlisted]:
    """The wheels at a location, one page or directory after the other, as they are asked for.

    *include* and *exclude* are globs for file names: those that match one of *include*, if there is any, and none of
    *exclude*. They are nothing about pages: all of them are read.

    Raises:
        UsageError: a glob makes no sense, or the location needs what is not installed.
        InvalidInput: the location does not exist, or nothing can be listed there.
    """
    wanted = _filter(include, exclude)
    if location.startswith(("http://", "https://")):
        return _on_web(location, wanted)
    path = local_path(location)
    return _stored(location, wanted) if path is None else _local(path, wanted)


def _filter(include: Sequence[str], exclude: Sequence[str]) -> Wanted:
    def patterns(globs: Sequence[str]) -> list[re.Pattern[str]]:
        try:
            return [glob_pattern(glob) for glob in globs]
        except re.error as error:
            raise UsageError(f"{' '.join(globs)}: no glob: {error}") from error

    included, excluded = patterns(include or ("*",)), patterns(exclude)

    def wanted(name: str) -> bool:
        matches = [any(pattern.fullmatch(name) for pattern in found) for found in (included, excluded)]
        return name.endswith(SUFFIX) and matches == [True, False]

    return wanted


def _local(path: Path, wanted: Wanted) -> Iterator[Remote | Unlisted]:
    """A wheel, or a directory: links to directories are not followed, those to wheels are."""
    path = path.absolute()
    if path.is_dir():
        yield from _in_directory(path, wanted)
    elif path.name.endswith(SUFFIX) and path.exists():
        if wanted(path.name):
            yield _local_wheel(path)
    else:
        raise _no_location(
            str(path), "neither a wheel nor a directory" if path.exists() else "there is no such file"
        )


def _in_directory(path: Path, wanted: Wanted) -> Iterator[Remote | Unlisted]:
    failures: list[OSError] = []
    for directory, inner, names in os.walk(path, onerror=failures.append):
        inner.sort()
        for name in sorted(filter(wanted, names)):
            yield _local_wheel(Path(directory, name))
    for error in failures:
        reason = error.strerror or str(error)
        if error.filename == str(path):
            raise _no_location(str(path), reason) from error
        yield Unlisted(str(error.filename), reason)


def _local_wheel(path: Path) -> Remote:
    try:
        state = path.stat()
    except OSError:  # gone, or a link to nothing: reading it tells
        return Remote(str(path), path.name)
    return Remote(str(path), path.name, state.st_size, identity_of(state))


def _on_web(location: str, wanted: Wanted) -> Iterator[Remote | Unlisted]:
    """A wheel's URL, or a page and those below it."""
    location = urldefrag(location).url
    name = _file_name(location)
    if name.endswith(SUFFIX):
        if wanted(name):
            yield _remote(location, name)
        return
    try:
        top = _page(location)
    except RequestFailed as error:
        raise _no_location(location, error.what, error.todo) from error
    root = _directory_of(top.url)
    yield from _from_page(top, root, {root, top.url}, 0, wanted)


def _from_page(
    page: _Page, root: str, seen: set[str], depth: int, wanted: Wanted
) -> Iterator[Remote | Unlisted]:
    """The wheels of a page, then those of the pages below it that were not *seen*."""
    yield from dict.fromkeys(wheel for wheel in page.wheels if wanted(wheel.name))
    for link in page.directories:
        url = _meant(page.base, link)
        if not url or url in seen or not url.startswith(root):
            continue
        seen.add(url)
        if depth == DEPTH:
            yield Unlisted(http.public(url), f"more than {DEPTH} directories below the location")
            continue
        try:
            below = _page(url)
        except RequestFailed as error:
            yield Unlisted(http.public(url), error.what)
        else:
            yield from _from_page(below, root, seen, depth + 1, wanted)


@dataclass(frozen=True)
class _Page:
    """What a page links: wheels, and what ends in a slash.

    The latter is as it is spelt there, relative to *base*: of an index there may be a million.
    """

    url: str
    base: str
    wheels: Sequence[Remote]
    directories: Sequence[str]


def _page(url: str) -> _Page:
    """Fetch and read one page.

    Raises:
        RequestFailed: it cannot be fetched, or is no page with links.
    """
    answer = http.get(url, _HEADERS, Tally(), lambda status, headers: PAGE)
    if answer.status != 200 or answer.body is None:
        raise RequestFailed(f"the server answers {answer.status}, or more than {PAGE >> 20} MiB")
    kind, _, parameters = answer.headers.get("Content-Type", "").partition(";")
    kind = kind.strip().lower()
    if kind in (_JSON, "application/json"):
        return _json_page(answer.url, answer.body)
    if kind in (_HTML, "text/html", "application/xhtml+xml"):
        return _html_page(answer.url, _decoded(answer.body, parameters))
    raise RequestFailed(f"the server has {kind or 'something'} there, not a page with links")


def _json_page(url: str, body: bytes) -> _Page:
    """A page of PEP 691: a project's files, or the names of all projects."""
    try:
        page = json.loads(body)
        if page["meta"]["api-version"].split(".")[0] != "1":
            raise RequestFailed(
                f"a version of the index's format that is not known: {page['meta']['api-version']}"
            )
        wheels = [_json_wheel(url, file) for file in page.get("files", ())]
        names = [canonicalize_name(project["name"]) for project in page.get("projects", ())]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RequestFailed("the page's JSON is not that of an index (PEP 691)") from error
    directories = [f"{quote(name, safe='')}/" for name in names]
    return _Page(url, _directory_of(url), [wheel for wheel in wheels if wheel], directories)


def _json_wheel(base: str, file: Mapping[str, Any]) -> Remote | None:
    name, size = file["filename"].rpartition("/")[2], file.get("size")
    address = _meant(base, file["url"])
    if not address or not name.endswith(SUFFIX):
        return None
    known = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    return _remote(address, name, size if known else None, _sha256(file.get("hashes", {}).get("sha256", "")))


def _html_page(url: str, text: str) -> _Page:
    """A page of PEP 503, or a listing."""
    parser = _Links()
    parser.feed(text)
    parser.close()
    base = (_meant(url, parser.base) if parser.base else None) or url
    wheels, directories = [], []
    for link in parser.links:
        plain, _, fragment = link.partition("#")
        if plain.partition("?")[0].endswith(SUFFIX):
            digest = parse_qs(fragment).get("sha256", [""])[0]
            if address := _meant(base, plain):
                wheels.append(_remote(address, _file_name(address), None, _sha256(digest)))
        elif plain.endswith("/") and "?" not in plain:
            directories.append(plain)
    return _Page(url, base, wheels, directories)


class _Links(HTMLParser):
    """Where the anchors of a page lead, and what they are relative to if it says so."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        link = (dict(attrs).get("href") or "").strip()
        if link and tag == "a":
            self.links.append(link)
        elif tag == "base":
            self.base = self.base or link


def _decoded(body: bytes, parameters: str) -> str:
    found = re.search(r"charset=\"?([\w-]+)", parameters)
    try:
        return body.decode(found[1] if found else "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _meant(base: str, link: str) -> str | None:
    """The URL that a link means; None if it is none of a web server: a page must not lead to files of this machine."""
    try:
        address = http.joined(base, link)
    except ValueError:
        return None
    return address if address.startswith(("http://", "https://")) else None


def _remote(address: str, name: str, size: int | None = None, identity: str = "") -> Remote:
    url = http.public(address)
    return Remote(url, name, size, identity, private="" if address == url else address)


def _sha256(digest: str) -> str:
    return f"sha256:{digest.lower()}" if re.fullmatch("[0-9a-fA-F]{64}", digest) else ""


def _file_name(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2]).rpartition("/")[2]


def _directory_of(url: str) -> str:
    """The URL below which everything belongs to a location: ``/wheels/`` for itself, its index.html, ``/wheels``."""
    parts = urlsplit(url)
    above, _, last = parts.path.rpartition("/")
    path = f"{above}/{last}/" if last and "." not in last else f"{above}/"
    return urlunsplit(parts._replace(path=path, query="", fragment=""))


def _stored(location: str, wanted: Wanted) -> Iterator[Remote | Unlisted]:
    """What a file system of fsspec has: a wheel, or all below a directory."""
    system, path = file_system(location)
    try:
        found = system.find(path, detail=True)
    except Exception as error:  # each driver has errors of its own
        raise _no_location(location, http.public(str(error)) or type(error).__name__) from error
    if not found:
        raise _no_location(location, "there is nothing")
    for key in sorted(found):
        name = key.rpartition("/")[2]
        if wanted(name):
            info = found[key]
            size = info.get("size") if isinstance(info.get("size"), int) else None
            yield _remote(_below(location, path, key), name, size, etag_of(info))


def _below(location: str, path: str, key: str) -> str:
    """The URL of a file that its file system calls *key*, where it calls the location *path*.

    Of a chain, ``zip://wheels::s3://bucket/all.zip``, the path is that of the first URL.
    """
    chain = location.split("::")
    at = next((number for number, part in enumerate(chain) if "://" in part), len(chain) - 1)
    scheme, separator, inner = chain[at].rpartition("://")
    rest = key.removeprefix(path).lstrip("/")
    inner = f"{inner.rstrip('/')}/{rest}" if inner and rest else inner or rest
    return "::".join((*chain[:at], f"{scheme}{separator}{inner}", *chain[at + 1 :]))


def _no_location(location: str, reason: str, todo: str = "") -> InvalidInput:
    return InvalidInput(Problem(f"{http.public(location)}: nothing can be listed there: {reason}", todo=todo))
