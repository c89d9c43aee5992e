"""A file imports symbols that the CPython which loads it does not export: the import fails.

CPython's private functions (and some public ones) come and go with each minor version. A file is held against the one
that its suffix names; a file without such a suffix, and a library that a module links, against every CPython that
would load it here. The table of exports was read from release builds since 3.8, free-threaded ones included.
What libraries of the same input define is subtracted. The typical cause is a file built for one CPython and renamed,
or built with the headers of another one.

- Reported: ``_C.cpython-313-x86_64-linux-gnu.so`` that needs ``_PyThreadState_UncheckedGet``, which 3.13 took away.
- Not reported: the module, compiled with the headers of 3.13, which needs ``PyThreadState_GetUnchecked``.

How to fix it: build the file again for the CPython that loads it, and never rename modules.
The promises of the C API: https://docs.python.org/3/c-api/stable.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.cpython import has_table, history
from wheelfuse.auditing.coverage import names, other_systems
from wheelfuse.auditing.cpython_symbols import Missing, missing, satisfied, stable_claims
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF301", "missing-symbols", Severity.ERROR, "Imports that the CPython which loads the file lacks")


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """Files that lack the same are one finding. Files for a stable ABI have rules of their own."""
    if reason := _not_known(subject):
        yield RULE.not_run(reason)
    stable = {path for path, _ in stable_claims(subject)}
    grouped: dict[tuple[Missing, ...], list[str]] = {}
    for path in sorted(subject.files):
        if path in stable:
            continue
        if lacking := tuple(item for item in missing(subject, path) if history(item.symbol)):
            grouped.setdefault(lacking, []).append(path)
    for lacking, paths in grouped.items():
        yield _finding(subject, lacking, paths)


def _not_known(subject: Subject) -> str:
    if reason := other_systems(subject):
        return reason
    own = {file.module.target for file in subject.files.values() if file.module and file.module.target}
    unknown = sorted(target for target in own if not has_table(target))
    return f"no table of what {names(unknown)} exports" if unknown else ""


def _finding(subject: Subject, lacking: tuple[Missing, ...], paths: list[str]) -> Finding:
    certain = any(item.certain for item in lacking)
    first = next((item for item in lacking if item.certain), lacking[0])
    targets = names({target for item in lacking for target in item.targets})
    verb = "cannot load" if certain else "may fail to load"
    files = f"{len(paths)} files" if len(paths) > 1 else "it"
    more = f", and {len(lacking) - 1} more symbols" if len(lacking) > 1 else ""
    fitting = satisfied(subject.tree.unmet(paths[0]))
    return RULE.finding(
        f"{targets} {verb} {files}: {first.message}{more}",
        paths[0],
        todo="Build it again for the CPython that loads it; give each CPython a file of its own.",
        details=(
            *((f"all it imports is in {names(fitting)}",) if fitting else ()),
            *(f"{item.message} ({', '.join(map(str, item.targets))})" for item in lacking),
            *(paths[1:]),
        ),
        severity=RULE.severity if certain else Severity.WARNING,
    )
