"""Requests to web servers: by one pool of connections in each process, tried again where trying again may help.

Settings of the environment count as they do for pip: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, and for
certificates SSL_CERT_FILE, SSL_CERT_DIR, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE. Credentials in a URL are sent to the
host that they are for and to no other, and are never part of an error.
"""

from __future__ import annotations

import base64
import os
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from http.client import IncompleteRead
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from wheelfuse import __version__
from wheelfuse.errors import UsageError

if TYPE_CHECKING:  # urllib3 comes with an extra, and is loaded when it is first needed
    from urllib3 import BaseHTTPResponse, PoolManager

ATTEMPTS = 5
"""Times that a request is made before it has failed for good."""
BACKOFF = 0.5
"""Seconds between the second attempt and the third, about; they double from there on. There are none before the second:
most of what fails is a connection that the server closed while nobody used it."""
PATIENCE = 120
"""Seconds that a server may ask to wait for (Retry-After)."""
CONNECT, READ = 10, 30
"""Seconds that a connection may take, and that may pass without a byte."""
REDIRECTS = 10
"""Redirects that one request may take."""
CONNECTIONS = 32
"""Connections to one host that are kept for the next request."""

_PIECE = 1 << 16
_ANSWERS = frozenset({200, 206, 304, 416})
"""What means something to those who ask for ranges; all else has failed."""
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
"""What may pass."""
_LOGIN = re.compile(r"(?<=://)[^/?#@]*@")
_TOKEN = re.compile(
    r"(?i)([?&](?:[^=&#]*(?:signature|credential|token|secret|password|api_?key)[^=&#]*|sig)=)[^&#]*"
)


class RequestFailed(Exception):
    """No answer, or none that is of use: *what* is wrong, and what the user may do (*todo*; may be empty)."""

    def __init__(
        self, what: str, todo: str = "", *, passing: bool = False, wait: float | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo
        self.passing = passing
        """Whether it is worth another attempt."""
        self.wait = wait
        """Seconds until that, if the server says so."""


@dataclass
class Tally:
    """What requests took: how many there were, and the bytes of the bodies that came; those that failed count too."""

    requests: int = 0
    fetched: int = 0


@dataclass(frozen=True)
class Answer:
    """What a server answers. *url* is where it was found in the end, with credentials where they still count.

    *body* is None if it is longer than what was to be taken of it.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    """They are found whatever the case of the letters."""
    body: bytes | None = field(repr=False)


Take = Callable[[int, Mapping[str, str]], int]
"""How many bytes of a body to take, by status and headers."""


def get(url: str, headers: Mapping[str, str], tally: Tally, take: Take) -> Answer:
    """Ask for *url*, as often as is reasonable.

    Raises:
        RequestFailed: for good.
        UsageError: urllib3 is not installed.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _followed(url, headers, tally, take)
        except RequestFailed as error:
            if not error.passing:
                raise
            failure = error
        if attempt < ATTEMPTS - 1:
            time.sleep(pause(attempt) if failure.wait is None else failure.wait)
    raise RequestFailed(f"{failure.what} ({ATTEMPTS} attempts)", failure.todo)


def pause(attempt: int) -> float:
    """Seconds to wait after an attempt that failed; the first one is 0."""
    return BACKOFF * float(2**attempt - 1) * random.uniform(0.5, 1.5)


def public(url: str) -> str:
    """A URL without credentials: no ``user:password@``, and ``***`` for tokens and signatures of its query."""
    return _TOKEN.sub(r"\1***", _LOGIN.sub("", url))


def joined(base: str, link: str) -> str:
    """What *link* means on the page at *base*, whose credentials it shares if it leads to the same host.

    Raises:
        ValueError: it is no URL.
    """
    url = urljoin(base, link)
    if "@" not in base:
        return url
    clean, login = _split_login(base)
    if not login or urlsplit(url).username is not None or _origin(url) != _origin(clean):
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))


def _split_login(url: str) -> tuple[str, str]:
    """A URL without ``user:password``, and these as they are spelt there."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host)), login


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _followed(url: str, headers: Mapping[str, str], tally: Tally, take: Take) -> Answer:
    """One attempt, which follows redirects."""
    for _ in range(REDIRECTS + 1):
        answer = _asked(url, headers, tally, take)
        if isinstance(answer, Answer):
            return answer
        try:
            url = joined(url, answer)
        except ValueError as error:
            raise RequestFailed("the server redirects to what is no URL") from error
        if urlsplit(url).scheme not in ("http", "https"):
            raise RequestFailed(f"the server redirects to another protocol, {urlsplit(url).scheme}")
    raise RequestFailed(f"the server redirects more than {REDIRECTS} times")


def _asked(url: str, headers: Mapping[str, str], tally: Tally, take: Take) -> Answer | str:
    """The answer to one request, or where it redirects to."""
    connections = _connections()
    from urllib3.exceptions import HTTPError

    response = None
    try:
        clean, login = _split_login(url)
        fields = {"Accept-Encoding": "identity", "User-Agent": f"wheelfuse/{__version__}", **headers}
        if login:
            fields["Authorization"] = f"Basic {base64.b64encode(unquote(login).encode()).decode()}"
        pool = connections.to(clean)
        tally.requests += 1
        response = pool.request(
            "GET", clean, headers=fields, redirect=False, retries=False, preload_content=False
        )
        if location := response.get_redirect_location():
            _body(response, _PIECE, tally)
            return location
        if response.status not in _ANSWERS:
            _body(response, _PIECE, tally)
            raise _refused(response)
        most = take(response.status, response.headers)
        return Answer(url, response.status, response.headers, _body(response, most, tally))
    except (HTTPError, ValueError) as error:
        raise _failure(error) from error
    finally:
        if response is not None:
            response.close() if response.length_remaining else response.release_conn()


def _body(response: BaseHTTPResponse, most: int, tally: Tally) -> bytes | None:
    """The body, decoded if the server packed it; None if there is more than *most* of it."""
    if (response.length_remaining or 0) > most:
        return None
    pieces, size = [], 0
    try:
        for piece in response.stream(_PIECE, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > most:
                response.close()
                return None
    finally:
        tally.fetched += response.tell() or size  # urllib3 does not count what comes in chunks
    return b"".join(pieces)


def _refused(response: BaseHTTPResponse) -> RequestFailed:
    """What a status means for who asked."""
    status = response.status
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    what = f"the server answers {status} {phrase}".rstrip()
    if status in (401, 403):
        return RequestFailed(
            what, "Check the credentials: they go into the URL, https://user:password@host/."
        )
    if status == 407:
        return RequestFailed(what, "Check the credentials in the proxy's URL (HTTP_PROXY, HTTPS_PROXY).")
    wait = _wait(response.headers.get("Retry-After")) if status in (429, 503) else None
    if wait is not None and wait > PATIENCE:
        return RequestFailed(
            f"{what}, and asks to wait for {wait:.0f} seconds", "Try again later, with --resume."
        )
    return RequestFailed(what, passing=status in _AGAIN, wait=wait)


def _wait(retry_after: str | None) -> float | None:
    """Seconds that Retry-After (RFC 9110, 10.2.3) asks for; None if it makes no sense."""
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    try:
        return Retry().parse_retry_after(retry_after) if retry_after else None
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _failure(error: Exception) -> RequestFailed:
    """What the library says, in words that hold no URL: it may have credentials."""
    from urllib3 import exceptions

    cause: BaseException | None = error
    while cause and not isinstance(cause, (OSError, IncompleteRead)):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        todo = "Name the certificates of the host's authority in SSL_CERT_FILE."
        return RequestFailed(f"the certificate of the host is not trusted: {cause.verify_message}", todo)
    if isinstance(cause, socket.gaierror):
        return RequestFailed("there is no such host", passing=cause.errno == socket.EAI_AGAIN)
    if isinstance(error, exceptions.ProxyError):
        return RequestFailed(f"the proxy (HTTP_PROXY, HTTPS_PROXY) does not connect: {cause}", passing=True)
    refused = isinstance(error, exceptions.NewConnectionError)  # which counts as one of the next, too
    if isinstance(error, exceptions.ConnectTimeoutError) and not refused:
        return RequestFailed(f"no connection within {CONNECT} seconds", passing=True)
    if isinstance(error, exceptions.ReadTimeoutError):
        return RequestFailed(f"the server sent nothing for {READ} seconds", passing=True)
    if isinstance(cause, IncompleteRead):
        return RequestFailed("the server closed the connection before the end of its answer", passing=True)
    if isinstance(error, exceptions.DecodeError):
        return RequestFailed("the answer cannot be unpacked")
    if isinstance(error, (exceptions.LocationValueError, ValueError)) and cause is None:
        return RequestFailed("this is no URL")
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else "the connection was closed"
    return RequestFailed(f"the connection failed: {reason}", passing=True)


class _Connections:
    """The connections of one process; threads share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._managers: dict[str, PoolManager] = {}

    def to(self, url: str) -> PoolManager:
        """The pool for a URL: direct, or through the proxy that the environment names."""
        parts = urlsplit(url)
        proxies = getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
        if proxy and proxy_bypass(parts.hostname or ""):
            proxy = ""
        with self._lock:
            if proxy not in self._managers:
                self._managers[proxy] = _manager(proxy)
            return self._managers[proxy]


def _manager(proxy: str) -> PoolManager:
    from urllib3 import PoolManager, ProxyManager, Timeout
    from urllib3.exceptions import HTTPError
    from urllib3.util import make_headers

    options: dict[str, Any] = {
        "maxsize": CONNECTIONS,
        "timeout": Timeout(connect=CONNECT, read=READ),
        **_authorities(),
    }
    if not proxy:
        return PoolManager(**options)
    clean, login = _split_login(proxy if "://" in proxy else f"http://{proxy}")
    headers = make_headers(proxy_basic_auth=unquote(login)) if login else None
    try:
        return ProxyManager(clean, proxy_headers=headers, **options)
    except HTTPError as error:
        raise UsageError(
            "the proxy that the environment names (HTTP_PROXY, HTTPS_PROXY) is no http URL"
        ) from error


def _authorities() -> dict[str, str]:
    """Whose certificates to trust, if not those that OpenSSL finds by itself (SSL_CERT_FILE, SSL_CERT_DIR)."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if named := os.environ.get(variable):
            if not Path(named).exists():
                raise UsageError(f"{variable} of the environment names {named}, which does not exist")
            return {"ca_cert_dir" if Path(named).is_dir() else "ca_certs": named}
    return {}


def _connections() -> _Connections:
    return _connections_of(os.getpid())


@cache
def _connections_of(process: int) -> _Connections:
    """Those of this process: a fork must not use the sockets of its parent."""
    try:
        import urllib3  # noqa: F401
    except ImportError as error:
        raise UsageError("http:// and https:// need urllib3: pip install 'wheelfuse[survey]'") from error
    return _Connections()
