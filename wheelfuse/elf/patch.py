"""A change to a file that can be taken back: a few byte ranges replaced in place, and bytes added at the end.

The module knows nothing of ELF. A `Patch` holds all that the new file has and the old one has not; its `Undo`
holds what the way back needs, and is small enough to be kept beside the file, however much was added.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wheelfuse.content import Content, pieces
from wheelfuse.errors import InvalidInput, Problem

_LARGEST = (1 << 63) - 1  # of a size, as off_t has it


@dataclass(frozen=True, order=True, slots=True)
class Edit:
    """At *offset* (bytes from the start of the file), *old* becomes *new*, which has the same length."""

    offset: int
    old: bytes
    new: bytes

    @property
    def end(self) -> int:
        """Offset of the first byte after the edit."""
        return self.offset + len(self.old)

    @property
    def reverse(self) -> Edit:
        """The edit that takes this one back."""
        return Edit(self.offset, self.new, self.old)


@dataclass(frozen=True)
class Patch:
    """The new file is the old one of *size* bytes with the *edits* applied, followed by *tail*.

    Edits are sorted by offset, do not overlap and lie within the old file.

    Raises:
        InvalidInput: the edits are not like that.
    """

    size: int
    edits: tuple[Edit, ...]
    tail: bytes

    def __post_init__(self) -> None:
        _check(self.size, self.edits)

    def apply(self, data: Content) -> bytes:
        """The new file, given the whole old one.

        Raises:
            InvalidInput: *data* is not what the patch was made for.
        """
        return b"".join(self.apply_stream(pieces(data)))

    def apply_stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The new file in chunks, given the old one in chunks of any lengths; holds one chunk at a time.

        Raises:
            InvalidInput: the chunks are not what the patch was made for; what was yielded is worthless then.
        """
        position = 0
        for chunk in chunks:
            yield b"".join(_splice(memoryview(chunk), position, self.edits))
            position += len(chunk)
        _check_size(position, self.size)
        yield self.tail

    def read(self, data: Content, offset: int, size: int) -> bytes:
        """At most *size* bytes from *offset* of the new file, which is not built; *data* is the old one."""
        piece = data[min(offset, self.size) : min(offset + size, self.size)]
        old = b"".join(_splice(memoryview(piece), offset, self.edits))
        skip = max(0, offset - self.size)
        return old + self.tail[skip : skip + size - len(old)]

    def undo(self, data: Content) -> bytes:
        """The old file, given the whole new one.

        Raises:
            InvalidInput: *data* is not what this patch made.
        """
        return self.reverse.apply(data)

    @property
    def reverse(self) -> Undo:
        """What takes this patch back."""
        tail_sha256 = hashlib.sha256(self.tail).hexdigest()
        return Undo(self.size, tuple(edit.reverse for edit in self.edits), len(self.tail), tail_sha256)


@dataclass(frozen=True)
class Undo:
    """The old file is the first *size* bytes of the new one with the *edits* applied.

    Of the *tail_size* bytes after them only the SHA-256 is kept, in hexadecimal: enough to refuse a file
    that is not the one that the patch made.

    Raises:
        InvalidInput: the edits overlap, are not sorted, or lie outside of the old file.
    """

    size: int
    edits: tuple[Edit, ...]
    tail_size: int
    tail_sha256: str

    def __post_init__(self) -> None:
        _check(self.size, self.edits)

    def apply(self, data: Content) -> bytes:
        """The old file, given the whole new one.

        Raises:
            InvalidInput: *data* is not what the patch made.
        """
        return b"".join(self.apply_stream(pieces(data)))

    def apply_stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The old file in chunks, given the new one in chunks of any lengths; holds one chunk at a time.

        Raises:
            InvalidInput: the chunks are not what the patch made; what was yielded is worthless then.
        """
        position, tail = 0, hashlib.sha256()
        for chunk in chunks:
            kept = memoryview(chunk)[: max(0, self.size - position)]
            yield b"".join(_splice(kept, position, self.edits))
            tail.update(memoryview(chunk)[kept.nbytes :])
            position += len(chunk)
        _check_size(position, self.size + self.tail_size)
        self._check_tail(tail.hexdigest())

    def to_json(self) -> dict[str, object]:
        """A value that the json module can write; an edit is `[offset, old, new]`, bytes are hexadecimal."""
        edits = [[edit.offset, edit.old.hex(), edit.new.hex()] for edit in self.edits]
        return {
            "size": self.size,
            "edits": edits,
            "tail_size": self.tail_size,
            "tail_sha256": self.tail_sha256,
        }

    @classmethod
    def from_json(cls, value: object) -> Undo:
        """The counterpart of `to_json`.

        Raises:
            InvalidInput: *value* is nothing that `to_json` returns.
        """
        match value:
            case {
                "size": int(size),
                "edits": list(edits),
                "tail_size": int(tail_size),
                "tail_sha256": str(tail_sha256),
            } if _is_size(size) and _is_size(tail_size) and re.fullmatch("[0-9a-f]{64}", tail_sha256):
                return cls(size, tuple(map(_edit_from_json, edits)), tail_size, tail_sha256)
            case _:
                raise InvalidInput(f"not the record of a change to a file: {value!r:.200}")

    def _check_tail(self, sha256: str) -> None:
        if sha256 != self.tail_sha256:
            raise InvalidInput(_other_file("what was added at its end is different"))


def _is_size(value: int) -> bool:
    return not isinstance(value, bool) and 0 <= value <= _LARGEST


def _edit_from_json(value: object) -> Edit:
    match value:
        case [int(offset), str(old), str(new)] if _is_size(offset):
            try:
                return Edit(offset, bytes.fromhex(old), bytes.fromhex(new))
            except ValueError as error:
                raise InvalidInput(f"not the record of an edit: {value!r:.200}") from error
        case _:
            raise InvalidInput(f"not the record of an edit: {value!r:.200}")


def _splice(piece: memoryview, start: int, edits: tuple[Edit, ...]) -> Iterator[memoryview | bytes]:
    """The parts of *piece*, which lies at *start* in the file, with as much of the edits as falls into it."""
    stop = start + piece.nbytes
    done = start
    first = bisect_right(edits, start, key=lambda edit: edit.end)
    for index in range(first, len(edits)):  # no slice: there may be many edits, and many pieces
        edit = edits[index]
        if edit.offset >= stop:
            break
        low, high = max(edit.offset, start), min(edit.end, stop)
        if low >= high:
            continue
        within = slice(low - edit.offset, high - edit.offset)
        if piece[low - start : high - start] != edit.old[within]:
            raise InvalidInput(_other_file(f"the bytes at offset {edit.offset} are different"))
        yield piece[done - start : low - start]
        yield edit.new[within]
        done = high
    yield piece[done - start :]


def _check(size: int, edits: tuple[Edit, ...]) -> None:
    done = 0
    for edit in edits:
        if edit.offset < done or edit.end > size or len(edit.old) != len(edit.new):
            raise InvalidInput(
                f"the edit at offset {edit.offset} overlaps another one or the end of the file"
            )
        done = edit.end


def _check_size(size: int, expected: int) -> None:
    if size != expected:
        raise InvalidInput(_other_file(f"it has {size} bytes instead of {expected}"))


def _other_file(how: str) -> Problem:
    return Problem(
        f"this is not the file that the change was made for: {how}", todo="Start from the unchanged file."
    )
