"""What goes into a reconciliation and what comes out of it, and how both are told to a person."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from wheelfuse.target import Target

_Value = TypeVar("_Value", bound=Hashable)
_MOST_TOLD = 20
"""Values that are told one by one."""


@dataclass(frozen=True)
class Variant:
    """One member as one input wheel has it: the CPythons which that wheel serves, sorted, and the content."""

    targets: tuple[Target, ...]
    content: bytes


@dataclass(frozen=True)
class Reconciled:
    """One content for all variants, or the conflicts (then the content is None).

    Notes say what was decided, conflicts what differs and on which CPythons; each is a sentence for the user.
    """

    content: bytes | None
    notes: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


def conflict(*conflicts: str) -> Reconciled:
    """A reconciliation that failed."""
    return Reconciled(None, (), conflicts)


def newest_first(variants: Iterable[Variant]) -> list[Variant]:
    """The variants by falling highest target; the order in which they were given does not matter."""
    return sorted(variants, key=lambda v: (max(v.targets), v.targets, v.content), reverse=True)


def group(values: Iterable[tuple[tuple[Target, ...], _Value]]) -> dict[_Value, tuple[Target, ...]]:
    """Which targets have which value, by rising lowest target."""
    found: dict[_Value, set[Target]] = {}
    for targets, value in values:
        found.setdefault(value, set()).update(targets)
    by_value = ((value, tuple(sorted(targets))) for value, targets in found.items())
    return dict(sorted(by_value, key=lambda item: item[1]))


def name_targets(targets: Iterable[Target]) -> str:
    """Targets in words, runs of versions shortened: ``cp310, cp312 to cp314, cp314t``."""
    names: list[str] = []
    ordered = sorted(set(targets))
    for free_threaded in (False, True):
        minors = [target.minor for target in ordered if target.free_threaded is free_threaded]
        while minors:
            length = next((i for i, m in enumerate(minors) if m != minors[0] + i), len(minors))
            run = [str(Target(minor, free_threaded)) for minor in minors[:length]]
            names += run if length < 3 else [f"{run[0]} to {run[-1]}"]
            minors = minors[length:]
    return ", ".join(names)


def tell(values: Mapping[str, Iterable[Target]]) -> str:
    """Which targets have which value, in words: ``'a' in cp310; 'b' in cp311, cp312``; not more than a few."""
    shown = [
        f"{shorten(value)} in {name_targets(targets)}"
        for value, targets in islice(values.items(), _MOST_TOLD)
    ]
    return "; ".join((*shown, *([f"{len(values) - _MOST_TOLD} more"] if len(values) > _MOST_TOLD else [])))


def shorten(value: str, limit: int = 72) -> str:
    """A value for a message: quoted, on one line, cut to *limit* characters."""
    flat = " ".join(value.split())
    return repr(flat if len(flat) <= limit else flat[: limit - 1] + "…")
