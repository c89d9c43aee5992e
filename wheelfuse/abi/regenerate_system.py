"""Rebuild ``data/system.txt``: ``python -m wheelfuse.abi.regenerate_system LIBRARY...`` prints it.

Give it the files of glibc and its companions, and musl's ``libc.so``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

COMMENT = """\
# What libraries of Linux systems export to files that ask for no version of a symbol: default versions, and those
# of the first version of the library even if later ones hide it (glibc, elf/dl-lookup.c, check_match).
# Made by python -m wheelfuse.abi.regenerate_system; see SOURCES.toml. [soname], then its names."""

_FIRST, _HIDDEN = (
    2,
    0x8000,
)  # index of the first version after the file's own; the mark of one that is no default


def exports(path: Path) -> tuple[str, frozenset[str]]:
    """The soname of a library, and what it exports to those who ask for no version."""
    with path.open("rb") as file:
        elf: Any = ELFFile(file)
        soname = next(
            (tag.soname for tag in elf.get_section_by_name(".dynamic").iter_tags() if hasattr(tag, "soname")),
            path.name,
        )
        versions = elf.get_section_by_name(".gnu.version")
        definitions = elf.get_section_by_name(".gnu.version_d")
        private = {
            definition["vd_ndx"]
            for definition, names in (definitions.iter_versions() if definitions else ())
            if next(iter(names)).name == "GLIBC_PRIVATE"
        }
        found = set()
        for number, symbol in enumerate(elf.get_section_by_name(".dynsym").iter_symbols()):
            index = _index(versions, number)
            open_to_all = not index & _HIDDEN or index & ~_HIDDEN == _FIRST
            defined = symbol["st_shndx"] not in ("SHN_UNDEF", "SHN_ABS")
            visible = symbol["st_info"]["bind"] != "STB_LOCAL" and index & ~_HIDDEN not in private
            if defined and visible and open_to_all:
                found.add(symbol.name)
    return soname, frozenset(found)


def _index(versions: Any, number: int) -> int:
    """The entry of ``.gnu.version``; pyelftools has names for two of them."""
    if versions is None:
        return 1
    named: dict[Any, int] = {"VER_NDX_LOCAL": 0, "VER_NDX_GLOBAL": 1}
    index = versions.get_symbol(number)["ndx"]
    return named[index] if index in named else int(index)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    print(COMMENT)  # noqa: T201
    for soname, names in sorted(exports(Path(path)) for path in arguments or sys.argv[1:]):
        print(f"[{soname}]", *sorted(names), sep="\n")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
