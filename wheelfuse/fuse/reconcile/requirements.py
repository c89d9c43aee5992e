"""The Requires-Dist of several wheels made into one list, which tells each CPython what its wheel said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name

from wheelfuse.fuse.reconcile import markers
from wheelfuse.fuse.reconcile.variant import name_targets, shorten
from wheelfuse.target import Target
from wheelfuse.wheel.requirements import read_requirement


@dataclass(frozen=True)
class Identity:
    """What makes two spellings the same requirement. One that cannot be parsed is only equal to itself."""

    name: str
    extras: frozenset[str] = frozenset()
    specifiers: frozenset[Specifier] = frozenset()
    url: str | None = None
    marker: str = ""


@dataclass(frozen=True)
class Decision:
    """What becomes of one requirement of the inputs.

    ``targets`` have it; ``merged`` is how the fused wheel says it: equal to ``text`` where nothing had to be
    added, None where it can be left out because no CPython whose wheel has it ever needs it.
    """

    identity: Identity
    text: str
    merged: str | None
    targets: tuple[Target, ...]
    problem: str = ""


@lru_cache(maxsize=4096)
def identify(text: str) -> Identity:
    """The identity of the value of a Requires-Dist field."""
    try:
        requirement = read_requirement(text)
    except InvalidRequirement:
        return Identity(text)
    return Identity(
        canonicalize_name(requirement.name),
        frozenset(canonicalize_name(extra) for extra in requirement.extras),
        frozenset(requirement.specifier),
        requirement.url,
        markers.canonical(requirement.marker) if requirement.marker else "",
    )


def merge_requirements(wheels: Sequence[tuple[tuple[Target, ...], tuple[str, ...]]]) -> tuple[Decision, ...]:
    """Decide on every requirement of the wheels, given as their targets and their Requires-Dist values.

    Of several spellings the one of the first wheel that has it is taken.
    """
    texts: dict[Identity, str] = {}
    owners: dict[Identity, set[int]] = {}
    for number, (_, values) in enumerate(wheels):
        for value in values:
            identity = identify(value)
            texts.setdefault(identity, value)
            owners.setdefault(identity, set()).add(number)
    return tuple(_decide(identity, text, owners[identity], wheels) for identity, text in texts.items())


def _decide(
    identity: Identity,
    text: str,
    owners: set[int],
    wheels: Sequence[tuple[tuple[Target, ...], tuple[str, ...]]],
) -> Decision:
    have = tuple(sorted({target for number in owners for target in wheels[number][0]}))
    lack = {t for number, (targets, _) in enumerate(wheels) if number not in owners for t in targets}
    if not lack:
        return Decision(identity, text, text, have)
    try:
        requirement = read_requirement(text)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        problem = f"only {name_targets(have)} has {shorten(text)}, which cannot be parsed: {reason}"
        return Decision(identity, text, text, have, problem)

    served = {target.minor for targets, _ in wheels for target in targets}
    minors = {m for m in served if not requirement.marker or markers.may_hold(requirement.marker, m)}
    unwanted = {target.minor for target in lack} & minors
    wanted = {target.minor for target in have} & minors
    if split := unwanted & wanted:
        disagreeing = [t for t in (*have, *lack) if t.minor in split]
        return Decision(identity, text, text, have, _builds_disagree(text, have, disagreeing))
    if not unwanted:
        return Decision(identity, text, text, have)
    if not wanted:
        return Decision(identity, text, None, have)
    own = str(requirement.marker) if requirement.marker else ""
    requirement.marker = Marker(markers.conjunction(markers.only_for(wanted, served), own))
    return Decision(identity, text, str(requirement), have)


def _builds_disagree(text: str, have: Sequence[Target], disagreeing: Sequence[Target]) -> str:
    yes = name_targets(t for t in disagreeing if t in have)
    no = name_targets(t for t in disagreeing if t not in have)
    return (
        f"{yes} requires {shorten(text)}, {no} does not; no environment marker (PEP 508) tells the builds of "
        "one Python version apart, so one list of requirements cannot serve both"
    )
