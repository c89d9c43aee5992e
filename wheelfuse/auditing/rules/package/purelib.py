"""WHEEL says ``Root-Is-Purelib: true``, but the wheel holds extension modules.

The line decides whether the files go to purelib or platlib. The two are one directory on most systems, and two on
some Linux distributions (``lib`` and ``lib64``), where an extension module in purelib is found by Pythons of the wrong
kind, or not at all. auditwheel refuses such a wheel.

- Reported: ``Root-Is-Purelib: true`` beside ``pkg/_C.cpython-312-x86_64-linux-gnu.so``.
- Not reported: ``Root-Is-Purelib: false`` beside it.

How to fix it: let the build backend know that there are extension modules (setuptools: ``ext_modules``, or
``has_ext_modules``), so that it writes ``Root-Is-Purelib: false``.
The rule: https://packaging.python.org/en/latest/specifications/binary-distribution-format/#what-s-the-deal-with-purelib-vs-platlib
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.coverage import importable
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF110", "purelib", Severity.WARNING, "Extension modules in a wheel that calls itself pure")


def check(subject: Subject) -> Iterator[Finding]:
    """Hold Root-Is-Purelib against the files; those under ``.data/platlib`` are where they belong."""
    if not (subject.wheel_file and subject.wheel_file.root_is_purelib):
        return
    paths = [path for key in importable(subject) for path in subject.paths_of_modules[key]]
    pure = tuple(path for path in paths if ".data/platlib/" not in path)
    if pure:
        modules = sorted({module.name for path in pure if (module := subject.files[path].module)})
        more = f" and {len(modules) - 1} more" if len(modules) > 1 else ""
        yield RULE.finding(
            f"Root-Is-Purelib is true, but there are extension modules: {modules[0]}{more}",
            f"{subject.dist_info}/WHEEL",
            todo="Have the build backend write Root-Is-Purelib: false.",
            details=pure,
        )
