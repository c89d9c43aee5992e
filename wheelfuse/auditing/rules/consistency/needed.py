"""The builds of one module do not need the same shared libraries.

Where one build links a library that the others do not, a feature was found by one build job and not by the next, or a
library that was to be linked statically is dynamic in one of them. It then fails to load, or lacks the feature, under
one Python. Libraries of the C and C++ run time are not compared: glibc 2.34 took libpthread and others into libc, and
which of them are linked depends on the build image alone. Nor are the hashes that auditwheel puts into file names.

- Reported: ``libjpeg.so.62`` needed by the file for 3.11, and not by that for 3.12.
- Not reported: the same libraries needed by both.

How to fix it: build all wheels in one image, and let the build fail if an optional library is not found.
DT_NEEDED: https://man7.org/linux/man-pages/man8/ld.so.8.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from wheelfuse.auditing.builds import Build, builds_of_modules, differences, labels, without_graft_hash
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule(
    "WF804", "needed-libraries-differ", Severity.WARNING, "Builds of a module need different libraries"
)

_RUN_TIME = re.compile(
    r"(libc|libm|libdl|librt|libutil|libpthread|libgcc_s|libstdc\+\+|libatomic|libmvec|libc\.musl-\w+|ld-[\w-]+)\.so.*"
)


def check_release(subjects: tuple[Subject, ...]) -> Iterator[Finding]:
    """One finding for all modules that differ in the same way."""
    for difference in differences(builds_of_modules(subjects), _needed):
        changes = [f"does not need {', '.join(difference.less)}"] if difference.less else []
        changes += [f"needs {', '.join(difference.more)}"] if difference.more else []
        yield RULE.finding(
            f"the build for {labels(difference.odd)} {' and '.join(changes)}, "
            f"unlike that for {labels(difference.usual)} ({difference.modules})",
            difference.path,
            todo="Build all wheels in one image, with the same libraries and options.",
            details=difference.names if len(difference.names) > 1 else (),
            subject=difference.subject,
        )


def _needed(build: Build) -> frozenset[str]:
    names = (without_graft_hash(name) for name in build.file.image.needed)
    return frozenset(name for name in names if not _RUN_TIME.fullmatch(name))
