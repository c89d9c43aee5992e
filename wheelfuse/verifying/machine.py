"""The CPythons of this machine that a verification may use, and why it may not use others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wheelfuse.interpreters.probe import Interpreter, Unusable
from wheelfuse.interpreters.search import GIVEN, find, parted, require_named
from wheelfuse.target import Target
from wheelfuse.verifying.claims import Claims
from wheelfuse.verifying.options import VerifyOptions
from wheelfuse.wheel.name import Platform


@dataclass(frozen=True)
class Machine:
    """What there is to verify with.

    *asked* are the only CPythons that the user wants to know of; None if all. *platform* is that of the
    interpreters, None if there are none at all. *passed_over* are those that are not usable.
    """

    interpreters: Mapping[Target, Interpreter]
    asked: frozenset[Target] | None = None
    platform: Platform | None = None
    passed_over: tuple[Unusable, ...] = ()
    warnings: tuple[str, ...] = ()

    def is_asked(self, target: Target) -> bool:
        """Whether the user wants to know of this CPython."""
        return self.asked is None or target in self.asked

    def why_not(self, claims: Claims, target: Target) -> str:
        """Why a wheel cannot be verified on this CPython; empty if it can."""
        if self.platform and not fits(claims.name.platforms, self.platform):
            return (
                f"it is for {', '.join(claims.name.platforms)}, and this machine is {describe(self.platform)}"
            )
        if target in self.interpreters:
            return ""
        others = [f"{one.path} {one.reason}" for one in self.passed_over if one.target == target]
        passed_over = "".join(f" ({other})" for other in others[:1])
        return f"no CPython {target.python_name} on this machine{passed_over}"


def look_around(options: VerifyOptions) -> Machine:
    """Find the interpreters that *options* allow.

    Raises:
        UsageError: one that the user named is not usable.
    """
    paths, targets = parted(options.pythons)
    found = find(paths, headers=False)
    require_named(found, paths)
    platform = next((one.platform for one in found.interpreters), None)
    if not options.pythons:
        return Machine(found.by_target, None, platform, found.passed_over)
    use = {t: one for t, one in found.by_target.items() if t in targets or one.source == GIVEN}
    warnings = tuple(
        f"{twin.path} is not used: --python names another {twin.target} before it"
        for twin in found.twins
        if twin.source == GIVEN
    )
    return Machine(use, frozenset({*targets, *use}), platform, found.passed_over, warnings)


def fits(platforms: tuple[str, ...], machine: Platform) -> bool:
    """Whether a wheel with these platform tags may be installed on a machine (PEP 425, PEP 600, PEP 656).

    The version of musl is not known, so that every musllinux tag of the right machine fits it.
    """
    return any(_fits(platform, machine) for tag in platforms if (platform := Platform.parse(tag)))


def _fits(platform: Platform, machine: Platform) -> bool:
    if platform.machine == "any":
        return True
    if platform.machine != machine.machine:
        return False
    if "unknown" in (platform.libc, machine.libc):
        return True
    return platform.libc == machine.libc and (machine.libc == "musl" or platform.version <= machine.version)


def describe(machine: Platform) -> str:
    """A machine in words: ``x86_64 with glibc 2.36``."""
    version = ".".join(map(str, machine.version)) if any(machine.version) else ""
    return f"{machine.machine} with {' '.join(filter(None, (machine.libc, version)))}"
