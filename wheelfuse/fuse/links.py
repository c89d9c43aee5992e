"""The proof that the fused wheel's shared objects find each other."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from wheelfuse.abi.modules import parse_module
from wheelfuse.errors import Problem
from wheelfuse.fuse.binding import Binding
from wheelfuse.fuse.model import Original, Output


def broken_links(
    originals: Iterable[Original], outputs: Iterable[Output], binding: Binding
) -> Iterator[Problem]:
    """The proof that every DT_NEEDED that a file of its own wheel satisfied is satisfied in the fused one."""
    sonames = _sonames(binding)
    objects = [output for output in outputs if output.origin in sonames or output.path in sonames]
    placed = {(label, output.origin): output for output in objects for label in output.owners}
    shared = {output.path: output for output in objects}
    for original in originals:
        for path in binding.trees[original.label].images:
            output = placed.get((original.label, path))
            module = parse_module(path)
            if output is None or (module and module.target not in (None, original.target)):
                continue  # a stale copy of another CPython's module is never loaded
            renamed = dict(output.rename.needed) if output.rename else {}
            for needed, providers in binding.trees[original.label].edges(path):
                there = (placed.get((original.label, p)) or shared.get(p) for p in providers)
                if providers and not any(
                    _answers(found, renamed.get(needed, needed), sonames) for found in there
                ):
                    what = f"needs {renamed.get(needed, needed)}, which the fused wheel would not have"
                    yield Problem(what, original.where, output.path, "Settle both files in the same way.")


def _sonames(binding: Binding) -> dict[str, set[str]]:
    """The sonames that the originals have at each path of a shared object."""
    found: dict[str, set[str]] = defaultdict(set)
    for tree in binding.trees.values():
        for path, image in tree.images.items():
            found[path].add(image.soname)
    return found


def _answers(provider: Output | None, needed: str, sonames: Mapping[str, set[str]]) -> bool:
    """Whether an output is found under a name, as a file or by its soname."""
    if provider is None:
        return False
    if posixpath.basename(provider.path) == needed:
        return True
    if provider.rename and provider.rename.soname:
        return provider.rename.soname == needed
    return needed in sonames.get(provider.origin, ())
