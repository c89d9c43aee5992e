"""The contract that a shared object's own name states: the CPython of its suffix exports what it imports.

A check of :mod:`wheelfuse.fuse.plan` before anything is written; it judges the files of the fused wheel, under
the names that they will have there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wheelfuse.abi.cpython import ImportProblem, check_imports, has_table
from wheelfuse.abi.limited_api import check_limited
from wheelfuse.abi.modules import MACHINES, ModuleName, extension_module, parse_module
from wheelfuse.abi.tree import Tree
from wheelfuse.elf.image import Image
from wheelfuse.errors import Problem
from wheelfuse.fuse.binding import Binding
from wheelfuse.fuse.model import Fate, Lost, Original, Output
from wheelfuse.target import Target
from wheelfuse.wheel.name import floors


@dataclass(frozen=True)
class Verdict:
    """What a contract check found: what makes the file unusable, and what could not be decided."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check_contracts(
    originals: tuple[Original, ...], outputs: Iterable[Output], lost: Iterable[Lost], binding: Binding
) -> Verdict:
    """Hold every extension module, and every library that it links, against the CPythons that will load it.

    Those are the owners' CPythons, and those whose own file was given up for this one (*lost*).
    """
    by_label = {original.label: original for original in originals}
    adopted: dict[str, list[Original]] = defaultdict(list)
    for item in lost:
        if item.loss.fate is Fate.REPLACED:
            adopted[item.loss.path].append(by_label[item.label])
    loaders = {label: _Loaders(tree) for label, tree in binding.trees.items()}
    found: dict[Problem, bool] = {}
    for output in outputs:
        if not output.owners or not output.origin:
            continue
        newest = by_label[output.owners[-1]]
        image = binding.image(newest, output.origin)
        if image is None:
            found |= dict.fromkeys(_no_module(newest, output), True)
            continue
        owners = [by_label[label] for label in output.owners]
        module = extension_module(output.path, image)
        if module:
            found |= dict.fromkeys(_machine(newest, output, image), True)
            others = adopted.get(output.path, ())
            for path, problem in _import_problems(owners, others, output, module, loaders):
                what = Problem(
                    problem.message,
                    newest.where,
                    output.path if path == output.origin else path,
                    "Build this file again for the CPython that loads it." if problem.certain else "",
                )
                found[what] = found.get(what, False) or problem.certain
    return Verdict(
        tuple(problem for problem, certain in found.items() if certain),
        tuple(problem for problem, certain in found.items() if not certain),
    )


def _no_module(original: Original, output: Output) -> Iterator[Problem]:
    module = parse_module(output.path)
    if module and module.suffix != ".so" and not output.file.is_symlink:
        what = "named as an extension module, but not an ELF file that can be loaded"
        yield Problem(what, original.where, output.path, "Build the wheel again.")


def _import_problems(
    owners: list[Original],
    others: Sequence[Original],
    output: Output,
    module: ModuleName,
    loaders: Mapping[str, _Loaders],
) -> Iterator[tuple[str, ImportProblem]]:
    """The problems of a module and of the libraries that it links, each with the path (in the original)."""
    if module.stable_abi:
        tree = loaders[owners[-1].label].tree
        names = tree.cpython_imports(output.origin)
        for problem in check_limited(
            names, _limited_api([*owners, *others]), free_threaded=module.stable_abi == "abi3t"
        ):
            if judged := _judged(problem, output.origin, tree):
                yield output.origin, judged
        return
    wheels = {target: owners[-1] for original in others for target in _known(original)}
    wheels |= {target: original for original in owners for target in _known(original)}
    if module.target:
        wheels = {module.target: wheels.get(module.target, owners[-1])}
    for target, original in sorted(wheels.items(), key=lambda item: item[0]):
        yield from loaders[original.label].missed(output.origin, target)


def _known(original: Original) -> tuple[Target, ...]:
    """The CPythons that an original is for; of those it merely admits, the ones there is a symbol table for."""
    return (original.target,) if original.target else tuple(filter(has_table, original.serves))


class _Loaders:
    """What the loaders of CPythons would miss in the files of one wheel; each file is looked at once for each."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._found: dict[Target, dict[str, tuple[ImportProblem, ...]]] = {}
        self._leading: dict[Target, frozenset[str]] = {}

    def missed(self, path: str, target: Target) -> Iterator[tuple[str, ImportProblem]]:
        """What one CPython misses in a file and in all of its wheel that it links, each with its path."""
        if target not in self._found:
            problems = ((path, self._problems(path, target)) for path in self.tree.images)
            self._found[target] = {path: found for path, found in problems if found}
            self._leading[target] = self.tree.reaching(frozenset(self._found[target]))
        if path in self._leading[target]:
            found = self._found[target]
            for loaded in sorted(self.tree.reached_from(path) & found.keys()):
                yield from ((loaded, problem) for problem in found[loaded])

    def _problems(self, path: str, target: Target) -> tuple[ImportProblem, ...]:
        problems = check_imports(self.tree.cpython_imports(path), target)
        judged = (_judged(problem, path, self.tree) for problem in problems)
        return tuple(problem for problem in judged if problem)


def _judged(problem: ImportProblem, path: str, tree: Tree) -> ImportProblem | None:
    """A problem in the light of the wheel's other files: None if one that is linked defines the symbol."""
    if problem.symbol and problem.symbol not in tree.unmet(path):
        return None
    if problem.symbol and problem.certain and tree.may_come_from_elsewhere(path, problem.symbol):
        return ImportProblem(problem.symbol, problem.message, certain=False)
    return problem


def _limited_api(owners: list[Original]) -> int:
    """The lowest version that the tags of the file's wheels claim for it."""
    return min(original.sort_key[0] for original in owners) or 2


def _machine(original: Original, output: Output, image: Image) -> Iterator[Problem]:
    for floor in floors(original.name.platforms):
        expected = MACHINES.get(floor.machine)
        if expected and expected != image.format:
            order = "little" if image.little_endian else "big"
            what = f"a {image.bits}-bit {order}-endian file for {image.machine}, but the wheel is for {floor.machine}"
            yield Problem(what, original.where, output.path, "Build it on, or for, the right machine.")
