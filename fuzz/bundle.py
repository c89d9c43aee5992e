"""Several files, and what is to be done with them, as one input: bytes that can be kept, cut down and tried again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Bundle:
    """Files by name, in order, and options."""

    files: Sequence[tuple[str, bytes]]
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """A line of JSON, then the files one after another."""
        head = {"files": [[name, len(data)] for name, data in self.files], **self.options}
        return json.dumps(head).encode() + b"\n" + b"".join(data for _, data in self.files)

    @classmethod
    def from_bytes(cls, data: bytes) -> Bundle:
        """The counterpart of `to_bytes`."""
        line, _, rest = data.partition(b"\n")
        head, files = json.loads(line), []
        for name, size in head.pop("files"):
            files.append((name, rest[:size]))
            rest = rest[size:]
        return cls(files, head)

    def write(self, directory: Path) -> list[Path]:
        """Write the files whose names are names of files at all; the last of two of one name stays."""
        directory.mkdir(parents=True, exist_ok=True)
        found = {}
        for name, data in self.files:
            if not name or "/" in name or "\0" in name or len(name.encode("utf-8", "surrogateescape")) > 255:
                continue
            (directory / name).write_bytes(data)
            found[name] = directory / name
        return list(found.values())
