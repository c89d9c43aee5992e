"""What tests read from real shared objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tests.interpreters import run_python
from wheelfuse.abi import cpython
from wheelfuse.abi.table import of_exports, render


def undefined(file: Path) -> frozenset[str]:
    """The names that *file* takes from others."""
    with file.open("rb") as stream:
        dynsym = ELFFile(stream).get_section_by_name(".dynsym")
        assert isinstance(dynsym, SymbolTableSection)
        return frozenset(symbol.name for symbol in dynsym.iter_symbols() if symbol["st_shndx"] == "SHN_UNDEF")


def lib_dynload(python: Path) -> tuple[Path, ...]:
    """The extension modules of *python*'s own standard library."""
    path = json.loads(run_python(python, "import json, sys; print(json.dumps(sys.path))"))
    return tuple(
        file for entry in path if entry.endswith("lib-dynload") for file in sorted(Path(entry).glob("*.so"))
    )


@contextmanager
def known_until(minor: int, directory: Path) -> Iterator[None]:
    """The tables of CPython as they would be if nothing after 3.*minor* had come; *directory* is for a copy of them."""
    table = cpython.table()
    columns = {column: table.names(column) for column in table.columns if column.minor <= minor}
    limited = {name: row.limited_api for name, row in table.rows.items() if row.limited_api is not None}
    (directory / "cpython.txt").write_text(render(of_exports(columns, limited)), encoding="ascii")
    replacements = "cpython_replacements.txt"
    (directory / replacements).write_bytes((cpython.DATA / replacements).read_bytes())
    caches = (cpython.table, cpython.history, cpython.exports, cpython.replacements)
    try:
        with patch.object(cpython, "DATA", directory):
            for cached in caches:
                cached.cache_clear()
            yield
    finally:
        for cached in caches:
            cached.cache_clear()
