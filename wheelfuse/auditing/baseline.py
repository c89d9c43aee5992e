"""The baseline of a migration: how many symbols outside of libtorch's stable ABI each file may have at most.

The document is JSON, made to be committed::

    {"schema": "wheelfuse-baseline-1", "files": {"vllm/_C": {"unstable": 78}}}

Files are named as in site-packages, without the suffix of an extension module, so that a baseline holds for the builds
for all CPythons and platforms, and survives a move to abi3. The hash that repair tools put into the names of vendored
libraries is a ``*``. Files without such symbols are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wheelfuse.auditing.libtorch import TorchNeeds, name_of, needs
from wheelfuse.auditing.subject import Subject
from wheelfuse.errors import UsageError

SCHEMA = "wheelfuse-baseline-1"

KINDS: Mapping[str, str] = {
    "unstable": "unstable C++",
    "torch_python": "torch_python",
    "templates": "templates over torch's types",
    "unknown": "unknown aoti_torch_ or torch_",
}
"""The kinds that are counted, fields of :class:`TorchNeeds`, and how they are called in messages."""

_HASH = re.compile(r"(?<=[-.])[0-9a-f]{8,}(?=\.)")

Counts = Mapping[str, Mapping[str, int]]
"""File as the document names it -> kind -> how many."""


@dataclass(frozen=True)
class Change:
    """One count that is not what the baseline says; 0 where a file or kind is not there."""

    file: str
    kind: str
    allowed: int
    found: int

    @property
    def grew(self) -> bool:
        return self.found > self.allowed


def file_key(path: str) -> str:
    """How a baseline names the file at *path*."""
    return _HASH.sub("*", name_of(path))


def count(subjects: Iterable[Subject]) -> Counts:
    """What all files of *subjects* have; of several builds of one file, the highest count."""
    found: dict[str, dict[str, int]] = {}
    for subject in subjects:
        for path in subject.files:
            item = needs(subject, path)
            for kind, number in _numbers(item).items() if item else ():
                counts = found.setdefault(file_key(path), {})
                counts[kind] = max(number, counts.get(kind, 0))
    return found


def total(counts: Counts) -> int:
    """All symbols that are counted."""
    return sum(number for kinds in counts.values() for number in kinds.values())


def _numbers(item: TorchNeeds) -> dict[str, int]:
    return {kind: number for kind in KINDS if (number := len(getattr(item, kind)))}


def compare(baseline: Counts, found: Counts) -> tuple[Change, ...]:
    """Where *found* is above or below the baseline, sorted by file and kind."""
    return tuple(
        Change(file, kind, allowed, number)
        for file in sorted({*baseline, *found})
        for kind in KINDS
        if (allowed := baseline.get(file, {}).get(kind, 0)) != (number := found.get(file, {}).get(kind, 0))
    )


def render(counts: Counts) -> str:
    """The document, sorted; :func:`parse` takes it back."""
    return json.dumps({"schema": SCHEMA, "files": counts}, indent=2, sort_keys=True) + "\n"


def parse(text: str, name: str = "baseline") -> Counts:
    """The counts of a document; *name* is what messages call it.

    Raises:
        UsageError: it is no such document.
    """
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise UsageError(f"{name} is no baseline: its schema is not {SCHEMA}; write it with --write-baseline")
    files = document.get("files")
    if not isinstance(files, dict) or set(document) != {"schema", "files"}:
        raise UsageError(f"{name} is no baseline: it has not just schema and files")
    for file, counts in files.items():
        if not isinstance(counts, dict) or not counts or not all(map(_valid, counts.items())):
            raise UsageError(f"{name}: {file} has not a count above 0 for one or more of {', '.join(KINDS)}")
    return files


def _valid(item: tuple[str, Any]) -> bool:
    kind, number = item
    return kind in KINDS and type(number) is int and number > 0
