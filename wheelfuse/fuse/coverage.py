"""Whether every CPython that would install the fused wheel finds in it what it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from wheelfuse.abi.cpython import newest_known
from wheelfuse.abi.modules import ModuleName, extension_module, loads, multiarchs_for, parse_module, picks
from wheelfuse.errors import Problem
from wheelfuse.escape import shell_word
from wheelfuse.fuse.binding import Binding
from wheelfuse.fuse.model import Lost, Original, Output
from wheelfuse.fuse.options import MergeOptions
from wheelfuse.target import ALL_TARGETS, OLDEST_MAINTAINED, Target
from wheelfuse.wheel.name import WheelName, accepting
from wheelfuse.wheel.requires_python import admits


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
    initialises: bool


@dataclass(frozen=True)
class Module:
    """One extension module and all its files in the fused wheel; the multiarchs that its CPythons may have."""

    name: str
    files: tuple[Found, ...]
    multiarchs: tuple[tuple[Target, frozenset[str]], ...]

    def picked(self, target: Target) -> Found | None:
        """The file that import takes on one CPython, by the order of its suffixes; None if it would not load."""
        if target not in self._picked:
            known = self._known_multiarchs.get(target, frozenset())
            by_arch = [self._picked_on(target, arch) for arch in sorted(known) or [""]]
            self._picked[target] = by_arch[0] if all(by_arch) else None
        return self._picked[target]

    def _picked_on(self, target: Target, multiarch: str) -> Found | None:
        files = [
            (place, file.output.path, file)
            for file in (*self._by_target.get(target, ()), *self._by_target.get(None, ()))
            if (place := picks(target, file.name)) is not None
            and not (file.name.multiarch and multiarch and file.name.multiarch != multiarch)
        ]
        first = min(files, key=lambda item: item[:2])[2] if files else None
        return first if first and loads(target, first.name) else None

    @cached_property
    def _picked(self) -> dict[Target, Found | None]:
        return {}

    @cached_property
    def _known_multiarchs(self) -> dict[Target, frozenset[str]]:
        return dict(self.multiarchs)

    @cached_property
    def _by_target(self) -> dict[Target | None, list[Found]]:
        """The files by the only CPython that imports them; None for those that are open to several."""
        found: dict[Target | None, list[Found]] = {}
        for file in self.files:
            found.setdefault(file.name.target, []).append(file)
        return found


@dataclass(frozen=True)
class Coverage:
    """What stands in the way, what is worth a note, and the holes there are, in the words of ``--allow-missing``."""

    errors: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    holes: tuple[str, ...]


def modules_of(
    outputs: Iterable[Output], originals: tuple[Original, ...], binding: Binding
) -> tuple[Module, ...]:
    """The extension modules of the fused wheel, sorted by name."""
    by_label = {original.label: original for original in originals}
    multiarchs = tuple(
        (target, multiarchs_for(o.name.platforms, target)) for o in originals for target in o.serves
    )
    found: dict[str, list[Found]] = {}
    for output in outputs:
        if output.owners and output.origin:
            image = binding.image(by_label[output.owners[-1]], output.origin)
            if image and (module := extension_module(output.path, image)):
                initialises = image.initialises(module.short)
                found.setdefault(module.key, []).append(Found(module, output, initialises))
    return tuple(
        Module(files[0].name.name, tuple(files), multiarchs)
        for _, files in sorted(found.items())
        if _is_module(files)
    )


def _is_module(files: list[Found]) -> bool:
    """Whether the files are there to be imported, or loaded the same way (torch.ops.load_library).

    Some projects give ``.abi3.so`` to libraries that they open by name: those have no init function.
    """
    return any(file.initialises for file in files) or all(file.name.target for file in files)


def matrix(modules: Iterable[Module], originals: tuple[Original, ...]) -> tuple[ModuleRow, ...]:
    """Which file each original's CPythons import for each extension module."""
    return tuple(
        ModuleRow(module.name, tuple(Cell(original.label, _path(module, original)) for original in originals))
        for module in modules
    )


def _path(module: Module, original: Original) -> str | None:
    """The file that is imported by all the CPythons an original serves; None if one of them finds none."""
    picked = [module.picked(target) for target in original.serves]
    return picked[0].output.path if picked and picked[0] and all(picked) else None


def check_coverage(
    name: WheelName,
    requires_python: str,
    originals: tuple[Original, ...],
    modules: tuple[Module, ...],
    lost: Iterable[Lost],
    unsettled: Iterable[str],
    options: MergeOptions,
) -> Coverage:
    """Hold the CPythons that came, and their modules, against those that there should be.

    *requires_python* is that of the fused wheel; *lost* the files that were given up for another wheel's.
    *unsettled* are the paths in conflict: nothing is said about modules that are among them.
    """
    open_ = {module.key for path in unsettled if (module := parse_module(path))}
    modules = tuple(module for module in modules if module.files[0].name.key not in open_)
    adopted = {(item.label, item.loss.path) for item in lost}
    served = {target: original for original in originals for target in original.serves}
    expected = _expected(requires_python, originals)
    errors = (
        *_missing_targets(expected, requires_python, served, options),
        *_over_claims(name, requires_python, served, originals),
        *(problem for module in modules for problem in _module_problems(module, served, adopted, options)),
    )
    holes = (
        *(str(target) for target in expected if target not in served),
        *(
            f"{target}:{module.name}"
            for module in modules
            for target in sorted(served)
            if not module.picked(target)
        ),
    )
    return Coverage(errors, tuple(_old(requires_python, served)), holes)


def _missing_targets(
    expected: Iterable[Target], requires_python: str, served: dict[Target, Original], options: MergeOptions
) -> Iterator[Problem]:
    own = {original.target for original in served.values() if original.target}
    if options.expect:
        for target in options.expect:
            if target not in served and str(target) not in options.allow_missing:
                yield Problem(
                    f"{target} is missing: --expect names it, but no wheel came", todo="Add its wheel."
                )
        for target in sorted(own - set(options.expect)):
            what = f"{target} came, but --expect does not name it"
            yield Problem(what, served[target].where, todo="Leave the wheel out, or name it.")
        return
    missing = [
        target for target in expected if target not in served and str(target) not in options.allow_missing
    ]
    if not missing:
        return
    several = len(missing) > 1
    if requires_python:
        why = f"Requires-Python {requires_python} admits {'them' if several else 'it'}"
    else:
        why = "there are wheels for older and newer CPythons"
    came = sorted(own | {target for target in expected if target in served})
    holes, there = ",".join(map(str, missing)), ",".join(map(str, came))
    yield Problem(
        f"{_names(missing)} {'are' if several else 'is'} missing: {why}, but no wheel came",
        todo=f"Add the wheel{'s' * several}, or state the whole set: --expect {there}, "
        f"or accept the hole: --allow-missing {holes}",
    )


def _expected(requires_python: str, originals: tuple[Original, ...]) -> tuple[Target, ...]:
    """From Requires-Python's lower bound to its upper one, or to the newest input where it is open.

    A bound in the future counts up to the newest CPython that is known: nobody can have built the others.
    """
    minors = [original.sort_key[0] for original in originals]
    open_below = not requires_python or admits(requires_python, Target(0))
    open_above = admits(requires_python, Target(99))
    lowest = OLDEST_MAINTAINED.minor
    if open_below:
        lowest = max(lowest, min((minor for minor in minors if minor), default=lowest))
    highest = max(minors) if open_above else max(*minors, newest_known().minor)
    return tuple(
        target
        for target in ALL_TARGETS
        if not target.free_threaded and lowest <= target.minor <= highest and admits(requires_python, target)
    )


def _old(requires_python: str, served: dict[Target, Original]) -> Iterator[Problem]:
    """A note on the CPythons past their end of life that Requires-Python still admits."""
    if not requires_python:
        return
    old = [t for t in ALL_TARGETS if t < OLDEST_MAINTAINED and t not in served and admits(requires_python, t)]
    if old:
        yield Problem(
            f"Requires-Python {requires_python} also admits {_names(old)}, past their end of life: no wheel came"
        )


def _over_claims(
    name: WheelName, requires_python: str, served: dict[Target, Original], originals: tuple[Original, ...]
) -> Iterator[Problem]:
    """CPythons for which no wheel came, and that would install the fused one all the same.

    A compressed tag set is a cross product, so it can imply tags that no input had: cp310-cp310 and
    cp315-abi3 together imply cp310-abi3, which 3.11 would install.
    """
    claimed = _claimed(originals, requires_python) - served.keys()
    if not claimed:
        return
    others = {original.where: [o for o in originals if o is not original] for original in originals}
    culprits = [
        where for where, rest in others.items() if rest and not _claimed(rest, requires_python) & claimed
    ]
    leave = f", or leave out {' or '.join(culprits)}, and publish it by itself" if culprits else ""
    yield Problem(
        f"{_names(sorted(claimed))} would install the fused wheel, for which no wheel came: "
        f"one name for all these tags promises too much ({'.'.join(name.pythons)}-{'.'.join(name.abis)})",
        todo=f"Add wheels for those{leave}.",
    )


def _claimed(originals: Sequence[Original], requires_python: str) -> set[Target]:
    """The CPythons that would install what is fused from these."""
    pythons = {tag for original in originals for tag in original.name.pythons}
    abis = {tag for original in originals for tag in original.name.abis}
    pairs = [(python, abi) for python in pythons for abi in abis]
    return {target for target in accepting(pairs) if admits(requires_python, target)}


def _module_problems(
    module: Module, served: dict[Target, Original], adopted: set[tuple[str, str]], options: MergeOptions
) -> Iterator[Problem]:
    """Every extension module must be there for every CPython served, and be the one made for it."""
    holes, have = [], []
    for target, original in sorted(served.items()):
        picked = module.picked(target)
        if picked is None:
            if not _excused(target, original, module, options):
                holes.append(target)
            continue
        have.append(target)
        known = original.label in picked.output.owners or (original.label, picked.output.origin) in adopted
        if not known and not original.lost(picked.output.origin):
            yield Problem(
                f"{target} would import the file of {', '.join(picked.output.owners)}, not that of {original.label}",
                member=picked.output.path,
                todo="Publish these wheels separately.",
            )
    if holes:
        flags = " ".join(f"--allow-missing {shell_word(f'{target}:{module.name}')}" for target in holes)
        there = f"there for {_names(have)}" if have else "there for none"
        yield Problem(
            f"extension module {module.name} is missing for {_names(holes)}; {there}",
            todo=f"If that is meant so: {flags}",
        )


def _excused(target: Target, original: Original, module: Module, options: MergeOptions) -> bool:
    """A hole of one module is named with the module; the bare target excuses CPythons without a wheel of their own."""
    if f"{target}:{module.name}" in options.allow_missing:
        return True
    return original.target is None and str(target) in options.allow_missing


def _names(targets: Iterable[Target]) -> str:
    return ", ".join(map(str, targets))
