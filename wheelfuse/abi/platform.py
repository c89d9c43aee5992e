"""What Linux platform tags promise: which system libraries a file may link, and which symbol versions it may need.

A tag ``manylinux_2_N_x86_64`` says that a file runs on every mainstream distribution with glibc 2.N or later
(PEP 600). For glibc's own symbols the version of a need says it all. Those of libstdc++, libgcc, libatomic and
zlib come with the compiler of a distribution: the table ``data/platform_policies.txt`` maps each to the lowest tag
whose distributions have it. musllinux (PEP 656) has no symbol versions, hence only libraries in the table.

Not in the table: symbols that zlib or glibc export in some builds only, and instruction sets beyond the baseline.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wheelfuse.abi.modules import MACHINES
from wheelfuse.elf.image import Image
from wheelfuse.elf.symbols import VersionNeed
from wheelfuse.wheel.name import Platform

Version = tuple[int, int]

_DATA = Path(__file__).parent / "data" / "platform_policies.txt"
_FAMILIES = {"manylinux": "glibc", "musllinux": "musl"}
_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")
_VERSIONED = re.compile(r"(GLIBC|GLIBCXX|CXXABI|GCC|LIBATOMIC|ZLIB)_.+")
# The dynamic linker itself, which every file may name: ld-linux-x86-64.so.2, ld64.so.2, ld-musl-x86_64.so.1.
_LOADER = re.compile(r"ld-linux[\w-]*\.so\.\d+|ld64\.so\.\d+|ld-musl-\w+\.so\.1")
_MUSL = re.compile(r"libc\.so|libc\.musl-\w+\.so\.1|ld-musl-\w+\.so\.1")
_BY_FORMAT = {form: machine for machine, form in MACHINES.items()}


@dataclass(frozen=True)
class _Policies:
    """The table: machine -> first manylinux tag; C library, machine (or ``*``) and name -> first tag; all of glibc."""

    machines: dict[str, Version]
    names: dict[tuple[str, str, str], Version]
    glibc: tuple[Version, ...]

    def first(self, libc: str, machine: str, name: str) -> Version | None:
        named = self.names.get((libc, machine, name))
        return named or self.names.get((libc, "*", name))


@cache
def _policies() -> _Policies:
    machines: dict[str, Version] = {}
    names: dict[tuple[str, str, str], Version] = {}
    glibc: tuple[Version, ...] = ()
    for line in _DATA.read_text(encoding="ascii").splitlines():
        match line.split():
            case ["policies", *versions]:
                glibc = tuple(map(_version, versions))
            case ["machine", machine, first]:
                machines[machine] = _version(first)
            case [("manylinux" | "musllinux") as family, first, listed, *found]:
                for machine in listed.split(","):
                    names |= {(_FAMILIES[family], machine, name): _version(first) for name in found}
            case _ if line and not line.startswith("#"):
                raise ValueError(f"not a line of platform policies: {line}")
    return _Policies(machines, names, glibc)


def _version(text: str) -> Version:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


@dataclass(frozen=True, order=True)
class Floor:
    """The lowest C library that symbol versions permit, and the need that decides it.

    *version* is None if no tag allows *decisive*, a version of *library*: it is newer than the table, or private.
    *decisive* is empty if the library decides as such. If nothing does, so is *library*, and *version* is that of the
    machine's first tag.
    """

    machine: str
    libc: str
    version: Version | None
    library: str = ""
    decisive: str = ""

    @property
    def platform(self) -> Platform | None:
        """The floor as a platform, whose tags would be true."""
        return Platform(self.machine, self.libc, self.version) if self.version else None

    def __str__(self) -> str:
        """``glibc 2.17 x86_64``; ``musl x86_64``, as files for musl do not tell a version."""
        known = ".".join(map(str, self.version)) if self.version and self.libc == "glibc" else ""
        return " ".join(filter(None, (self.libc, known, self.machine)))


def machine_of(image: Image) -> str | None:
    """The machine as platform tags call it; None for one that has no Linux tag (and for GPU code)."""
    return _BY_FORMAT.get(image.format)


def libc_of(image: Image) -> str:
    """``glibc`` or ``musl``, by the libraries and versions that a file needs; empty if nothing tells."""
    if any(_MUSL.fullmatch(name) for name in image.needed):
        return "musl"
    versions = (version for need in image.version_needs for version in need.versions)
    if "libc.so.6" in image.needed or any(version.startswith("GLIBC_") for version in versions):
        return "glibc"
    return ""


def lowest_glibc(symbol_version: str, machine: str) -> Version | None:
    """The lowest glibc whose manylinux tag allows a symbol version; None if no tag does.

    A version that belongs to no library of the policies (``OPENSSL_3.0.0``) is not bound to any: 0.0.
    """
    known = _policies().first("glibc", machine, symbol_version)
    if known is None and (match := _GLIBC.fullmatch(symbol_version)):
        return int(match[1]), int(match[2])
    if known is None and not _VERSIONED.fullmatch(symbol_version):
        return 0, 0
    return known


def needed_floor(needs: Iterable[VersionNeed], machine: str, libraries: Iterable[str] = ()) -> Floor:
    """The lowest glibc whose tag allows the symbol versions and the *libraries* that a file needs of the system.

    Leave out the needs that a library in the wheel satisfies. Libraries that no tag allows have no say.
    """
    highest = Floor(machine, "glibc", _policies().machines.get(machine, (2, 5)))
    for need in sorted(needs, key=lambda need: need.library):
        for name in need.versions:
            version = lowest_glibc(name, machine)
            if version is None:
                return Floor(machine, "glibc", None, need.library, name)
            if version > (highest.version or version) or (
                version == highest.version and not highest.decisive
            ):
                highest = Floor(machine, "glibc", version, need.library, name)
    for library in sorted(libraries):
        first = _policies().first("glibc", machine, library)
        if first and highest.version and first > highest.version:
            highest = Floor(machine, "glibc", first, library)
    return highest


def covering_policy(version: Version) -> Version:
    """The lowest glibc for which there is a policy, an image to build in, and that is no older than this one.

    PEP 600 gives every version a tag, but those between are hardly used. Above the newest policy it is the version.
    """
    return min((policy for policy in _policies().glibc if policy >= version), default=version)


def glibc_policies() -> tuple[Version, ...]:
    """The versions of glibc for which there is a policy, the oldest first."""
    return tuple(sorted(_policies().glibc))


def allowed_library(platform: Platform, soname: str) -> bool:
    """Whether files under this platform tag may take a library from the system.

    ``linux_x86_64`` promises nothing, and so allows what any policy does.
    """
    if _LOADER.fullmatch(soname):
        return True
    if platform.libc not in _FAMILIES.values():
        return soname in system_libraries()
    first = _policies().first(platform.libc, platform.machine, soname)
    return first is not None and first <= platform.version


@cache
def system_libraries(libc: str = "", machine: str = "") -> frozenset[str]:
    """The sonames that some policy allows to take from the system, of one C library and machine if given.

    The dynamic linker, which has a name of its own on each machine, is not listed; see :func:`is_system_library`.
    """
    return frozenset(
        name
        for family, for_machine, name in _policies().names
        if libc in ("", family) and (machine == "" or for_machine in ("*", machine)) and ".so" in name
    )


def is_system_library(soname: str) -> bool:
    """Whether some policy allows to take a library from the system, or it is the dynamic linker."""
    return soname in system_libraries() or _LOADER.fullmatch(soname) is not None
