"""The builds of one module do not export the same C functions and variables.

An extension module has to export its init function alone. Others are an interface to other modules, or an accident;
if they differ between the builds of one release, what links them or looks them up works under one Python only. Names
that compilers make are not compared: those of C++, of which inlining decides, and hashes in the names of internals.

- Reported: ``foo_version`` exported by the file for 3.11, and not by that for 3.12.
- Not reported: the init function alone exported by both.

How to fix it: compile with -fvisibility=hidden, or list what is to be exported in a version script.
Visibility: https://gcc.gnu.org/wiki/Visibility
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.builds import Build, builds_of_modules, differences, labels
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.elf.image import masked_exports

RULE = Rule("WF803", "exports-differ", Severity.INFO, "Builds of a module export different symbols")

_NOT_COMPARED = ("_Z", "PyInit_", "PyInitU_", "PyModExport_", "PyModExportU_", "_end", "_edata", "__bss_start",
                 "_init", "_fini", "_R", "__odr_asan", "_cffi_pypyinit_", "__gcov")  # fmt: skip


def check_release(subjects: tuple[Subject, ...]) -> Iterator[Finding]:
    """One finding for all modules that differ in the same way."""
    for difference in differences(builds_of_modules(subjects), _exports):
        changes = [f"{len(difference.less)} fewer"] if difference.less else []
        changes += [f"{len(difference.more)} more"] if difference.more else []
        yield RULE.finding(
            f"the build for {labels(difference.odd)} exports {' and '.join(changes)} "
            f"than that for {labels(difference.usual)} ({difference.modules})",
            difference.path,
            todo="Export the init function alone (-fvisibility=hidden), or the same symbols everywhere.",
            details=(
                *(f"lacks {name}" for name in difference.less),
                *(f"only here: {name}" for name in difference.more),
            ),
            subject=difference.subject,
        )


def _exports(build: Build) -> frozenset[str]:
    return frozenset(name for name in masked_exports(build.file.image) if not name.startswith(_NOT_COMPARED))
