"""The table of exports as a value: its text form and the union of two tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelfuse.abi.table import Row, SymbolTable, of_exports, parse, render, union
from wheelfuse.target import ALL_TARGETS, Target

NAMES = st.sampled_from([f"Py_{letter}" for letter in "abcdefgh"] + ["_Py_a", "_Py_b"])
EXPORTS = st.dictionaries(st.sampled_from(ALL_TARGETS), st.frozensets(NAMES), max_size=6)
LIMITED = st.dictionaries(NAMES, st.integers(2, 17), max_size=4)
TABLES = st.builds(of_exports, EXPORTS, LIMITED)

SMALL = """\
# a comment
columns cp312 cp313 cp313t
PyList_New 7 2
_Py_DecRefShared 4 -
"""


def test_reads_names_masks_and_limited_api() -> None:
    table = parse(SMALL)
    assert table.columns == (Target(12), Target(13), Target(13, True))
    assert table.rows == {"PyList_New": Row(7, 2), "_Py_DecRefShared": Row(4, None)}
    assert table.targets("_Py_DecRefShared") == (Target(13, True),)
    assert table.names(Target(12)) == {"PyList_New"}


def test_knows_nothing_of_other_names_and_targets() -> None:
    table = parse(SMALL)
    assert table.targets("PyNope") == ()
    assert table.names(Target(9)) == frozenset()


@given(TABLES)
def test_text_gives_the_table_back(table: SymbolTable) -> None:
    assert parse(render(table, "two\nlines")) == table


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        "PyList_New 7 2\n",
        "columns cp312 pp39\n",
        "columns cp313 cp312\n",
        "columns cp312 cp312\n",
        "columns cp312\nPyList_New 1\n",
        "columns cp312\nPyList_New g -\n",
        "columns cp312\nPyList_New 1 x\n",
        "columns cp312\nPyList_New 1 -\nPyList_New 1 -\n",
    ],
)
def test_refuses_another_form(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


@given(TABLES, TABLES)
def test_union_holds_what_either_exports(first: SymbolTable, second: SymbolTable) -> None:
    both = union(first, second)
    assert both == union(second, first)
    assert set(both.columns) == {*first.columns, *second.columns}
    for column in both.columns:
        assert both.names(column) == first.names(column) | second.names(column)


@given(TABLES)
def test_union_with_itself_changes_nothing(table: SymbolTable) -> None:
    assert union(table, table) == table


def test_union_takes_the_later_limited_api() -> None:
    exports = {Target(12): frozenset({"Py_a", "Py_b"})}
    both = union(of_exports(exports, {"Py_a": 10}), of_exports(exports, {"Py_a": 11, "Py_b": 3}))
    assert {name: row.limited_api for name, row in both.rows.items()} == {"Py_a": 11, "Py_b": 3}
