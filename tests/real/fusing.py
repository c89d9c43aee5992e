"""Running ``wheelfuse`` on real wheels, and what came of it."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real.download import sha256
from tests.real.projects import Project
from tests.wheels import wheelfuse
from wheelfuse.target import Target

_EXTENSION = re.compile(r"(?P<stem>\w+)(\.cpython-\w+-[\w-]+|\.abi3t?)?\.so")


@dataclass(frozen=True)
class Fused:
    """A fused wheel, the wheels that it was made of, and what ``wheelfuse merge --json`` said about it."""

    project: Project
    originals: tuple[Path, ...]
    path: Path
    options: tuple[str, ...]
    outcome: dict[str, Any]

    def original(self, target: Target) -> Path:
        """The wheel that was published for *target*."""
        digests = {entry["sha256"] for entry in self.outcome["targets"] if str(target) in entry["serves"]}
        (path,) = (path for path in self.originals if sha256(path) in digests)
        return path

    def modules(self, target: Target) -> dict[str, str]:
        """The extension modules of *target*: name -> the file in the fused wheel that it must import."""
        labels = {e["label"] for e in self.outcome["targets"] if str(target) in e["serves"]}
        files = [
            (row["module"], row["files"].get(label)) for row in self.outcome["modules"] for label in labels
        ]
        return {module: file for module, file in files if file}

    def changed(self, target: Target) -> set[str]:
        """The members of the wheel for *target* that are not in the fused wheel as they were.

        RECORD is one of them if there is any, since it tells the digests of the others.
        """
        lost = {entry["path"] for entry in self.outcome["not_restorable"] if entry["target"] == str(target)}
        distribution, version = self.path.name.split("-")[:2]
        return lost | ({f"{distribution}-{version}.dist-info/RECORD"} if lost else set())

    @property
    def summary(self) -> str:
        """Targets and sizes in one line."""
        output = self.outcome["output"]
        labels = " ".join(entry["label"] for entry in self.outcome["targets"])
        inputs, size = output["sum_of_inputs"], output["size"]
        sizes = f"{inputs / 1e6:9.2f} MB -> {size / 1e6:8.2f} MB {size / inputs:5.2f}"
        return f"{self.project.key:16} {sizes}  {labels}"


def merge(originals: Sequence[Path], directory: Path, *options: str) -> dict[str, Any]:
    """Fuse *originals* into *directory* on the command line; the outcome as it tells it in JSON."""
    done = wheelfuse("merge", *originals, "-o", directory, "--json", *options)
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def extension_modules(wheel: Path) -> set[str]:
    """The extension modules of a single-Python wheel, found without the help of wheelfuse.

    They are the ``.so`` files that hold the name of the function that import calls.
    """
    found = set()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            directory, _, file = name.rpartition("/")
            match = _EXTENSION.fullmatch(file)
            if match and f"PyInit_{match['stem']}\0".encode() in archive.read(name):
                found.add(".".join((*directory.split("/"), match["stem"])).lstrip("."))
    return found
