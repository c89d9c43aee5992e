"""The builds of one module were made by different compilers, or different versions of Cython or the like.

The files of one release are meant to be the same but for the Python version. Where compilers sign (``.comment``), or a
generator leaves its version in what it makes, a difference shows that build jobs ran in different images or did not pin
their tools, and behaviour may differ. This is for information; pybind11 and nanobind have a rule of their own, WF802.

- Reported: the file for 3.11 compiled by GCC 13, and that for 3.12 by GCC 14.
- Not reported: both compiled by GCC 14.

How to fix it: build all wheels in one image, and pin the tools in build-system.requires.
build-system.requires: https://packaging.python.org/en/latest/specifications/pyproject-toml/
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.builds import Build, builds_of_modules, differences, labels
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF805", "build-tools-differ", Severity.INFO, "Builds of a module were made by different tools")


def check_release(subjects: tuple[Subject, ...]) -> Iterator[Finding]:
    """One finding for all modules that differ in the same way."""
    for difference in differences(builds_of_modules(subjects), _tools):
        yield RULE.finding(
            f"the build for {labels(difference.odd)} was made by {_listed(difference.more)}, "
            f"that for {labels(difference.usual)} by {_listed(difference.less)} ({difference.modules})",
            difference.path,
            todo="Build all wheels in one image, and pin the tools.",
            details=difference.names if len(difference.names) > 1 else (),
            subject=difference.subject,
        )


def _tools(build: Build) -> frozenset[str]:
    """Compilers and generators. A generator without a version is no evidence: not every file tells it."""
    producers = build.file.producers
    made = (tool for tool in producers.tools if not tool.startswith(("pybind11", "nanobind")) and " " in tool)
    return frozenset((*producers.compilers, *made))


def _listed(tools: tuple[str, ...]) -> str:
    return " and ".join(tools) or "others that left no mark"
