"""How to make one file out of another, or out of two: a list of pieces that is small and can be kept as JSON.

Where a `Patch` replaces bytes by as many others, a `Recipe` can also leave bytes out, and bring in bytes that lie
in a second file. The module knows nothing of ELF.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

from wheelfuse.content import Read
from wheelfuse.errors import InvalidInput, Problem

__all__ = ["Borrow", "Keep", "Literal", "Piece", "Recipe", "Zeros", "borrowing"]

_CHUNK = 1 << 20
_COMPARED = 1 << 12  # bytes at once where two files are compared
_CLOSE = 32  # bytes that are worth less than a piece of their own
_RUN = re.compile(rb"[^\0]+")
_LARGEST = (1 << 63) - 1  # of an offset or a size, as off_t has it


@dataclass(frozen=True, slots=True)
class Keep:
    """*size* bytes from *offset* of the file that is changed."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Borrow:
    """*size* bytes from *offset* of the other file."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Literal:
    """These bytes."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)


@dataclass(frozen=True, slots=True)
class Zeros:
    """*size* zero bytes."""

    size: int


Piece = Keep | Borrow | Literal | Zeros


@dataclass(frozen=True)
class Recipe:
    """The result is the *pieces* one after another: *size* bytes with this SHA-256, in hexadecimal.

    Raises:
        InvalidInput: a piece is empty or lies nowhere, or the sizes do not add up.
    """

    size: int
    sha256: str
    pieces: tuple[Piece, ...]

    def __post_init__(self) -> None:
        for piece in self.pieces:
            if piece.size <= 0 or (isinstance(piece, Keep | Borrow) and piece.offset < 0):
                raise InvalidInput(f"a piece of a file that is no piece: {piece!r:.100}")
        if self.size != sum(piece.size for piece in self.pieces) or self.size > _LARGEST:
            raise InvalidInput(f"the pieces of a file do not make up its {self.size} bytes")
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise InvalidInput(f"not a SHA-256 in hexadecimal: {self.sha256!r:.100}")

    @classmethod
    def of(cls, pieces: Iterable[Piece], source: Read, other: Read | None = None) -> Recipe:
        """The recipe with these pieces, the empty ones left out; the result is made once for its digest.

        Raises:
            InvalidInput: the pieces reach beyond the files.
        """
        kept = tuple(_joined(piece for piece in pieces if piece.size))
        digest = hashlib.sha256()
        for chunk in _chunks(kept, source, other):
            digest.update(chunk)
        return cls(sum(piece.size for piece in kept), digest.hexdigest(), kept)

    def apply(self, source: Read, other: Read | None = None) -> Iterator[bytes]:
        """The result in chunks of at most a MiB, given the file that is changed and the one that is borrowed from.

        Raises:
            InvalidInput: they are not the files that the recipe was made for. That shows in the end only: what was
                yielded until then is worthless.
        """
        digest = hashlib.sha256()
        for chunk in _chunks(self.pieces, source, other):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != self.sha256:
            raise InvalidInput(_other_file(f"the result should have the SHA-256 {self.sha256}"))

    def reader(self, source: Read, other: Read | None = None) -> Read:
        """Access to any part of the result, which is not built, and not verified either."""
        ends = list(accumulate(piece.size for piece in self.pieces))

        def read(offset: int, size: int) -> bytes:
            parts = []
            for index in range(bisect_right(ends, offset), len(ends)):
                if size <= 0:
                    break
                piece = self.pieces[index]
                skip = offset - (ends[index] - piece.size)
                count = min(size, piece.size - skip)
                parts.append(_bytes(piece, skip, count, source, other))
                offset, size = offset + count, size - count
            return b"".join(parts)

        return read

    def borrowing_from(self, offset: int) -> Recipe:
        """The recipe for another file in which all that is borrowed lies *offset* bytes later."""
        pieces = tuple(
            replace(piece, offset=piece.offset + offset) if isinstance(piece, Borrow) else piece
            for piece in self.pieces
        )
        return replace(self, pieces=pieces)

    def to_json(self) -> dict[str, object]:
        """A value that the json module can write; a piece is `[kind, offset, size]`, literals are in base64."""
        return {"size": self.size, "sha256": self.sha256, "pieces": list(map(_piece_to_json, self.pieces))}

    @classmethod
    def from_json(cls, value: object) -> Recipe:
        """The counterpart of `to_json`.

        Raises:
            InvalidInput: *value* is nothing that `to_json` returns.
        """
        match value:
            case {"size": int(size), "sha256": str(sha256), "pieces": list(pieces), **rest} if not rest:
                return cls(_number(size), sha256, tuple(map(_piece_from_json, pieces)))
            case _:
                raise InvalidInput(f"not the record of a change to a file: {value!r:.200}")


def borrowing(wanted: Read, offset: int, other: Read, at: int, size: int) -> Iterator[Piece]:
    """Pieces that make the *size* bytes of *wanted* from *offset* of those that another file has from *at*.

    Bytes that differ are literal; both files have to be of about the same bytes, each at its place.
    """
    done = 0
    for start, end in _differing(wanted, offset, other, at, size):
        yield from (Borrow(at + done, start - done), Literal(wanted(offset + start, end - start)))
        done = end
    yield Borrow(at + done, size - done)


def _differing(wanted: Read, offset: int, other: Read, at: int, size: int) -> Iterator[tuple[int, int]]:
    """Ranges in which two parts of files differ, those that are close to each other joined."""
    found: tuple[int, int] | None = None
    for start in range(0, size, _COMPARED):
        length = min(_COMPARED, size - start)
        one, two = wanted(offset + start, length), other(at + start, length)
        if one == two:
            continue
        if len(one) != len(two):
            raise InvalidInput(_other_file(f"it ends before byte {at + start + length}"))
        both = int.from_bytes(one, "little") ^ int.from_bytes(two, "little")
        for match in _RUN.finditer(both.to_bytes(length, "little")):
            run = start + match.start(), start + match.end()
            if found and run[0] - found[1] <= _CLOSE:
                run = found[0], run[1]
            elif found:
                yield found
            found = run
    if found:
        yield found


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces, with literals that follow each other made one."""
    for is_literal, group in groupby(pieces, lambda piece: isinstance(piece, Literal)):
        if is_literal:
            yield Literal(b"".join(piece.data for piece in group if isinstance(piece, Literal)))
        else:
            yield from group


def _chunks(pieces: Iterable[Piece], source: Read, other: Read | None) -> Iterator[bytes]:
    for piece in pieces:
        for done in range(0, piece.size, _CHUNK):
            yield _bytes(piece, done, min(_CHUNK, piece.size - done), source, other)


def _bytes(piece: Piece, skip: int, size: int, source: Read, other: Read | None) -> bytes:
    """*size* bytes of a piece, after the first *skip* ones."""
    match piece:
        case Literal(data):
            return data[skip : skip + size]
        case Zeros():
            return bytes(size)
        case Keep(offset):
            data = source(offset + skip, size)
        case Borrow(offset):
            if other is None:
                raise InvalidInput(_other_file("the file that bytes are to be taken from is missing"))
            data = other(offset + skip, size)
    if len(data) != size:
        raise InvalidInput(_other_file(f"it ends before byte {offset + skip + size}"))
    return data


def _piece_to_json(piece: Piece) -> list[object]:
    match piece:
        case Keep(offset, size):
            return ["keep", offset, size]
        case Borrow(offset, size):
            return ["borrow", offset, size]
        case Literal(data):
            return ["literal", b64encode(data).decode("ascii")]
        case Zeros(size):
            return ["zeros", size]


def _piece_from_json(value: object) -> Piece:
    match value:
        case ["keep", int(offset), int(size)]:
            return Keep(_number(offset), _number(size))
        case ["borrow", int(offset), int(size)]:
            return Borrow(_number(offset), _number(size))
        case ["zeros", int(size)]:
            return Zeros(_number(size))
        case ["literal", str(text)]:
            try:
                return Literal(b64decode(text, validate=True))
            except ValueError as error:
                raise InvalidInput(f"not base64: {text!r:.100}") from error
        case _:
            raise InvalidInput(f"not a piece of a file: {value!r:.100}")


def _number(value: int) -> int:
    if isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise InvalidInput(f"not an offset or a size: {value!r:.50}")
    return value


def _other_file(how: str) -> Problem:
    return Problem(
        f"this is not the file that the change was made for: {how}", todo="Start from the unchanged file."
    )
