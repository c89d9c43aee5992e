"""RECORD: the list of a wheel's files with their digests (PEP 376, PEP 427)."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wheelfuse.errors import InvalidInput, Problem

UNHASHED = ("RECORD", "RECORD.jws", "RECORD.p7s")
"""Files of ``.dist-info`` that RECORD lists without a digest (PEP 427)."""

STRONG_HASHES = ("sha256", "sha384", "sha512")
"""PEP 427 wants sha256 or better; anything weaker proves nothing."""


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """One row: path, name of the hash, digest (urlsafe base64 without padding), size in bytes (-1: not given)."""

    path: str
    algorithm: str
    digest: str
    size: int


def file_digest(path: Path, algorithm: str = "sha256") -> bytes:
    """The digest of a file on disk, as installers take it to fill in and to check a RECORD.

    Raises:
        ValueError: there is no such algorithm.
        OSError: the file cannot be read.
    """
    digest = hashlib.new(algorithm)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.digest()


def encode_digest(digest: bytes) -> str:
    """A digest as RECORD spells it: urlsafe base64, no padding."""
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def hex_digest(encoded: str) -> str:
    """The hexadecimal form of a digest as RECORD spells it."""
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).hex()


_MANY = 100
"""Problems after which no more are looked for."""


def parse_record(content: bytes) -> tuple[RecordEntry, ...]:
    """The rows of a RECORD. Paths and digests, which wheels of one release have in common, are interned.

    Raises:
        InvalidInput: it is not UTF-8, no CSV of three columns, or lists a path twice.
    """
    problems: list[Problem] = []
    entries: dict[str, RecordEntry] = {}
    for number, row in enumerate(_rows(content), 1):
        if len(problems) == _MANY:
            problems.append(
                Problem(f"RECORD was not read from line {number} on: it cannot be trusted anyway")
            )
            break
        try:
            entry = _entry(row)
        except ValueError:
            problems.append(Problem(f"RECORD line {number} is not 'path,hash,size': {','.join(row)[:120]!r}"))
            continue
        if entries.setdefault(entry.path, entry) is not entry:
            problems.append(Problem("listed twice in RECORD", member=entry.path))
    if problems:
        raise InvalidInput(problems)
    return tuple(entries.values())


def _rows(content: bytes) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(Problem(f"RECORD cannot be read: {error}")) from error


def _entry(row: list[str]) -> RecordEntry:
    path, hash_value, size = row
    algorithm, _, digest = hash_value.partition("=")
    no_size = size and not (size.isascii() and size.isdigit())
    if no_size or (digest and not algorithm) or "\0" in path:  # no file system takes that
        raise ValueError(row)
    intern = sys.intern
    return RecordEntry(intern(path), intern(algorithm), intern(digest.rstrip("=")), int(size or -1))


def format_record(entries: Iterable[RecordEntry], newline: str = "\n") -> bytes:
    """The text of a RECORD with these rows, in this order."""
    content = io.BytesIO()  # StringIO would take four bytes for each letter
    with io.TextIOWrapper(content, encoding="utf-8", newline="") as text:
        csv.writer(text, lineterminator=newline).writerows(
            (e.path, f"{e.algorithm}={e.digest}" if e.algorithm else "", e.size if e.size >= 0 else "")
            for e in entries
        )
        text.flush()
        return content.getvalue()
