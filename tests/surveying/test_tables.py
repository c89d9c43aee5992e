"""The tables: what rows become in Parquet, and that they come back as they were."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.surveying.surveyed import expected, rows
from wheelfuse.errors import InvalidInput
from wheelfuse.surveying.columns import TABLES, columns
from wheelfuse.surveying.rows import MemberRow, Rows
from wheelfuse.surveying.tables import SCHEMA, Packed, gathered, packed, read, rows_of, write

ARROW = {
    str: pa.string(),
    int: pa.int64(),
    bool: pa.bool_(),
    tuple[str, ...]: pa.list_(pa.field("element", pa.string(), False)),
}


def written(table: str, wheels: list[Packed], path: Path) -> Path:
    with path.open("wb") as file:
        write(table, gathered(table, wheels), file)
    return path


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_those_of_the_rows_with_their_types(table: str) -> None:
    fields = gathered(table, []).schema
    hints = get_type_hints(TABLES[table])
    assert fields.names == list(hints)
    for field in fields:
        hint = hints[field.name]
        optional = [kind for kind in (str, int, bool, tuple[str, ...]) if hint == kind | None]
        assert field.type == ARROW[optional[0] if optional else hint], field.name
        assert field.nullable == bool(optional), field.name
        assert field.metadata[b"description"], field.name


def test_every_column_says_what_it_means() -> None:
    meanings = {column.name: column.meaning for column in columns("members")}
    assert meanings["size"] == "Bytes."
    assert all(column.meaning.endswith((".", "read.")) for table in TABLES for column in columns(table))


@pytest.mark.parametrize("table", TABLES)
def test_rows_come_back_as_they_were(table: str, tmp_path: Path) -> None:
    wheels = [
        rows("a-1-py3-none-any.whl"),
        rows("b-1-py3-none-any.whl", symbols=0),
        Rows(rows("c.whl").wheel),
    ]
    path = written(table, list(map(packed, wheels)), tmp_path / "x")
    assert sorted(rows_of(table, read(table, path)), key=repr) == expected(wheels)[table]


def test_the_number_of_the_schema_is_in_every_file(tmp_path: Path) -> None:
    for table in TABLES:
        path = written(table, [packed(rows("a.whl"))], tmp_path / table)
        assert pq.read_schema(path).metadata[b"wheelfuse.survey.schema"] == str(SCHEMA).encode() == b"1"


def test_values_that_repeat_are_stored_once(tmp_path: Path) -> None:
    wheels = [packed(rows(f"https://host/w{n}-1-py3-none-any.whl", symbols=200)) for n in range(50)]
    path = written("symbols", wheels, tmp_path / "symbols")
    group = pq.read_metadata(path).row_group(0)
    encodings = {group.column(n).path_in_schema: group.column(n).encodings for n in range(group.num_columns)}
    assert all("RLE_DICTIONARY" in encodings[name] for name in ("id", "path", "symbol", "version", "kind"))
    path = written("wheels", wheels, tmp_path / "wheels")
    group = pq.read_metadata(path).row_group(0)
    encodings = {group.column(n).path_in_schema: group.column(n).encodings for n in range(group.num_columns)}
    assert "RLE_DICTIONARY" in encodings["python_tags.list.element"]
    assert "RLE_DICTIONARY" not in encodings["url"]


def test_bytes_that_are_no_text_are_written_out() -> None:
    strange = rows("caf\udce9.whl")
    strange = Rows(
        strange.wheel._replace(problems=("\udc80",)), (), (), (MemberRow("1", "\udcff", None, 1, 1),)
    )
    [row] = rows_of("wheels", gathered("wheels", [packed(strange)]))
    assert (row.url, row.problems) == ("caf\\udce9.whl", ("\\udc80",))
    [member] = rows_of("members", gathered("members", [packed(strange)]))
    assert member.path == "\\udcff"


@pytest.mark.parametrize("value", [1 << 63, 1 << 64, None])
def test_what_no_column_can_hold_is_refused_before_it_is_sent(value: int | None) -> None:
    wheel = rows("a.whl").wheel._replace(unpacked=value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"int|large|unpacked"):
        packed(Rows(wheel))


def test_files_of_another_schema_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    other = gathered("members", [packed(rows("a.whl"))])
    stream = io.BytesIO()
    pq.write_table(other.replace_schema_metadata({"wheelfuse.survey.schema": "2"}), stream)
    (tmp_path / "other").write_bytes(stream.getvalue())
    with pytest.raises(InvalidInput, match="its schema is 2"):
        read("members", tmp_path / "other")
    (tmp_path / "cut").write_bytes(stream.getvalue()[:-5])
    with pytest.raises(InvalidInput, match="damaged"):
        read("members", tmp_path / "cut")
