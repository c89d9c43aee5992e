"""What the bytes of a wheel are, as a map: which rectangle each part gets in each view, and sums by kind.

A view is a directory or file that the reader zooms into, with what is in it to a depth of three, drawn on a canvas
of `CANVAS` units, which the page stretches to the room that it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from wheelfuse.report.page.model import Block, Stuff
from wheelfuse.report.page.treemap import Rect, squarify

CANVAS = Rect(0, 0, 1000, 460)
HEADING, MARGIN = 22.0, 3.0
"""The strip with the name of what has parts, and the margin about them."""

_DEPTH = 3
_ROOMY = Rect(0, 0, 64, 48)
"""From which size on parts of a part are shown."""

_VISIBLE = 1.0
"""Units below which a side of a rectangle is not drawn."""

_MOST_LISTED = 100


@dataclass(frozen=True)
class Node:
    """A block with its number in the tree, that of what it is in (-1: the root), what it is called, and its path."""

    number: int
    parent: int
    name: str
    block: Block
    path: str


@dataclass(frozen=True)
class Box:
    """A node as a view shows it: where, and whether its parts are drawn within."""

    node: Node
    rect: Rect
    opened: bool


class Contents:
    """The tree of a wheel, numbered from the root down, and its views."""

    def __init__(self, root: Block) -> None:
        self.root = root

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All of the tree, each before its parts, which stand from the largest to the smallest."""
        found: list[Node] = []
        waiting = [(-1, self.root.name, self.root, "")]
        while waiting:
            parent, name, block, above = waiting.pop()
            path = f"{above}/{name}" if above else name if found else ""
            node = Node(len(found), parent, name, block, path)
            found.append(node)
            waiting += (
                (node.number, *_joined(part), path)
                for part in sorted(block.parts, key=lambda part: part.size)
            )
        return tuple(found)

    @cached_property
    def children(self) -> dict[int, list[Node]]:
        """The number of each node with parts -> its parts, the largest first."""
        found: dict[int, list[Node]] = {}
        for node in self.nodes[1:]:
            found.setdefault(node.parent, []).append(node)
        return found

    @cached_property
    def stuff(self) -> tuple[Stuff, ...]:
        """For each node what most of its bytes are."""
        sizes = [Counter[Stuff]() for _ in self.nodes]
        for node in reversed(self.nodes):
            if not node.block.parts:
                sizes[node.number][node.block.stuff or Stuff.DATA] += node.block.size
            if node.parent >= 0:
                sizes[node.parent] += sizes[node.number]
        return tuple(max(Stuff, key=lambda stuff: found[stuff]) for found in sizes)

    def view(self, number: int = 0) -> tuple[Box, ...]:
        """What is shown of the node with this number, each before its parts."""
        return tuple(self._boxes(number, CANVAS, _DEPTH))

    def _boxes(self, number: int, room: Rect, depth: int) -> Iterator[Box]:
        parts = self.children.get(number, [])
        for node, rect in zip(parts, squarify([part.block.size for part in parts], room), strict=True):
            if rect.width < _VISIBLE or rect.height < _VISIBLE:
                continue
            roomy = rect.width >= _ROOMY.width and rect.height >= _ROOMY.height
            opened = depth > 1 and roomy and node.number in self.children
            yield Box(node, rect, opened)
            if opened:
                yield from self._boxes(node.number, rect.within(top=HEADING, margin=MARGIN), depth - 1)

    @property
    def listed(self) -> tuple[Node, ...]:
        """The largest files and parts of files, for a table in the place of the map."""
        leaves = (node for node in self.nodes if not node.block.parts and node.block.size)
        return tuple(sorted(leaves, key=lambda node: -node.block.size)[:_MOST_LISTED])

    @cached_property
    def sums(self) -> tuple[tuple[Stuff, int, int], ...]:
        """Bytes of each kind that there is, as installed and as packed, in the order of `Stuff`."""
        installed, packed = Counter[Stuff](), Counter[Stuff]()
        for node in self.nodes:
            if not node.block.parts:
                stuff = node.block.stuff or Stuff.DATA
                installed[stuff] += node.block.size
                packed[stuff] += node.block.packed
        return tuple((stuff, installed[stuff], packed[stuff]) for stuff in Stuff if installed[stuff])


def _joined(block: Block) -> tuple[str, Block]:
    """A part and its name; what has a single part, which has parts itself, is one with it: ``pkg/_core``."""
    names = [block.name]
    while len(block.parts) == 1 and block.parts[0].parts:
        block = block.parts[0]
        names.append(block.name)
    return "/".join(names), block


def total(sizes: Iterable[tuple[Stuff, int, int]]) -> tuple[int, int]:
    """Bytes of all kinds together: as installed, as packed."""
    rows = tuple(sizes)
    return sum(size for _, size, _ in rows), sum(packed for _, _, packed in rows)
