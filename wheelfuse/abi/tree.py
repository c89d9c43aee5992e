"""The shared objects of a wheel or a directory: what links what, what is importable, whose symbols are needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property

from wheelfuse.abi.cpython import history, is_cpython_symbol
from wheelfuse.abi.modules import ModuleName, extension_module
from wheelfuse.abi.platform import is_system_library
from wheelfuse.elf.linkage import Linkage


class Tree(Linkage):
    """The shared objects of one tree, given as path -> :class:`Image`."""

    @cached_property
    def modules(self) -> Mapping[str, tuple[ModuleName, ...]]:
        """The files of each extension module, by its path without suffix."""
        found: dict[str, tuple[ModuleName, ...]] = {}
        for path, image in self.images.items():
            if module := extension_module(path, image):
                found[module.key] = (*found.get(module.key, ()), module)
        return found

    def cpython_imports(self, path: str) -> frozenset[str]:
        """What a file needs that is spelt like a symbol of CPython."""
        if path not in self._cpython_imports:
            self._cpython_imports[path] = frozenset(filter(is_cpython_symbol, self.images[path].imported))
        return self._cpython_imports[path]

    @cached_property
    def _cpython_imports(self) -> dict[str, frozenset[str]]:
        return {}

    @cached_property
    def _exporters(self) -> Mapping[str, frozenset[str]]:
        """Which files define a symbol that is spelt like one of CPython's."""
        found: dict[str, set[str]] = defaultdict(set)
        for path, image in self.images.items():
            for symbol in filter(is_cpython_symbol, image.exports):
                found[symbol].add(path)
        return {symbol: frozenset(paths) for symbol, paths in found.items()}

    def exporting(self, symbol: str) -> frozenset[str]:
        """The files that define a symbol, one that is spelt like CPython's."""
        return self._exporters.get(symbol, frozenset())

    @cached_property
    def python_bound(self) -> frozenset[str]:
        """The files that need symbols spelt like CPython's, themselves or through what they link."""
        return self.reaching(frozenset(path for path in self.images if self.cpython_imports(path)))

    def unmet(self, path: str) -> frozenset[str]:
        """What a file needs that is spelt like CPython's and that no library which it links defines."""
        if path not in self._unmet:
            linked = self.reached_from(path) - {path}
            asked = self.cpython_imports(path)
            defined = (asked & self.images[other].exports for other in linked)
            self._unmet[path] = asked.difference(*defined)
        return self._unmet[path]

    @cached_property
    def _unmet(self) -> dict[str, frozenset[str]]:
        return {}

    def may_come_from_elsewhere(self, path: str, symbol: str) -> bool:
        """Whether something else than CPython may define a symbol that a file needs and CPython lacks.

        That is a file of the tree that is not linked, but may be loaded by then; or, if no CPython knows the symbol,
        a library from outside.
        """
        if self.exporting(symbol) - {path}:
            return True
        return history(symbol) is None and any(
            not providers and not is_system_library(name)
            for other in self.reached_from(path)
            for name, providers in self.edges(other)
        )

    def reached_from(self, path: str) -> frozenset[str]:
        """The file and all that it links within the wheel, directly or through others."""
        if path not in self._closures:
            seen, pending = {path}, [path]
            while pending:
                reached = {provider for _, providers in self.edges(pending.pop()) for provider in providers}
                pending += reached - seen
                seen |= reached
            self._closures[path] = frozenset(seen)
        return self._closures[path]

    @cached_property
    def _closures(self) -> dict[str, frozenset[str]]:
        return {}
