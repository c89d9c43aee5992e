"""The tables of a survey for DuckDB: a view of each, over the parts of the directory that are whole.

The database lies in memory, reads nothing but the directory, and cannot be told otherwise: what is asked may come
from elsewhere.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheelfuse.errors import InvalidInput, Problem, UsageError
from wheelfuse.surveying.columns import TABLES, columns
from wheelfuse.surveying.layout import DROPPING, MANIFEST, WHEELS, committed, part

SQL = {"text": "VARCHAR", "integer": "BIGINT", "boolean": "BOOLEAN", "list of text": "VARCHAR[]"}
"""The types of columns in SQL."""

_GLOB = re.compile(r"([*?\[])")


@dataclass(frozen=True)
class Result:
    """What a query gave: names and types of its columns, and its rows."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Database:
    """The survey in a directory, as long as `opened` has it open."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of a query of wheelfuse's own; a tuple or set given for ``?`` is a list."""
        found: list[tuple[Any, ...]] = self._connection.execute(sql, _plain(parameters)).fetchall()
        return found

    def one(self, sql: str, *parameters: object) -> tuple[Any, ...]:
        """The only row of a query."""
        [row] = self.rows(sql, *parameters)
        return row

    def keep(self, name: str, columns: dict[str, str], rows: Iterable[Sequence[object]]) -> None:
        """Values as a table for later queries; *columns* are names and types."""
        rows = list(rows)
        lists = [[_value(row[at]) for row in rows] for at in range(len(columns))]
        parts = ", ".join(f"unnest(?::{kind}[]) AS {column}" for column, kind in columns.items())
        self._connection.execute(f"CREATE TEMP TABLE {name} AS SELECT {parts}", lists)

    def make(self, name: str, sql: str, *parameters: object) -> None:
        """What a query gives as a table for later queries."""
        self._connection.execute(f"CREATE TEMP TABLE {name} AS {sql}", _plain(parameters))

    def asked(self, sql: str) -> Result:
        """The rows of somebody's query.

        Raises:
            UsageError: it is none, or is more than a query.
        """
        import duckdb

        try:
            statements = self._connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise UsageError(Problem("not one SELECT", "sql", todo="Nothing else is run: SELECT …"))
            cursor = self._connection.execute(statements[0])
            return Result(
                tuple(entry[0] for entry in cursor.description),
                tuple(str(entry[1]) for entry in cursor.description),
                cursor.fetchall(),
            )
        except duckdb.Error as error:
            todo = "wheelfuse survey ask DIR schema tells the tables and their columns."
            raise UsageError(Problem(str(error).strip(), "sql", todo=todo)) from error


@contextmanager
def opened(directory: Path) -> Iterator[Database]:
    """The survey in *directory*.

    Raises:
        UsageError: DuckDB is not installed, or no survey is there.
        InvalidInput: a file of it is damaged, or of another schema.
    """
    try:
        import duckdb
    except ImportError as error:
        raise UsageError(Problem("questions need DuckDB", todo="pip install 'wheelfuse[survey]'")) from error
    if not (directory / MANIFEST).is_file():
        what = "no survey is there" if directory.exists() else "no such directory"
        raise UsageError(
            Problem(what, str(directory), todo=f"wheelfuse survey LOCATION -o {directory} makes one.")
        )
    directory = directory.resolve()
    with (
        tempfile.TemporaryDirectory(prefix="wheelfuse-ask-") as spill,
        duckdb.connect(":memory:") as connection,
    ):
        settings = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "temp_directory": spill,
            "allowed_directories": [
                str(directory),
                _escaped(directory),
                spill,
            ],  # a glob is held against them as well
            "enable_external_access": False,
        }
        for name, value in settings.items():
            connection.execute(f"SET {name} = {_literal(value)}")
        try:
            for table in TABLES:
                _view(connection, directory, table)
            connection.execute("SET lock_configuration = true")
            yield Database(connection)
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            what = f"cannot be read: {str(error).splitlines()[0]}"
            raise InvalidInput(
                Problem(what, str(directory), todo="Survey into another directory.")
            ) from error


def _view(connection: Any, directory: Path, table: str) -> None:
    paths = (part(directory, table, number) for number in committed(directory))
    files = [_escaped(path) for path in paths if path.is_file()]
    listed = ", ".join(column.name for column in columns(table))
    nothing = ", ".join(f"NULL::{SQL[column.kind]} AS {column.name}" for column in columns(table))
    source = (
        f"read_parquet({_literal(files)}, union_by_name = true)"
        if files
        else f"(SELECT {nothing} WHERE false)"
    )
    # After a crash while rows were taken out, there may be some whose wheel is gone.
    whole = (
        " WHERE id IN (SELECT id FROM wheels)" if table != WHEELS and (directory / DROPPING).exists() else ""
    )
    connection.execute(f"CREATE VIEW {table} AS SELECT {listed} FROM {source}{whole}")


def _escaped(path: Path) -> str:
    """The glob that only this path matches."""
    return _GLOB.sub(r"[\1]", str(path))


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    quoted = str(value).replace("'", "''")
    return f"'{quoted}'"


def _plain(values: Iterable[object]) -> list[object]:
    return list(map(_value, values))


def _value(value: object) -> object:
    return (
        sorted(value)
        if isinstance(value, (set, frozenset))
        else list(value)
        if isinstance(value, tuple)
        else value
    )
