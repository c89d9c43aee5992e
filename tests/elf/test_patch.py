"""Patches are taken back exactly, in one piece or in chunks, and notice other files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelfuse.elf.patch import Edit, Patch, Undo
from wheelfuse.errors import InvalidInput

OLD = b"The quick brown fox"
PATCH = Patch(len(OLD), (Edit(4, b"quick", b"tired"), Edit(16, b"fox", b"hen")), b" rests.")
NEW = b"The tired brown hen rests."


@st.composite
def patched(draw: st.DrawFn) -> tuple[bytes, Patch, bytes]:
    """A file, a patch for it, and the new file made in the most direct way."""
    old = draw(st.binary(min_size=1, max_size=60))
    bounds = sorted(draw(st.sets(st.integers(0, len(old)), max_size=8)))
    edits, new = [], bytearray(old)
    for start, stop in zip(bounds[::2], bounds[1::2], strict=False):
        replacement = draw(st.binary(min_size=stop - start, max_size=stop - start))
        edits.append(Edit(start, old[start:stop], replacement))
        new[start:stop] = replacement
    tail = draw(st.binary(max_size=20))
    return old, Patch(len(old), tuple(edits), tail), bytes(new) + tail


def chunked(data: bytes, lengths: list[int]) -> Iterator[bytes]:
    position = 0
    for length in lengths:
        yield data[position : position + length]
        position += length
    yield data[position:]


@given(patched(), st.lists(st.integers(0, 30)))
def test_a_patch_is_applied_and_taken_back_in_chunks_of_any_lengths(
    case: tuple[bytes, Patch, bytes], lengths: list[int]
) -> None:
    old, patch, new = case
    undo = Undo.from_json(json.loads(json.dumps(patch.reverse.to_json())))
    assert undo == patch.reverse
    assert patch.apply(old) == b"".join(patch.apply_stream(chunked(old, lengths))) == new
    assert patch.undo(new) == undo.apply(new) == b"".join(undo.apply_stream(chunked(new, lengths))) == old


@given(patched(), st.integers(0, 90), st.integers(0, 90))
def test_parts_of_the_new_file_are_read_without_building_it(
    case: tuple[bytes, Patch, bytes], offset: int, size: int
) -> None:
    old, patch, new = case
    assert patch.read(old, offset, size) == new[offset : offset + size]


def test_the_way_back_is_kept_without_what_was_added() -> None:
    patch = Patch(len(OLD), PATCH.edits, bytes(1_000_000))
    assert len(json.dumps(patch.reverse.to_json())) < 300


def apply(data: bytes) -> bytes:
    return PATCH.apply(data)


def apply_stream(data: bytes) -> bytes:
    return b"".join(PATCH.apply_stream([data]))


def undo_stream(data: bytes) -> bytes:
    return b"".join(PATCH.reverse.apply_stream([data]))


@pytest.mark.parametrize("change", [apply, apply_stream])
@pytest.mark.parametrize("data", [b"", OLD[:-1], OLD + b"!", OLD.replace(b"fox", b"dog"), NEW])
def test_a_patch_refuses_a_file_that_it_was_not_made_for(
    change: Callable[[bytes], bytes], data: bytes
) -> None:
    with pytest.raises(InvalidInput, match="not the file that the change was made for"):
        change(data)


@pytest.mark.parametrize("change", [PATCH.undo, undo_stream])
@pytest.mark.parametrize(
    "data", [b"", OLD, NEW[:-1], NEW + b"!", NEW.replace(b"hen", b"cow"), NEW.replace(b"rests.", b"walks.")]
)
def test_the_way_back_refuses_a_file_that_the_patch_did_not_make(
    change: Callable[[bytes], bytes], data: bytes
) -> None:
    with pytest.raises(InvalidInput, match="not the file that the change was made for"):
        change(data)


@pytest.mark.parametrize(
    "edits",
    [
        (Edit(4, b"quick", b"slow"),),
        (Edit(4, b"quick", b"tired"), Edit(8, b"k", b"d")),
        (Edit(16, b"fox", b"hen"), Edit(4, b"quick", b"tired")),
        (Edit(16, b"foxes", b"hens!"),),
        (Edit(-1, b"x", b"y"),),
    ],
    ids=["other length", "overlap", "unsorted", "past the end", "before the start"],
)
def test_edits_that_do_not_fit_the_file_make_no_patch(edits: tuple[Edit, ...]) -> None:
    with pytest.raises(InvalidInput, match="edit at offset"):
        Patch(len(OLD), edits, b"")


@pytest.mark.parametrize(
    "change",
    [
        {"size": "19"},
        {"size": -1},
        {"edits": None},
        {"edits": [[4, "00"]]},
        {"edits": [[4, "0g", "00"]]},
        {"edits": [[4, "0000", "00"]]},
        {"tail_size": None},
        {"tail_sha256": 7},
    ],
)
def test_a_damaged_record_of_the_way_back_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        Undo.from_json(PATCH.reverse.to_json() | change)


def test_a_record_that_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidInput):
        Undo.from_json([hashlib.sha256(b"").hexdigest()])
