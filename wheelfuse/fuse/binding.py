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

from wheelfuse.abi.modules import ModuleName, extension_module, multiarchs_for, parse_module, picks
from wheelfuse.abi.tree import Tree
from wheelfuse.elf.image import Image, interchangeable
from wheelfuse.fuse.model import Case, Facts, Original, Rename
from wheelfuse.target import Target


@dataclass(frozen=True)
class Binding:
    """The paths that become one file per original, and the names those files get."""

    per_target: frozenset[str]
    trees: Mapping[str, Tree]

    def image(self, original: Original, path: str) -> Image | None:
        """The facts of an original's ELF file; None if it is another kind of file."""
        return self.trees[original.label].images.get(path)

    def initialises(self, original: Original, path: str) -> bool:
        """Whether import can use an original's file, by its init function and not only by its name."""
        module, image = parse_module(path), self.image(original, path)
        return bool(module and image and image.initialises(module.short))

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
        return self.soabi_path(original, path, original.target)

    def soabi_path(self, original: Original, path: str, target: Target) -> str | None:
        """Where an original's module goes so that only this CPython imports it; None if its suffix is not known."""
        module = extension_module(path, self.image(original, path))
        arch = self._multiarch(original, target) if module else None
        return module.soabi_path(target, arch) if module and arch else None

    def _multiarch(self, original: Original, target: Target) -> str | None:
        """The multiarch part of the suffix: as in the original's other modules, or else by its machine and libc."""
        key = original.label, target
        if key not in self._multiarchs:
            self._multiarchs[key] = _multiarch(original, self.trees[original.label], target)
        return self._multiarchs[key]

    @cached_property
    def _multiarchs(self) -> dict[tuple[str, Target], str | None]:
        return {}

    def rename(self, original: Original, path: str) -> Rename | None:
        """The edit that an original's file needs: its own soname, and the names of what it links; None: no edit."""
        image = self.image(original, path)
        if image is None or not self.per_target:
            return None
        needed = {
            name: new
            for name, providers in self.trees[original.label].edges(path)
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

    *forced* are paths for which the user asked for that, *settled* those for which the user decided otherwise:
    they become so only if they reach such a file.
    """
    trees = {
        original.label: Tree(
            {
                path: image
                for path, file in original.files.items()
                if (image := facts.images.get(file.digest)) and image.sections
            }
        )
        for original in originals
    }
    paths = sorted({path for tree in trees.values() for path in tree.images})
    seeds = {path for path in forced if _can_be_renamed(Case(path, originals), trees)}
    settled = set(settled)
    for path in paths:
        if path not in settled and _must_multiply(Case(path, originals), trees):
            seeds.add(path)
    per_target = _closure(seeds, trees)
    return Binding(per_target, trees)


def _can_be_renamed(case: Case, trees: Mapping[str, Tree]) -> bool:
    """Whether the files find a shared object under another name too: by import, or by DT_NEEDED."""
    images = [trees[original.label].images.get(case.path) for original in case.owners]
    if None in images:
        return False
    module = extension_module(case.path, images[-1])
    if module and images[-1]:
        return module.target is None and images[-1].initialises(module.short)
    return is_reached(case, trees)


def _must_multiply(case: Case, trees: Mapping[str, Tree]) -> bool:
    """Whether a shared object cannot be one file for all, seen for itself."""
    images = [trees[o.label].images[case.path] for o in case.owners if case.path in trees[o.label].images]
    if len(images) != len(case.owners):
        return False
    module = extension_module(case.path, images[-1])
    differs = len(case.variants) > 1 and len({image.loaded_digest for image in images}) > 1
    if module:
        can_be_renamed = module.target is None and images[-1].initialises(module.short)
        return can_be_renamed and (differs or leaks(case, module, trees))
    if not differs or not is_reached(case, trees):
        return False
    return is_bound(case, trees) or interchangeable(images) != ""


def leaks(case: Case, module: ModuleName, trees: Mapping[str, Tree]) -> bool:
    """Whether a CPython whose wheel lacks this module file would import it from the fused wheel."""
    for original in case.absent:
        siblings = trees[original.label].modules.get(module.key, ())
        for target in original.serves:
            own = min((p for other in siblings if (p := picks(target, other)) is not None), default=99)
            place = picks(target, module)
            if place is not None and place < own:
                return True
    return False


def is_bound(case: Case, trees: Mapping[str, Tree]) -> bool:
    """Whether the library imports symbols of CPython, itself or through what it links."""
    return any(case.path in trees[original.label].python_bound for original in case.owners)


def is_reached(case: Case, trees: Mapping[str, Tree]) -> bool:
    """Whether any file of the wheels links the library; if none does, it is opened by its name at run time."""
    return any(trees[original.label].is_needed(case.path) for original in case.owners)


def _closure(seeds: set[str], trees: Mapping[str, Tree]) -> frozenset[str]:
    """The seeds and all that reaches them, but for modules that are one per CPython by their suffix."""
    found, fresh = set(seeds), frozenset(seeds)
    while fresh:
        reached = set()
        for tree in trees.values():
            for path in tree.reaching(fresh & tree.images.keys()) - found:
                module = extension_module(path, tree.images[path])
                if module is None or module.target is None:
                    reached.add(path)
        found |= reached
        fresh = frozenset(reached)
    return frozenset(found)


def _multiarch(original: Original, tree: Tree, target: Target) -> str | None:
    siblings = {
        module.multiarch
        for files in tree.modules.values()
        for module in files
        if module.target == target and module.multiarch
    }
    known = siblings or multiarchs_for(original.name.platforms, target, _libc(tree))
    return next(iter(known)) if len(known) == 1 else None


def _libc(tree: Tree) -> str:
    """Which C library the files are linked with, for wheels whose tags do not say."""
    needed = {name for image in tree.images.values() for name in image.needed}
    return "musl" if any(name.startswith("libc.musl-") for name in needed) else "glibc"
