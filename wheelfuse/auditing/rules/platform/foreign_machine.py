"""A file is for another machine than the platform tag.

The installer trusts the tag: it puts a wheel for ``x86_64`` on x86-64 machines only. An extension module in
it that was compiled for AArch64 cannot be loaded there (``wrong ELF class``, ``cannot open shared object
file``). A wheel tagged ``any`` promises to run on every machine, so it must not depend on machine code at
all.

It comes from cross builds that picked up a file of the host, and from build directories used twice. Build
again from a clean tree, or correct the tag.

Files that no extension module links (programs and libraries for other machines, which the package picks at
run time) are merely noted.

- Reported: a module for AArch64 in a wheel tagged manylinux_2_28_x86_64.
- Not reported: the module in a wheel tagged manylinux_2_28_aarch64.

Source: https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/#platform-tag
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.platform import machine_of
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.platform import are, claimed, is_for, is_native, located
from wheelfuse.auditing.subject import SharedObject, Subject

RULE = Rule("WF511", "foreign-machine", Severity.ERROR, "A file is for another machine than the platform tag")


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for the files of each machine, those that are imported apart from the others."""
    platforms = claimed(subject)
    if not platforms:
        return
    foreign: dict[tuple[bool, str], list[str]] = {}
    for path, file in sorted(subject.files.items()):
        if is_native(file.image) and all(is_for(file.image, platform) is False for platform in platforms):
            foreign.setdefault((_is_imported(subject, file), _machine(file)), []).append(path)
    tags = ".".join(subject.platforms)
    for (imported, machine), paths in sorted(foreign.items(), reverse=True):
        path, details = located(paths)
        yield RULE.finding(
            f"{are(paths, 'is', 'are')} for {machine}, but the platform tag is {tags}",
            path,
            todo="Build it for the machine of the tag, from a clean tree, or correct the tag"
            if imported
            else "Leave it out, unless the package picks it at run time",
            details=details,
            severity=None if imported else Severity.INFO,
        )


def _is_imported(subject: Subject, file: SharedObject) -> bool:
    """Whether an extension module of the subject is this file, or links it."""
    if file.module:
        return True
    return any(
        subject.files[user].module for user in subject.tree.reaching(frozenset({file.path})) - {file.path}
    )


def _machine(file: SharedObject) -> str:
    known = machine_of(file.image)
    return known or f"{file.image.machine.removeprefix('EM_')} ({file.image.bits} bits)"
