"""Strategies that break files: fields get values that matter, bytes are changed, cut out, repeated, moved."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

from hypothesis import strategies as st

VALUES = (0, 1, 2, 3, 4, 7, 8, 16, 0x7F, 0x80, 0xFF, 0x100, 0xFFF, 0x1000, 0x7FFF, 0x8000, 0xFF00, 0xFFFE, 0xFFFF,
          0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, 1 << 63,
          (1 << 64) - 16, (1 << 64) - 1)  # fmt: skip
"""What a field is set to: limits of types, of tables, of pages."""


class Field(NamedTuple):
    """A number in a file: its offset and its width in bytes."""

    offset: int
    width: int


@dataclass(frozen=True)
class Seed:
    """A sound file, where its fields are, and their byte order."""

    data: bytes
    fields: tuple[Field, ...] = ()
    order: str = "<"

    def value(self, field: Field) -> int:
        """What a field says."""
        return int.from_bytes(self.data[field.offset : field.offset + field.width], self._byteorder)

    def packed(self, field: Field, value: int) -> bytes:
        """The bytes of a field with this value, as much of it as there is room for."""
        return (value % (1 << 8 * field.width)).to_bytes(field.width, self._byteorder)

    @property
    def _byteorder(self) -> Literal["little", "big"]:
        return "little" if self.order == "<" else "big"


def fields(offset: int, layout: str, count: int = 1) -> tuple[Field, ...]:
    """The fields of *count* records of one layout (as of `struct`, without repetitions) from *offset* on."""
    found = []
    for _ in range(count):
        for letter in layout:
            width = struct.calcsize("=" + letter)
            found.append(Field(offset, width))
            offset += width
    return tuple(found)


T = TypeVar("T")


def mostly(usual: st.SearchStrategy[T], odd: st.SearchStrategy[T], of: int = 6) -> st.SearchStrategy[T]:
    """The odd one once in *of* times; `one_of` does not weigh what it chooses from."""
    return st.integers(1, of).flatmap(lambda number: odd if number == 1 else usual)


KINDS = ("value", "value", "value", "near", "near", "copy", "copy", "bytes", "flip", "cut", "insert", "repeat", "move",
         "truncate", "zeros")  # fmt: skip
_CHANGE = st.tuples(
    st.sampled_from(KINDS), st.integers(0, 0xFFFFFF), st.integers(0, 0xFFFFFF), st.sampled_from(VALUES)
)


def broken(seeds: Sequence[Seed], most: int = 4) -> st.SearchStrategy[bytes]:
    """One of the seeds with up to *most* changes; once in a while as it is."""
    changes = st.lists(_CHANGE, max_size=most)
    return st.builds(_changed, st.sampled_from(list(seeds)), changes)


def broken_bytes(data: bytes, changes: Sequence[tuple[str, int, int, int]]) -> bytes:
    """A file without known fields, with these changes."""
    return _changed(Seed(data), changes)


CHANGES = st.lists(_CHANGE, min_size=1, max_size=3)


def _changed(seed: Seed, changes: Sequence[tuple[str, int, int, int]]) -> bytes:
    data = bytearray(seed.data)
    for kind, one, two, value in changes:
        _change(seed, data, kind, one, two, value)
    return bytes(data)


def _change(seed: Seed, data: bytearray, kind: str, one: int, two: int, value: int) -> None:
    if kind in ("value", "near", "copy") and seed.fields:
        field = seed.fields[one % len(seed.fields)]
        if kind == "near":
            value = seed.value(field) + two % 33 - 16
        elif kind == "copy":
            value = seed.value(seed.fields[two % len(seed.fields)])
        part = seed.packed(field, value)
        data[field.offset : field.offset + field.width] = part
        return
    at, size = one % (len(data) + 1), 1 + two % 24
    match kind:
        case "flip" if at < len(data):
            data[at] ^= 1 << two % 8
        case "cut":
            del data[at : at + size]
        case "insert":
            data[at:at] = value.to_bytes(8, "little")[: 1 + two % 8]
        case "repeat":
            data[at:at] = data[at : at + size]
        case "move":
            target = two % (len(data) + 1)
            data[target : target + 16] = data[at : at + 16]
        case "truncate":
            del data[at:]
        case "zeros":
            data[at : at + size] = bytes(min(size, len(data) - at))
        case _:
            data[at : at + 1] = bytes([value & 0xFF])
