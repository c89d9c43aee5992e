"""A file is linked without RELRO.

With RELRO the loader makes the tables through which code calls other libraries read-only once they are
filled, so that a stray write cannot redirect a call. Without it they stay writable. Nothing fails; it is a
matter of hardening.

Link with ``-Wl,-z,relro``, the default of most distributions' compilers, and better with ``-Wl,-z,now``
too.

- Reported: a file without a ``PT_GNU_RELRO`` segment.
- Not reported: the file linked with ``-Wl,-z,relro``.

Source: https://man7.org/linux/man-pages/man1/ld.1.html (-z relro)
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.platform import are, located, own_files
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF510", "missing-relro", Severity.INFO, "A file is linked without RELRO")


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for all such files that are dynamically linked."""
    paths = [
        file.path for file in own_files(subject) if file.image.hardening.relro == "none" and file.image.needed
    ]
    if paths:
        path, details = located(paths)
        yield RULE.finding(
            f"{are(paths, 'is', 'are')} linked without RELRO",
            path,
            todo="Link with -Wl,-z,relro,-z,now",
            details=details,
        )
