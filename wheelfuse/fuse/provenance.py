"""``.dist-info/wheelfuse.json``: what a fused wheel was made of, enough to take it apart again exactly.

It lists the original wheels, and for every member that is not simply everybody's: who owns it, what it was
called there, how to take an edit back. Text that was reconciled is kept as each original had it.
"""

from __future__ import annotations

import json
import stat
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.fuse.model import Fate, Loss, RecordForm, Resolution
from wheelfuse.wheel.directory import DEFAULT_MODE, Member, wrong_path
from wheelfuse.wheel.name import WheelName

if TYPE_CHECKING:  # few wheels hold edited files, and what edits them takes long to load
    from wheelfuse.elf.patch import Undo
    from wheelfuse.elf.recipe import Recipe

FILE = "wheelfuse.json"
SCHEMA = 1

_MOST_INPUTS = 100
"""Wheels in one. One for each CPython there is, each abi3 and the pure one are forty."""
_MOST_TAGS = 1 << 10
"""Tags that the name of an original stands for, compressed sets written out."""
_LARGEST_NUMBER = (1 << 63) - 1
"""Of a size, as off_t has it."""
_LONGEST_NAME = 255
_SHOWN = 200
"""Letters of a text from elsewhere that are shown."""


@dataclass(frozen=True)
class _Bounds:
    """How much JSON may take before it is read: bytes, lists and objects, and separators between values.

    A value takes up to thirty times its text in memory, so that the size alone does not bound it.
    """

    size: int
    lists: int
    values: int

    def problem(self, content: bytes) -> str:
        """What is beyond them (empty: nothing)."""
        lists, values = content.count(b"{") + content.count(b"["), content.count(b",")
        for found, most, what in (
            (len(content), self.size, "bytes"),
            (lists, self.lists, "lists and objects"),
            (values, self.values, "values"),
        ):
            if found > most:
                return f"{found} {what}, where at most {most} make sense"
        return ""

    def loads(self, content: bytes) -> Any:
        """The value.

        Raises:
            ValueError: it is no JSON, or beyond the bounds.
        """
        if problem := self.problem(content):
            raise ValueError(problem)
        return json.loads(content)


_OF_A_FUSED_WHEEL = _Bounds(32 << 20, 1 << 20, 1 << 22)
"""86 wheels with 20,000 files, each of half of them, take 20 MB."""
_OF_AN_ORIGIN = _Bounds(4 << 20, 1 << 16, 1 << 20)
"""It has 60 KB at most, packed, and digests do not pack."""


@dataclass(frozen=True)
class Input:
    """One original wheel: file name, sha256 and size (bytes) of the file, and what the fused wheel holds otherwise.

    *restore* has the text of files that were reconciled, *modes* the Unix modes that differ from the fused ones.
    *guessed_from* names the wheel of another tool from which this one was taken by guesswork.
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
    guessed_from: str = ""


@dataclass(frozen=True)
class Placed:
    """A member of the fused wheel that is not everybody's, or not as it was: its owners and its path with them.

    An empty *origin* means that wheelfuse made the file. *undo* takes other names back, after *recipe* has brought
    back the GPU code that lies in the member *carrier*. *ids* are module ids in it that became others for that
    (old, new): for people to read, since the recipe has all that it takes.
    """

    path: str
    owners: tuple[str, ...]
    origin: str
    undo: Undo | None = None
    recipe: Recipe | None = None
    carrier: str = ""
    ids: tuple[tuple[str, str], ...] = ()

    @property
    def edited(self) -> bool:
        return bool(self.undo or self.recipe)


@dataclass(frozen=True)
class Provenance:
    """The content of ``wheelfuse.json``.

    *resolve* are the decisions of the user that applied, path -> strategy, and *holes* the accepted ones: merging
    the wheel again needs neither to be repeated. *resolutions* are the lossless ones; each input tells its losses.

    Raises:
        InvalidInput: there are more *inputs* than any release has.
    """

    version: str
    inputs: tuple[Input, ...]
    placed: tuple[Placed, ...]
    resolutions: tuple[Resolution, ...]
    resolve: Mapping[str, str] = field(default_factory=dict)
    holes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.inputs) > _MOST_INPUTS:
            raise InvalidInput(f"made of {len(self.inputs)} wheels, where at most {_MOST_INPUTS} make sense")

    def to_bytes(self) -> bytes:
        """The JSON text: stable order, one line for each input and member.

        Raises:
            InvalidInput: it is so much that nobody would read it again.
        """
        document = {
            "schema": SCHEMA,
            "wheelfuse": self.version,
            "resolve": dict(sorted(self.resolve.items())),
            "holes": list(self.holes),
            "inputs": [_input_to_json(item) for item in self.inputs],
            "members": [_placed_to_json(item) for item in self.placed],
            "resolutions": [
                {"rule": r.rule, "path": r.path, "targets": list(r.labels), "outcome": r.outcome}
                for r in self.resolutions
            ],
        }
        content = (_lines(document) + "\n").encode()
        if problem := _OF_A_FUSED_WHEEL.problem(content):
            raise InvalidInput(Problem(f"what {FILE} has to tell is too much: {problem}"))
        return content

    @classmethod
    def from_bytes(cls, content: bytes) -> Provenance:
        """Read the JSON text.

        Raises:
            InvalidInput: it is not such a text, or of a schema that this version does not know.
        """
        try:
            document = _OF_A_FUSED_WHEEL.loads(content)
            if document["schema"] != SCHEMA:
                raise InvalidInput(
                    Problem(f"provenance of schema {document['schema']!r:.80}: a newer wheelfuse made it")
                )
            return cls(
                _text(document["wheelfuse"]),
                tuple(_input_from_json(item) for item in document["inputs"]),
                tuple(_placed_from_json(item) for item in document["members"]),
                tuple(
                    Resolution(
                        _text(item["rule"]),
                        _text(item["path"]),
                        tuple(map(_text, item["targets"])),
                        _text(item["outcome"]),
                    )
                    for item in document["resolutions"]
                ),
                {_text(path): _text(strategy) for path, strategy in document["resolve"].items()},
                tuple(map(_text, document["holes"])),
            )
        except InvalidInput:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            what = f"unreadable provenance: {type(error).__name__}: {error!s:.{_SHOWN}}"
            raise InvalidInput(Problem(what)) from error

    def contradictions(self, dist_info: str, members: Mapping[str, Any]) -> Iterable[str]:
        """What cannot be true of a wheel with these members: empty for one that wheelfuse wrote."""
        labels = {item.label for item in self.inputs}
        if not labels or len(labels) != len(self.inputs):
            yield "it names no input, or one twice"
        if len({member.path for member in self.placed}) != len(self.placed):
            yield "it names a member twice"
        for member in self.placed:
            if member.path not in members:
                yield f"{_shown(member.path)} is not in the wheel"
            if member.carrier and member.carrier not in members:
                yield f"{_shown(member.carrier)} is not in the wheel"
            if not labels.issuperset(member.owners) or len(set(member.owners)) != len(member.owners):
                yield f"{_shown(member.path)} is owned by a wheel that is not listed, or twice by one"
            if member.origin:
                yield from _wrong_paths([member.origin])
        for item in self.inputs:
            if item.dist_info != dist_info:
                yield f"{item.name} is said to have the directory {_shown(item.dist_info)}"
            yield from _wrong_paths((*item.restore, *item.modes))
            yield from _wrong_losses(item.losses, members)

    def volume(self, members: Mapping[str, Member]) -> tuple[int, int]:
        """How many files the originals have in all, and how many bytes they take in wheels of their own.

        They are compressed as they are here, but for what *recipe* brings back and for reconciled texts.
        """
        apart = {member.path for member in self.placed}
        shared = [member.compressed_size for path, member in members.items() if path not in apart]
        files, size = len(self.inputs) * len(shared), len(self.inputs) * sum(shared)
        for placed in self.placed:
            files += len(placed.owners)
            one = placed.recipe.size if placed.recipe else members[placed.path].compressed_size
            size += len(placed.owners) * one
        for item in self.inputs:
            stood_in_for = [loss.path for loss in item.losses if loss.fate is Fate.REPLACED]
            files += len(item.restore) + len(stood_in_for)
            size += sum(map(len, item.restore.values()))
            size += sum(members[path].compressed_size for path in stood_in_for)
        return files, size


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _wrong_paths(paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        if path.endswith("/") or wrong_path(path):
            yield f"{_shown(path)!r} is no path in a wheel"


def _wrong_losses(losses: tuple[Loss, ...], members: Mapping[str, Any]) -> Iterable[str]:
    yield from _wrong_paths(loss.path for loss in losses)
    if len({loss.path for loss in losses}) != len(losses):
        yield "a file is lost twice"
    for loss in losses:
        if loss.fate is Fate.REPLACED and loss.path not in members:
            yield f"{_shown(loss.path)} is not in the wheel"


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


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.80} is no text")
    value.encode()  # JSON can say half of a surrogate pair, which no file can be called or hold
    return value


def _number(value: Any, most: int = _LARGEST_NUMBER) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise TypeError(f"{value!r:.80} is no size or mode")
    return value


def _mode(value: Any) -> int:
    """The Unix mode of a file or a symbolic link, which zip files keep in 16 bits; 0 is none."""
    mode = _number(value, 0xFFFF)
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFLNK):
        raise ValueError(f"{mode:o} is not the mode of a file")
    return mode


def _name(value: Any, label: Any) -> str:
    """The file name of a wheel with this label; names that would take long to read are refused unread."""
    name = _text(value)
    tags = 1
    for tag_set in name.rsplit("-", 3)[1:]:
        tags *= 1 + tag_set.count(".")
    if len(name) > _LONGEST_NAME or tags > _MOST_TAGS:
        raise ValueError(f"no name of a wheel, with {len(name)} letters and {tags} tags: {name[:_SHOWN]!r}")
    try:
        known = WheelName.parse(name).label
    except InvalidInput as error:
        raise ValueError(error.problems[0].what) from error
    if known != label:
        raise ValueError(f"goes by another label: {name}")
    return name


def _input_to_json(item: Input) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": item.name,
        "sha256": item.sha256,
        "size": item.size,
        "label": item.label,
        "targets": list(item.targets),
        "dist_info": item.dist_info,
        "root_is_purelib": item.root_is_purelib,
        "requires_python": item.requires_python,
        "record": _record_to_json(item.record),
    }
    if item.guessed_from:
        document["guessed_from"] = item.guessed_from
    if item.restore:
        document["restore"] = dict(sorted(item.restore.items()))
    if item.modes:
        document["modes"] = dict(sorted(item.modes.items()))
    if item.losses:
        document["lost"] = [_loss_to_json(loss) for loss in item.losses]
    return document


def _record_to_json(form: RecordForm) -> dict[str, Any]:
    mode = {"mode": form.mode} if form.mode != DEFAULT_MODE else {}
    if form.verbatim:
        return {"sha256": form.digest, "verbatim": form.verbatim, **mode}
    order = {"order": list(form.order)} if form.order else {}
    return {"sha256": form.digest, "newline": form.newline, **order, **mode}


def _record_from_json(item: Any) -> RecordForm:
    order = tuple(map(_number, item.get("order", ())))
    if sorted(order) != list(range(len(order))):
        raise ValueError("the order of RECORD is no permutation")
    newline = _text(item.get("newline", "\n"))
    if newline not in ("\n", "\r\n"):
        raise ValueError(f"{newline!r:.80} ends no line of RECORD")
    verbatim, digest = _text(item.get("verbatim", "")), _text(item["sha256"])
    return RecordForm(order, newline, verbatim, digest, _mode(item.get("mode", DEFAULT_MODE)))


def _loss_to_json(loss: Loss) -> dict[str, Any]:
    return {
        "path": loss.path, "digest": loss.digest, "size": loss.size, "mode": loss.mode,
        "why": loss.why, "strategy": loss.strategy, "fate": loss.fate.value,
    }  # fmt: skip


def _loss_from_json(item: Any) -> Loss:
    return Loss(
        _text(item["path"]), _text(item["digest"]), _number(item["size"]), _mode(item["mode"]),
        _text(item["why"]), _text(item["strategy"]), Fate(item["fate"]),
    )  # fmt: skip


def _input_from_json(item: Any) -> Input:
    return Input(
        name=_name(item["name"], item["label"]),
        sha256=_text(item["sha256"]),
        size=_number(item["size"]),
        label=_text(item["label"]),
        targets=tuple(map(_text, item["targets"])),
        dist_info=_text(item["dist_info"]),
        root_is_purelib=bool(item["root_is_purelib"]),
        requires_python=_text(item["requires_python"]),
        record=_record_from_json(item["record"]),
        restore={_text(path): _text(text) for path, text in item.get("restore", {}).items()},
        modes={_text(path): _mode(mode) for path, mode in item.get("modes", {}).items()},
        losses=tuple(_loss_from_json(loss) for loss in item.get("lost", ())),
        guessed_from=_text(item.get("guessed_from", "")),
    )


def _placed_to_json(item: Placed) -> dict[str, Any]:
    document: dict[str, Any] = {"path": item.path, "owners": list(item.owners)}
    if item.origin != item.path:
        document["origin"] = item.origin
    if item.undo:
        document["undo"] = item.undo.to_json()
    if item.recipe:
        document |= {"carrier": item.carrier, "recipe": item.recipe.to_json()}
    if item.ids:
        document["module_ids"] = dict(item.ids)
    return document


def _placed_from_json(item: Any) -> Placed:
    undo, recipe = _edits_from_json(item) if "undo" in item or "recipe" in item else (None, None)
    carrier = _text(item["carrier"]) if recipe else ""
    path = _text(item["path"])
    owners = tuple(map(_text, item["owners"]))
    ids = tuple((_text(old), _text(new)) for old, new in item.get("module_ids", {}).items())
    return Placed(path, owners, _text(item.get("origin", path)), undo, recipe, carrier, ids)


def _edits_from_json(item: Any) -> tuple[Undo | None, Recipe | None]:
    from wheelfuse.elf.patch import Undo
    from wheelfuse.elf.recipe import Recipe

    undo = Undo.from_json(item["undo"]) if "undo" in item else None
    return undo, Recipe.from_json(item["recipe"]) if "recipe" in item else None


_ORIGIN_FIELD = 0x6677  # 'wf'; not among the registered header ids of APPNOTE 4.5.2
_LONGEST_FIELD = 0xF000


@dataclass(frozen=True)
class Origin:
    """What a split wheel remembers of the file that it once was: it lies in the zip, beside the members.

    A wheel taken out of a fused one has every member of the original, but its zip file is written anew. For
    provenance to stay true when it is fused again, the digest of the original file and the list of what could
    not be restored travel in an extra field (PKWARE APPNOTE 4.5) of RECORD's zip header, where no installer
    looks and no member changes. Like all provenance it is a statement, not a proof.
    """

    sha256: str
    size: int
    record: RecordForm
    content: str
    """Digest of the split wheel's RECORD: if it changed since, none of this is true any more."""
    losses: tuple[Loss, ...]

    def to_field(self) -> bytes:
        """The extra field; empty if there is too much to remember for one (64 KiB, compressed)."""
        document = {
            "sha256": self.sha256,
            "size": self.size,
            "record": _record_to_json(self.record),
            "content": self.content,
            "lost": [_loss_to_json(loss) for loss in self.losses],
        }
        text = json.dumps(document, separators=(",", ":")).encode()
        content = zlib.compress(text, 9)
        if len(content) >= _LONGEST_FIELD or _OF_AN_ORIGIN.problem(text):
            return b""
        return struct.pack("<HH", _ORIGIN_FIELD, len(content)) + content

    @classmethod
    def from_extra(cls, extra: bytes) -> Origin | None:
        """The origin among the extra fields of a zip header; None if there is none that can be read."""
        position = 0
        while position + 4 <= len(extra):
            kind, length = struct.unpack_from("<HH", extra, position)
            if kind == _ORIGIN_FIELD:
                return cls._from_bytes(extra[position + 4 : position + 4 + length])
            position += 4 + length
        return None

    @classmethod
    def _from_bytes(cls, packed: bytes) -> Origin | None:
        try:
            item = _OF_AN_ORIGIN.loads(zlib.decompressobj().decompress(packed, _OF_AN_ORIGIN.size + 1))
            losses = tuple(_loss_from_json(loss) for loss in item["lost"])
            sha256, content = _text(item["sha256"]), _text(item["content"])
            return cls(sha256, _number(item["size"]), _record_from_json(item["record"]), content, losses)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error):
            return None  # only a memory: never a reason to refuse the wheel

    def is_of(self, members: Mapping[str, Any]) -> bool:
        """Whether it can be true of a wheel with these members."""
        return not any(_wrong_losses(self.losses, members))
