"""Where things lie in the directory of a survey.

::

    survey.json                    the number of the schema
    wheels/part-000001.parquet     written last: with it the part is there
    modules/part-000001.parquet
    symbols/part-000001.parquet
    members/part-000001.parquet
    dropping.json                  only while rows are taken out of parts: which
"""

from __future__ import annotations

import os
import re
from pathlib import Path

MANIFEST = "survey.json"
"""The file by which the directory is known for that of a survey."""
DROPPING = "dropping.json"
"""The file that is there while rows are taken out: until it is gone, some may be there whose wheel is not."""
LOCK = ".lock"

WHEELS = "wheels"
"""The table whose file makes a part of the others'."""

_PART = re.compile(r"part-([0-9]{6,})\.parquet")


def part(directory: Path, table: str, number: int) -> Path:
    """The file of one part with the rows of a table."""
    return directory / table / f"part-{number:06}.parquet"


def committed(directory: Path) -> list[int]:
    """The numbers of the parts that are there, in their order."""
    return numbers(directory, WHEELS)


def numbers(directory: Path, table: str) -> list[int]:
    """The numbers of all files of a table, also of those of parts that did not come to be."""
    if not (directory / table).is_dir():
        return []
    with os.scandir(directory / table) as entries:
        return sorted(int(match[1]) for entry in entries if (match := _PART.fullmatch(entry.name)))
