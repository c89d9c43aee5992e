"""What a subject needs of the platform: C library, symbol versions, libraries from elsewhere, and who has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from posixpath import dirname, normpath

from packaging.utils import canonicalize_name

from wheelfuse.abi.modules import MACHINES
from wheelfuse.abi.platform import (
    Floor,
    is_system_library,
    libc_of,
    lowest_glibc,
    machine_of,
    needed_floor,
    system_libraries,
)
from wheelfuse.abi.providers import Provider, Source, cuda_of, provider
from wheelfuse.auditing.subject import SharedObject, Subject, once
from wheelfuse.elf.image import Image
from wheelfuse.elf.symbols import VersionNeed
from wheelfuse.wheel.name import Platform

_LOADABLE = ("ET_DYN", "ET_EXEC")


@dataclass(frozen=True)
class FileNeeds:
    """What one file needs of the platform.

    *libc* is ``glibc``, ``musl``, or empty if nothing tells. *floor* is the lowest glibc; for other C libraries it
    says nothing. *versions* are what it needs of the system's libraries; *outside* are the needed libraries that are
    neither the system's nor in the subject.
    """

    path: str
    machine: str
    libc: str
    floor: Floor
    versions: tuple[VersionNeed, ...]
    outside: tuple[str, ...]


@dataclass(frozen=True)
class External:
    """A library from elsewhere: who is known to have it, and the requirement in METADATA that brings it, or empty.

    *users* are the files that need it, sorted.
    """

    soname: str
    users: tuple[str, ...]
    provider: Provider | None
    required: str = ""

    def __str__(self) -> str:
        """``libcudart.so.13 (nvidia-cuda-runtime)``."""
        if not self.provider:
            return f"{self.soname} (no known provider)"
        named = self.required if self.required in self.provider.distributions else ""
        return f"{self.soname} ({named or self.provider})"


@dataclass(frozen=True)
class PlatformNeeds:
    """What a subject needs of the platform, for the machines that its tags name (or any, if none does)."""

    files: tuple[FileNeeds, ...]
    externals: tuple[External, ...]

    @property
    def deciding(self) -> tuple[FileNeeds, ...]:
        """Of each machine the file that needs the newest glibc; the first of several."""
        highest: dict[str, FileNeeds] = {}
        for file in self.files:
            if file.libc == "glibc":
                known = highest.setdefault(file.machine, file)
                highest[file.machine] = max(known, file, key=_newest)
        return tuple(file for _, file in sorted(highest.items()))

    @property
    def libc(self) -> tuple[str, ...]:
        """What the files need at least: ``glibc 2.17 x86_64``; those for musl do not tell a version."""
        glibc = (_libc_text(file) for file in self.deciding)
        musl = {f"musl {file.machine}" for file in self.files if file.libc == "musl"}
        return (*glibc, *sorted(musl))

    @property
    def assumed(self) -> tuple[str, ...]:
        """The libraries that must come from elsewhere, each with who has it."""
        return tuple(map(str, self.externals))


def _newest(file: FileNeeds) -> tuple[int, ...]:
    return file.floor.version or (999,)


def _libc_text(file: FileNeeds) -> str:
    if file.floor.version:
        return str(file.floor)
    return f"glibc {file.machine} with {file.floor.decisive} of {file.floor.library}, which no tag allows"


@once
def needs(subject: Subject) -> PlatformNeeds:
    """What the subject's files need of the platform."""
    files = tuple(_file_needs(subject, file) for file in own_files(subject))
    users: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for soname in file.outside:
            users[soname].append(file.path)
    required, own = required_names(subject), _own_name(subject)
    externals = [_external(soname, tuple(paths), required, own) for soname, paths in sorted(users.items())]
    return PlatformNeeds(files, _of_one_cuda(externals))


def _file_needs(subject: Subject, file: SharedObject) -> FileNeeds:
    image, libc, machine = file.image, libc_of(file.image), machine_of(file.image) or ""
    taken = [name for name in image.needed if not _is_inside(subject, file.path, name)]
    system = [name for name in taken if _is_system(name, libc)]
    versions = tuple(need for need in image.version_needs if need.library in system)
    floor = needed_floor(versions, machine, system)
    outside = tuple(name for name in taken if name not in system)
    return FileNeeds(file.path, machine, libc, floor, versions, outside)


def _is_inside(subject: Subject, path: str, needed: str) -> bool:
    """Whether the subject brings a needed library itself.

    One of the system is taken from there unless RUNPATH leads to another of that name; for others any file of the
    name will do, since it can be loaded by then.
    """
    if not is_system_library(needed):
        return bool(subject.tree.providers(path, needed))
    return any(
        normpath(f"{dirname(path) or '.'}/{below}/{needed}") in subject.files
        for entry in subject.files[path].image.runpath
        if (below := below_origin(entry)) is not None
    )


def below_origin(entry: str) -> str | None:
    """The part of a RUNPATH entry after ``$ORIGIN``, the directory of the file; None if it begins otherwise."""
    for origin in ("$ORIGIN", "${ORIGIN}"):
        if entry == origin or entry.startswith(f"{origin}/"):
            return entry[len(origin) :].lstrip("/")
    return None


def _is_system(soname: str, libc: str) -> bool:
    """Whether a policy for the file's own C library allows to take it from the system."""
    return is_system_library(soname) and (
        soname in system_libraries(libc) or soname not in system_libraries()  # the dynamic linker
    )


def _external(soname: str, users: tuple[str, ...], required: tuple[str, ...], own: str) -> External:
    known = provider(soname, required)
    known = known.among(lambda name: name != own) if known else None
    return External(soname, users, known, known.named_in(required) if known else "")


def _of_one_cuda(externals: list[External]) -> tuple[External, ...]:
    """Libraries that come alike for several CUDAs (``libcudnn.so.9``) are those of the CUDA that the others are of."""
    certain = {
        cuda_of(item.provider.distribution)
        for item in externals
        if item.provider and len(set(map(cuda_of, item.provider.distributions))) == 1
    } - {None}
    if len(certain) != 1:
        return tuple(externals)
    return tuple(
        replace(item, provider=item.provider.among(lambda name: cuda_of(name) in certain))
        if item.provider and item.provider.distribution
        else item
        for item in externals
    )


def _own_name(subject: Subject) -> str:
    """The distribution that is audited, normalised; what it lacks comes from another one. Empty if not known."""
    stated = subject.metadata.get_all("Name") if subject.metadata else ()
    return canonicalize_name(stated[0].flat) if stated else ""


def required_names(subject: Subject) -> tuple[str, ...]:
    """The distributions that METADATA requires, normalised; those of extras count too, as they are meant."""
    return tuple(dict.fromkeys(canonicalize_name(requirement.name) for requirement in subject.requirements))


def supplied(externals: Iterable[External], source: Source | None) -> tuple[External, ...]:
    """Those that come from this kind of provider; None: from none that is known."""
    return tuple(item for item in externals if (item.provider.source if item.provider else None) is source)


def claimed(subject: Subject) -> tuple[Platform, ...]:
    """What the tags for Linux, and ``any``, promise: of each machine and C library they name the lowest version."""
    lowest: dict[tuple[str, str], Platform] = {}
    for platform in subject.linux_platforms:
        lowest[platform.family] = min(lowest.get(platform.family, platform), platform)
    return tuple(sorted(lowest.values()))


def spelled(subject: Subject, platform: Platform) -> str:
    """The tag of a platform as the subject has it: ``manylinux2014_x86_64``; the first of several."""
    return next(tag for tag in subject.platforms if Platform.parse(tag) == platform)


def is_native(image: Image) -> bool:
    """Whether a file is machine code that a system loads or runs, no object file and no GPU code."""
    return image.kind in _LOADABLE and (machine_of(image) is not None or bool(image.needed))


def is_for(image: Image, platform: Platform) -> bool | None:
    """Whether a file is for the machine of a tag; None if that is not known. Nothing native is for ``any``."""
    if platform.machine == "any":
        return False
    form = MACHINES.get(platform.machine)
    return form == image.format if form else None


def own_files(subject: Subject) -> tuple[SharedObject, ...]:
    """The native files for the machines that the tags name; all of them if there is no Linux tag that names one."""
    platforms = [platform for platform in claimed(subject) if platform.machine != "any"]
    return tuple(
        file
        for _, file in sorted(subject.files.items())
        if is_native(file.image)
        and machine_of(file.image)
        and (not platforms or any(is_for(file.image, platform) is not False for platform in platforms))
    )


def loaded_paths(subject: Subject) -> frozenset[str]:
    """The extension modules and all that they link, which import loads for sure.

    The others are payload: programs, plugins, libraries that are opened by name, of which not all need to work.
    """
    modules = (path for path, file in subject.files.items() if file.module)
    return frozenset().union(*(subject.tree.reached_from(path) for path in modules))


def versions_above(file: FileNeeds, limit: tuple[int, int]) -> tuple[str, ...]:
    """The symbol versions that a file needs and that no tag up to glibc *limit* allows, the newest first."""
    found = {name: lowest_glibc(name, file.machine) for need in file.versions for name in need.versions}
    above = {name: version or (999,) for name, version in found.items() if version is None or version > limit}
    return tuple(sorted(above, key=lambda name: ([-part for part in above[name]], name)))


def symbols_of(image: Image, version: str) -> tuple[str, ...]:
    """The symbols that a file imports in this version, sorted."""
    return tuple(sorted(symbol.name for symbol in image.imports if symbol.version == version))


def are(paths: Sequence[str], one: str, many: str) -> str:
    """*one* as it is for a single file, which the finding names; ``3 files`` and *many* for more."""
    return one if len(paths) == 1 else f"{len(paths)} files {many}"


def located(paths: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Path and details of a finding about these files: a single one is its path."""
    return (paths[0], ()) if len(paths) == 1 else ("", tuple(paths))
