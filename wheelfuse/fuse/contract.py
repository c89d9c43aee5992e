"""The contract that a shared object's own name states: the CPython of its suffix exports what it imports.

A check of :mod:`wheelfuse.fuse.plan` before anything is written; it judges the files of the fused wheel, under
the names that they will have there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wheelfuse.abi.cpython import ImportProblem, check_imports
from wheelfuse.abi.limited_api import check_limited
from wheelfuse.elf.image import Image
from wheelfuse.errors import Problem
from wheelfuse.fuse.binding import Binding
from wheelfuse.fuse.model import Original, Output
from wheelfuse.fuse.modules import MACHINES, ModuleName, extension_module
from wheelfuse.target import Target
from wheelfuse.wheel.name import floors


@dataclass(frozen=True)
class Verdict:
    """What a contract check found: what makes the file unusable, and what could not be decided."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check_contracts(originals: tuple[Original, ...], outputs: Iterable[Output], binding: Binding) -> Verdict:
    """Hold every extension module and per-CPython library against the CPython that will load it."""
    by_label = {original.label: original for original in originals}
    errors: list[Problem] = []
    warnings: list[Problem] = []
    for output in outputs:
        owners = [by_label[label] for label in output.owners]
        image = binding.image(owners[-1], output.origin) if owners and output.origin else None
        if image is None:
            continue
        module = extension_module(output.path, image)
        if module:
            errors += _machine(owners[-1], output, image)
        for problem in _import_problems(owners, output, image, module, binding):
            found = Problem(
                problem.message,
                str(owners[-1].name),
                output.path,
                "Build this file again for the CPython that its name states." if problem.certain else "",
            )
            (errors if problem.certain else warnings).append(found)
    return Verdict(tuple(errors), tuple(dict.fromkeys(warnings)))


def _import_problems(
    owners: list[Original], output: Output, image: Image, module: ModuleName | None, binding: Binding
) -> Iterator[ImportProblem]:
    names = _foreign_imports(owners[-1], image, binding)
    if module and module.stable_abi:
        yield from check_limited(names, _limited_api(owners), free_threaded=module.stable_abi == "abi3t")
        return
    for target in _loaded_by(owners, output, module, binding):
        for problem in check_imports(names, target):
            yield problem if _is_proof(problem, owners[-1], output, binding) else _doubt(problem)


def _foreign_imports(original: Original, image: Image, binding: Binding) -> frozenset[str]:
    """What the file needs from outside of its wheel."""
    siblings = binding.linkages[original.label].images.values()
    return image.imported.difference(*(sibling.exports for sibling in siblings if sibling is not image))


def _loaded_by(
    owners: list[Original], output: Output, module: ModuleName | None, binding: Binding
) -> tuple[Target, ...]:
    if module and module.target:
        return (module.target,)
    if module or output.origin in binding.per_target:
        return tuple(original.target for original in owners if original.target)
    return ()


_SYSTEM = (
    "libc.so",
    "libm.so",
    "libstdc++.so",
    "libgcc_s.so",
    "libpthread.so",
    "libdl.so",
    "librt.so",
    "ld-",
)


def _is_proof(problem: ImportProblem, original: Original, output: Output, binding: Binding) -> bool:
    """Whether a missing symbol is proof: an unknown one may come from a library outside of the wheel."""
    if not problem.certain or "no known CPython" not in problem.message:
        return problem.certain
    return all(
        providers or name.startswith(_SYSTEM)
        for name, providers in binding.linkages[original.label].edges(output.origin)
    )


def _doubt(problem: ImportProblem) -> ImportProblem:
    return ImportProblem(problem.symbol, problem.message, certain=False)


def _limited_api(owners: list[Original]) -> int:
    """The lowest version that the tags of the file's wheels claim for it."""
    return min(original.sort_key[0] for original in owners) or 2


def _machine(original: Original, output: Output, image: Image) -> Iterator[Problem]:
    for floor in floors(original.name.platforms):
        expected = MACHINES.get(floor.machine)
        found = (image.machine, image.bits, image.little_endian)
        if expected and expected != found:
            order = "little" if image.little_endian else "big"
            what = f"a {image.bits}-bit {order}-endian file for {image.machine}, but the wheel is for {floor.machine}"
            yield Problem(what, str(original.name), output.path, "Build it on, or for, the right machine.")
