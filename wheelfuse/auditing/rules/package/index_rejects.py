"""The public package index would reject the upload of this wheel.

It takes Linux wheels only with a manylinux or musllinux tag (PEP 513, PEP 600, PEP 656), since linux_x86_64 promises
nothing about the C library; no local versions such as 1.0+cu130 (PEP 440 keeps them for private use); no file names
longer than 246 bytes; and no zip file that inflates to more than 50 times its size once it is above 64 MiB. What is
wrong with RECORD, METADATA or the zip file is rejected, too, and has rules of its own.

- Reported: ``pkg-1.0+cu130-cp312-cp312-linux_x86_64.whl``.
- Not reported: ``pkg-1.0-cp312-cp312-manylinux_2_28_x86_64.whl``.

How to fix it: repair the wheel with auditwheel, leave the local version away, or split large data off. For a private
index, turn this rule off.
The tags: https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF106", "index-rejects", Severity.WARNING, "The public index would reject the upload")

LONGEST_NAME = 246
"""Bytes of a file name; inferred from what the index refused, not documented."""
LARGEST_RATIO = 50
RATIO_COUNTS_FROM = 64 << 20
"""Inflated bytes above which the ratio counts."""


def check(subject: Subject) -> Iterator[Finding]:
    """One finding for each reason."""
    if not subject.name:
        return
    for tag in sorted(set(subject.platforms)):
        if tag.startswith("linux_"):
            todo = "Run `auditwheel repair` on it, which finds out and writes the manylinux tag that is true."
            yield RULE.finding(f"platform tag {tag}: only manylinux and musllinux are taken", todo=todo)
    if "+" in subject.name.version:
        what = f"local version {subject.name.version}: these are for private indexes (PEP 440)"
        yield RULE.finding(what, todo="Leave out what follows the plus sign, or use an index of your own.")
    length = len(str(subject.name).encode())
    if length > LONGEST_NAME:
        what = f"file name of {length} bytes, more than {LONGEST_NAME}"
        yield RULE.finding(what, todo="State fewer tags in one name.")
    inflated = sum(subject.sizes.values())
    if inflated > RATIO_COUNTS_FROM and inflated > LARGEST_RATIO * subject.size:
        ratio = inflated // max(subject.size, 1)
        what = (
            f"inflates to {inflated} bytes, {ratio} times its size, where at most {LARGEST_RATIO} are taken"
        )
        largest = sorted(subject.sizes.items(), key=lambda item: (-item[1], item[0]))[:5]
        yield RULE.finding(
            what,
            todo="Leave out, or store otherwise, what is nearly empty.",
            details=tuple(f"{path}: {size} bytes" for path, size in largest),
        )
