"""The data of the page that its script draws on demand, as compact JSON: what repeats is written once.

Every text in it is `printable` already, so that the script can show it as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wheelfuse.escape import printable
from wheelfuse.report.page.contents import Contents
from wheelfuse.report.page.model import Origin, State, Stuff, Symbol, SymbolTable

_STATES, _STUFF = tuple(State), tuple(Stuff)


@dataclass(frozen=True)
class Table:
    """What the script shows a page of at a time: the texts, for each column the values, and for each choice the rows.

    Values of a column are numbers of texts, or numbers as they are.
    """

    texts: Sequence[str]
    columns: Sequence[Sequence[int]]
    choices: Sequence[Sequence[int]]

    def as_json(self) -> str:
        return json_text({"texts": self.texts, "columns": self.columns, "choices": self.choices})


class _Texts:
    """Texts by number; number 0 is the empty one."""

    def __init__(self) -> None:
        self._numbers = {"": 0}

    def number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def __iter__(self) -> Any:
        return map(printable, self._numbers)


def json_text(value: object) -> str:
    """JSON that may stand in a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def symbols(tables: Iterable[SymbolTable]) -> Table:
    """The symbols of all files, each once, and for each file which of them it has.

    Columns: name, name to show, group, version, state, note, replacement.
    """
    texts, numbers = _Texts(), dict[Symbol, int]()
    choices = [[numbers.setdefault(symbol, len(numbers)) for symbol in table.symbols] for table in tables]
    states = {state: number for number, state in enumerate(_STATES)}
    rows = (
        (
            texts.number(symbol.name),
            texts.number("" if symbol.shown == symbol.name else symbol.shown),
            texts.number(symbol.group),
            texts.number(symbol.version),
            states[symbol.state],
            texts.number(symbol.note),
            texts.number(symbol.replacement),
        )
        for symbol in numbers
    )
    columns = [list(column) for column in zip(*rows, strict=True)]
    return Table(list(texts), columns, choices)


def members(origins: Sequence[Origin]) -> Table:
    """Where each member of a fused wheel came from. Columns: path, size in bytes, owners, original path, how."""
    texts = _Texts()
    rows = (
        (
            texts.number(origin.path),
            origin.size,
            texts.number(", ".join(origin.owners)),
            texts.number("" if origin.original == origin.path else origin.original),
            texts.number(origin.how),
        )
        for origin in origins
    )
    columns = [list(column) for column in zip(*rows, strict=True)]
    return Table(list(texts), columns, [list(range(len(origins)))])


def maps(trees: Iterable[Contents]) -> str:
    """For each tree its nodes, and for each node with parts what its view shows."""
    return json_text([_map(tree) for tree in trees])


def _map(tree: Contents) -> dict[str, object]:
    nodes = tree.nodes
    return {
        "names": [printable(node.name) for node in nodes],
        "parents": [node.parent for node in nodes],
        "sizes": [node.block.size for node in nodes],
        "packed": [node.block.packed for node in nodes],
        "stuff": [_STUFF.index(stuff) for stuff in tree.stuff],
        "notes": {node.number: printable(node.block.note) for node in nodes if node.block.note},
        "views": {
            number: [
                [
                    box.node.number,
                    *(round(side, 1) for side in (box.rect.x, box.rect.y, box.rect.width, box.rect.height)),
                    int(box.opened),
                ]
                for box in tree.view(number)
            ]
            for number in tree.children
        },
    }
