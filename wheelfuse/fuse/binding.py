"""Which shared objects must become one per CPython, and what they are called then.

A library that is bound to one CPython and differs between the wheels cannot be shared: each CPython gets its
copy, under a soname of its own. Whatever reaches such a copy through DT_NEEDED must name the right one, and so
becomes one per CPython itself, even if its bytes are the same in every wheel.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from wheelfuse.abi.cpython import is_cpython_symbol
from wheelfuse.elf.image import Image, interchangeable
from wheelfuse.elf.linkage import Linkage
from wheelfuse.fuse.model import Case, Facts, Original, Rename
from wheelfuse.fuse.modules import ModuleName, extension_module, multiarch, picks
from wheelfuse.wheel.name import floors


class Tree(Linkage):
    """The shared objects of one original."""

    @cached_property
    def modules(self) -> Mapping[str, tuple[ModuleName, ...]]:
        """The files of each extension module, by its path without suffix."""
        found: dict[str, tuple[ModuleName, ...]] = {}
        for path, image in self.images.items():
            if module := extension_module(path, image):
                found[module.stem] = (*found.get(module.stem, ()), module)
        return found


@dataclass(frozen=True)
class Binding:
    """The paths that become one file per original, and the names those files get."""

    per_target: frozenset[str]
    linkages: Mapping[str, Tree]
    multiarchs: Mapping[str, str | None]

    def image(self, original: Original, path: str) -> Image | None:
        """The facts of an original's ELF file; None if it is another kind of file."""
        return self.linkages[original.label].images.get(path)

    def new_path(self, original: Original, path: str) -> str | None:
        """Where an original's file goes; None if there is no path that only its CPython would find."""
        if path not in self.per_target:
            return path
        module = extension_module(path, self.image(original, path))
        if module is None:
            directory, name = posixpath.split(path)
            return posixpath.join(directory, retagged(name, original))
        if original.target is None:
            return path  # the suffix of last resort stays for the wheel that serves all others
        arch = self.multiarchs[original.label]
        return module.soabi_path(original.target, arch) if arch else None

    def rename(self, original: Original, path: str) -> Rename | None:
        """The edit that an original's file needs: its own soname, and the names of what it links; None: no edit."""
        image = self.image(original, path)
        if image is None:
            return None
        needed = {
            name: new
            for name, providers in self.linkages[original.label].edges(path)
            for provider in providers
            if provider in self.per_target and (new := self._new_name(original, provider, name)) != name
        }
        soname = (
            self._new_name(original, path, image.soname) if path in self.per_target and image.soname else None
        )
        if soname == image.soname:
            soname = None
        return Rename(soname, tuple(sorted(needed.items()))) if soname or needed else None

    def _new_name(self, original: Original, path: str, name: str) -> str:
        """What a DT_NEEDED or soname that means *path* says after the merge."""
        new_path = self.new_path(original, path) or path
        if name == posixpath.basename(path):
            return posixpath.basename(new_path)
        return name if new_path == path else retagged(name, original)


def retagged(name: str, original: Original) -> str:
    """The per-CPython name of a library: ``libfoo.so.1`` of cp312 becomes ``libfoo-cp312.so.1``."""
    stem, dot, version = name.partition(".so")
    return f"{stem}-{original.file_tag}{dot}{version}"


def bind(
    originals: tuple[Original, ...], facts: Facts, forced: Iterable[str], settled: Iterable[str]
) -> Binding:
    """Find the files that must become one per CPython.

    *forced* are paths for which the user asked for that, *settled* those for which the user decided otherwise.
    """
    linkages = {
        original.label: Tree(
            {
                path: image
                for path, file in original.files.items()
                if (image := facts.images.get(file.digest)) and image.sections
            }
        )
        for original in originals
    }
    paths = sorted({path for linkage in linkages.values() for path in linkage.images})
    seeds = set(forced)
    settled = set(settled)
    for path in paths:
        if path not in settled and _must_multiply(Case(path, originals), linkages):
            seeds.add(path)
    per_target = _closure(seeds, linkages)
    return Binding(per_target, linkages, {original.label: _multiarch(original) for original in originals})


def _must_multiply(case: Case, linkages: Mapping[str, Tree]) -> bool:
    """Whether a shared object cannot be one file for all, seen for itself."""
    images = [
        linkages[o.label].images[case.path] for o in case.owners if case.path in linkages[o.label].images
    ]
    if len(images) != len(case.owners):
        return False
    module = extension_module(case.path, images[-1])
    differs = len(case.variants) > 1 and len({image.loaded_digest for image in images}) > 1
    if module:
        return module.target is None and (differs or leaks(case, module, linkages))
    if not differs or not is_reached(case, linkages):
        return False
    return is_bound(case, linkages) or not all(
        interchangeable(images[0], image) == "" for image in images[1:]
    )


def leaks(case: Case, module: ModuleName, linkages: Mapping[str, Tree]) -> bool:
    """Whether a CPython whose wheel lacks this module file would import it from the fused wheel."""
    for original in case.absent:
        siblings = linkages[original.label].modules.get(module.stem, ())
        for target in original.serves:
            own = min((p for other in siblings if (p := picks(target, other)) is not None), default=99)
            place = picks(target, module)
            if place is not None and place < own:
                return True
    return False


def is_bound(case: Case, linkages: Mapping[str, Tree]) -> bool:
    """Whether the library imports symbols of CPython, itself or through what it links."""
    return any(_python_bound(linkages[original.label], case.path) for original in case.owners)


def _python_bound(linkage: Tree, path: str) -> bool:
    seen, pending = {path}, [path]
    while pending:
        current = pending.pop()
        if _imports_cpython(linkage.images[current]):
            return True
        reached = {provider for _, providers in linkage.edges(current) for provider in providers}
        pending += reached - seen
        seen |= reached
    return False


def _imports_cpython(image: Image) -> bool:
    return any(is_cpython_symbol(symbol.name) for symbol in image.imports)


def is_reached(case: Case, linkages: Mapping[str, Tree]) -> bool:
    """Whether any file of the wheels links the library; if none does, it is opened by its name at run time."""
    return any(linkages[original.label].is_needed(case.path) for original in case.owners)


def _closure(seeds: set[str], linkages: Mapping[str, Tree]) -> frozenset[str]:
    """The seeds and all that reaches them, but for modules that are one per CPython by their suffix."""
    found = frozenset(seeds)
    while True:
        reached = set(found)
        for linkage in linkages.values():
            for path in linkage.reaching(found & linkage.images.keys()):
                module = extension_module(path, linkage.images[path])
                if module is None or module.target is None:
                    reached.add(path)
        if reached == found:
            return found
        found = frozenset(reached)


def _multiarch(original: Original) -> str | None:
    """The multiarch part of the suffix: as in the original's other modules, or by its machine."""
    if original.target is None:
        return None
    for path in sorted(original.files):
        module = extension_module(path, None)
        if module and module.target == original.target and module.multiarch:
            return module.multiarch
    floor = floors(original.name.platforms)[0]
    return multiarch(floor.machine, floor.libc, original.target)
