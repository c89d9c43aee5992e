"""The wheel brings a library that an extension module needs, but the dynamic linker does not find it there.

It looks into the directories of DT_RUNPATH of the file that needs the library, relative to ``$ORIGIN``; RUNPATH is not
inherited by what the file links, while DT_RPATH is. It also takes what is loaded already under that name. So the
import fails with ``cannot open shared object file`` unless something has loaded the library before: Python code that
calls ``ctypes.CDLL``, or another module that does find it. Where that is possible it is a warning, as the order of
imports decides; where nothing of the sort exists it is an error. A library that is found but cannot be read, since
it was cut off or is text (a symbolic link that a zip file does not keep), is an error too.

- Reported: ``pkg.libs/libfoo.so.1`` in the wheel, and a module in ``pkg/`` that needs it and has no RUNPATH.
- Not reported: the module with RUNPATH ``$ORIGIN/../pkg.libs``.

How to fix it: give the file a RUNPATH (``patchelf --set-rpath '$ORIGIN/../pkg.libs'``, ``-Wl,-rpath``), or let
``auditwheel repair`` do so. Libraries that are nowhere in the wheel are the matter of WF503.

Source: https://man7.org/linux/man-pages/man8/ld.so.8.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.linking import linker
from wheelfuse.auditing.loading import imported_modules
from wheelfuse.auditing.subject import Subject

RULE = Rule(
    "WF602",
    "library-out-of-reach",
    Severity.ERROR,
    "A library of the wheel is where the linker does not look",
)


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for the files that do not find the same library."""
    missed: dict[tuple[str, str, bool], set[str]] = defaultdict(set)
    for path in imported_modules(subject):
        for problem in linker(subject).linked(path).libraries:
            if problem.there:
                missed[problem.needed, problem.why, problem.certain].add(problem.by)
    for (needed, why, certain), by in sorted(missed.items()):
        yield _finding(needed, why, certain, sorted(by))


def _finding(needed: str, why: str, certain: bool, paths: list[str]) -> Finding:
    who = "it needs" if len(paths) == 1 else f"{len(paths)} files need"
    return RULE.finding(
        f"import {'fails' if certain else 'fails unless something loads the library before'}: {who} {needed}, {why}",
        paths[0],
        todo="Give the file a RUNPATH from $ORIGIN to the directory of the library (auditwheel repair does)",
        details=tuple(paths) if len(paths) > 1 else (),
        severity=None if certain else Severity.WARNING,
    )
