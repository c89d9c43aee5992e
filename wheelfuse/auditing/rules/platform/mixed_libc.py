"""A file needs another C library than the platform tag names.

``manylinux`` tags mean glibc, ``musllinux`` tags musl (Alpine). The two do not mix: a file that needs
``libc.so.6`` or symbol versions ``GLIBC_…`` does not load in a process that runs on musl, nor the other way
round.

It comes from build steps that copy a ready-made library, such as one that was downloaded for glibc, into
the musllinux wheel. Get or build that library for the right C library.

- Reported: a file that needs ``libc.so.6`` in a wheel tagged musllinux_1_2_x86_64.
- Not reported: a file there that needs ``libc.musl-x86_64.so.1``.

Source: https://peps.python.org/pep-0656/
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.platform import are, claimed, loaded_paths, located, needs
from wheelfuse.auditing.subject import Subject

RULE = Rule(
    "WF512", "other-libc", Severity.ERROR, "A file needs another C library than the platform tag names"
)

_OTHER = {"glibc": "musl", "musl": "glibc"}


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for each C library that the tags name; a warning where only payload needs the other one."""
    files, loaded = needs(subject).files, loaded_paths(subject)
    for libc in sorted({platform.libc for platform in claimed(subject)} & set(_OTHER)):
        if paths := [file.path for file in files if file.libc == _OTHER[libc]]:
            path, details = located(paths)
            tags = [
                p for p in subject.platforms if p.startswith("musllinux" if libc == "musl" else "manylinux")
            ]
            yield RULE.finding(
                f"{are(paths, 'needs', 'need')} {_OTHER[libc]}, but the platform tag {'.'.join(tags)} means {libc}",
                path,
                todo=f"Build the file on a system with {libc}, or correct the tag",
                details=details,
                severity=None if not loaded.isdisjoint(paths) else Severity.WARNING,
            )
