"""What the files of an input need of libtorch, and which versions of torch have it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import chain, groupby

from packaging.markers import Marker
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from wheelfuse.abi.demangle import demangle
from wheelfuse.abi.modules import installed_path, parse_module
from wheelfuse.abi.torch import (
    LIBRARY,
    Kind,
    StringABI,
    classify,
    exported_in,
    loading,
    mentions_torch,
    shim_version,
    string_abi,
    version_key,
    versions,
)
from wheelfuse.auditing.subject import Subject, once

_OTHER_GPU = ("libtorch_hip", "libc10_hip", "libtorch_xpu", "libc10_xpu")
_MICROS = 10  # more than a minor version of torch ever had
_NAMED = re.compile(r"torch[-_]?(\d)[._]?(\d{1,2})(?!\d)")
_SHORT = 120
_TORCH = (Kind.STABLE, Kind.UNKNOWN, Kind.TORCH_PYTHON, Kind.UNSTABLE)


@dataclass(frozen=True)
class TorchNeeds:
    """The symbols that one file takes from libtorch, those that other files of the input define left out; sorted.

    ``templates`` are those of pybind11 or std over torch's types that torch itself exports. ``versions`` are the
    known versions of torch that export all of it; ``missing`` what none exports. ``unproved`` is what only builds
    for GPUs that the table lacks (ROCm, XPU) can have; it does not count for ``versions``.
    """

    stable: tuple[str, ...] = ()
    unstable: tuple[str, ...] = ()
    torch_python: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unproved: tuple[str, ...] = ()

    @property
    def floor(self) -> str:
        """The first torch that promises all the stable functions; empty if there are none."""
        return max(map(shim_version, self.stable), key=version_key, default="")

    @property
    def names(self) -> tuple[str, ...]:
        """All of it."""
        return (*self.stable, *self.unknown, *self.torch_python, *self.unstable, *self.templates)

    @property
    def only_stable(self) -> bool:
        """Whether nothing stands outside of libtorch's stable ABI."""
        return not (self.unstable or self.torch_python or self.unknown or self.templates)

    def with_strings(self, abi: StringABI) -> tuple[str, ...]:
        """The symbols that mention this ``std::string``."""
        return tuple(name for name in self.names if string_abi(name) is abi)

    @property
    def torn(self) -> bool:
        """Whether both kinds of ``std::string`` are needed: no build of torch has more than one (seen in 2.6, 2.7)."""
        return bool(self.with_strings(StringABI.OLD) and self.with_strings(StringABI.NEW))

    def lacking(self, version: str) -> tuple[str, ...]:
        """The symbols that this torch does not export."""
        unproved = set(self.unproved)
        return tuple(name for name in self.names if name not in unproved and version not in exported_in(name))


def needs(subject: Subject, path: str) -> TorchNeeds | None:
    """What the file at *path* needs of libtorch; None if it has nothing to do with it.

    It has if it links a library of torch that the input does not bring, or if it needs symbols that torch exports
    and no other file of the input does. Symbols that it can do without (weak ones) do not count.
    """
    return all_needs(subject).get(path)


@once
def all_needs(subject: Subject) -> dict[str, TorchNeeds]:
    """What each file needs that has to do with libtorch, by path, sorted."""
    found = ((path, _needs(subject, path)) for path in sorted(subject.files))
    return {path: item for path, item in found if item}


def _needs(subject: Subject, path: str) -> TorchNeeds | None:
    linked = [name for name, providers in subject.tree.edges(path) if not providers]
    links_torch = any(LIBRARY.fullmatch(name) for name in linked)
    found = _undefined(subject, path)
    if not links_torch and not any(_is_exported(name, kind) for name, kind in found.items()):
        return None
    by_kind = {kind: tuple(name for name in found if found[name] is kind) for kind in _TORCH}
    templates = tuple(name for name, kind in found.items() if kind not in _TORCH)
    absent = tuple(name for name, kind in found.items() if not exported_in(name))
    other_gpu = any(name.startswith(_OTHER_GPU) for name in linked)
    unproved = absent if other_gpu else ()
    item = TorchNeeds(
        by_kind[Kind.STABLE],
        by_kind[Kind.UNSTABLE],
        by_kind[Kind.TORCH_PYTHON],
        by_kind[Kind.UNKNOWN],
        templates,
        versions=loading(name for name in found if name not in unproved),
        missing=() if other_gpu else absent,
        unproved=unproved,
    )
    return replace(item, versions=()) if item.torn else item


def distinct(subject: Subject) -> tuple[tuple[tuple[str, ...], TorchNeeds], ...]:
    """What the files need, those that need the same together: builds for several CPythons, or FFmpegs."""
    groups: dict[TorchNeeds, tuple[str, ...]] = {}
    for path, item in all_needs(subject).items():
        groups[item] = (*groups.get(item, ()), path)
    return tuple((paths, item) for item, paths in groups.items())


def name_of(path: str) -> str:
    """What the builds of one file for several CPythons share: its path as installed, without extension suffix.

    It goes by the name alone, for libraries of operators have no init function and still carry such suffixes.
    """
    module = parse_module(path)
    return module.key if module else installed_path(path)


def shortened(name: str) -> str:
    """A symbol as people read it, cut where its parameters take up lines."""
    return _cut(demangle(name))


def _cut(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def same_in(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Lines of detail that name the further files of which a finding holds."""
    return tuple(f"the same in {path}" for path in paths[1:])


def named_version(path: str) -> str:
    """The version of torch for which a file name says it is (``libx_torch26-cpu.so``: 2.6); empty if none.

    Wheels that carry a file for each torch choose one at run time.
    """
    found = _NAMED.search(posixpath.basename(path))
    return f"{found[1]}.{found[2]}" if found else ""


def torch_versions(subject: Subject) -> tuple[str, ...] | None:
    """The versions of torch that export what all the files need; None if no file needs torch.

    Of files that name a version of torch, one that does so rightly is enough.
    """
    files = all_needs(subject)
    if not files:
        return None
    common = [item.versions for path, item in files.items() if not named_version(path)]
    named = {named_version(path) for path, item in files.items() if named_version(path) in item.versions}
    chosen = any(map(named_version, files))
    return tuple(v for v in versions() if all(v in some for some in common) and (v in named or not chosen))


def _undefined(subject: Subject, path: str) -> dict[str, Kind]:
    """The undefined symbols that can only be torch's, sorted, with their kinds."""
    found = {}
    for symbol in sorted(subject.files[path].image.imports):
        if not symbol.weak:
            kind = classify(symbol.name, symbol.version)
            if kind in _TORCH or (
                kind in (Kind.PYBIND11, Kind.STD, Kind.OTHER) and mentions_torch(symbol.name)
            ):
                found[symbol.name] = kind
    if not found:
        return {}
    wanted = {name: kind for name, kind in found.items() if kind in _TORCH or exported_in(name)}
    return {name: kind for name, kind in wanted.items() if not _defined_beside(subject, path, name)}


def _defined_beside(subject: Subject, path: str, symbol: str) -> bool:
    """Whether another file defines it; the builds of the same module for other CPythons do not count."""
    defining = (other for other, file in subject.files.items() if symbol in file.image.exports)
    return any(name_of(other) != name_of(path) for other in defining)


def _is_exported(name: str, kind: Kind) -> bool:
    return kind is Kind.STABLE or bool(exported_in(name))


@dataclass(frozen=True)
class TorchRequirement:
    """What METADATA asks of torch: one set of versions for each group of CPythons for which it differs.

    There is none where torch is not required; *optional* says that an extra requires it.
    """

    specifiers: tuple[SpecifierSet, ...] = ()
    optional: bool = False

    @cached_property
    def admitted(self) -> tuple[str, ...]:
        """Those of the known versions of which any release is admitted, on any CPython."""
        minors = {minor for specifier in self.specifiers for minor, _ in _releases(specifier)}
        return tuple(minor for minor in versions() if minor in minors)

    def __str__(self) -> str:
        return " or ".join(_cut(f"torch{specifier}") for specifier in self.specifiers)


def _releases(specifier: SpecifierSet) -> frozenset[tuple[str, Version]]:
    """The releases of the known versions that are admitted."""
    return _known().intersection(*map(_releases_of_clause, specifier))


@cache
def _releases_of_clause(clause: Specifier) -> frozenset[tuple[str, Version]]:
    return frozenset(release for release in _known() if clause.contains(release[1]))


@cache
def _known() -> frozenset[tuple[str, Version]]:
    """Every release that the known versions may have, with the minor version that it is of."""
    return frozenset((minor, Version(f"{minor}.{micro}")) for minor in versions() for micro in range(_MICROS))


def torch_requirement(subject: Subject) -> TorchRequirement:
    """The requirements of torch that hold on Linux without an extra, for the CPythons that take the input."""
    stated = [item for item in subject.requirements if canonicalize_name(item.name) == "torch"]
    specifiers: list[SpecifierSet] = []
    for python in sorted({target.python_version for target in subject.targets}, key=version_key) or [""]:
        holding = [item.specifier for item in stated if not item.marker or _holds(item.marker, python)]
        if holding:
            specifiers.append(SpecifierSet(chain.from_iterable(holding)))
    return TorchRequirement(tuple(dict.fromkeys(specifiers)), optional=bool(stated) and not specifiers)


def _holds(marker: Marker, python: str) -> bool:
    environment = {"extra": "", "os_name": "posix", "sys_platform": "linux", "platform_system": "Linux"}
    environment |= {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    if python:
        environment |= {"python_version": python, "python_full_version": f"{python}.0"}
    return marker.evaluate(environment)


def spans(some: Iterable[str]) -> str:
    """Versions of torch as ranges without holes, ``2.6-2.9, 2.11``; *none* if there are none."""
    chosen = set(some)
    parts = []
    for there, run in groupby(versions(), key=chosen.__contains__):
        ends = tuple(run)
        if there:
            parts.append("-".join(dict.fromkeys((ends[0], ends[-1]))))
    return ", ".join(parts) or "none"


def torches(some: tuple[str, ...]) -> str:
    """``torch 2.6-2.9, 2.11``, or that it is none."""
    return f"torch {spans(some)}" if some else "no known torch"
