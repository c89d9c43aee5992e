"""An extension module lacks the function that import calls, or has that of another module.

Import of ``pkg/_x.cpython-312-….so`` asks for ``PyInit__x`` (``PyInitU_`` and punycode for names that are not ASCII),
and from 3.15 on for ``PyModExport__x`` (PEP 793) first. Another name means that the file was renamed: the import fails.
A file with the export hook alone fails before 3.15. Without any entry point the file can only be opened by name, as
torch.ops.load_library and ctypes do; that is a note, or a warning if the file uses CPython and so looks like a module.

- Reported: ``_fast.cpython-312-x86_64-linux-gnu.so`` that defines ``PyInit__slow`` and no other.
- Not reported: the file that defines ``PyInit__fast``.

How to fix it: keep the name that the file was built under, or build it under the new one.
The protocol: https://docs.python.org/3/c-api/extension-modules.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.modules import ModuleName
from wheelfuse.auditing.coverage import names
from wheelfuse.auditing.cpython_symbols import defined_entry_points
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import SharedObject, Subject
from wheelfuse.elf.image import entry_points
from wheelfuse.target import Target

RULE = Rule("WF306", "init-function", Severity.ERROR, "The function that import calls is missing")

_FIRST_EXPORT_HOOK = 15


def check(subject: Subject) -> Iterator[Finding]:
    """One finding for each file with an entry point that does not fit, one for all that have none."""
    without: dict[Severity, list[str]] = {}
    for path, file in sorted(subject.files.items()):
        if not (module := file.module):
            continue
        own = defined_entry_points(file)
        if not own:
            mild = Severity.WARNING if subject.tree.unmet(path) else Severity.INFO
            without.setdefault(mild, []).append(path)
        elif not file.image.initialises(module.short):
            what = f"import asks for {entry_points(module.short)[0]}, but the file has {', '.join(own[:3])}"
            more = f" and {len(own) - 3} more" if len(own) > 3 else ""
            todo = "Give the file the name that it was built under, or build it under this one."
            yield RULE.finding(f"{what}{more}", path, todo=todo, details=own)
        else:
            yield from _version_findings(subject, path, file, module, own)
    for severity, paths in without.items():
        files = f"{len(paths)} files have" if len(paths) > 1 else "it has"
        what = f"cannot be imported: {files} no init function (PyInit_…); can only be opened by name"
        details = tuple(paths) if len(paths) > 1 else ()
        opened = "they are" if len(paths) > 1 else "it is"
        todo = (
            f"If {opened} opened by name, nothing; else look for a PyMODINIT_FUNC that is hidden or left out."
        )
        yield RULE.finding(what, paths[0], todo=todo, details=details, severity=severity)


def _version_findings(
    subject: Subject, path: str, file: SharedObject, module: ModuleName, own: tuple[str, ...]
) -> Iterator[Finding]:
    hook = any(name.startswith("PyModExport") for name in own)
    init = any(name.startswith("PyInit") for name in own)
    targets = (module.target,) if module.target else subject.loaders.get(path, ())
    old: list[Target] = [target for target in targets if target and target.minor < _FIRST_EXPORT_HOOK]
    if hook and not init and old:
        what = f"{names(old)} cannot import it: {entry_points(module.short)[1]} (PEP 793) is known from 3.15 on only"
        yield RULE.finding(what, path, todo=f"Define {entry_points(module.short)[0]} as well.")
    if init and not hook and module.stable_abi == "abi3t":
        what = f"an abi3t file with {entry_points(module.short)[0]} alone: abi3t does not define PyModuleDef (PEP 803)"
        todo = f"Define {entry_points(module.short)[1]} (PEP 793)."
        yield RULE.finding(what, path, todo=todo, severity=Severity.WARNING)
