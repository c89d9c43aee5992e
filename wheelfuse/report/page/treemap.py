"""Rectangles for sizes: a squarified treemap.

The algorithm is that of M. Bruls, K. Huizing and J. J. van Wijk, "Squarified Treemaps", Proc. Joint Eurographics and
IEEE TCVG Symposium on Visualization (2000): rows along the shorter side, each filled as long as its worst rectangle
gets no longer and thinner by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rect:
    """A rectangle: its upper left corner and its sides, in the units of the drawing."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        return self.width * self.height

    def within(self, *, top: float, margin: float) -> Rect:
        """What is left of it below a heading of height *top*, inside a margin on the other sides."""
        return Rect(
            self.x + margin,
            self.y + top,
            max(self.width - 2 * margin, 0),
            max(self.height - top - margin, 0),
        )


def squarify(sizes: Sequence[float], room: Rect) -> tuple[Rect, ...]:
    """A rectangle within *room* for each of *sizes*, in their order: areas in proportion, none over another.

    The largest lies at the upper left. What has no size gets no area.

    Raises:
        ValueError: a size is negative.
    """
    if any(size < 0 for size in sizes):
        raise ValueError("a size is negative")
    total = sum(sizes)
    found = [Rect(room.x, room.y, 0, 0)] * len(sizes)
    if not total or not room.area:
        return tuple(found)
    order = sorted((number for number, size in enumerate(sizes) if size), key=lambda number: -sizes[number])
    areas = [sizes[number] * (room.area / total) for number in order]
    first, free = 0, room
    while first < len(areas):
        end = _row_end(areas, first, min(free.width, free.height))
        row = areas[first:end]
        rects, free = _laid(row, free, last=end == len(areas))
        for number, rect in zip(order[first:end], rects, strict=True):
            found[number] = rect
        first = end
    return tuple(found)


def _row_end(areas: Sequence[float], first: int, side: float) -> int:
    """Up to which area (not included) the row that begins with *first* goes along *side*."""
    total, worst = 0.0, float("inf")
    for end in range(first, len(areas)):
        total += areas[end]
        if not side or not total:
            continue
        # Areas fall: the first is the longest along the side, the last the shortest.
        ratio = max(side**2 * areas[first] / total**2, total**2 / (side**2 * areas[end]))
        if ratio > worst:
            return end
        worst = ratio
    return len(areas)


def _laid(row: Sequence[float], free: Rect, *, last: bool) -> tuple[tuple[Rect, ...], Rect]:
    """The rectangles of a row along the shorter side of *free*, and what is left; the *last* row takes all."""
    upright = free.height <= free.width
    side, depth = (free.height, free.width) if upright else (free.width, free.height)
    thick = depth if last else min(sum(row) / side, depth) if side else 0.0
    if upright:
        rects = tuple(Rect(free.x, free.y + at, thick, long) for at, long in _shares(row, side))
        return rects, Rect(free.x + thick, free.y, free.width - thick, free.height)
    rects = tuple(Rect(free.x + at, free.y, long, thick) for at, long in _shares(row, side))
    return rects, Rect(free.x, free.y + thick, free.width, free.height - thick)


def _shares(row: Sequence[float], side: float) -> Iterator[tuple[float, float]]:
    """Where each part of a row begins on *side*, and how long it is."""
    total, at = sum(row), 0.0
    for area in row:
        long = side * area / total
        yield at, long
        at += long
