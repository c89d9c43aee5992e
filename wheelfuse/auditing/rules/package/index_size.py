"""The wheel is larger than what the public package index takes by default, 100 MiB a file.

Projects can ask for a higher limit, and large ones have one; the sum over a project is limited, too (10 GiB by
default), and is used up sooner by a build matrix of large wheels. Users feel every byte at each installation.

- Reported: a wheel of 101 MiB.
- Not reported: a wheel of 99 MiB.

How to fix it: ask for a higher limit, strip debug information, build for fewer GPU architectures, or keep what does not
depend on the Python version in a wheel of its own.
How wheels are made: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF107", "index-size", Severity.WARNING, "Larger than the public index takes by default")

LIMIT = 100 << 20
"""Bytes that one file may have without a limit of its own."""


def check(subject: Subject) -> Iterator[Finding]:
    """Compare the size of the wheel file."""
    if subject.size > LIMIT and subject.name:
        largest = sorted(subject.sizes.items(), key=lambda item: (-item[1], item[0]))[:5]
        yield RULE.finding(
            f"{subject.size / (1 << 20):.0f} MiB, more than the {LIMIT >> 20} MiB that are taken by default",
            todo="Ask for a higher limit before the release, or make it smaller.",
            details=tuple(f"{path}: {size / (1 << 20):.1f} MiB inflated" for path, size in largest),
        )
