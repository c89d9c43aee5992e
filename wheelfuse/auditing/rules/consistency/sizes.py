"""One build of a module is much larger or smaller than the others.

The files of one module for several CPythons differ by a few percent. One that is half as large, or twice, was built
from something else: without optimisation, without a feature, with libraries linked statically, without the code for
some GPUs. Debug information is not counted; WF807 is about it.

- Reported: modules of 2.1, 2.1 and 4.5 MiB for 3.11, 3.12 and 3.13.
- Not reported: modules of 2.1, 2.1 and 2.2 MiB.

How to fix it: compare the logs of the build jobs; the other rules on consistency may tell what differs.
``size -A FILE`` shows which section is the larger: https://man7.org/linux/man-pages/man1/size.1.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.builds import Build, Builds, builds_of_modules, labels
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.sizes import human_size

RULE = Rule(
    "WF808",
    "size-outlier",
    Severity.WARNING,
    "One build of a module is much larger or smaller than the others",
)

_FACTOR, _LEAST, _FEWEST = 1.5, 64 << 10, 3


def check_release(subjects: tuple[Subject, ...]) -> Iterator[Finding]:
    """One finding for each file; of fewer than three builds none can be told to be the odd one."""
    for builds in builds_of_modules(subjects):
        if len(builds.all) >= _FEWEST:
            yield from _outliers(builds)


def _outliers(builds: Builds) -> Iterator[Finding]:
    from statistics import median  # few audits compare builds, and it loads decimal and random

    usual = median(map(_size, builds.all))
    for build in builds.all:
        size = _size(build)
        if abs(size - usual) >= _LEAST and max(size, usual) > _FACTOR * min(size, usual):
            how = "less" if size > usual else "more"
            yield RULE.finding(
                f"{human_size(size)} without debug information, where half of the builds of {builds.name} "
                f"have {human_size(int(usual))} or {how}",
                build.path,
                todo="Compare how this file was built with how the others were.",
                details=tuple(f"{labels([other])}: {human_size(_size(other))}" for other in builds.all),
                subject=build.subject.label,
            )


def _size(build: Build) -> int:
    return build.file.size - build.file.image.size_of_debug
