"""Recipes make what they say of two files, survive JSON, and refuse other files and damaged records."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelfuse.content import reading
from wheelfuse.elf.recipe import Borrow, Keep, Literal, Piece, Recipe, Zeros
from wheelfuse.errors import InvalidInput

SOURCE, OTHER = bytes(range(100)), bytes(reversed(range(200)))
PIECES = (Keep(3, 4), Literal(b"new"), Zeros(2), Borrow(7, 2), Keep(0, 1))
RESULT = b"\3\4\5\6new\0\0\xc0\xbf\0"


def made(recipe: Recipe, source: bytes = SOURCE, other: bytes = OTHER) -> bytes:
    return b"".join(recipe.apply(reading(source), reading(other)))


def recipe_of(*pieces: Piece) -> Recipe:
    return Recipe.of(pieces, reading(SOURCE), reading(OTHER))


def pieces_in(size: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(0, size - 1), st.integers(1, size)).map(
        lambda p: (p[0], min(p[1], size - p[0]))
    )


ANY_PIECE = st.one_of(
    pieces_in(len(SOURCE)).map(lambda place: Keep(*place)),
    pieces_in(len(OTHER)).map(lambda place: Borrow(*place)),
    st.binary(min_size=1, max_size=9).map(Literal),
    st.integers(1, 9).map(Zeros),
)


def test_pieces_become_a_file() -> None:
    recipe = recipe_of(*PIECES)
    assert made(recipe) == RESULT
    assert (recipe.size, recipe.sha256) == (len(RESULT), sha256(RESULT).hexdigest())


def test_empty_pieces_are_left_out_and_literals_joined() -> None:
    recipe = recipe_of(
        Keep(5, 0), Literal(b"a"), Zeros(0), Literal(b""), Literal(b"b"), Zeros(1), Literal(b"c")
    )
    assert recipe.pieces == (Literal(b"ab"), Zeros(1), Literal(b"c"))


def test_large_pieces_come_in_chunks() -> None:
    data = bytes(5 << 20)
    recipe = Recipe.of([Keep(0, len(data)), Zeros(3 << 20)], reading(data))
    chunks = list(recipe.apply(reading(data)))
    assert len(b"".join(chunks)) == 8 << 20
    assert max(map(len, chunks)) == 1 << 20


def test_what_is_borrowed_may_lie_later_in_the_other_file() -> None:
    recipe = recipe_of(*PIECES).borrowing_from(50)
    assert made(recipe, other=bytes(50) + OTHER) == RESULT


@given(st.lists(ANY_PIECE, max_size=8), st.integers(0, 120), st.integers(0, 120))
def test_any_part_can_be_read_without_the_rest(pieces: list[Piece], offset: int, size: int) -> None:
    recipe = recipe_of(*pieces)
    read = recipe.reader(reading(SOURCE), reading(OTHER))
    assert read(offset, size) == made(recipe)[offset : offset + size]
    assert read(0, recipe.size) == made(recipe)


@given(st.lists(ANY_PIECE, max_size=8))
def test_json_and_back(pieces: list[Piece]) -> None:
    recipe = recipe_of(*pieces)
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_json_is_small_and_plain() -> None:
    assert recipe_of(*PIECES[:4]).to_json()["pieces"] == [
        ["keep", 3, 4],
        ["literal", "bmV3"],
        ["zeros", 2],
        ["borrow", 7, 2],
    ]


@pytest.mark.parametrize(
    "source", [SOURCE[:50], bytes(100), SOURCE[:6]], ids=["shorter, but enough", "other", "short"]
)
def test_another_file_is_refused(source: bytes) -> None:
    recipe = recipe_of(Keep(3, 4), Keep(60, 1))
    with pytest.raises(InvalidInput, match="not the file that the change was made for"):
        made(recipe, source)


def test_a_missing_or_other_file_to_borrow_from_is_refused() -> None:
    recipe = recipe_of(Borrow(7, 2))
    with pytest.raises(InvalidInput, match="is missing"):
        list(recipe.apply(reading(SOURCE)))
    with pytest.raises(InvalidInput, match="SHA-256"):
        made(recipe, other=bytes(200))


def test_a_lie_about_a_size_allocates_nothing() -> None:
    huge = 1 << 62
    recipe = Recipe(huge, "0" * 64, (Keep(0, huge),))
    with pytest.raises(InvalidInput, match="ends before byte"):
        made(recipe)


GOOD = recipe_of(*PIECES).to_json()


@pytest.mark.parametrize(
    "damage",
    [
        {"size": len(RESULT) + 1},
        {"size": -1},
        {"size": True},
        {"size": "12"},
        {"size": 1 << 63},
        {"sha256": "0" * 63},
        {"sha256": "G" * 64},
        {"sha256": None},
        {"pieces": {}},
        {"pieces": [["keep", 0]]},
        {"pieces": [["keep", -1, len(RESULT)]]},
        {"pieces": [["keep", 0, len(RESULT)], ["zeros", 0]]},
        {"pieces": [["keep", False, len(RESULT)]]},
        {"pieces": [["keep", 0.0, len(RESULT)]]},
        {"pieces": [["keep", 1 << 63, len(RESULT)]]},
        {"pieces": [["zeros", len(RESULT) + 1], ["zeros", -1]]},
        {"pieces": [["literal", "AAA"]]},
        {"pieces": [["literal", "\N{EURO SIGN}AAA"]]},
        {"pieces": [["invent", 0, len(RESULT)]]},
        {"pieces": ["keep"]},
        {"more": 1},
    ],
    ids=str,
)
def test_a_damaged_record_is_refused(damage: dict[str, object]) -> None:
    assert made(Recipe.from_json(GOOD)) == RESULT
    with pytest.raises(InvalidInput):
        Recipe.from_json(GOOD | damage)


@pytest.mark.parametrize("value", [None, [], "", 7, {}, {"size": 0}])
def test_something_else_is_no_record(value: object) -> None:
    with pytest.raises(InvalidInput, match="not the record of a change to a file"):
        Recipe.from_json(value)
