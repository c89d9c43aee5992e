"""Questions to a survey: what the command line and :mod:`wheelfuse` offer."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from wheelfuse.surveying.answer import SurveyAnswer
from wheelfuse.surveying.database import opened
from wheelfuse.surveying.questions import Asked, checked, find

StrPath = str | os.PathLike[str]


def ask(
    directory: StrPath,
    question: str,
    *arguments: str,
    exports: Iterable[StrPath] | StrPath = (),
    top: int = 0,
) -> SurveyAnswer:
    """Ask the survey in *directory* one of the ready questions, such as ``"breaks-on", "cp315"``.

    *exports* are files that hold what a CPython, or torch, exports: its shared objects, or lists with a symbol in a
    line. *top* is how many rows of each table are wanted (0: all); sentences and totals are of all in any case.

    Raises:
        UsageError: DuckDB is not installed, no survey is there, or the question makes no sense.
        InvalidInput: a file of *exports* cannot be read.
    """
    files = (exports,) if isinstance(exports, (str, os.PathLike)) else tuple(exports)
    entry = find(question)
    asked = checked(entry, Asked(tuple(arguments), tuple(map(Path, files))))
    with opened(Path(directory)) as database:
        return entry.answer(database, asked).cut(top)
