"""Names of files that other systems than Linux do not take, or not beside each other.

Two names that differ in case only are one file on Windows and on macOS: the second overwrites the first. Windows
reserves names (``nul``, ``aux.py``), letters (``a:b``, ``a?``) and ends (``a.``); macOS and Linux disagree on the
normal form of ``é``. Installers on Linux unpack all of these as they are, and Linux has files that differ in case
only among its own headers; so for a wheel for Linux alone this is no more than a note.

- Reported: ``pkg/Readme.md`` and ``pkg/README.md`` in one wheel, or ``pkg/aux.py``.
- Not reported: ``pkg/readme.md`` and ``pkg/auxiliary.py``.

How to fix it: rename the files, if the project is for other systems, too.
The names: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.wheel.name import Platform
from wheelfuse.wheel.portability import unportable

RULE = Rule("WF111", "unportable-names", Severity.WARNING, "Names of files that other systems do not take")


def check(subject: Subject) -> Iterator[Finding]:
    """One finding for each kind of name; a note where only Linux installs the wheel."""
    if not subject.name:
        return
    parsed = map(Platform.parse, subject.platforms)
    only_linux = all(platform and platform.libc for platform in parsed)
    for what, paths in unportable(subject.sizes):
        several = len(paths) > 1
        yield RULE.finding(
            f"{len(paths)} names {what}" if several else f"a name {what}",
            "" if several else paths[0],
            todo="Rename them, if the project is for other systems, too.",
            details=paths if several else (),
            severity=Severity.INFO if only_linux else None,
        )
