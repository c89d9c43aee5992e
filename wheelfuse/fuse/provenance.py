"""``.dist-info/wheelfuse.json``: what a fused wheel was made of, enough to take it apart again exactly.

It lists the original wheels, and for every member that is not simply everybody's: who owns it, what it was
called there, how to take an edit back. Text that was reconciled is kept as each original had it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wheelfuse.elf.patch import Undo
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.fuse.model import Loss, RecordForm, Resolution

FILE = "wheelfuse.json"
SCHEMA = 1


@dataclass(frozen=True)
class Input:
    """One original wheel: file name, sha256 and size (bytes) of the file, and what the fused wheel holds otherwise.

    *restore* has the text of files that were reconciled, *modes* the Unix modes that differ from the fused ones.
    """

    name: str
    sha256: str
    size: int
    label: str
    targets: tuple[str, ...]
    dist_info: str
    root_is_purelib: bool
    requires_python: str
    record: RecordForm
    restore: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True)
class Placed:
    """A member of the fused wheel that is not everybody's, or not as it was: its owners and its path with them.

    An empty *origin* means that wheelfuse made the file.
    """

    path: str
    owners: tuple[str, ...]
    origin: str
    undo: Undo | None = None


@dataclass(frozen=True)
class Provenance:
    """The content of ``wheelfuse.json``.

    *resolve* are the rules of the user that applied, *holes* the accepted ones: merging the wheel again needs
    neither to be repeated. *resolutions* are the lossless ones; what was lost is told by each input.
    """

    version: str
    inputs: tuple[Input, ...]
    placed: tuple[Placed, ...]
    resolutions: tuple[Resolution, ...]
    resolve: tuple[str, ...] = ()
    holes: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """The JSON text: stable order, one line for each input and member."""
        document = {
            "schema": SCHEMA,
            "wheelfuse": self.version,
            "resolve": list(self.resolve),
            "holes": list(self.holes),
            "inputs": [_input_to_json(item) for item in self.inputs],
            "members": [_placed_to_json(item) for item in self.placed],
            "resolutions": [
                {"rule": r.rule, "path": r.path, "targets": list(r.labels), "outcome": r.outcome}
                for r in self.resolutions
            ],
        }
        return (_lines(document) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Provenance:
        """Read the JSON text.

        Raises:
            InvalidInput: it is not such a text, or of a schema that this version does not know.
        """
        try:
            document = json.loads(content)
            if document["schema"] != SCHEMA:
                raise InvalidInput(
                    Problem(f"provenance of schema {document['schema']}: a newer wheelfuse made it")
                )
            return cls(
                str(document["wheelfuse"]),
                tuple(_input_from_json(item) for item in document["inputs"]),
                tuple(_placed_from_json(item) for item in document["members"]),
                tuple(
                    Resolution(item["rule"], item["path"], tuple(item["targets"]), item["outcome"])
                    for item in document["resolutions"]
                ),
                tuple(map(str, document["resolve"])),
                tuple(map(str, document["holes"])),
            )
        except InvalidInput:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(Problem(f"unreadable provenance: {type(error).__name__}: {error}")) from error


def _lines(document: Mapping[str, Any]) -> str:
    """JSON with one line for each element of the top-level lists, so that a diff of two is readable."""

    def compact(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    parts = []
    for key, value in document.items():
        if isinstance(value, list) and value:
            rows = ",\n  ".join(compact(row) for row in value)
            parts.append(f'"{key}": [\n  {rows}\n ]')
        else:
            parts.append(f'"{key}": {compact(value)}')
    return "{\n " + ",\n ".join(parts) + "\n}"


def _input_to_json(item: Input) -> dict[str, Any]:
    record: dict[str, Any] = {"newline": item.record.newline}
    if item.record.verbatim:
        record = {"verbatim": item.record.verbatim}
    elif item.record.order:
        record["order"] = list(item.record.order)
    document: dict[str, Any] = {
        "name": item.name,
        "sha256": item.sha256,
        "size": item.size,
        "label": item.label,
        "targets": list(item.targets),
        "dist_info": item.dist_info,
        "root_is_purelib": item.root_is_purelib,
        "requires_python": item.requires_python,
        "record": record,
    }
    if item.restore:
        document["restore"] = dict(sorted(item.restore.items()))
    if item.modes:
        document["modes"] = dict(sorted(item.modes.items()))
    if item.losses:
        document["lost"] = [loss_to_json(loss) for loss in item.losses]
    return document


def loss_to_json(loss: Loss) -> dict[str, Any]:
    return {
        "path": loss.path, "digest": loss.digest, "size": loss.size, "mode": loss.mode,
        "why": loss.why, "present": loss.present,
    }  # fmt: skip


def _loss_from_json(item: Any) -> Loss:
    return Loss(item["path"], item["digest"], item["size"], item["mode"], item["why"], item["present"])


def _input_from_json(item: Any) -> Input:
    record = item["record"]
    return Input(
        item["name"],
        item["sha256"],
        item["size"],
        item["label"],
        tuple(item["targets"]),
        item["dist_info"],
        item["root_is_purelib"],
        item["requires_python"],
        RecordForm(tuple(record.get("order", ())), record.get("newline", "\n"), record.get("verbatim", "")),
        item.get("restore", {}),
        item.get("modes", {}),
        tuple(_loss_from_json(loss) for loss in item.get("lost", ())),
    )


def _placed_to_json(item: Placed) -> dict[str, Any]:
    document: dict[str, Any] = {"path": item.path, "owners": list(item.owners)}
    if item.origin != item.path:
        document["origin"] = item.origin
    if item.undo:
        document["undo"] = item.undo.to_json()
    return document


def _placed_from_json(item: Any) -> Placed:
    undo = Undo.from_json(item["undo"]) if "undo" in item else None
    return Placed(item["path"], tuple(item["owners"]), item.get("origin", item["path"]), undo)


@dataclass(frozen=True)
class Origin:
    """What a split wheel remembers of the file that it once was: it lies in the zip, beside the members.

    A wheel taken out of a fused one has every member of the original, but its zip file is written anew. For
    provenance to stay true when it is fused again, the digest of the original file and the list of what could
    not be restored travel in an extra field (PKWARE APPNOTE 4.5) of RECORD's zip header, where no installer
    looks and no member changes.
    """

    sha256: str
    size: int
    losses: tuple[Loss, ...]
    content: str
    """Digest of the split wheel's RECORD: if it changed since, none of this is true any more."""

    def to_bytes(self) -> bytes:
        document = {
            "sha256": self.sha256,
            "size": self.size,
            "content": self.content,
            "lost": [loss_to_json(loss) for loss in self.losses],
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Origin | None:
        """The origin, or None if this is none: an extra field is only a hint, never a reason to refuse a wheel."""
        try:
            item = json.loads(content)
            losses = tuple(_loss_from_json(loss) for loss in item["lost"])
            return cls(item["sha256"], item["size"], losses, item["content"])
        except (ValueError, KeyError, TypeError):
            return None
