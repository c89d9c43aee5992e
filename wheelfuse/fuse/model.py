"""The values that flow through a merge: originals in, outputs, resolutions and conflicts out."""

from __future__ import annotations

import functools
import operator
import posixpath
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from wheelfuse.elf.fatbin import Container
from wheelfuse.elf.image import Image
from wheelfuse.target import Target
from wheelfuse.wheel.directory import DEFAULT_MODE, Member
from wheelfuse.wheel.name import WheelName

if TYPE_CHECKING:  # few merges edit ELF files, and what does takes long to load
    from wheelfuse.elf.module_ids import Naming
    from wheelfuse.elf.outsource import Move
    from wheelfuse.elf.patch import Edit, Undo
    from wheelfuse.elf.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Restoration:
    """How to take back what wheelfuse made of a file.

    First *recipe* brings back the GPU code that lies in *carrier*, another member of the wheel; then *undo* takes
    back other names.
    """

    undo: Undo | None = None
    recipe: Recipe | None = None
    carrier: Member | None = None

    @property
    def size(self) -> int:
        """Bytes of the file as it was."""
        if self.undo:
            return self.undo.size
        return self.recipe.size if self.recipe else 0


@dataclass(frozen=True, slots=True)
class Stored:
    """Content that lies in an input: number of the input, the member, and how to take back edits of wheelfuse.

    *stripped* says that what only debuggers read is to be cut out of it.
    """

    archive: int
    member: Member
    restoration: Restoration | None = None
    stripped: bool = False

    @property
    def size(self) -> int:
        """Bytes of the file that left its build, before anything is cut out of it."""
        return self.restoration.size if self.restoration else self.member.size

    @property
    def as_it_lies(self) -> bool:
        """Whether the member's own content is what is meant."""
        return self.restoration is None and not self.stripped


@dataclass(frozen=True, slots=True)
class Inline:
    """Content that wheelfuse made itself, or that the provenance of an input held."""

    content: bytes


@dataclass(frozen=True, slots=True)
class File:
    """One file of a wheel: digest (sha256 as RECORD spells it), size in bytes, Unix mode (0: not given), content."""

    digest: str
    size: int
    mode: int
    source: Stored | Inline

    @property
    def is_symlink(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def kind(self) -> int:
        """The kind of file in its mode, which zip files may leave out for regular files."""
        return stat.S_IFMT(self.mode) or stat.S_IFREG

    def with_mode(self, mode: int) -> File:
        """The same file with this mode."""
        return self if self.mode == mode else replace(self, mode=mode)


class Fate(str, Enum):
    """What became of a file whose bytes cannot come back."""

    DROPPED = "dropped"
    """There is no file at its path any more."""
    REPLACED = "replaced"
    """Another build's file stands in for it at its path."""
    STRIPPED = "stripped"
    """It is there, without what only debuggers read."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A file of an original that the fused wheel does not hold: what it was, and why its bytes cannot come back.

    *strategy* is what the user asked for at this path; empty where a rule of wheelfuse did it.
    """

    path: str
    digest: str
    size: int
    mode: int
    why: str
    strategy: str
    fate: Fate


@dataclass(frozen=True)
class RecordForm:
    """How RECORD was written, so that it can be written again: order of the paths, line end, or else the whole text.

    *order* holds indexes into the sorted paths; empty if they are sorted. *digest* (sha256 as RECORD spells it) is
    that of the original's RECORD, which in turn has those of all its files: whoever writes it again can tell.
    *mode* is its Unix mode.
    """

    order: tuple[int, ...] = ()
    newline: str = "\n"
    verbatim: str = ""
    digest: str = ""
    mode: int = DEFAULT_MODE


@dataclass(frozen=True)
class Original:
    """One wheel of the build matrix as it left its build: a file given to merge, or one of those fused in it.

    *where* tells people the file. *files* has all files but RECORD. *serves* are the CPythons that would install
    this wheel rather than another one of the set. *guessed_from* names the wheel of another tool that it was
    taken from, by guesswork. *recorded* says that it is told of by the provenance of a fused wheel, or by what a wheel
    that was split from one remembers: by what anybody may write.
    """

    name: WheelName
    where: str
    sha256: str
    size: int
    dist_info: str
    root_is_purelib: bool
    requires_python: str
    files: Mapping[str, File]
    record: RecordForm = RecordForm()
    losses: tuple[Loss, ...] = ()
    serves: tuple[Target, ...] = ()
    guessed_from: str = ""
    recorded: bool = False

    @cached_property
    def label(self) -> str:
        """What tells it from the others: ``cp313t``, ``cp39-abi3``, ``py3-none``."""
        return self.name.label

    @cached_property
    def target(self) -> Target | None:
        """The only CPython that this wheel is for, by its tags or because no other one is left to it."""
        return self.name.target or (self.serves[0] if len(self.serves) == 1 else None)

    @property
    def file_tag(self) -> str:
        """The label as a part of a file name, without dots or dashes."""
        return self.label.replace("-", "").replace(".", "_")

    def lost(self, path: str) -> Loss | None:
        """What an earlier merge did not keep at this path; another build's file may stand there now."""
        return self._losses.get(path)

    def is_stood_in_for(self, path: str) -> bool:
        """Whether another build's file stands in for this one's at this path."""
        loss = self.lost(path)
        return loss is not None and loss.fate is Fate.REPLACED

    @cached_property
    def _losses(self) -> dict[str, Loss]:
        return {loss.path: loss for loss in self.losses}

    @property
    def sort_key(self) -> tuple[int, bool, str]:
        """From the oldest CPython to the newest, a free-threaded build after the one with the GIL."""
        if self.target:
            return self.target.minor, self.target.free_threaded, self.label
        versions = [int(tag[3:]) for tag in self.name.pythons if tag.startswith("cp3") and tag[3:].isdigit()]
        return min(versions, default=0), False, self.label


@dataclass(frozen=True, slots=True)
class HeldContainer:
    """A container of GPU code that may be moved out of its file, with the sha256 of its bytes, in hexadecimal.

    *naming* is None for one without module ids, and where nobody asked for them.
    """

    container: Container
    sha256: str
    naming: Naming | None = None


@dataclass(frozen=True, slots=True)
class SeenCode:
    """The GPU code of one file as its headers tell: containers, bytes in all, architectures.

    *why_fixed* tells why no other file can have it in common, if that is known without reading it; *damage* why it
    cannot be read (empty: it can).
    """

    containers: tuple[Container, ...]
    size: int
    architectures: tuple[str, ...] = ()
    why_fixed: tuple[str, ...] = ()
    damage: str = ""

    @property
    def left(self) -> HeldCode:
        """The same as code that stays where it is."""
        return HeldCode((), self.size, self.why_fixed, self.architectures)


@dataclass(frozen=True, slots=True)
class HeldCode:
    """The GPU code of one file: what may be moved, how many bytes may not, and why; all its architectures.

    *ids* are all module ids in the file, if somebody asked for them.
    """

    movable: tuple[HeldContainer, ...]
    fixed_bytes: int
    why_fixed: tuple[str, ...]
    architectures: tuple[str, ...]
    ids: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Facts:
    """What was found out about contents, each keyed by the digest of the content.

    *images* of every ELF file; *device_code* of those with GPU code; *contents* of small files that differ;
    *listings* (name, checksum, size) of zip-like archives that differ; *unstripped* tells of ELF files why what only
    debuggers read could not be cut out of them.
    """

    images: Mapping[str, Image] = field(default_factory=dict)
    device_code: Mapping[str, SeenCode] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict)
    listings: Mapping[str, tuple[tuple[str, int, int], ...]] = field(default_factory=dict)
    unstripped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rename:
    """How an ELF file is to be edited: its new soname (None: as it is), and DT_NEEDED names, old -> new."""

    soname: str | None
    needed: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Outsourcing:
    """GPU code that is to move into a carrier: its path in the wheel, soname and symbol; RUNPATH leads to it.

    *ids* are module ids that become others (old, new), and *renamings* the edits that this takes in the host code.
    """

    carrier: str
    soname: str
    symbol: str
    runpath: str
    moves: tuple[Move, ...]
    ids: tuple[tuple[str, str], ...] = ()
    renamings: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """One file of the fused wheel: content, the originals that own it (labels) and its path there.

    *origin* is empty for a file that no original had. *rename* and *outsourcing* ask for edits of the ELF file.
    """

    path: str
    file: File
    owners: tuple[str, ...]
    origin: str
    rename: Rename | None = None
    outsourcing: Outsourcing | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """A difference that was settled: which rule did it, at which path, and what came of it."""

    rule: str
    path: str
    labels: tuple[str, ...]
    outcome: str


@dataclass(frozen=True, slots=True)
class Group:
    """Originals (labels) that agree about a path; *present* is False where they have no such file."""

    labels: tuple[str, ...]
    present: bool = True

    def __str__(self) -> str:
        return ", ".join(self.labels)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A difference that nobody may settle silently. *details* are lines to show; *strategies* would settle it."""

    path: str
    reason: str
    groups: tuple[Group, ...]
    strategies: tuple[str, ...]
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """A loss, and the original (label) that suffers it."""

    label: str
    loss: Loss


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one path."""

    outputs: tuple[Output, ...]
    resolutions: tuple[Resolution, ...] = ()
    lost: tuple[Lost, ...] = ()


@dataclass(frozen=True)
class Case:
    """One path and what each original has there. Originals are sorted from the oldest CPython to the newest."""

    path: str
    originals: tuple[Original, ...]

    @cached_property
    def owners(self) -> tuple[Original, ...]:
        """The originals that have the path."""
        return tuple(original for original in self.originals if self.path in original.files)

    @cached_property
    def absent(self) -> tuple[Original, ...]:
        return tuple(original for original in self.originals if self.path not in original.files)

    @cached_property
    def variants(self) -> dict[str, tuple[Original, ...]]:
        """digest -> the originals that have this content, oldest first."""
        found: dict[str, list[Original]] = {}
        for original in self.owners:
            found.setdefault(original.files[self.path].digest, []).append(original)
        return {digest: tuple(originals) for digest, originals in found.items()}

    @property
    def groups(self) -> tuple[Group, ...]:
        """The same for people to read, with those that have no such file last."""
        absent = (Group(labels(self.absent), present=False),) if self.absent else ()
        return (*(Group(labels(originals)) for originals in self.variants.values()), *absent)

    @property
    def newest(self) -> Original:
        """The owner for the newest CPython, whose copy is taken wherever copies are equal."""
        return self.owners[-1]

    def mode(self, owners: tuple[Original, ...]) -> int:
        """The Unix mode for what these originals share: all permissions that any has, and their kind of file."""
        files = [original.files[self.path] for original in owners]
        return files[-1].kind | functools.reduce(operator.or_, (stat.S_IMODE(file.mode) for file in files))

    def output(
        self, owners: tuple[Original, ...], path: str | None = None, rename: Rename | None = None
    ) -> Output:
        """The newest owner's file as a member of the fused wheel, under its old path or another one."""
        # Of equal contents the newest original's is taken, whoever owns the output: they may be compressed differently.
        file = self.variants[owners[-1].files[self.path].digest][-1].files[self.path]
        truly = tuple(original for original in owners if not original.is_stood_in_for(self.path))
        return Output(path or self.path, file.with_mode(self.mode(owners)), labels(truly), self.path, rename)

    def collapsed(
        self, why: str, rule: str, outcome: str, keeper: Original | None = None, strategy: str = ""
    ) -> Settled:
        """One owner's file stands for all; the others lose theirs."""
        keeper = keeper or self.newest
        kept = keeper.files[self.path].digest
        lost = tuple(
            Lost(original.label, _loss(original, self.path, why, strategy, Fate.REPLACED))
            for original in self.owners
            if original.files[self.path].digest != kept
        )
        resolution = Resolution(rule, self.path, labels(self.owners), outcome)
        return Settled((self.output(self.variants[kept]),), (resolution,), lost)

    def dropped(self, why: str, rule: str, outcome: str, strategy: str = "") -> Settled:
        """Nobody keeps the file."""
        lost = tuple(Lost(o.label, _loss(o, self.path, why, strategy, Fate.DROPPED)) for o in self.owners)
        return Settled((), (Resolution(rule, self.path, labels(self.owners), outcome),), lost)


def _loss(original: Original, path: str, why: str, strategy: str, fate: Fate) -> Loss:
    """The loss of a file; if an earlier merge lost it already, that one still tells what it was."""
    if earlier := original.lost(path):
        return replace(earlier, why=why, strategy=strategy, fate=fate)
    file = original.files[path]
    return Loss(path, file.digest, file.size, file.mode, why, strategy, fate)


def labels(originals: tuple[Original, ...]) -> tuple[str, ...]:
    return tuple(original.label for original in originals)


def variant_path(path: str, originals: tuple[Original, ...]) -> str:
    """Where one of several variants of a file lies: the owners' labels before the extensions of its name.

    ``pkg/__config__.py`` of cp310 and cp311 becomes ``pkg/__config__.cp310.cp311.py``: the dots keep
    Python from importing it by accident.
    """
    directory, name = posixpath.split(path)
    stem, dot, extension = name.partition(".")
    tags = ".".join(original.label for original in originals)
    return posixpath.join(directory, f"{stem}.{tags}{dot}{extension}")
