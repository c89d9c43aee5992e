"""A large share of the input is debug information, which nothing needs at run time.

It is what -g leaves behind, and some CPythons have -g in the flags that setuptools takes over. Every user downloads and
stores it. A wheel with files for several CPythons has it several times. It is for information, and a warning where more
than half of all bytes, and more than 32 MiB, are debug information.

- Reported: a module of 10 MiB, 8 MiB of them ``.debug_info`` and the like.
- Not reported: the module after ``strip -g``.

How to fix it: strip the files before the wheel is packed, with ``strip -g`` (``auditwheel repair --strip`` strips all),
or link with -Wl,--strip-debug. Keep the unstripped files if you need to debug crashes of users.
strip: https://man7.org/linux/man-pages/man1/strip.1.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import SharedObject, Subject
from wheelfuse.sizes import human_size

RULE = Rule("WF807", "debug-info", Severity.INFO, "Debug information takes room")

_LEAST, _MUCH = 1 << 20, 32 << 20
_SHARE, _LARGE_SHARE = 0.1, 0.5


def check(subject: Subject) -> Iterator[Finding]:
    """One finding for the input, with its files by size of debug information."""
    sizes = {path: found for path, file in subject.files.items() if (found := _debug_sections(file))}
    total = sum(sizes.values())
    everything = sum(subject.sizes.values()) or sum(file.size for file in subject.files.values())
    if total < _LEAST or total < _SHARE * everything:
        return
    ranked = sorted(sizes, key=lambda path: (-sizes[path], path))
    number = "1 file" if len(sizes) == 1 else f"{len(sizes)} files"
    yield RULE.finding(
        f"debug information: {human_size(total)} in {number}, {total / everything:.0%} of all bytes",
        ranked[0] if len(ranked) == 1 else "",
        todo="Run strip -g on the files before the wheel is packed, or link with -Wl,--strip-debug.",
        details=tuple(
            f"{path}: {human_size(sizes[path])} of {human_size(subject.files[path].size)}" for path in ranked
        ),
        severity=Severity.WARNING if total > max(_MUCH, _LARGE_SHARE * everything) else RULE.severity,
    )


def _debug_sections(file: SharedObject) -> int:
    """Bytes that ``strip -g`` takes; the symbol table stays."""
    return sum(s.size for s in file.image.sections if s.name.startswith((".debug", ".zdebug")))
