"""The two header files of a ``.dist-info`` directory: METADATA and WHEEL.

Both are written like the headers of an e-mail (core metadata specification; PEP 427, "File contents"), and
installers read both with ``email.parser``. The parser here sees the same fields, but keeps every byte, so
that a file can be edited line by line, and refuses what ``email.parser`` silently takes for the body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from wheelfuse.errors import InvalidInput

_FIELD_NAME = re.compile(rb"([!-9;-~]+):")  # RFC 5322, section 2.2: printable US-ASCII except the colon
_WHEEL_VERSION = re.compile(r"(\d+)(\.\d+)*")
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
        InvalidInput: *data* is not UTF-8, or a line before the first blank line belongs to no field.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not UTF-8: {error.reason} at byte {error.start}") from error
    lines = data.splitlines(keepends=True)
    end = next((number for number, line in enumerate(lines) if not line.strip(b"\r\n")), len(lines))
    separator = lines[end] if end < len(lines) else b""
    return Headers(tuple(_fields(lines[:end])), separator, b"".join(lines[end + 1 :]))


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
        raise InvalidInput(f"Wheel-Version is {version!r}, not a version")
    if int(match[1]) > 1:
        raise InvalidInput(f"Wheel-Version is {version}; only 1.x is known")
    purelib = _single(headers, "Root-Is-Purelib").lower()
    if purelib not in ("true", "false", ""):
        raise InvalidInput(f"Root-Is-Purelib is {purelib!r}, neither true nor false")
    return WheelFile(
        wheel_version=version,
        generator=", ".join(header.flat for header in headers.get_all("Generator")),
        root_is_purelib=purelib == "true",
        build=_single(headers, "Build"),
        tags=tuple(
            dict.fromkeys(tag for header in headers.get_all("Tag") for tag in _expand_tag(header.flat))
        ),
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


def _expand_tag(tag: str) -> Iterator[str]:
    """The single tags of a compressed tag set, ``py2.py3-none-any`` (PEP 425)."""
    parts = tag.split("-")
    if len(parts) != 3 or not all(parts):
        raise InvalidInput(f"Tag is {tag!r}, not python-abi-platform")
    for python in parts[0].split("."):
        for abi in parts[1].split("."):
            for platform in parts[2].split("."):
                yield f"{python}-{abi}-{platform}"
