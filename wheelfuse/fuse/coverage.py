"""Whether every CPython that would install the fused wheel finds in it what it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wheelfuse.errors import Problem
from wheelfuse.fuse.binding import Binding
from wheelfuse.fuse.model import Original, Output
from wheelfuse.fuse.modules import ModuleName, extension_module, picks
from wheelfuse.fuse.options import MergeOptions
from wheelfuse.fuse.originals import admits
from wheelfuse.target import ALL_TARGETS, Target
from wheelfuse.wheel.name import WheelName, accepting

OLDEST_EXPECTED = 10
"""CPython 3.9 and older have reached their end of life: their absence is only noted."""


@dataclass(frozen=True)
class Cell:
    """One extension module for one original: the file that its CPythons import (None: none)."""

    label: str
    path: str | None


@dataclass(frozen=True)
class ModuleRow:
    """One extension module (dotted name) and its file for each original."""

    module: str
    cells: tuple[Cell, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(cell.label for cell in self.cells if cell.path is None)


@dataclass(frozen=True)
class Found:
    """An extension module among the outputs."""

    name: ModuleName
    output: Output


def modules_of(
    outputs: Iterable[Output], originals: tuple[Original, ...], binding: Binding
) -> tuple[Found, ...]:
    """The extension modules of the fused wheel."""
    by_label = {original.label: original for original in originals}
    found = []
    for output in outputs:
        if output.owners and output.origin:
            image = binding.image(by_label[output.owners[-1]], output.origin)
            if image and (module := extension_module(output.path, image)):
                found.append(Found(module, output))
    return tuple(found)


def matrix(modules: Iterable[Found], originals: tuple[Original, ...]) -> tuple[ModuleRow, ...]:
    """Which file each original's CPythons import for each extension module."""
    return tuple(
        ModuleRow(
            files[0].name.name,
            tuple(Cell(original.label, _path(files, original)) for original in originals),
        )
        for files in by_stem(modules)
    )


def _path(files: tuple[Found, ...], original: Original) -> str | None:
    """The file that is imported by all the CPythons an original serves; None if one of them finds none."""
    if not original.serves:
        return None
    picked = [picked_file(files, target) for target in original.serves]
    return picked[0].output.path if picked[0] and all(picked) else None


def picked_file(files: Iterable[Found], target: Target) -> Found | None:
    """What import takes for one module on one CPython, by the order of its suffixes."""
    known = [
        (place, file.output.path, file) for file in files if (place := picks(target, file.name)) is not None
    ]
    return min(known, key=lambda item: item[:2])[2] if known else None


def check_expected(
    originals: tuple[Original, ...], options: MergeOptions
) -> tuple[list[Problem], list[Problem]]:
    """Hold the CPythons that came against those that should have: errors, and notes."""
    served = {target for original in originals for target in original.serves}
    own = {original.target for original in originals if original.target}
    excused = {hole for hole in options.allow_missing if ":" not in hole}
    if options.expect:
        missing = [target for target in options.expect if target not in served and str(target) not in excused]
        errors = [
            Problem(
                f"{target} is missing: --expect names it, and no wheel for it came", todo="Add its wheel."
            )
            for target in missing
        ]
        surplus = sorted(own - set(options.expect))
        errors += [
            Problem(f"{target} came, but --expect does not name it", todo="Leave the wheel out, or name it.")
            for target in surplus
        ]
        return errors, []
    requires_python = originals[-1].requires_python
    expected = _expected(requires_python, originals)
    missing = [target for target in expected if target not in served and str(target) not in excused]
    errors = [_missing(missing, requires_python, own)] if missing else []
    old = [
        t for t in ALL_TARGETS if t.minor < OLDEST_EXPECTED and t not in served and admits(requires_python, t)
    ] if requires_python else []  # fmt: skip
    notes = [
        Problem(f"Requires-Python {requires_python} also admits {_names(old)}, past their end of life: no wheel came")
    ] if old else []  # fmt: skip
    return errors, notes


def _expected(requires_python: str, originals: tuple[Original, ...]) -> tuple[Target, ...]:
    """From Requires-Python's lower bound to its upper one, or to the newest input where it is open."""
    minors = [original.sort_key[0] for original in originals]
    open_below = not requires_python or admits(requires_python, Target(0))
    open_above = admits(requires_python, Target(99))
    lowest = (
        min((minor for minor in minors if minor), default=OLDEST_EXPECTED) if open_below else OLDEST_EXPECTED
    )
    highest = max(minors) if open_above else 99
    return tuple(
        target
        for target in ALL_TARGETS
        if not target.free_threaded
        and max(lowest, OLDEST_EXPECTED) <= target.minor <= highest
        and admits(requires_python, target)
    )


def _missing(missing: list[Target], requires_python: str, came: set[Target]) -> Problem:
    names = ",".join(map(str, missing))
    why = f"Requires-Python {requires_python} admits {'it' if len(missing) == 1 else 'them'}"
    return Problem(
        f"{_names(missing)} {'is' if len(missing) == 1 else 'are'} missing: "
        f"{why if requires_python else 'there are wheels for older and newer CPythons'}, but no wheel came",
        todo=f"Add the wheel{'s' if len(missing) > 1 else ''}, or state the whole set: "
        f"--expect {','.join(map(str, sorted(came)))}, or accept the hole: --allow-missing {names}",
    )


def _names(targets: Iterable[Target]) -> str:
    return ", ".join(map(str, targets))


def check_modules(
    modules: Iterable[Found], originals: tuple[Original, ...], options: MergeOptions
) -> Iterator[Problem]:
    """Every extension module must be there for every CPython served, unless the user accepts the hole."""
    targets = sorted(target for original in originals for target in original.serves)
    for files in by_stem(modules):
        module = files[0].name.name
        have = [target for target in targets if picked_file(files, target)]
        holes = [
            target
            for target in targets
            if target not in have and not {str(target), f"{target}:{module}"} & set(options.allow_missing)
        ]
        if holes:
            flags = " ".join(f"--allow-missing {target}:{module}" for target in holes)
            yield Problem(
                f"extension module {module} is missing for {_names(holes)}; there for {_names(have) or 'none'}",
                todo=f"If that is meant so: {flags}",
            )


def holes(originals: tuple[Original, ...], modules: Iterable[Found]) -> tuple[str, ...]:
    """What is missing, in the words of ``--allow-missing``: targets, and modules of targets."""
    served = sorted(target for original in originals for target in original.serves)
    expected = _expected(originals[-1].requires_python, originals)
    return (
        *(str(target) for target in expected if target not in served),
        *(
            f"{target}:{files[0].name.name}"
            for files in by_stem(modules)
            for target in served
            if not picked_file(files, target)
        ),
    )


def by_stem(modules: Iterable[Found]) -> tuple[tuple[Found, ...], ...]:
    """The files of each extension module, modules sorted by name."""
    found: dict[str, tuple[Found, ...]] = {}
    for module in modules:
        found[module.name.stem] = (*found.get(module.name.stem, ()), module)
    return tuple(files for _, files in sorted(found.items()))


def prove_tags(
    name: WheelName, originals: tuple[Original, ...], modules: tuple[Found, ...]
) -> Iterator[Problem]:
    """The claim of the tags, CPython by CPython: whoever would install the wheel gets the files made for it.

    A compressed tag set is a cross product, so it can imply tags that no input had: cp310-cp310 and
    cp315-abi3 together imply cp310-abi3, which 3.11 would install.
    """
    serving = {target: original for original in originals for target in original.serves}
    requires_python = originals[-1].requires_python
    over_claimed: list[Target] = []
    for target in accepting(name.interpreter_tags):
        if not admits(requires_python, target):
            continue
        if target not in serving:
            over_claimed.append(target)
            continue
        yield from _wrong_files(target, serving[target], modules)
    if over_claimed:
        yield Problem(
            f"{_names(over_claimed)} would install the fused wheel, for which no wheel came: "
            f"one name for all these tags promises too much ({'.'.join(name.pythons)}-{'.'.join(name.abis)})",
            todo="Add wheels for those, or publish the abi3 or abi3t wheel by itself.",
        )


def _wrong_files(target: Target, original: Original, modules: tuple[Found, ...]) -> Iterator[Problem]:
    for files in by_stem(modules):
        picked = picked_file(files, target)
        if picked and original.label not in picked.output.owners:
            owners = ", ".join(picked.output.owners)
            yield Problem(
                f"{target} would import the file made for {owners}, not that of {original.label}",
                member=picked.output.path,
                todo="Publish these wheels separately.",
            )
