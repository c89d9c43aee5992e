"""Rows as Arrow tables: made where a wheel is read, gathered and written as Parquet where the survey is kept.

A worker turns the rows of one wheel into a record batch for each table (:func:`packed`), so that all which is left to
the one process that writes is to put batches behind each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from wheelfuse import __version__
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.surveying.columns import TABLES, Column, columns, meaning
from wheelfuse.surveying.rows import Rows, WheelRow

SCHEMA = 1
"""The number of the schema: another one if a column goes away or changes its meaning."""

_SCHEMA_KEY = b"wheelfuse.survey.schema"
_DIFFERENT = {
    "wheels": frozenset({"id", "url", "file", "identity"}),
    "modules": frozenset[str](),
    "symbols": frozenset[str](),
    "members": frozenset({"digest"}),
}
"""Columns whose values hardly ever repeat. All others get a dictionary, but for numbers and truth values."""

_ROW_GROUP = 1 << 20  # rows


@dataclass(frozen=True)
class Packed:
    """The rows of one wheel: its own as it is, and those of all tables as Arrow record batches, by table."""

    wheel: WheelRow
    batches: dict[str, bytes]

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return sum(map(len, self.batches.values()))


@cache
def schema(table: str) -> pa.Schema:
    """The Arrow schema of a table. Each field's metadata has its ``description``."""
    fields = [
        pa.field(column.name, _type(column), column.nullable, {"description": column.meaning})
        for column in columns(table)
    ]
    about = {_SCHEMA_KEY: str(SCHEMA), b"wheelfuse.version": __version__, b"description": meaning(table)}
    return pa.schema(fields, about)


def packed(rows: Rows) -> Packed:
    """The rows of one wheel, ready to be sent.

    Raises:
        ValueError: a value does not fit into its column: an integer of more than 64 bits, a null where none may be.
    """
    found: dict[str, Sequence[tuple[Any, ...]]] = {
        "wheels": (rows.wheel,),
        "modules": rows.modules,
        "symbols": rows.symbols,
        "members": rows.members,
    }
    try:
        batches = {name: _batch(name, some).serialize().to_pybytes() for name, some in found.items() if some}
    except OverflowError as error:
        raise ValueError(str(error)) from error
    return Packed(rows.wheel, batches)


def gathered(table: str, wheels: Sequence[Packed]) -> pa.Table:
    """The rows of several wheels in one table."""
    batches = (wheel.batches[table] for wheel in wheels if table in wheel.batches)
    arrow = schema(table)
    return pa.Table.from_batches(
        [pa.ipc.read_record_batch(pa.py_buffer(each), arrow) for each in batches], arrow
    )


def write(table: str, rows: pa.Table, file: BinaryIO) -> None:
    """Write a table as Parquet."""
    pq.write_table(
        rows,
        file,
        row_group_size=_ROW_GROUP,
        compression="zstd",
        use_dictionary=list(_with_dictionary(table)),
    )


def read(table: str, path: Path, only: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file of a survey, or *only* some columns of it.

    Raises:
        InvalidInput: it is none, or one of another schema.
        OSError: it cannot be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            number = (file.schema_arrow.metadata or {}).get(_SCHEMA_KEY, b"").decode("ascii", "replace")
            if number != str(SCHEMA):
                what = f"no table {table} of a survey with schema {SCHEMA}: its schema is {number or 'none'}"
                raise InvalidInput(Problem(what, str(path), todo=_ANEW))
            return file.read(only and list(only))
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise InvalidInput(Problem(f"damaged: {error}", str(path), todo=_ANEW)) from error


_ANEW = "Survey into another directory."


def rows_of(table: str, content: pa.Table) -> Iterator[Any]:
    """The rows of a table as they were given, in their order: ``WheelRow`` and the like."""
    row_type: Any = TABLES[table]
    lists = [column.name for column in columns(table) if column.kind == "list of text"]
    for row in content.to_pylist():
        row.update((name, tuple(row[name])) for name in lists if row[name] is not None)
        yield row_type(**row)


def storable(text: str) -> str:
    r"""Text as it is kept: half characters, which are no Unicode, as ``\udc80``."""
    return text.encode("utf-8", "backslashreplace").decode()


def _batch(table: str, rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    arrow = schema(table)
    arrays = [
        _array(values, field.type) for values, field in zip(zip(*rows, strict=True), arrow, strict=True)
    ]
    for array, field in zip(arrays, arrow, strict=True):
        if array.null_count and not field.nullable:
            raise ValueError(f"{field.name} may not be null")
    return pa.RecordBatch.from_arrays(arrays, schema=arrow)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([_storable(value) for value in values], kind)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    return tuple(map(storable, value)) if isinstance(value, tuple) else value


def _type(column: Column) -> pa.DataType:
    text = pa.string()
    kinds = {"text": text, "integer": pa.int64(), "boolean": pa.bool_()}
    return kinds.get(column.kind) or pa.list_(pa.field("element", text, nullable=False))


def _with_dictionary(table: str) -> Iterator[str]:
    for column in columns(table):
        if column.kind == "list of text":
            yield f"{column.name}.list.element"
        elif column.kind == "text" and column.name not in _DIFFERENT[table]:
            yield column.name
