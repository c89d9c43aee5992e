"""The columns of the four tables, and what each means: as :mod:`wheelfuse.surveying.rows` writes them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from wheelfuse.surveying import rows

TABLES: dict[str, type[tuple[object, ...]]] = {
    "wheels": rows.WheelRow,
    "modules": rows.ModuleRow,
    "symbols": rows.SymbolRow,
    "members": rows.MemberRow,
}
"""The tables by name, that of the wheels first."""

_KINDS = {"str": "text", "int": "integer", "bool": "boolean", "tuple[str, ...]": "list of text"}


@dataclass(frozen=True)
class Column:
    """One column: *kind* is ``text``, ``integer``, ``boolean`` or ``list of text``."""

    name: str
    kind: str
    nullable: bool
    meaning: str


@cache
def columns(table: str) -> tuple[Column, ...]:
    """The columns of a table, in their order.

    Raises:
        KeyError: there is no such table.
    """
    return tuple(_columns(_written(table)))


def meaning(table: str) -> str:
    """What a row of the table is."""
    return inspect.cleandoc(TABLES[table].__doc__ or "")


def _written(table: str) -> ast.ClassDef:
    name = TABLES[table].__name__
    return next(node for node in _module().body if isinstance(node, ast.ClassDef) and node.name == name)


@cache
def _module() -> ast.Module:
    return ast.parse(inspect.getsource(rows))


def _columns(written: ast.ClassDef) -> Iterator[Column]:
    """A column is an annotated name, with the string below it."""
    for node, below in zip(written.body, [*written.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign):
            continue
        assert isinstance(node.target, ast.Name)
        assert isinstance(below, ast.Expr), f"{node.target.id} has no docstring"
        text = ast.literal_eval(below.value)
        annotation = ast.unparse(node.annotation)
        plain = annotation.removesuffix(" | None")
        yield Column(node.target.id, _KINDS[plain], plain != annotation, " ".join(text.split()))
