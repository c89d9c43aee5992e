"""The builds of one module were compiled with different flags.

Compilers record their command line if asked to (-grecord-gcc-switches, which is the default with -g, and
-frecord-gcc-switches). A build without optimisation (-O0) among optimised ones is a warning: it is several times
slower, under one Python. Other differences are for information. The flags that CPython's own configuration brings in
(-fwrapv before 3.12, -fno-strict-overflow since, frame pointers since 3.15), paths and the amount of debug information
are not compared.

- Reported: the file for 3.11 compiled with ``-O0``, and that for 3.12 with ``-O3``.
- Not reported: both compiled with ``-O3``.

How to fix it: set the flags in the project's build, not in the environment of each job.
Options: https://gcc.gnu.org/onlinedocs/gcc/Optimize-Options.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from wheelfuse.auditing.builds import Build, builds_of_modules, differences, labels
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule(
    "WF806", "build-flags-differ", Severity.INFO, "Builds of a module were compiled with different flags"
)

_FLAG = re.compile(r"(?<!\S)-(?:O\S*|f\S+|m\S+|std=\S+|pthread|static\S*|shared\S*)")
_NOT_COMPARED = re.compile(
    r"-fwrapv|-f(no-)?strict-overflow|-fPIC|-fpic|-f(file|debug|macro|profile|canon)-?\S*prefix\S*|-f\S*=/\S*"
    r"|-frecord-\S+|-frandom-seed\S*|-fdiagnostics\S*|-fmessage-length\S*|-fexceptions|-fltrans\S*|-fresolution\S*"
    r"|-fno-omit-frame-pointer|-mno-omit-leaf-frame-pointer"
)
_UNOPTIMISED = "-O0"


def check_release(subjects: tuple[Subject, ...]) -> Iterator[Finding]:
    """One finding for all modules that differ in the same way; those of which a build tells no flags are left out."""
    told = (b for b in builds_of_modules(subjects) if all(build.file.producers.flags for build in b.all))
    for difference in differences(told, _flags):
        slow = _UNOPTIMISED in difference.more + difference.less
        yield RULE.finding(
            f"the build for {labels(difference.odd)} was compiled with {_listed(difference.more)}, "
            f"that for {labels(difference.usual)} with {_listed(difference.less)} ({difference.modules})",
            difference.path,
            todo="Set the flags in the project, so that all builds have the same.",
            details=difference.names if len(difference.names) > 1 else (),
            subject=difference.subject,
            severity=Severity.WARNING if slow else RULE.severity,
        )


def _flags(build: Build) -> frozenset[str]:
    """The flags of all command lines. One that asks for no optimisation has the default, ``-O0``."""
    found = set()
    for line in build.file.producers.flags:
        flags = {flag for flag in _FLAG.findall(line) if not _NOT_COMPARED.fullmatch(flag)}
        if not any(flag.startswith("-O") for flag in flags):
            flags.add(_UNOPTIMISED)
        found |= flags
    return frozenset(found)


def _listed(flags: tuple[str, ...]) -> str:
    return " ".join(flags) or "none of these"
