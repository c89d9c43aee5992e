"""What a CPython or a torch exports, by the files that somebody names: shared objects, or lists of symbols."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from wheelfuse.content import opened
from wheelfuse.elf.image import read_image
from wheelfuse.errors import InvalidInput, Problem

_MAGIC = b"\x7fELF"
_SYMBOL = re.compile(r"[^\s\x00-\x1f\x7f]+")
_LONGEST_LIST = 256 << 20
"""Bytes of a list of symbols that are read; libtorch's have some 30 MB."""


def read_exports(files: Iterable[Path]) -> frozenset[str]:
    """All that the files export together.

    Raises:
        InvalidInput: one cannot be read, exports nothing, or is neither a shared object nor a list of symbols.
    """
    return frozenset().union(*map(_read, files))


def _read(path: Path) -> frozenset[str]:
    try:
        with path.open("rb") as file:
            is_elf = file.read(len(_MAGIC)) == _MAGIC
        found = _of_file(path) if is_elf else _of_list(path)
    except OSError as error:
        raise InvalidInput(Problem(f"cannot be read: {error.strerror}", str(path))) from error
    if not found:
        todo = (
            "Give the library (libpython3.so says nothing, libpython3.16.so does), or a list of its symbols."
        )
        raise InvalidInput(Problem("exports no symbol", str(path), todo=todo))
    return found


def _of_file(path: Path) -> frozenset[str]:
    with opened(path) as content:
        return read_image(content).exports


def _of_list(path: Path) -> frozenset[str]:
    if path.stat().st_size > _LONGEST_LIST:
        raise InvalidInput(Problem("too large for a list of symbols", str(path)))
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise InvalidInput(Problem("neither a shared object nor a list of symbols", str(path))) from error
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#") and not _SYMBOL.fullmatch(line):
            todo = "One symbol in a line, and nothing else: nm -D --defined-only -j FILE writes such a list."
            raise InvalidInput(Problem(f"line {number} is no symbol: {line[:80]!r}", str(path), todo=todo))
    return frozenset(line for line in lines if line and not line.startswith("#"))
