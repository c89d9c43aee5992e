"""The builds of one module were made with different versions of pybind11 or nanobind, or for different C++ ABIs.

The id under which a module shares C++ types with others tells the layout of its registry and the ABI of the compiler.
Where it differs between the builds of one release, other packages can share types with this one under one Python and
not under another, and behaviour differs as the versions of the tool do. That pybind11 2.11 to 2.13 say v4 before
Python 3.12 and v5 since, and that nanobind adds "stable" for the stable ABI, is normal and not reported.

- Reported: the file for 3.11 made with pybind11 3.0, and that for 3.12 with 3.1.
- Not reported: both made with 3.1.

How to fix it: pin the version in build-system.requires, and build all wheels in one image.
pybind11: https://pybind11.readthedocs.io/en/stable/advanced/misc.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from wheelfuse.auditing.builds import Build, builds_of_modules, differences, labels
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule(
    "WF802", "internals-vary", Severity.WARNING, "Builds of a module differ in their pybind11 or nanobind"
)


def check_release(subjects: tuple[Subject, ...]) -> Iterator[Finding]:
    """One finding for all modules that differ in the same way."""
    for difference in differences(builds_of_modules(subjects), _ids):
        odd = ", ".join(difference.more) or "none"
        usual = ", ".join(difference.less) or "none"
        yield RULE.finding(
            f"the build for {labels(difference.odd)} has other pybind11 or nanobind internals "
            f"than that for {labels(difference.usual)} ({difference.modules})",
            difference.path,
            todo="Pin the version in build-system.requires, and build all wheels with one compiler.",
            details=(
                f"{labels(difference.odd)}: {odd}",
                f"{labels(difference.usual)}: {usual}",
                *(difference.names if len(difference.names) > 1 else ()),
            ),
            subject=difference.subject,
        )


def _ids(build: Build) -> frozenset[str]:
    """The ids, without what one version of a tool makes different by itself."""
    producers = build.file.producers
    pybind11 = (re.sub(r"(?<=_internals_)v[45](?=_)", "v4 or v5", text) for text in producers.pybind11)
    return frozenset((*pybind11, *(text.replace("_stable", "") for text in producers.nanobind)))
