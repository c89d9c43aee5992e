"""What tests read from real shared objects."""

from __future__ import annotations

import json
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tests.interpreters import run_python


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
