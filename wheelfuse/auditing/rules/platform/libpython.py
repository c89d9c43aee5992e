"""A file links libpython.

Many CPythons, Debian's among them, are one executable, and have no ``libpython3.X.so.1.0`` where the loader
looks: import fails there. An extension module needs no such link, since the process that imports it has all
of CPython's symbols already. Where the library is there besides, it is a second interpreter in the process,
whose state is not initialised.

Do not pass ``-lpython3.X`` to the linker: use ``Python::Module`` and not ``Python::Python`` in CMake,
``python3`` and not ``python3-embed`` of pkg-config. ``patchelf --remove-needed`` mends a file that is
built.

- Reported: ``DT_NEEDED libpython3.12.so.1.0`` in a module.
- Not reported: the module linked without ``-lpython3.12``.

Source: https://peps.python.org/pep-0513/#libpythonx-y-so-1 and
https://docs.python.org/3/whatsnew/3.8.html#debug-build-uses-the-same-abi-as-release-build
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.providers import Source
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.platform import are, claimed, loaded_paths, located, needs, supplied
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF505", "links-libpython", Severity.ERROR, "A file links libpython")


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for each libpython; a warning where nothing is promised, or only payload needs it."""
    promised = any(platform.libc in ("glibc", "musl") for platform in claimed(subject))
    for item in supplied(needs(subject).externals, Source.INTERPRETER):
        path, details = located(item.users)
        certain = promised and not loaded_paths(subject).isdisjoint(item.users)
        yield RULE.finding(
            f"{are(item.users, 'links', 'link')} {item.soname}, which many CPythons do not have",
            path,
            todo="Link it without -lpython (in CMake Python::Module, not Python::Python)",
            details=details,
            severity=None if certain else Severity.WARNING,
        )
