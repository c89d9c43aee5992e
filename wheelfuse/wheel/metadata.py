"""The two header files of a ``.dist-info`` directory: METADATA and WHEEL.

Both are written like the headers of an e-mail (core metadata specification; PEP 427, "File contents"), and
installers read both with ``email.parser``. The parser here sees the same fields, but keeps every byte, so
that a file can be edited line by line, and refuses what ``email.parser`` silently takes for the body.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from wheelfuse.errors import InvalidInput

_FIELD_NAME = re.compile(rb"([!-9;-~]+):")  # RFC 5322, section 2.2: printable US-ASCII except the colon
_WHEEL_VERSION = re.compile(r"([0-9]{1,6})(\.[0-9]{1,6}){0,9}")
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_MOST_LINES = 100_000
"""Lines of header fields. The body may have more, and is not read line by line."""
_MOST_TAGS = 1 << 16
"""Tags that a WHEEL file may state, all sets written out; a file name has no room for more."""
_LONGEST_VALUE = 1000
"""Letters of a name, a version or a specifier: what parses them calls itself, or counts, for each."""
_DEEPEST = 64
"""Parentheses of a requirement, for the same reason."""
_LONGEST_REQUIREMENT, _LONGEST_REQUIREMENTS, _MOST_CLAUSES = 1 << 16, 1 << 20, 10_000
"""Letters of a requirement and of all together, and what they list. Projects with hundreds of extras state some 1000,
of 100 letters each."""
_ENDLESS = re.compile(r"\d{640}")
"""What `int` may be told to refuse."""
_SHOWN = 200
"""Letters of a value that are shown."""
_WHEEL_FIELDS = frozenset({"wheel-version", "generator", "root-is-purelib", "tag", "build"})


@dataclass(frozen=True)
class Header:
    """One field: its name and value, and the bytes of its lines with their line ends.

    The value of a folded field keeps the folds (``\\n`` and indentation), as ``email.parser`` gives it.
    """

    name: str
    value: str
    raw: bytes

    @property
    def field(self) -> str:
        """The name in lower case: names of fields are case-insensitive."""
        return self.name.lower()

    @property
    def flat(self) -> str:
        """The value on one line, each run of white space as one space."""
        return re.sub(r"[ \t\n]+", " ", self.value).strip(" ")


@dataclass(frozen=True)
class Headers:
    """A header file: its fields in order, the blank line that ends them (if any), and the body."""

    fields: tuple[Header, ...]
    separator: bytes
    body: bytes

    def __bytes__(self) -> bytes:
        return b"".join(header.raw for header in self.fields) + self.separator + self.body

    @property
    def newline(self) -> bytes:
        """How the file ends its lines, as far as its first field tells."""
        first = self.fields[0].raw if self.fields else self.separator
        return first[len(first.rstrip(b"\r\n")) :][:2] or b"\n"

    @property
    def text(self) -> str:
        """The body, with ``\\n`` as line end."""
        return self.body.decode().replace("\r\n", "\n").replace("\r", "\n")

    def get_all(self, field: str) -> tuple[Header, ...]:
        """Every header of this name, in order."""
        return tuple(header for header in self.fields if header.field == field.lower())


def parse_headers(data: bytes) -> Headers:
    """The fields and the body of a METADATA or WHEEL file; ``bytes()`` of the result is *data* again.

    Raises:
        InvalidInput: *data* is not UTF-8, a line before the first blank line belongs to no field, or there are
            far too many of them.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not UTF-8: {error.reason} at byte {error.start}") from error
    lines: list[bytes] = []
    separator, end = b"", 0
    for match in _LINE.finditer(data):
        end = match.end()
        if not match[0].strip(b"\r\n"):
            separator = match[0]
            break
        lines.append(match[0])
        if len(lines) > _MOST_LINES:
            raise InvalidInput(f"more than {_MOST_LINES} lines of header fields")
    return Headers(tuple(_fields(lines)), separator, data[end:])


def _fields(lines: list[bytes]) -> Iterator[Header]:
    start = 0
    for number, line in enumerate(lines):
        if line[:1] not in b" \t":
            if number:
                yield _field(lines[start:number])
            start = number
        if not (_FIELD_NAME.match(line) or (line[:1] in b" \t" and number)):
            shown = line.decode().strip()[:60]
            raise InvalidInput(f"line {number + 1} is no header field ('Name: value'): {shown!r}")
    if lines:
        yield _field(lines[start:])


def _field(lines: list[bytes]) -> Header:
    raw = b"".join(lines)
    name, _, value = raw.decode().partition(":")
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    return Header(name, value.lstrip(" \t\n").rstrip("\n"), raw)


def parse_metadata(data: bytes) -> Headers:
    """The same for METADATA, of which others parse single values.

    Raises:
        InvalidInput: as `parse_headers`, or such a value is longer or deeper than it can mean anything.
    """
    headers = parse_headers(data)
    for field in ("Name", "Version", "Requires-Python"):
        for header in headers.get_all(field):
            require_bounded(field, header.flat)
    requirements = headers.get_all("Requires-Dist")
    letters = sum(len(header.value) for header in requirements)
    if letters > _LONGEST_REQUIREMENTS:
        raise InvalidInput(
            f"its requirements have {letters} letters, where at most {_LONGEST_REQUIREMENTS} make sense"
        )
    clauses = sum(1 + header.value.count(",") for header in requirements)
    if clauses > _MOST_CLAUSES:
        raise InvalidInput(
            f"its requirements list {clauses} things, where at most {_MOST_CLAUSES} make sense"
        )
    for header in requirements:
        require_bounded("Requires-Dist", header.flat, _LONGEST_REQUIREMENT)
        if header.value.count("(") > _DEEPEST:
            raise InvalidInput(f"a requirement of more than {_DEEPEST} parentheses: {_shown(header.flat)}")
    return headers


def require_bounded(field: str, value: str, most: int = _LONGEST_VALUE) -> None:
    """Refuse a value that has no end, before anything parses it.

    Raises:
        InvalidInput: it has more than *most* letters, or a number in it is too long for `int`.
    """
    if len(value) > most:
        raise InvalidInput(f"{field} is {len(value)} letters long: {_shown(value)}")
    if _ENDLESS.search(value):
        raise InvalidInput(f"{field} has a number of hundreds of digits: {_shown(value)}")


@dataclass(frozen=True)
class WheelFile:
    """The content of a WHEEL file (PEP 427).

    ``tags`` holds the ``Tag`` lines, compressed tag sets expanded, in order and each once. ``others`` holds
    the fields that PEP 427 does not know. ``unread`` holds the lines after the first blank line: no reader of
    the format sees them, yet wheels exist whose ``Tag`` lines are all there.
    """

    wheel_version: str
    generator: str
    root_is_purelib: bool
    build: str
    tags: tuple[str, ...]
    others: tuple[tuple[str, str], ...] = ()
    unread: tuple[str, ...] = ()


def parse_wheel_file(data: bytes) -> WheelFile:
    """Read a WHEEL file as installers do.

    Raises:
        InvalidInput: it is no header file; Wheel-Version is missing, malformed, or has a major version above
            1 (which PEP 427 tells installers to refuse); a field occurs twice; a value makes no sense.
    """
    headers = parse_headers(data)
    version = _single(headers, "Wheel-Version")
    if not (match := _WHEEL_VERSION.fullmatch(version)):
        raise InvalidInput(f"Wheel-Version is {_shown(version)}, not a version")
    if int(match[1]) > 1:
        raise InvalidInput(f"Wheel-Version is {version}; only 1.x is known")
    purelib = _single(headers, "Root-Is-Purelib").lower()
    if purelib not in ("true", "false", ""):
        raise InvalidInput(f"Root-Is-Purelib is {_shown(purelib)}, neither true nor false")
    return WheelFile(
        wheel_version=version,
        generator=", ".join(header.flat for header in headers.get_all("Generator")),
        root_is_purelib=purelib == "true",
        build=_single(headers, "Build"),
        tags=tuple(dict.fromkeys(_tags(headers))),
        others=tuple((h.name, h.flat) for h in headers.fields if h.field not in _WHEEL_FIELDS),
        unread=tuple(line for line in headers.text.split("\n") if line.strip()),
    )


def write_wheel_file(wheel: WheelFile) -> bytes:
    """The bytes of a WHEEL file, its fields in the order of PEP 427; what is ``unread`` is left out.

    Raises:
        InvalidInput: a value holds a line break.
    """
    fields = [
        ("Wheel-Version", wheel.wheel_version),
        ("Generator", wheel.generator),
        ("Root-Is-Purelib", "true" if wheel.root_is_purelib else "false"),
        *(("Tag", tag) for tag in wheel.tags),
        ("Build", wheel.build),
        *wheel.others,
    ]
    for name, value in fields:
        if "\n" in value or "\r" in value:
            raise InvalidInput(f"{name} must be one line, not {value!r}")
    return "".join(f"{name}: {value}\n" for name, value in fields if value).encode()


def _single(headers: Headers, field: str) -> str:
    """The value of a field that may occur once; empty where it does not occur."""
    found = headers.get_all(field)
    if len(found) > 1:
        raise InvalidInput(f"{field} occurs {len(found)} times")
    return found[0].flat if found else ""


def _tags(headers: Headers) -> Iterator[str]:
    """The single tags that the ``Tag`` lines state.

    Raises:
        InvalidInput: one is none, or there are more than a file name can have.
    """
    count = 0
    for header in headers.get_all("Tag"):
        sets = [part.split(".") for part in header.flat.split("-")]
        if len(sets) != 3 or not all(map(all, sets)) or len(header.flat.split()) != 1:
            raise InvalidInput(f"Tag is {_shown(header.flat)}, not python-abi-platform")
        count += math.prod(map(len, sets))
        if count > _MOST_TAGS:
            raise InvalidInput(
                f"it states {count} tags or more, where {_MOST_TAGS} are the most that a name can have"
            )
        yield from map("-".join, product(*sets))


def _shown(value: str) -> str:
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")
