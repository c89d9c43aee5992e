"""Which shared object of a tree satisfies which DT_NEEDED, by the rules of ld.so(8)."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property

from wheelfuse.elf.image import Image


class Linkage:
    """The DT_NEEDED edges between the shared objects of one tree, given as path -> :class:`Image`."""

    def __init__(self, images: Mapping[str, Image]) -> None:
        self.images = images
        self._named: dict[str, set[str]] = defaultdict(set)
        self._wanting: dict[str, set[str]] = defaultdict(set)
        self._edges: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {}
        self._files = frozenset(map(posixpath.basename, images))
        for path, image in images.items():
            for name in _names(path, image):
                self._named[name].add(path)
            for needed in image.needed:
                self._wanting[needed].add(path)

    def providers(self, path: str, needed: str) -> tuple[str, ...]:
        """The files that may satisfy this DT_NEEDED of *path*, sorted; empty if the tree has none.

        Those on its RUNPATH come first and alone. Otherwise every file of that name or soname: ld.so
        also takes an object that is already loaded, whoever loaded it and from wherever.
        """
        origin = posixpath.dirname(path)
        is_there = posixpath.basename(needed) in self._files
        for directory in self.images[path].runpath if is_there else ():
            expanded = directory.replace("${ORIGIN}", "$ORIGIN")
            if expanded.startswith("$ORIGIN"):
                candidate = posixpath.normpath(f"{origin or '.'}/{expanded[len('$ORIGIN') :]}/{needed}")
                if candidate in self.images:
                    return (candidate,)
        return tuple(sorted(self._named.get(needed, ())))

    def edges(self, path: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each DT_NEEDED of *path* with the files of the tree that may satisfy it."""
        if path not in self._edges:
            self._edges[path] = tuple((name, self.providers(path, name)) for name in self.images[path].needed)
        return self._edges[path]

    def reaching(self, paths: frozenset[str]) -> frozenset[str]:
        """*paths* and every file that needs one of them, directly or through others."""
        found, pending = set(paths), list(paths)
        while pending:
            for user in self._users.get(pending.pop(), set()) - found:
                found.add(user)
                pending.append(user)
        return frozenset(found)

    @cached_property
    def _users(self) -> dict[str, set[str]]:
        users: dict[str, set[str]] = defaultdict(set)
        for path in self.images:
            for _, providers in self.edges(path):
                for provider in providers:
                    users[provider].add(path)
        return users

    def is_needed(self, path: str) -> bool:
        """Whether any other file of the tree names this one in a DT_NEEDED."""
        return any(self._wanting.get(name, set()) - {path} for name in _names(path, self.images[path]))


def _names(path: str, image: Image) -> set[str]:
    """Under which names a DT_NEEDED may ask for a file."""
    return {posixpath.basename(path), image.soname} - {""}
