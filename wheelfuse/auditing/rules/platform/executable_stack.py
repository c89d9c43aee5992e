"""A file asks for an executable stack.

The flag in ``PT_GNU_STACK`` makes the stacks of the whole process executable, which helps every attacker.
Since glibc 2.41 ``dlopen`` refuses to load such a library into a process whose stack is not executable, and
that is how import loads one: ``cannot enable executable stack as shared object requires``. SELinux refuses
it in older versions too.

It is nearly always an accident: one object file written in assembler has no ``.note.GNU-stack`` section.
Add that section, or link with ``-Wl,-z,noexecstack``. ``patchelf --clear-execstack`` mends a file that is
built. Code that needs it (GNU C's nested functions whose address is taken) must be written otherwise.

- Reported: ``PT_GNU_STACK`` with the flags RWE.
- Not reported: ``PT_GNU_STACK`` with the flags RW.

Source: https://man7.org/linux/man-pages/man5/elf.5.html (PT_GNU_STACK) and the notes on
https://sourceware.org/glibc/wiki/Release/2.41
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.platform import libc_of
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.platform import are, located, own_files
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF507", "executable-stack", Severity.ERROR, "A file asks for an executable stack")


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for libraries under glibc, and a warning for programs and for musl, which load them."""
    asking = [file for file in own_files(subject) if file.image.hardening.executable_stack]
    refused = {f.path for f in asking if f.image.kind == "ET_DYN" and libc_of(f.image) != "musl"}
    for fails in (True, False):
        if paths := [file.path for file in asking if (file.path in refused) is fails]:
            path, details = located(paths)
            reason = ", so glibc 2.41 and later do not load " + are(paths, "it", "them").split()[-1]
            yield RULE.finding(
                f"{are(paths, 'asks', 'ask')} for an executable stack{reason if fails else ''}",
                path,
                todo="Link with -Wl,-z,noexecstack, or run patchelf --clear-execstack on it",
                details=details,
                severity=None if fails else Severity.WARNING,
            )
