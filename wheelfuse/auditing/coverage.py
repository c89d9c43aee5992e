"""Which CPythons find a file that they can load for each extension module of a subject."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wheelfuse.abi.cpython import has_table
from wheelfuse.abi.modules import loads
from wheelfuse.auditing.finding import Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.target import ALL_TARGETS, OLDEST_MAINTAINED, Target
from wheelfuse.wheel.name import accepting
from wheelfuse.wheel.requires_python import admits


@dataclass(frozen=True)
class ModuleCoverage:
    """One extension module on the CPythons that would take the subject, each list sorted.

    *present* find a file that they can load, *missing* find none. *needs_gil* are free-threaded builds for which
    there is nothing but a file for the stable ABI of the builds with the GIL: a rule of its own tells of them.
    *opened*: no file has an init function or needs CPython, so the package opens them, by whatever name it likes.
    """

    name: str
    paths: tuple[str, ...]
    present: tuple[Target, ...]
    missing: tuple[Target, ...]
    needs_gil: tuple[Target, ...]
    opened: bool = False


def importable(subject: Subject) -> tuple[str, ...]:
    """The keys of the modules that are there to be imported, or loaded the same way (torch.ops.load_library).

    Some projects give ``.abi3.so`` to libraries that they open by name: those have no init function.
    """
    return tuple(key for key, paths in sorted(subject.paths_of_modules.items()) if _is_module(subject, paths))


def _is_module(subject: Subject, paths: Iterable[str]) -> bool:
    files = [subject.files[path] for path in paths]
    modules = [(file, file.module) for file in files if file.module]
    return any(file.image.initialises(module.short) for file, module in modules) or all(
        module.target for _, module in modules
    )


def claimed(subject: Subject) -> tuple[Target, ...]:
    """The CPythons that tags and Requires-Python promise to serve, wherever the subject is installed.

    Where nothing states tags, those that a file names in its suffix: a lone ``.abi3.so`` promises none.
    """
    if subject.interpreter_tags:
        promised = set(accepting(subject.interpreter_tags))
    else:
        modules = [file.module for file in subject.files.values() if file.module]
        promised = {module.target for module in modules if module.target}
    return tuple(target for target in sorted(promised) if admits(subject.requires_python, target))


def finds(subject: Subject, key: str, target: Target) -> str | None:
    """The path of the file that a CPython imports for a module, if it can load it."""
    path = subject.picked(key, target)
    module = subject.files[path].module if path else None
    return path if module and loads(target, module) else None


def matrix(subject: Subject) -> tuple[ModuleCoverage, ...]:
    """Every extension module on every CPython that would take the subject, those not yet released included."""
    targets = [t for t in claimed(subject) if subject.only in (None, t)]
    return tuple(_row(subject, key, targets) for key in importable(subject))


def _row(subject: Subject, key: str, targets: list[Target]) -> ModuleCoverage:
    paths = subject.paths_of_modules[key]
    present = [target for target in targets if finds(subject, key, target)]
    missing = [target for target in targets if target not in present]
    modules = [module for path in paths if (module := subject.files[path].module)]
    classic = any(module.stable_abi == "abi3" for module in modules)
    needs_gil = [t for t in missing if classic and t.free_threaded]
    return ModuleCoverage(
        modules[0].name,
        paths,
        tuple(present),
        tuple(t for t in missing if t not in needs_gil),
        tuple(needs_gil),
        not any(_uses_cpython(subject, path) for path in paths),
    )


def _uses_cpython(subject: Subject, path: str) -> bool:
    """Whether a file has an entry point for import, or needs a symbol of CPython."""
    exports = subject.files[path].image.exports
    return bool(subject.tree.cpython_imports(path)) or any(
        name.startswith(("PyInit", "PyModExport")) for name in exports
    )


def without_any(rows: Iterable[ModuleCoverage]) -> tuple[Target, ...]:
    """The CPythons that would take the subject and find no file for any of its modules."""
    rows = tuple(rows)
    lost = {target for row in rows for target in row.missing}
    return tuple(sorted(t for t in lost if not any(t in row.present or t in row.needs_gil for row in rows)))


def severity_of(holes: Iterable[Target], rows: Iterable[ModuleCoverage]) -> Severity:
    """An error where a CPython that people use goes without; else a warning: not released, past its end of life, or
    without a file of the right name that may not be needed."""
    used = any(has_table(target) and target >= OLDEST_MAINTAINED for target in holes)
    return Severity.ERROR if used and not all(row.opened for row in rows) else Severity.WARNING


def doubt(rows: Sequence[ModuleCoverage]) -> str:
    """The end of a message about modules that may not be imported at all; empty if some are for sure."""
    if not all(row.opened for row in rows):
        return ""
    it = "they have" if len(rows) > 1 else "it has"
    return f"; {it} no init function, so the package may open {'them' if len(rows) > 1 else 'it'} by any name"


def names(targets: Iterable[Target]) -> str:
    """``cp310, cp311``, with those that are not released at the end and named so."""
    targets = sorted(targets)
    released = ", ".join(str(target) for target in targets if has_table(target))
    later = ", ".join(str(target) for target in targets if not has_table(target))
    return " and ".join(filter(None, (released, f"{later} (not released yet)" if later else "")))


def demanded(requires_python: str) -> tuple[Target, ...]:
    """The CPythons with the GIL that a project must serve: supported, released, and let in."""
    return tuple(
        target
        for target in ALL_TARGETS
        if not target.free_threaded
        and target >= OLDEST_MAINTAINED
        and has_table(target)
        and admits(requires_python, target)
    )


def other_systems(subject: Subject) -> str:
    """Why nothing is known of the files of a wheel for macOS, Windows or another system; empty for Linux."""
    foreign = [
        tag for tag in subject.platforms if not tag.startswith(("manylinux", "musllinux", "linux_", "any"))
    ]
    if foreign and len(foreign) == len(subject.platforms):
        return f"made for {', '.join(sorted(foreign))}: only files for Linux (ELF) can be looked into"
    return ""
