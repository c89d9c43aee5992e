"""What a survey keeps of each wheel: rows of four tables, and what each column means.

These are plain values, which processes and machines send each other; :mod:`wheelfuse.surveying.tables` makes Parquet
of them. A wheel that cannot be read is a row too, with the reason, and has none in the other tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Remote:
    """A wheel that a location lists, not yet read.

    *url* is where it is read: a path, or a URL of any file system that fsspec has, without what follows ``#``.
    *size* in bytes, where the listing tells it. *identity* is what changes if the file does: ``sha256:…`` of an index,
    or what the file system has (ETag; size and time of modification); empty if only reading tells.
    *private* is the URL with its credentials, if it has any: for requests, and for nothing that is kept or shown.
    """

    url: str
    name: str
    size: int | None = None
    identity: str = ""
    private: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """What to ask for."""
        return self.private or self.url


class WheelRow(NamedTuple):
    """One wheel."""

    id: str
    """Which wheel the rows of the other tables are of: 16 hexadecimal digits, of url and identity."""
    url: str
    """Where it was read."""
    file: str
    """Its file name."""
    identity: str
    """``sha256:…`` as the index says, or the ETag, or size and time: while it stays, the wheel is not read again."""
    status: str
    """``read`` or ``failed``."""
    reason: str | None
    """Why it could not be read."""
    project: str | None
    """Normalised name of the project, by the file name."""
    version: str | None
    """Version, by the file name."""
    build: str | None
    """Build tag, if there is one."""
    python_tags: tuple[str, ...]
    """Python tags of the file name."""
    abi_tags: tuple[str, ...]
    """ABI tags of the file name."""
    platform_tags: tuple[str, ...]
    """Platform tags of the file name."""
    size: int | None
    """Bytes of the file."""
    fetched: int
    """Bytes that were fetched of it: fewer if the same process had read another wheel with the same files."""
    requests: int
    """Requests that it took."""
    requires_python: str | None
    """Requires-Python of METADATA."""
    generator: str | None
    """Generator of WHEEL."""
    members: int
    """Files in it."""
    unpacked: int
    """Bytes of them, inflated."""
    shared_objects: int
    """How many of them are ELF files that a loader takes."""
    whole: int
    """How many of these were read to their end, since the front does not have all."""
    problems: tuple[str, ...]
    """What contradicts itself in name, RECORD, WHEEL and METADATA; checksums are not held against anything."""
    targets: tuple[str, ...]
    """The CPythons that would install it, by tags and Requires-Python, as far as they are released: cp312, cp313t."""
    uncovered: tuple[str, ...]
    """Those that would install it, unreleased ones among them, and find no file that they can load of any extension
    module that is there to be imported, as rule WF108 of the audit has it."""
    glibc: str | None
    """The lowest glibc that has all that its files need: 2.17."""
    glibc_claimed: str | None
    """The lowest glibc that its platform tags promise to do with."""
    torch: tuple[str, ...] | None
    """The known versions of torch that export all that its files need; null if none needs torch."""


class ModuleRow(NamedTuple):
    """One shared object of a wheel: an extension module, or a library."""

    id: str
    """The wheel."""
    path: str
    """Where it lies in the wheel."""
    module: str | None
    """Dotted name, if import takes it for an extension module."""
    target: str | None
    """The CPython of its suffix: cp312."""
    stable_abi: str | None
    """``abi3`` or ``abi3t``, by its suffix."""
    size: int
    """Bytes."""
    packed: int
    """Bytes in the wheel."""
    whole: bool
    """Whether it was read to its end; if not, *needed* is read from the names in its string table."""
    machine: str
    """ELF machine: EM_X86_64."""
    needed: tuple[str, ...]
    """Libraries that it needs (DT_NEEDED)."""
    glibc: str | None
    """The lowest glibc that has all that it needs: 2.17."""
    imports: int
    """Undefined dynamic symbols."""
    exports: int
    """Dynamic symbols that it defines."""
    python_symbols: int
    """Symbols of CPython that it asks for."""
    private_symbols: int
    """Those of them that begin with an underscore."""
    limited_api: str | None
    """The lowest version of the limited API that has all of them: 3.9; null if one is outside, or none is asked for."""
    loaders: tuple[str, ...]
    """The CPythons that load it: as a module, or as a library that a module links."""
    missing: tuple[str, ...]
    """Symbols of CPython that one of these lacks: ``_PyLong_AsByteArray cp313 cp314``."""
    torch: tuple[str, ...] | None
    """The known versions of torch that export all that it needs; null if it has nothing to do with torch."""


class SymbolRow(NamedTuple):
    """One undefined dynamic symbol of a shared object."""

    id: str
    """The wheel."""
    path: str
    """The shared object."""
    symbol: str
    """Its name, as the linker knows it."""
    version: str | None
    """The version that it asks for: GLIBC_2.17."""
    weak: bool
    """Whether it may stay undefined."""
    own: bool
    """Whether another file of the wheel defines it."""
    kind: str
    """``cpython``: spelt like one of CPython's; ``torch``: of libtorch, for a file that needs it; ``other``."""


class MemberRow(NamedTuple):
    """One file of a wheel."""

    id: str
    """The wheel."""
    path: str
    """Its path in it."""
    digest: str | None
    """``sha256=…``, as RECORD says."""
    size: int
    """Bytes."""
    packed: int
    """Bytes in the wheel."""


@dataclass(frozen=True)
class Rows:
    """All that is kept of one wheel."""

    wheel: WheelRow
    modules: tuple[ModuleRow, ...] = ()
    symbols: tuple[SymbolRow, ...] = ()
    members: tuple[MemberRow, ...] = ()
