"""What the tables of a survey and their columns mean, as :mod:`wheelfuse.surveying.rows` says beside each."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, get_type_hints

from wheelfuse.surveying import rows

TABLES: dict[str, type[NamedTuple]] = {
    "wheels": rows.WheelRow,
    "modules": rows.ModuleRow,
    "symbols": rows.SymbolRow,
    "members": rows.MemberRow,
}
"""The tables, and what is a row of each."""


@dataclass(frozen=True)
class Described:
    """A column: the type of its values, whether one may be missing, and its meaning."""

    name: str
    type: str
    nullable: bool
    meaning: str


@cache
def described(table: str) -> tuple[Described, ...]:
    """The columns of a table, in their order; types are those of SQL."""
    row = TABLES[table]
    meanings = dict(_meanings(row.__name__))
    hints = get_type_hints(row)
    return tuple(Described(name, *_type(hints[name]), meanings[name]) for name in row._fields)


@cache
def _source() -> ast.Module:
    return ast.parse(inspect.getsource(rows))


def _meanings(name: str) -> Iterator[tuple[str, str]]:
    """The text below each field of a class."""
    [found] = [node for node in _source().body if isinstance(node, ast.ClassDef) and node.name == name]
    for field, below in zip(found.body, found.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(below, ast.Expr), field.target.id
            yield field.target.id, inspect.cleandoc(str(ast.literal_eval(below.value)))


def _type(hint: object) -> tuple[str, bool]:
    """The type in SQL, and whether there may be none."""
    inner = [one for one in getattr(hint, "__args__", ()) if one is not type(None)]
    if type(None) in getattr(hint, "__args__", ()):
        return _type(inner[0])[0], True
    return _TYPES[hint], False


_TYPES: dict[object, str] = {
    str: "VARCHAR",
    int: "BIGINT",
    bool: "BOOLEAN",
    tuple[str, ...]: "VARCHAR[]",
}
