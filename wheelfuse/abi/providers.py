"""Which distribution supplies a shared library that is neither in a wheel nor allowed by its platform tag.

CUDA's libraries come from wheels of NVIDIA, libtorch from torch, and so on: wheels link them on purpose and leave
them out, since a second copy would not share their state. The table is ``data/providers.txt``.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

_DATA = Path(__file__).parent / "data" / "providers.txt"


class Source(enum.Enum):
    """What kind of thing supplies a library."""

    DISTRIBUTION = "library"
    DRIVER = "driver"
    INTERPRETER = "interpreter"


@dataclass(frozen=True)
class Provider:
    """Who supplies a library: any one of *distributions* (normalised names), or for other sources none."""

    soname: str
    source: Source
    distributions: tuple[str, ...] = ()

    @property
    def distribution(self) -> str:
        """The distribution that is meant where nothing tells which: the first; empty if there is none."""
        return self.distributions[0] if self.distributions else ""

    def __str__(self) -> str:
        if self.source is Source.DISTRIBUTION:
            return " or ".join(self.distributions)
        return "the GPU driver" if self.source is Source.DRIVER else "the interpreter"

    def among(self, wanted: Callable[[str], bool]) -> Provider:
        """The same with only the wanted distributions; unchanged if none of them is wanted."""
        return replace(self, distributions=tuple(filter(wanted, self.distributions)) or self.distributions)

    def named_in(self, names: Iterable[str]) -> str:
        """Which of some required distributions (normalised names) supplies it, itself or by what it requires.

        Empty if none does. The distribution itself comes before one that brings it.
        """
        names = tuple(names)
        itself = [name for name in names if name in self.distributions]
        bringing = [name for name in names if any(brings(name, own) for own in self.distributions)]
        return next(iter(itself + bringing), "")


@dataclass(frozen=True)
class _Table:
    """Patterns of sonames with their providers, in order; the same for what comes along with a distribution that is
    required anyway; and distribution -> patterns of what it brings."""

    libraries: tuple[tuple[str, Source, tuple[str, ...]], ...]
    along: tuple[tuple[str, str], ...]
    brings: dict[str, tuple[str, ...]]


@cache
def _table() -> _Table:
    libraries: list[tuple[str, Source, tuple[str, ...]]] = []
    along: list[tuple[str, str]] = []
    brings: dict[str, tuple[str, ...]] = {}
    for line in _DATA.read_text(encoding="ascii").splitlines():
        match line.split():
            case ["library", pattern, *distributions] if distributions:
                libraries.append((pattern, Source.DISTRIBUTION, tuple(distributions)))
            case [("driver" | "interpreter") as source, pattern]:
                libraries.append((pattern, Source(source), ()))
            case ["along", pattern, distribution]:
                along.append((pattern, distribution))
            case ["brings", distribution, *patterns] if patterns:
                brings[distribution] = (*brings.get(distribution, ()), *patterns)
            case _ if line and not line.startswith("#"):
                raise ValueError(f"not a line of providers: {line}")
    return _Table(tuple(libraries), tuple(along), brings)


@cache
def provider(soname: str, required: tuple[str, ...] = ()) -> Provider | None:
    """Who is known to supply a library of this soname; None if the table does not know.

    Some libraries, such as libgomp, are in the process once a big distribution is imported, but that is no reason to
    require it: it is their provider only if it is among the *required* ones (normalised names).
    """
    for pattern, source, distributions in _table().libraries:
        if fnmatchcase(soname, pattern):
            return Provider(soname, source, distributions)
    for pattern, distribution in _table().along:
        if fnmatchcase(soname, pattern) and distribution in required:
            return Provider(soname, Source.DISTRIBUTION, (distribution,))
    return None


def brings(distribution: str, other: str) -> bool:
    """Whether installing a distribution installs another, through others too."""
    return any(fnmatchcase(other, pattern) for pattern in _brought(distribution))


def cuda_of(distribution: str) -> int | None:
    """The major version of CUDA that a distribution is for; None if it has nothing to do with CUDA.

    Their names end in ``-cu12``; NVIDIA's for the parts of the toolkit have no ending from CUDA 13 on.
    """
    if match := re.search(r"-cu(\d\d)$", distribution):
        return int(match[1])
    return 13 if distribution.startswith("nvidia-") else None


@cache
def _brought(distribution: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    pending = list(_table().brings.get(distribution, ()))
    while pending:
        pattern = pending.pop(0)
        if pattern not in found:
            found[pattern] = None
            pending += _table().brings.get(pattern, ())
    return tuple(found)
