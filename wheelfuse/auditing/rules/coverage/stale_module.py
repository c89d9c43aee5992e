"""A file of an extension module that no CPython which installs this would ever import.

Its suffix names a CPython that the tags do not let in, or that Requires-Python keeps out, or another file of the same
module comes before it for all of them. Mostly it was left over in a build directory that served two builds, so it is
old as well as useless, and it costs every user its bytes.

- Reported: ``pkg/_C.cpython-310-x86_64-linux-gnu.so`` in a wheel tagged cp312-cp312.
- Not reported: that wheel with the file for cpython-312 alone.

How to fix it: build in a clean directory, or widen the tags if the file is meant to be used.
The suffixes: https://docs.python.org/3/library/importlib.html#importlib.machinery.EXTENSION_SUFFIXES
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from wheelfuse.abi.modules import ModuleName, picks
from wheelfuse.auditing.coverage import claimed, finds, importable, names
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.target import Target
from wheelfuse.wheel.name import accepting

RULE = Rule(
    "WF202", "stale-module", Severity.WARNING, "A file of an extension module that no CPython imports"
)


def check(subject: Subject) -> Iterator[Finding]:
    """Files with the same reason are one finding. Where no CPython finds any file of a module, another rule tells."""
    targets = claimed(subject)
    if not subject.interpreter_tags or not targets:
        return
    stale: dict[str, list[str]] = defaultdict(list)
    for key in importable(subject):
        if not any(finds(subject, key, target) for target in targets):
            continue
        modules = {path: subject.files[path].module for path in subject.paths_of_modules[key]}
        for path, module in modules.items():
            others = [other for name, other in modules.items() if other and name != path]
            if module and not any(_imported(target, module, others) for target in targets):
                stale[_why(subject, module, targets)].append(path)
    for why, paths in stale.items():
        what = f"{len(paths)} files that are never imported" if len(paths) > 1 else "never imported"
        yield RULE.finding(
            f"{what}: {why}",
            paths[0],
            todo="Build in a clean directory, so that it is not packed.",
            details=(*(f"{path}: {subject.sizes.get(path, 0)} bytes" for path in paths),),
        )


def _imported(target: Target, module: ModuleName, others: list[ModuleName]) -> bool:
    """Whether a CPython takes this file; of two with equal suffixes but for the machine, it may be either."""
    place = picks(target, module)
    places = [picks(target, other) for other in others]
    return place is not None and not any(other is not None and other < place for other in places)


def _why(subject: Subject, module: ModuleName, targets: tuple[Target, ...]) -> str:
    if module.target and module.target not in targets:
        if module.target in accepting(subject.interpreter_tags):
            return f"Requires-Python {subject.requires_python} keeps {module.target} out"
        return f"no tag lets {module.target} in, only {names(targets)}"
    if all(picks(target, module) is None for target in targets):
        return f"{module.suffix} is not a suffix of {names(targets)}"
    return f"{names(targets)} find another file of the module before it"
