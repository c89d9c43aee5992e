"""What the report page shows, ready to be drawn: plain values, sizes in bytes, nothing of HTML in them.

Names in them come from wheels and may hold anything; whoever draws them escapes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from wheelfuse.auditing.finding import Finding
from wheelfuse.auditing.report import Answer
from wheelfuse.auditing.road import Road
from wheelfuse.fuse.model import Conflict, Lost, Resolution


class State(str, Enum):
    """How something stands: shown by shape as well as by colour."""

    GOOD = "good"
    BAD = "bad"
    PARTLY = "partly"
    """Given something else, such as PTX that a driver compiles, or a library that must be there."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verdict:
    """The first sentence of the page, and one more for what to do next (may be empty)."""

    state: State
    sentence: str
    next_step: str = ""


@dataclass(frozen=True)
class Bar:
    """A range, drawn as a row of versions or architectures, oldest first: (label, state) of each.

    *note* is the same in words: ``2.9 to 2.13``, ``glibc 2.28 at least``.
    """

    title: str
    steps: tuple[tuple[str, State], ...]
    note: str


class Stuff(str, Enum):
    """What bytes of a wheel are: the colours of the treemap."""

    MODULE = "per-Python modules"
    LIBRARY = "shared libraries"
    DEVICE_CODE = "device code"
    DEBUG = "debug sections"
    PYTHON = "Python sources"
    DATA = "data"


@dataclass(frozen=True)
class Block:
    """A part of a wheel as the treemap shows it: a directory (with *parts*), a file, or a part of a file.

    *size* is as installed, *packed* as in the wheel (of a part of a file in proportion). *stuff* is None for what has
    parts of several. *note* tells more: ``shared by cp310, cp311``.
    """

    name: str
    size: int
    packed: int
    stuff: Stuff | None = None
    parts: tuple[Block, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Symbol:
    """A dynamic symbol that a file needs or exports.

    *name* is as in the file, *shown* demangled (empty: the same). *group* says what it belongs to: ``CPython, private``
    or ``full API`` or ``limited API``, ``libtorch`` (and ``, stable ABI``), ``glibc``, ``C++``, ``CUDA``, ``other``,
    ``exported``. *version* is the ELF symbol version. *note* tells where it is missing or deprecated, *replacement*
    what to use instead; both may be empty.
    """

    name: str
    shown: str
    group: str
    version: str = ""
    state: State = State.GOOD
    note: str = ""
    replacement: str = ""


@dataclass(frozen=True)
class SymbolTable:
    """The symbols of one file, with what else is known of it in a line each (soname, NEEDED, build ID, compiler)."""

    path: str
    facts: tuple[tuple[str, str], ...]
    symbols: tuple[Symbol, ...]


@dataclass(frozen=True)
class Input:
    """One wheel, directory or file that was looked into: in words what it is, where it loads, what its bytes are."""

    label: str
    what: str
    size: int
    installed_size: int
    answer: Answer
    bars: tuple[Bar, ...]
    contents: Block
    tables: tuple[SymbolTable, ...]
    failed: bool
    not_run: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explained:
    """A rule: its title, what it is about (paragraphs of plain text with indented examples), as `explain` prints it."""

    code: str
    name: str
    title: str
    severity: str
    explanation: str


@dataclass(frozen=True)
class Origin:
    """A member of a fused wheel: which inputs had it (labels), as what, and how it comes to be there.

    *how* is ``the same in all``, ``kept under a name of its own``, ``made by wheelfuse``, …
    """

    path: str
    size: int
    owners: tuple[str, ...]
    original: str
    how: str


@dataclass(frozen=True)
class Saving:
    """Bytes of the fused wheel that a sharing saved, or could still save: *how* names the option or the reason."""

    what: str
    size: int
    how: str
    possible: bool = False


@dataclass(frozen=True)
class Settling:
    """Conflicts that differ in the same way, with what settles them, as the command line prints it.

    *groups* are labels that agree, and whether they have such a file; *globs* name all the *paths* and no others.
    *lines* are options to add to the command (quoted for a shell): one of them where there is one glob, or else all of
    them. *meanings* has each strategy with what it does.
    """

    paths: tuple[str, ...]
    globs: tuple[str, ...]
    reason: str
    groups: tuple[tuple[tuple[str, ...], bool], ...]
    details: tuple[str, ...]
    lines: tuple[str, ...]
    meanings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Fused:
    """What a merge did, or would have done: its inputs (label, file name, size), the output, and why it is as it is.

    *output* is the name of the fused wheel, *output_size* 0 if none was written.
    *refusals* tell in a line each why no wheel was written, beside the conflicts. *settling* has the same conflicts by
    what settles them, and *before* the contents of the inputs, each a part (None where there is no fused wheel).
    """

    inputs: tuple[tuple[str, str, int], ...]
    output: str
    output_size: int
    members: tuple[Origin, ...]
    resolutions: tuple[Resolution, ...]
    conflicts: tuple[Conflict, ...]
    lost: tuple[Lost, ...]
    savings: tuple[Saving, ...]
    refusals: tuple[str, ...] = ()
    settling: tuple[Settling, ...] = ()
    before: Block | None = None


@dataclass(frozen=True)
class Decline:
    """The symbols in the way over several baselines, oldest first: (name of the baseline, number of symbols)."""

    points: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Page:
    """The whole page. *findings* are (label of the input, finding), the worst first; *fused* is there for a merge."""

    title: str
    version: str
    verdict: Verdict
    inputs: tuple[Input, ...]
    findings: tuple[tuple[str, Finding], ...]
    rules: Mapping[str, Explained]
    roads: tuple[Road, ...]
    decline: Decline | None = None
    fused: Fused | None = None
