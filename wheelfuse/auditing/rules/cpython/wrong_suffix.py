"""The suffix of a module names another machine, or another C library, than the file is for.

``.cpython-312-x86_64-linux-gnu.so`` names CPython, machine and C library. CPython looks only for its own suffix, so a
file named for musl in a manylinux wheel is never found; a file whose header names another machine is found, and
refused by the loader ("wrong ELF class", "cannot open shared object file"). It happens in cross builds, where the
suffix of the build machine is used. Before 3.11, builds on musl called themselves gnu, too.

- Reported: ``_C.cpython-312-aarch64-linux-gnu.so`` whose ELF header says x86-64.
- Not reported: ``_C.cpython-312-x86_64-linux-gnu.so`` with that header.

How to fix it: build on the right machine, or set the suffix of the target (``EXT_SUFFIX``) in cross builds.
The suffixes: https://docs.python.org/3/library/sysconfig.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.modules import MACHINES, ModuleName, multiarch, multiarchs_for
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.elf.image import Image
from wheelfuse.target import Target
from wheelfuse.wheel.name import Platform

RULE = Rule("WF308", "wrong-suffix", Severity.ERROR, "The suffix names another machine or C library")

_BY_MULTIARCH = {
    triplet: facts
    for machine, facts in MACHINES.items()
    for libc in ("glibc", "musl")
    if (triplet := multiarch(machine, libc, Target(12)))
}


def check(subject: Subject) -> Iterator[Finding]:
    """Every module with a machine in its suffix. That the tag names another machine is for another rule."""
    for path, file in sorted(subject.files.items()):
        module = file.module
        if not module or module.multiarch not in _BY_MULTIARCH:
            continue
        if what := _against_file(module, file.image) or _against_tags(subject, module):
            yield RULE.finding(what, path, todo="Build it on, or for, the machine that its name says.")


def _against_file(module: ModuleName, image: Image) -> str:
    machine, bits, little_endian = found = image.format
    if _BY_MULTIARCH[module.multiarch] == found:
        return ""
    order = "little" if little_endian else "big"
    kind = f"{bits}-bit {order}-endian {machine.removeprefix('EM_')}"
    return f"its suffix says {module.multiarch}, but it is a file for {kind}"


def _against_tags(subject: Subject, module: ModuleName) -> str:
    """Whether the CPythons on the systems that the tags name look for another C library on this machine."""
    tags = tuple(tag for tag in subject.platforms if Platform.parse(tag))
    targets = [module.target] if module.target else list(subject.known_targets)
    known = {arch for target in targets for arch in multiarchs_for(tags, target)}
    same = {arch for arch in known if _BY_MULTIARCH.get(arch) == _BY_MULTIARCH[module.multiarch]}
    if not same or module.multiarch in same:
        return ""
    wanted = ", ".join(sorted(same))
    return f"its suffix says {module.multiarch}, but CPythons on {', '.join(tags)} look for {wanted}"
