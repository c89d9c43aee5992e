"""The builds of one module: its per-Python files, in one wheel or over the wheels of a release."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wheelfuse.auditing.subject import SharedObject, Subject

_T = TypeVar("_T", bound=Hashable)
_GRAFTED = re.compile(r"-[0-9a-f]{8}(?=[-.])")


@dataclass(frozen=True)
class Build:
    """One of the files that stand for each other, each for CPythons of its own. ``label`` names them: ``cp312``."""

    subject: Subject
    path: str
    file: SharedObject
    label: str


@dataclass(frozen=True)
class Builds:
    """All builds of one module or library, at least two. ``name`` is dotted for a module, else the path."""

    name: str
    all: tuple[Build, ...]

    def by(self, fact: Callable[[Build], _T]) -> Mapping[_T, tuple[Build, ...]]:
        """The builds by what *fact* says of each; what most of them have comes first."""
        found: dict[_T, list[Build]] = defaultdict(list)
        for build in self.all:
            found[fact(build)].append(build)
        return {value: tuple(found[value]) for value in sorted(found, key=lambda value: -len(found[value]))}


@dataclass(frozen=True)
class Difference:
    """What sets some builds apart from most, in all of the modules *names* alike.

    ``odd`` are these builds of the first module, ``usual`` the others; ``more`` is what only the odd ones have,
    ``less`` what they lack.
    """

    names: tuple[str, ...]
    odd: tuple[Build, ...]
    usual: tuple[Build, ...]
    more: tuple[str, ...]
    less: tuple[str, ...]

    @property
    def subject(self) -> str:
        """The input that a finding is about."""
        return self.odd[0].subject.label

    @property
    def path(self) -> str:
        """The file that a finding is about."""
        return self.odd[0].path

    @property
    def modules(self) -> str:
        """``pkg._C``, or how many there are."""
        return self.names[0] if len(self.names) == 1 else f"{self.names[0]} and {len(self.names) - 1} more"


def differences(builds: Iterable[Builds], fact: Callable[[Build], frozenset[str]]) -> Iterator[Difference]:
    """How builds of one module differ in a set of names; modules that differ in the same way are taken together."""
    found: dict[tuple[tuple[str, ...], ...], list[tuple[str, tuple[Build, ...], tuple[Build, ...]]]] = {}
    for module in builds:
        (normal, usual), *others = module.by(fact).items()
        for value, odd in others:
            sides = tuple(tuple(build.label for build in side) for side in (odd, usual))
            key = (*sides, tuple(sorted(value - normal)), tuple(sorted(normal - value)))
            found.setdefault(key, []).append((module.name, odd, usual))
    for (*_, more, less), alike in found.items():
        yield Difference(tuple(name for name, *_ in alike), *alike[0][1:], more, less)


def builds_of_modules(subjects: Sequence[Subject]) -> Iterator[Builds]:
    """The builds of each extension module, by name. Those for different machines or C libraries are kept apart."""
    for (key, *_), found in _grouped(subjects).items():
        if found[0].file.module:
            yield Builds(key.replace("/", "."), found)


def builds_of_files(subjects: Sequence[Subject]) -> Iterator[Builds]:
    """As :func:`builds_of_modules`, with the libraries, which have one path in every wheel of a release."""
    for (key, *_), found in _grouped(subjects).items():
        yield Builds(key.replace("/", ".") if found[0].file.module else key, found)


def _grouped(subjects: Sequence[Subject]) -> dict[tuple[str, str, int, bool], tuple[Build, ...]]:
    groups: dict[tuple[str, str, int, bool], list[Build]] = defaultdict(list)
    for subject in subjects:
        for path, file in subject.files.items():
            key = file.module.key if file.module else without_graft_hash(path)
            image = file.image
            groups[key, image.machine, image.bits, _is_musl(subject, file)].append(
                Build(subject, path, file, label(subject, file))
            )
    return {
        key: tuple(sorted(group, key=lambda build: (_order(build.label), build.path)))
        for key, group in sorted(groups.items())
        if len(group) > 1
    }


def _is_musl(subject: Subject, file: SharedObject) -> bool:
    musl = any(platform.startswith("musllinux") for platform in subject.platforms)
    return musl or any(name.startswith("libc.musl") for name in file.image.needed)


def label(subject: Subject, file: SharedObject) -> str:
    """For which CPythons a file is: by its own suffix, else by the wheel's tags."""
    if file.module and file.module.target:
        return str(file.module.target)
    if subject.name:
        return ".".join(subject.name.abis if subject.name.abis != ("none",) else subject.name.pythons)
    return file.module.suffix if file.module else posixpath.basename(file.path)


def _order(label: str) -> tuple[int, str]:
    match = re.match(r"cp3(\d+)", label)
    return (int(match[1]) if match else 0, label)


def without_graft_hash(name: str) -> str:
    """A file name without the hash that auditwheel puts into that of a library which it copies into a wheel."""
    return _GRAFTED.sub("-#", name)


def labels(builds: Sequence[Build]) -> str:
    """``cp310, cp311 and cp313``."""
    names = list(dict.fromkeys(build.label for build in builds))
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
