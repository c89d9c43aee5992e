"""A file has a segment that is writable and executable at once.

Whoever can make the program write to the wrong place can then put code there. Hardened systems (SELinux,
PaX) refuse to map such a segment, and the file does not load.

It comes from a linker script or ``-Wl,-N`` (``--omagic``), from a packer, or from a tool that edited the
file. Link again without it; linkers keep code and data apart by themselves.

- Reported: a ``PT_LOAD`` segment with the flags RWE.
- Not reported: segments with the flags R, RE and RW.

Source: https://man7.org/linux/man-pages/man5/elf.5.html (PF_W, PF_X)
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.platform import are, located, own_files
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF509", "writable-code", Severity.WARNING, "A segment is writable and executable at once")


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for all such files."""
    if paths := [file.path for file in own_files(subject) if file.image.hardening.writable_code]:
        path, details = located(paths)
        yield RULE.finding(
            f"{are(paths, 'has', 'have')} a segment that is writable and executable at once",
            path,
            todo="Link again without -N (--omagic), custom linker scripts and packers",
            details=details,
        )
