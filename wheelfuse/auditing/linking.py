"""What the dynamic linker makes of a file: which libraries it brings in, and which symbols nobody defines.

CPython opens extension modules with dlopen and RTLD_NOW: every library that is needed has to be found, every version
that is asked of it has to be defined, and so has every symbol, before the module's init function is called. The rules
are those of ld.so(8), in detail of glibc's elf/dl-load.c, dl-version.c and dl-lookup.c:

- A name in DT_NEEDED is met by what is loaded already under that name or soname; or else it is sought in DT_RUNPATH
  of the file that needs it (without one: in DT_RPATH of that file and of those that brought it in); or else in the
  system.
- A symbol is sought in what the interpreter has loaded, then in the file and all that it brings in. What other
  modules brought in is out of sight, since import opens with RTLD_LOCAL.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from wheelfuse.abi import torch
from wheelfuse.abi.cpython import is_cpython_symbol
from wheelfuse.abi.modules import (
    installed_path,
)
from wheelfuse.abi.platform import is_system_library, libc_of, system_libraries
from wheelfuse.abi.providers import Source, provider
from wheelfuse.abi.system import is_bundled_name, loaded_exports, may_be_installed, system_exports
from wheelfuse.auditing.subject import Kind, Subject, once
from wheelfuse.elf.image import Image


@dataclass(frozen=True)
class LibraryProblem:
    """A library that ``by`` needs and the linker does not find, and why (``which is nowhere to be found``).

    It is not ``certain`` where something else may have loaded the library before, or the machine may have it.
    ``there`` are the files of the input that bear its name, out of reach.
    """

    needed: str
    by: str
    why: str
    certain: bool
    there: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.by} needs {self.needed}, {self.why}"


@dataclass(frozen=True)
class VersionProblem:
    """Versions that ``by`` asks of a library, and that the one in sight (``path``) does not define."""

    versions: tuple[str, ...]
    path: str
    by: str

    def __str__(self) -> str:
        return f"{self.by} needs {', '.join(self.versions)} of {self.path}, which does not define it"


@dataclass(frozen=True)
class SymbolProblem:
    """A symbol that ``by`` needs, and that nothing in sight is known to define.

    ``expected`` is the library that the file expects it from, if it tells. ``elsewhere`` are files of the input that
    define it, though nothing links them; ``may`` are libraries in sight of which it is not known.
    """

    symbol: str
    by: str
    certain: bool
    expected: str = ""
    elsewhere: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outside:
    """A needed library that must come from elsewhere, and who is known to supply it."""

    needed: str
    by: str
    supplier: str
    source: Source = Source.DISTRIBUTION

    def __str__(self) -> str:
        return f"{self.needed} ({self.supplier})"


@dataclass(frozen=True)
class Linked:
    """What the dynamic linker makes of one file, on whatever CPython.

    ``files`` are those of the input that it maps, in that order, the file itself first. ``python`` are the symbols
    that are left to the interpreter, each with the first file that needs it. ``torch`` are the versions of torch
    that define all that is left to it; None if nothing is.
    """

    files: tuple[str, ...]
    outside: tuple[Outside, ...] = ()
    libraries: tuple[LibraryProblem, ...] = ()
    versions: tuple[VersionProblem, ...] = ()
    symbols: tuple[SymbolProblem, ...] = ()
    python: Mapping[str, str] = field(default_factory=dict)
    torch: tuple[str, ...] | None = None


@once
def linker(subject: Subject) -> Linker:
    """The linker of a subject, kept with it, since the libraries of a wheel serve many modules."""
    return Linker(subject)


@dataclass
class _Mapped:
    """A file that the linker maps: of the input (then with its path), or one that ``--with`` found."""

    name: str
    image: Image
    loader: _Mapped | None = None
    origin: str | None = None
    path: str = ""
    leads_out: bool | None = None
    """Whether the linker looks for its libraries outside of the input, too; None as long as nobody asked."""


@dataclass
class _Mapping:
    """The files that are mapped for one, in order, and what became of each name that they need.

    In ``answers`` a name is a mapped file, or None: the system or somebody else supplies it, or it was not found.
    """

    order: list[_Mapped]
    answers: dict[str, _Mapped | None] = field(default_factory=dict)
    system: list[str] = field(default_factory=list)
    outside: list[Outside] = field(default_factory=list)
    problems: list[LibraryProblem] = field(default_factory=list)


class Linker:
    """The dynamic linker over the files of one subject."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._mappings: dict[str, _Mapping] = {}
        self._linked: dict[str, Linked] = {}

    def linked(self, path: str) -> Linked:
        """What becomes of opening the file *path*."""
        if path not in self._linked:
            self._linked[path] = self._link(path)
        return self._linked[path]

    def _link(self, path: str) -> Linked:
        mapping = self._mapping(path)
        libraries = tuple(self._with_certainty(problem, path) for problem in mapping.problems)
        symbols, python, versions = self._symbols(mapping, libraries)
        return Linked(
            files=tuple(mapped.path for mapped in mapping.order if mapped.path),
            outside=tuple(mapping.outside),
            libraries=libraries,
            versions=tuple(_version_problems(mapping)),
            symbols=symbols,
            python=python,
            torch=versions,
        )

    # -- libraries

    def _mapping(self, path: str) -> _Mapping:
        """Map the file and what it needs, breadth first, as the linker does."""
        if path in self._mappings:
            return self._mappings[path]
        image = self.subject.files[path].image
        root = _Mapped(path, image, origin=posixpath.dirname(_place(path)), path=path)
        mapping = self._mappings[path] = _Mapping([root], {image.soname: root} if image.soname else {})
        for mapped in mapping.order:  # grows meanwhile
            for needed in mapped.image.needed:
                if needed not in mapping.answers:
                    mapping.answers[needed] = None
                    self._find(mapping, mapped, needed)
        return mapping

    def _find(self, mapping: _Mapping, user: _Mapped, needed: str) -> None:
        for place in self._sought(user, needed):
            if place in self._places and self._fits(self._places[place], user):
                self._map(mapping, user, needed, self._places[place])
                return
            if place in self._no_elf:
                why = f"but {self._no_elf[place]} is no shared object that can be read"
                mapping.problems.append(LibraryProblem(needed, user.name, why, True, (self._no_elf[place],)))
                return
        if self._is_system(needed):
            mapping.system.append(needed)
        elif found := self.subject.against.libraries.get(needed):
            self._add(mapping, needed, _Mapped(needed, found, user))
        elif link := self._linked_to(user, needed):
            self._map(mapping, user, needed, link)
        elif known := provider(needed):
            mapping.outside.append(Outside(needed, user.name, str(known), known.source))
        elif there := tuple(path for path in self._named.get(needed, ()) if self._fits(path, user)):
            why = f"which is at {', '.join(there)}, where nothing makes the linker look"
            mapping.problems.append(LibraryProblem(needed, user.name, why, False, there))
        else:
            mapping.problems.append(self._absent(user, needed))

    def _map(self, mapping: _Mapping, user: _Mapped, needed: str, path: str) -> None:
        image, origin = self.subject.files[path].image, posixpath.dirname(_place(path))
        known = next((mapped for mapped in mapping.order if mapped.path == path), None)
        self._add(mapping, needed, known or _Mapped(path, image, user, origin, path))

    def _add(self, mapping: _Mapping, needed: str, mapped: _Mapped) -> None:
        if mapped not in mapping.order:
            mapping.order.append(mapped)
        mapping.answers[needed] = mapped
        if mapped.image.soname:
            mapping.answers.setdefault(mapped.image.soname, mapped)

    def _fits(self, path: str, user: _Mapped) -> bool:
        """The linker passes over files for other machines."""
        return self.subject.files[path].image.format == user.image.format

    def _sought(self, user: _Mapped, needed: str) -> Iterator[str]:
        """The places where the linker looks for a library; none if the input has no file of that name anywhere."""
        return _sought(user, needed) if posixpath.basename(needed) in self._basenames else iter(())

    @cached_property
    def _basenames(self) -> frozenset[str]:
        return frozenset(map(posixpath.basename, (*self.subject.sizes, *self.subject.files)))

    @cached_property
    def _places(self) -> dict[str, str]:
        """Where a file is installed -> its path in the input."""
        return {_place(path): path for path in self.subject.files}

    @cached_property
    def _no_elf(self) -> dict[str, str]:
        """The same for files called like libraries that are none; not for links, of which a directory has some."""
        broken = {problem.member for problem in self.subject.unreadable}
        whole = self.subject.kind is Kind.WHEEL
        return {
            _place(path): path
            for path in self.subject.sizes
            if ".so" in path and path not in self.subject.files and (whole or path in broken)
        }

    @cached_property
    def _named(self) -> dict[str, tuple[str, ...]]:
        """File name or soname -> the paths of the files."""
        found: dict[str, tuple[str, ...]] = {}
        for path, file in sorted(self.subject.files.items()):
            for name in {posixpath.basename(path), file.image.soname} - {""}:
                found[name] = (*found.get(name, ()), path)
        return found

    def _linked_to(self, user: _Mapped, needed: str) -> str | None:
        """The file that a symbolic link in a directory stands for, which is not among the files of the subject."""
        if not any(place in self._links for place in self._sought(user, needed)):
            return None
        return next((path for path in self._named.get(needed, ()) if self._fits(path, user)), None)

    @cached_property
    def _links(self) -> frozenset[str]:
        others = self.subject.sizes.keys() - self.subject.files.keys()
        return frozenset(_place(path) for path in others) - self._no_elf.keys()

    def _is_system(self, needed: str) -> bool:
        """Whether some policy lets files of this C library take it from the system."""
        if not is_system_library(needed) or not self._families:
            return is_system_library(needed)
        return needed.startswith("ld") or any(needed in system_libraries(libc) for libc in self._families)

    @cached_property
    def _families(self) -> frozenset[str]:
        """The C libraries that the tags name."""
        return frozenset(p.libc for p in self.subject.linux_platforms) & {"glibc", "musl"}

    def _absent(self, user: _Mapped, needed: str) -> LibraryProblem:
        """A library that is neither here nor known; some inputs cannot tell what will be beside them."""
        kind, platforms = self.subject.kind, self.subject.linux_platforms
        hope = ""
        if kind is Kind.FILE:
            hope = "and only this file was given"
        elif not is_bundled_name(needed):
            if may_be_installed(needed):
                hope = "which the machine has to have"
            elif not platforms or all(p.libc not in ("glibc", "musl") for p in platforms):
                hope = "and no platform tag says what the machine has"
            elif self._may_come_with_others(user):
                hope = "which another distribution has to bring"
        return LibraryProblem(needed, user.name, hope or "which is nowhere to be found", not hope)

    def _may_come_with_others(self, user: _Mapped) -> bool:
        """Whether other distributions are required, and Python code or RUNPATH may find libraries of theirs."""
        if user.leads_out is None:
            user.leads_out = any(place.split("/")[0] not in self._own for place in _sought(user, "x"))
        return bool(self.subject.requirements) and (user.leads_out or self.subject.preloads)

    @cached_property
    def _own(self) -> frozenset[str]:
        """The top directories and files of the input, with where auditwheel puts copies of libraries."""
        own = {place.split("/")[0] for place in map(_place, self.subject.sizes)}
        return frozenset(own | ({f"{self.subject.name.distribution}.libs"} if self.subject.name else set()))

    def _with_certainty(self, problem: LibraryProblem, root: str) -> LibraryProblem:
        """A library out of reach may have been loaded before, by Python code or through another module."""
        if problem.certain or not problem.there or self.subject.preloads:
            return problem
        files = self.subject.files
        by_name = any(
            problem.needed in file.producers.opens or posixpath.basename(path) in file.producers.opens
            for file in files.values()
            for path in problem.there
        )
        modules = (path for path, file in files.items() if file.module and path != root)
        reached = by_name or any(
            mapped.path in problem.there for path in modules for mapped in self._mapping(path).order
        )
        return problem if reached else replace(problem, certain=True)

    # -- symbols

    def _symbols(
        self, mapping: _Mapping, libraries: tuple[LibraryProblem, ...]
    ) -> tuple[tuple[SymbolProblem, ...], dict[str, str], tuple[str, ...] | None]:
        """What is undefined for all that is in sight, what is left to CPython, and the versions of torch that fit."""
        defined = self._exports(mapping)
        loaded = loaded_exports(self._libc(mapping))
        of_torch = any(torch.LIBRARY.fullmatch(outside.needed) for outside in mapping.outside)
        not_found = tuple(problem.needed for problem in libraries)
        problems: list[SymbolProblem] = []
        python: dict[str, str] = {}
        asked_of_torch: set[str] = set()
        for mapped in mapping.order:
            for name in sorted(mapped.image.imported - defined - loaded):
                expected = self._expected(mapped, name)
                here = mapping.answers.get(expected) is not None
                if expected and not here and (self._is_system(expected) or expected in not_found):
                    continue  # whether the system's versions may be asked for is the matter of the platform rules
                if is_cpython_symbol(name):
                    python.setdefault(name, mapped.name)
                elif of_torch and torch.exported_in(name):
                    asked_of_torch.add(name)
                elif here or not _in_system(mapping.system, name):
                    problems.append(self._symbol_problem(mapping, mapped, name, expected, not_found))
        return tuple(problems), python, torch.loading(asked_of_torch) if asked_of_torch else None

    def _exports(self, mapping: _Mapping) -> frozenset[str]:
        names = tuple(mapped.name for mapped in mapping.order)
        if names not in self._unions:
            self._unions[names] = frozenset().union(*(mapped.image.exports for mapped in mapping.order))
        return self._unions[names]

    @cached_property
    def _unions(self) -> dict[tuple[str, ...], frozenset[str]]:
        return {}

    def _libc(self, mapping: _Mapping) -> str:
        return next(iter(self._families)) if len(self._families) == 1 else libc_of(mapping.order[0].image)

    def _expected(self, mapped: _Mapped, name: str) -> str:
        """The library from which a file expects a symbol, which it tells if it asks for a version."""
        if mapped.name not in self._versioned:
            by_version = {
                version: need.library for need in mapped.image.version_needs for version in need.versions
            }
            self._versioned[mapped.name] = {
                symbol.name: by_version.get(symbol.version, "")
                for symbol in mapped.image.imports
                if symbol.version
            }
        return self._versioned[mapped.name].get(name, "")

    @cached_property
    def _versioned(self) -> dict[str, dict[str, str]]:
        return {}

    def _symbol_problem(
        self, mapping: _Mapping, mapped: _Mapped, name: str, expected: str, not_found: tuple[str, ...]
    ) -> SymbolProblem:
        may = tuple(soname for soname in mapping.system if system_exports(soname, name) is None)
        may += tuple(outside.needed for outside in mapping.outside) + not_found
        if self.subject.opens_globally and self.subject.requirements:
            may += ("a library that Python code opens with RTLD_GLOBAL",)
        elsewhere = tuple(
            path for path, file in sorted(self.subject.files.items()) if name in file.image.exports
        )
        certain = not may and not (elsewhere and self.subject.preloads)
        return SymbolProblem(name, mapped.name, certain, expected, elsewhere, may)


def _place(path: str) -> str:
    """Where a file is installed, from site-packages: data goes to the prefix, three levels up (PEP 427)."""
    return re.sub(r"^[^/]+\.data/data/", "../../../", installed_path(path))


def _sought(user: _Mapped, needed: str) -> Iterator[str]:
    """The places in site-packages where the linker looks for a library, in order."""
    if "/" in needed:  # a path, for which RUNPATH does not count
        yield from _expanded(user, needed)
        return
    own = user.image.runpath and not user.image.has_rpath
    link: _Mapped | None = user
    while link:
        if own or link.image.has_rpath:
            for directory in link.image.runpath:
                yield from _expanded(link, f"{directory}/{needed}")
        link = None if own else link.loader


def _expanded(mapped: _Mapped, path: str) -> Iterator[str]:
    """Where a path below ``$ORIGIN`` is, from site-packages; nothing for others."""
    relative = path.replace("${ORIGIN}", "$ORIGIN")
    if mapped.origin is not None and relative.startswith("$ORIGIN"):
        yield posixpath.normpath(f"{mapped.origin or '.'}/{relative[len('$ORIGIN') :]}")


def _version_problems(mapping: _Mapping) -> Iterator[VersionProblem]:
    """A library that defines no version at all is only complained about; one that lacks those asked for is fatal."""
    for mapped in mapping.order:
        for need in mapped.image.version_needs:
            library = mapping.answers.get(need.library)
            if library and library.image.version_definitions:
                known = library.image.version_definitions | {library.image.soname}
                if missing := tuple(version for version in need.versions if version not in known):
                    yield VersionProblem(missing, library.name, mapped.name)


def _in_system(sonames: Iterable[str], name: str) -> bool:
    return any(system_exports(soname, name) for soname in sonames)
