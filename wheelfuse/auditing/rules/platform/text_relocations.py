"""A file has text relocations: the loader has to write into its machine code.

The pages are then private to each process, and for a moment writable and executable at once. Systems that
forbid that (SELinux with ``execmod``, hardened kernels) do not load the file. It comes from object files
that were compiled without ``-fPIC``, or from assembler that uses absolute addresses.

Compile everything with ``-fPIC``; ``-Wl,-z,text`` makes the linker refuse such code and name it.

- Reported: a file with ``DT_TEXTREL``, linked of objects that were compiled without ``-fPIC``.
- Not reported: the file, compiled with ``-fPIC``.

Source: https://man7.org/linux/man-pages/man5/elf.5.html (DT_TEXTREL)
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.platform import are, located, own_files
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF508", "text-relocations", Severity.WARNING, "A file has text relocations")


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for all such files."""
    if paths := [file.path for file in own_files(subject) if file.image.hardening.text_relocations]:
        path, details = located(paths)
        yield RULE.finding(
            f"{are(paths, 'has', 'have')} text relocations, which SELinux forbids",
            path,
            todo="Compile with -fPIC and link with -Wl,-z,text, which names the code at fault",
            details=details,
        )
