"""Modules of one package that one CPython loads side by side cannot share C++ types.

pybind11 and nanobind keep a registry of types, under a name with the version of its layout and the ABI of the compiler.
Modules share types (arguments, return values, base classes, exceptions) only if these names are equal to the letter;
otherwise a function rejects an object of the other module: "incompatible function arguments". Modules that have no
types in common can live with it.

- Reported: ``pkg/_a`` made with pybind11 2.13 beside ``pkg/_b`` made with 3.1.
- Not reported: both made with 3.1.

How to fix it: build all modules of the package with one version of pybind11 or nanobind and one compiler.
pybind11: https://pybind11.readthedocs.io/en/stable/advanced/classes.html#module-local-class-bindings
nanobind: https://nanobind.readthedocs.io/en/latest/faq.html#how-can-i-avoid-conflicts-with-other-projects-using-nanobind
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.builds import label
from wheelfuse.auditing.finding import Finding, Rule, Severity, few
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF801", "internals-mismatch", Severity.WARNING, "Modules of one package cannot share types")


def check(subject: Subject) -> Iterator[Finding]:
    """One finding for each package and tool; the CPythons for which it is so are taken together.

    Its details have a line for each id, the rarest first.
    """
    for (tool, _), by_label in _modules_by_id(subject).items():
        mixed = {name: ids for name, ids in by_label.items() if len(ids) > 1}
        if mixed:
            ids = dict(sorted(next(iter(mixed.values())).items(), key=lambda item: len(item[1])))
            yield RULE.finding(
                f"modules that {' and '.join(mixed)} loads together have {len(ids)} different {tool} internals",
                next(iter(ids.values()))[0],
                todo=f"Build all modules of the package with one version of {tool} and one compiler.",
                details=tuple(f"{identity}: {few(paths)}" for identity, paths in ids.items()),
            )


def _modules_by_id(subject: Subject) -> dict[tuple[str, str], dict[str, dict[str, list[str]]]]:
    """Tool and top-level package -> the CPythons -> id of the internals -> paths."""
    found: dict[tuple[str, str], dict[str, dict[str, list[str]]]] = {}
    for path, file in sorted(subject.files.items()):
        module = file.module
        made = (("pybind11", file.producers.pybind11), ("nanobind", file.producers.nanobind))
        for tool, ids in made if module else ():
            package = module.key.split("/")[0] if module else ""
            by_id = found.setdefault((tool, package), {}).setdefault(label(subject, file), {})
            for identity in ids:
                by_id.setdefault(identity, []).append(path)
    return found
