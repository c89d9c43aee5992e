"""Names of files that Linux takes and other systems do not, or not beside each other.

Installers on Linux unpack all of them, and there they work: headers of Linux itself differ in case only. So they are
no reason to refuse a wheel for Linux; elsewhere files would be lost, or could not be created.
What Windows reserves: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

_RESERVED = re.compile(
    r"""(?:\A|/)(?:con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])[ ]*(?:\.[^/]*)?(?:/|\Z)"""
    r"""|[ .](?:/|\Z)|[<>:"|?*]""",
    re.IGNORECASE,
)


class Unportable(NamedTuple):
    """A kind of trouble, and the paths that have it."""

    what: str
    paths: tuple[str, ...]


def unportable(paths: Iterable[str]) -> Iterator[Unportable]:
    """What other systems would make of these paths, each kind once."""
    ordered = sorted(paths, key=lambda path: (_folded(path), path))
    groups = (tuple(group) for _, group in groupby(ordered, _folded))
    if alike := tuple(path for group in groups if len(group) > 1 for path in group):
        yield Unportable("differ in case only: on Windows and macOS one would overwrite the other", alike)
    if reserved := tuple(sorted(filter(_RESERVED.search, ordered))):
        yield Unportable("reserved on Windows, where such a file cannot be created", reserved)
    if other := tuple(sorted(path for path in ordered if not unicodedata.is_normalized("NFC", path))):
        yield Unportable("not in Unicode normal form C, in which most people type names", other)


def _folded(path: str) -> str:
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path).casefold()
