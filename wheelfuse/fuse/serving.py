"""Which CPython installs which wheel of a set, and whether the set is one release at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from wheelfuse.errors import ConflictError, InvalidInput, Problem
from wheelfuse.fuse.model import Original
from wheelfuse.target import ALL_TARGETS, Target
from wheelfuse.wheel.name import floors, rank
from wheelfuse.wheel.requires_python import admits


def check_same(originals: Sequence[Original]) -> None:
    """Refuse wheels that are not builds of one release for one kind of machine.

    Raises:
        ConflictError: showing each property that differs, with its value in each wheel.
        InvalidInput: a wheel is not for Linux.
    """
    problems = []
    for original in originals:
        try:
            floors(original.name.platforms)
        except InvalidInput as error:
            problems += [replace(problem, wheel=str(original.name)) for problem in error.problems]
    if problems:
        raise InvalidInput(problems)
    values: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for original in originals:
        for title, value in _identity(original):
            values[title][value].append(str(original.name))
    for title, wheels in values.items():
        if len(wheels) > 1:
            lines = "\n".join(f"    {value}: {', '.join(names)}" for value, names in wheels.items())
            problems.append(
                Problem(f"the wheels are not builds of one release; they differ in {title}\n{lines}")
            )
    if problems:
        raise ConflictError(problems)


def _identity(original: Original) -> tuple[tuple[str, str], ...]:
    """What the builds of one release for one kind of machine have in common."""
    families = (" ".join(filter(None, floor.family)) for floor in floors(original.name.platforms))
    return (
        ("distribution", original.name.distribution),
        ("version", original.name.version),
        ("build tag", original.name.build or "none"),
        ("the .dist-info directory", original.dist_info),
        ("Root-Is-Purelib", str(original.root_is_purelib).lower()),
        ("machine and libc", ", ".join(families)),
    )


def assign_targets(originals: Sequence[Original]) -> tuple[Original, ...]:
    """Give each CPython to the original that it would install, and sort the originals from old to new.

    A CPython prefers its own tag to abi3's, and abi3's to a generic one (PEP 425), as pip and uv do.

    Raises:
        ConflictError: two originals are for the same CPython, or one is left without any.
        InvalidInput: an original is for no CPython.
    """
    serves: dict[int, list[Target]] = defaultdict(list)
    rivals: dict[tuple[int, ...], list[Target]] = defaultdict(list)
    accepted: set[int] = set()
    for target in ALL_TARGETS:
        ranks = {
            number: place
            for number, original in enumerate(originals)
            if (place := rank(target, original.name.interpreter_tags)) is not None
            and admits(original.requires_python, target)
        }
        accepted |= ranks.keys()
        first = min(ranks.values(), default=0)
        best = [number for number, place in ranks.items() if place == first]
        if len(best) > 1:
            rivals[tuple(best)].append(target)
        if best:
            serves[best[0]].append(target)
    if rivals:
        raise ConflictError(
            _rivals([originals[number] for number in numbers], rivals[numbers]) for numbers in rivals
        )
    if problems := [_idle(o, number in accepted) for number, o in enumerate(originals) if not serves[number]]:
        raise (InvalidInput if len(accepted) < len(originals) else ConflictError)(problems)
    assigned = (replace(original, serves=tuple(serves[number])) for number, original in enumerate(originals))
    return tuple(sorted(assigned, key=lambda original: original.sort_key))


def _rivals(originals: list[Original], targets: list[Target]) -> Problem:
    names = [str(target) for target in targets]
    shown = ", ".join(names) if len(names) <= 4 else f"{names[0]} ... {names[-1]}"
    places = ", ".join(original.where for original in originals)
    return Problem(f"{len(originals)} wheels for {shown}: {places}", todo="Give one of them.")


def _idle(original: Original, accepted: bool) -> Problem:
    first, last = (target.python_version for target in (ALL_TARGETS[0], ALL_TARGETS[-1]))
    what = (
        "every CPython that would install it has a better wheel here"
        if accepted
        else f"no CPython {first} to {last} would install it, by its tags and Requires-Python; only such can be fused"
    )
    return Problem(what, original.where, todo="Leave it out.")
