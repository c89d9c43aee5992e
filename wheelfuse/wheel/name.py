"""The file name of a wheel and the compatibility tags in it (PEP 425, PEP 427, PEP 600, PEP 656)."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from packaging import tags, utils

from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.target import ALL_TARGETS, Target

_LONGEST = 255
_ODD = re.compile(r"[^A-Za-z0-9_.+!-]")
"""What is in no name, version (PEP 440), build number or tag; some programs let it pass."""


@dataclass(frozen=True)
class WheelName:
    """The parts of ``{distribution}-{version}(-{build})?-{python}-{abi}-{platform}.whl``, spelled as there."""

    distribution: str
    version: str
    build: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]

    @classmethod
    def parse(cls, filename: str) -> WheelName:
        """Read a file name.

        Raises:
            InvalidInput: it is no wheel file name.
        """
        if len(filename) > _LONGEST:
            what = f"not a wheel file name: {len(filename)} letters, where file systems take {_LONGEST}"
            raise InvalidInput(Problem(what, filename))
        if odd := _ODD.search(filename):
            what = f"not a wheel file name: {odd[0]!r} is none of the letters that names and tags have"
            raise InvalidInput(Problem(what, filename))
        try:
            utils.parse_wheel_filename(filename)
        except ValueError as error:  # as InvalidWheelFilename is, and what int says to thousands of digits
            raise InvalidInput(Problem(f"not a wheel file name: {error}", filename)) from error
        distribution, version, *build, python, abi, platform = filename[: -len(".whl")].split("-")
        sets = (tuple(tag_set.split(".")) for tag_set in (python, abi, platform))
        return cls(distribution, version, "".join(build), *sets)

    def __str__(self) -> str:
        return f"{self.stem}.whl"

    @property
    def stem(self) -> str:
        """The file name without ``.whl``."""
        build = (self.build,) if self.build else ()
        sets = (".".join(tag_set) for tag_set in (self.pythons, self.abis, self.platforms))
        return "-".join((self.distribution, self.version, *build, *sets))

    @property
    def dist_info(self) -> str:
        """The name that the ``.dist-info`` directory has by PEP 427."""
        return f"{self.distribution}-{self.version}.dist-info"

    @property
    def project(self) -> tuple[str, str]:
        """Normalised distribution name and version, by which two wheels are of one release."""
        return str(utils.canonicalize_name(self.distribution)), str(utils.canonicalize_version(self.version))

    @property
    def tags(self) -> tuple[str, ...]:
        """The compressed set written out, sorted: the ``Tag:`` lines of WHEEL."""
        return tuple(
            f"{python}-{abi}-{platform}"
            for python in sorted(self.pythons)
            for abi in sorted(self.abis)
            for platform in sorted(self.platforms)
        )

    @property
    def interpreter_tags(self) -> tuple[tuple[str, str], ...]:
        """All pairs of python tag and ABI tag that the name implies."""
        return tuple((python, abi) for python in self.pythons for abi in self.abis)

    @cached_property
    def target(self) -> Target | None:
        """The one CPython ABI for which the wheel is, or None if it is for several."""
        if len(self.pythons) == len(self.abis) == 1:
            try:
                target = Target.parse(self.abis[0])
            except ValueError:
                return None
            return target if target.python_tag == self.pythons[0] else None
        return None

    @cached_property
    def label(self) -> str:
        """What tells this wheel from the others of its release: ``cp313t``, ``cp39-abi3``, ``py3-none``."""
        return str(self.target) if self.target else f"{'.'.join(self.pythons)}-{'.'.join(self.abis)}"


@functools.cache
def accepted_tags(target: Target) -> dict[tuple[str, str], int]:
    """What a CPython accepts: pairs of python tag and ABI tag -> rank, 0 being what it prefers (PEP 425).

    This is ``packaging.tags``, on which pip's and uv's order rests, asked for that interpreter.
    """
    version = (3, target.minor)
    wanted = (
        *tags.cpython_tags(version, [str(target)], ["any"]),
        *tags.compatible_tags(version, target.python_tag, ["any"]),
    )
    ranks: dict[tuple[str, str], int] = {}
    for tag in wanted:
        ranks.setdefault((tag.interpreter, tag.abi), len(ranks))
    return ranks


def rank(target: Target, pairs: Iterable[tuple[str, str]]) -> int | None:
    """How much a CPython likes a wheel with these tag pairs: lower is better, None means not at all."""
    accepted = accepted_tags(target)
    return min((accepted[pair] for pair in pairs if pair in accepted), default=None)


def accepting(pairs: Iterable[tuple[str, str]]) -> tuple[Target, ...]:
    """Every CPython of ``ALL_TARGETS`` that would install a wheel with these tag pairs."""
    pairs = tuple(pairs)
    return tuple(target for target in ALL_TARGETS if rank(target, pairs) is not None)


_PLATFORM = re.compile(
    r"(?P<legacy>manylinux(?:1|2010|2014))_(?P<legacy_machine>\w+)"
    r"|(?P<libc>manylinux|musllinux)_(?P<major>[0-9]{1,4})_(?P<minor>[0-9]{1,4})_(?P<libc_machine>\w+)"
    r"|linux_(?P<machine>\w+)"
)
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}  # PEP 600
_LIBC = {"manylinux": "glibc", "musllinux": "musl"}


@dataclass(frozen=True, order=True)
class Platform:
    """One Linux platform tag: machine, C library, and the lowest version of it (0.0 where the tag says none)."""

    machine: str
    libc: str
    version: tuple[int, int]

    @classmethod
    def parse(cls, tag: str) -> Platform | None:
        """The platform of a tag; None if it is no Linux one. ``any`` is machine ``any`` without a libc."""
        if tag == "any":
            return cls("any", "", (0, 0))
        if not (match := _PLATFORM.fullmatch(tag)):
            return None
        if match["legacy"]:
            return cls(match["legacy_machine"], "glibc", _LEGACY[match["legacy"]])
        if match["libc"]:
            return cls(
                match["libc_machine"], _LIBC[match["libc"]], (int(match["major"]), int(match["minor"]))
            )
        return cls(match["machine"], "unknown", (0, 0))

    @property
    def family(self) -> tuple[str, str]:
        """Machine and C library: wheels that differ in it are for different systems."""
        return self.machine, self.libc

    @property
    def tags(self) -> tuple[str, ...]:
        """Every spelling of this platform, sorted: PEP 600's, and the older alias where there is one."""
        if not self.libc:
            return ("any",)
        if self.libc == "unknown":
            return (f"linux_{self.machine}",)
        major, minor = self.version
        prefix = {libc: name for name, libc in _LIBC.items()}[self.libc]
        aliases = (
            f"{legacy}_{self.machine}" for legacy, version in _LEGACY.items() if version == self.version
        )
        return tuple(
            sorted((f"{prefix}_{major}_{minor}_{self.machine}", *(aliases if self.libc == "glibc" else ())))
        )


def floors(platform_tags: Iterable[str]) -> tuple[Platform, ...]:
    """What one wheel really needs: of each machine and C library its tags name, the lowest version.

    Raises:
        InvalidInput: one of them is not a Linux platform.
    """
    lowest: dict[tuple[str, str], Platform] = {}
    for tag in platform_tags:
        if (platform := Platform.parse(tag)) is None:
            kind = "macOS" if tag.startswith("macosx") else "Windows" if tag.startswith("win") else tag
            raise InvalidInput(
                Problem(
                    f"platform {tag}: wheels for {kind} cannot be fused yet, only those for Linux",
                    todo="Leave it out, or publish it as it is.",
                )
            )
        known = lowest.setdefault(platform.family, platform)
        lowest[platform.family] = min(known, platform)
    return tuple(sorted(lowest.values()))


def common_platforms(tag_sets: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The platform tags that are true for all the wheels: their common set, or else the strictest floor.

    Within one wheel the lowest tag counts, across wheels the highest of those; never the union, which
    would promise that the wheel with the highest needs runs on the oldest system.
    """
    if len({frozenset(tag_set) for tag_set in tag_sets}) == 1:
        return tuple(sorted(set(tag_sets[0])))
    highest: dict[tuple[str, str], Platform] = {}
    for tag_set in tag_sets:
        for platform in floors(tag_set):
            known = highest.setdefault(platform.family, platform)
            highest[platform.family] = max(known, platform)
    return tuple(sorted(tag for platform in highest.values() for tag in platform.tags))
