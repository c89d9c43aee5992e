"""What earlier builds into a wheelhouse left there, so that ``--resume`` need not build it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from wheelfuse.wheel.outputs import replacing
from wheelfuse.wheel.record import file_digest

SCHEMA = "wheelfuse/build-state/1"


@dataclass(frozen=True)
class Entry:
    """A wheel that was built: from what (the key of its job), its file name, and its SHA-256."""

    key: str
    wheel: str
    sha256: str


@dataclass(frozen=True)
class State:
    """The state file of a wheelhouse: the entry of each target."""

    path: Path
    entries: Mapping[str, Entry]

    @classmethod
    def read(cls, path: Path) -> State:
        """The state in a file. What is not there or cannot be understood is nothing, and is built again."""
        try:
            document = json.loads(path.read_bytes())
            if document["schema"] != SCHEMA:
                return cls(path, {})
            return cls(path, {target: Entry(**entry) for target, entry in document["targets"].items()})
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls(path, {})

    def made(self, target: str, key: str, directory: Path) -> Path | None:
        """The wheel for *target* in *directory*, if it is the one that was built for this key, unchanged."""
        entry = self.entries.get(target)
        if not entry or entry.key != key:
            return None
        path = directory / entry.wheel
        return path if path.is_file() and file_digest(path).hex() == entry.sha256 else None

    def with_entry(self, target: str, entry: Entry | None) -> State:
        """The state with another entry for a target, written to the file."""
        entries = {**self.entries, **({target: entry} if entry else {})}
        if not entry:
            entries.pop(target, None)
        document = {
            "schema": SCHEMA,
            "targets": {name: asdict(each) for name, each in sorted(entries.items())},
        }
        with replacing(self.path, overwrite=True) as file:
            file.write(json.dumps(document, indent=1).encode() + b"\n")
        return State(self.path, entries)
