"""The treemap: areas tell sizes, nothing lies over another or outside, and the views hold what is in the tree."""

from __future__ import annotations

from itertools import combinations
from math import isclose

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.report.page.samples import CONTENTS, block, directory
from wheelfuse.report.page.contents import CANVAS, Contents
from wheelfuse.report.page.model import Block, Stuff
from wheelfuse.report.page.treemap import Rect, squarify

# The first lists that are drawn take long where much else runs.
SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SIZES = st.lists(st.one_of(st.just(0), st.integers(1, 10**12)), max_size=30)
ROOM = st.builds(Rect, st.floats(-50, 50), st.floats(-50, 50), st.floats(1, 2000), st.floats(1, 2000))


def overlap(one: Rect, other: Rect) -> float:
    """The area that both cover."""
    wide = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    high = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(wide, 0) * max(high, 0)


@given(SIZES, ROOM)
@SETTINGS
def test_areas_are_in_proportion_to_sizes_and_fill_the_room(sizes: list[int], room: Rect) -> None:
    rects = squarify(sizes, room)
    assert len(rects) == len(sizes)
    for size, rect in zip(sizes, rects, strict=True):
        assert isclose(
            rect.area, room.area * size / max(sum(sizes), 1), rel_tol=1e-6, abs_tol=1e-6 * room.area
        )


@given(SIZES, ROOM)
@SETTINGS
def test_no_rectangle_lies_outside_or_over_another(sizes: list[int], room: Rect) -> None:
    rects = squarify(sizes, room)
    slack = 1e-6 * max(room.width, room.height)
    for rect in rects:
        assert rect.x >= room.x - slack
        assert rect.y >= room.y - slack
        assert rect.x + rect.width <= room.x + room.width + slack
        assert rect.y + rect.height <= room.y + room.height + slack
    assert all(overlap(one, other) <= 1e-6 * room.area for one, other in combinations(rects, 2))


def test_the_example_of_the_paper() -> None:
    """Figure 4 of Bruls, Huizing and van Wijk: 6, 6, 4, 3, 2, 2, 1 in a rectangle of 6 by 4."""
    rects = squarify((6, 6, 4, 3, 2, 2, 1), Rect(0, 0, 6, 4))
    assert [(round(rect.width, 2), round(rect.height, 2)) for rect in rects] == [
        (3, 2), (3, 2), (1.71, 2.33), (1.29, 2.33), (1.2, 1.67), (1.2, 1.67), (0.6, 1.67)
    ]  # fmt: skip


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        squarify((1, -1), Rect(0, 0, 1, 1))


def test_equal_sizes_give_no_slivers() -> None:
    rects = squarify((1,) * 100, Rect(0, 0, 1000, 460))
    assert max(max(rect.width / rect.height, rect.height / rect.width) for rect in rects) < 2


def leaves(tree: Block) -> list[Block]:
    return [leaf for part in tree.parts for leaf in leaves(part)] if tree.parts else [tree]


def test_sums_by_kind_are_those_of_the_files() -> None:
    found = {stuff: size for stuff, size, _ in Contents(CONTENTS).sums}
    for stuff in Stuff:
        assert found.get(stuff, 0) == sum(leaf.size for leaf in leaves(CONTENTS) if leaf.stuff is stuff)


def test_parts_lie_within_what_they_are_part_of() -> None:
    tree = Contents(CONTENTS)
    places = {box.node.number: box.rect for box in tree.view()}
    inner = [box for box in tree.view() if box.node.parent]
    assert inner
    for box in inner:
        assert isclose(overlap(box.rect, places[box.node.parent]), box.rect.area, rel_tol=1e-6)


def test_every_view_shows_the_parts_of_its_node_on_the_whole_canvas() -> None:
    tree = Contents(CONTENTS)
    for number in tree.children:
        boxes = [box for box in tree.view(number) if box.node.parent == number]
        assert isclose(sum(box.rect.area for box in boxes), CANVAS.area, rel_tol=0.05)


def test_directories_with_one_directory_in_them_are_one() -> None:
    tree = Contents(
        directory(
            "wheel", directory("a", directory("b", block("x", 1, Stuff.DATA), block("y", 2, Stuff.DATA)))
        )
    )
    assert [node.path for node in tree.nodes] == ["", "a/b", "a/b/y", "a/b/x"]


def test_a_tree_deeper_than_the_stack_of_python_is_laid_out() -> None:
    tree = block("leaf", 1, Stuff.DATA)
    for _ in range(3000):
        tree = Block("d", tree.size + 1, 0, None, (tree, block("f", 1, Stuff.DATA)))
    contents = Contents(tree)
    assert len(contents.nodes) == 6001
    assert contents.sums == ((Stuff.DATA, 3001, 0),)


def test_what_is_too_small_to_open_has_the_colour_of_most_of_its_bytes() -> None:
    tree = Contents(
        directory("wheel", directory("a", block("x", 9, Stuff.DEBUG), block("y", 2, Stuff.PYTHON)))
    )
    assert list(tree.stuff) == [Stuff.DEBUG, Stuff.DEBUG, Stuff.DEBUG, Stuff.PYTHON]
