"""The contract that a shared object's own name states: the CPython of its suffix exports what it imports.

A check of :mod:`wheelfuse.fuse.plan` before anything is written; it judges the files of the fused wheel, under
the names that they will have there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    adopted: dict[str, tuple[Original, ...]] = {}
    for item in lost:
        if item.loss.fate is Fate.REPLACED:
            adopted[item.loss.path] = (*adopted.get(item.loss.path, ()), by_label[item.label])
    found: dict[Problem, bool] = {}
    for output in outputs:
        if not output.owners or not output.origin:
            continue
        owners = [by_label[label] for label in output.owners]
        image = binding.image(owners[-1], output.origin)
        if image is None:
            found |= dict.fromkeys(_no_module(owners[-1], output), True)
            continue
        module = extension_module(output.path, image)
        if module:
            found |= dict.fromkeys(_machine(owners[-1], output, image), True)
            others = adopted.get(output.path, ())
            for path, problem in _import_problems(owners, others, output, module, binding):
                what = Problem(
                    problem.message,
                    owners[-1].where,
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
    owners: list[Original], others: tuple[Original, ...], output: Output, module: ModuleName, binding: Binding
) -> Iterator[tuple[str, ImportProblem]]:
    """The problems of a module and of the libraries that it links, each with the path (in the original)."""
    if module.stable_abi:
        tree = binding.trees[owners[-1].label]
        names = tree.cpython_imports(output.origin)
        for problem in check_limited(
            names, _limited_api([*owners, *others]), free_threaded=module.stable_abi == "abi3t"
        ):
            if judged := _judged(problem, output.origin, tree):
                yield output.origin, judged
        return
    loaders = {target: owners[-1] for original in others for target in _known(original)}
    loaders |= {target: original for original in owners for target in _known(original)}
    if module.target:
        loaders = {module.target: loaders.get(module.target, owners[-1])}
    for target, original in sorted(loaders.items(), key=lambda item: item[0]):
        yield from _loaded_problems(binding.trees[original.label], output.origin, target)


def _known(original: Original) -> tuple[Target, ...]:
    """The CPythons that an original is for; of those it merely admits, the ones there is a symbol table for."""
    return (original.target,) if original.target else tuple(filter(has_table, original.serves))


def _loaded_problems(tree: Tree, path: str, target: Target) -> Iterator[tuple[str, ImportProblem]]:
    """What the loader of one CPython would miss: in the file and in all of its wheel that it links."""
    for loaded in sorted(tree.reached_from(path)):
        for problem in check_imports(tree.cpython_imports(loaded), target):
            if judged := _judged(problem, loaded, tree):
                yield loaded, judged


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
