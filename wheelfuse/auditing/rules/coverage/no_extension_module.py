"""The wheel claims to depend on CPython or on the platform, but no extension module was found in it.

Nothing can then be said about coverage, and that must not pass for "all is there": a build whose extension failed
quietly looks just like this. If libraries are opened by name (ctypes, cffi, torch.ops.load_library) or programs are
packed, the wheel is fine, and a tag such as py3-none-manylinux_2_28_x86_64 says so to installers.

- Reported: ``pkg-1.0-cp312-cp312-manylinux_2_28_x86_64.whl`` with Python files alone.
- Not reported: ``pkg-1.0-py3-none-any.whl`` with them.

How to fix it: if there should be extension modules, look at the build log; optional extensions
(``Extension(optional=True)``) fail in silence. If not, tag the wheel py3-none-<platform>, or py3-none-any.
The tags: https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.coverage import importable, names, other_systems
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule(
    "WF205", "no-extension-module", Severity.INFO, "No extension module, though the wheel is not pure"
)


def check(subject: Subject) -> Iterator[Finding]:
    """A warning where an ABI is claimed and there is no shared object at all."""
    if not subject.wheel_file or subject.wheel_file.root_is_purelib or importable(subject):
        return
    if other_systems(subject) or subject.unreadable:
        return
    abis = sorted({abi for _, abi in subject.interpreter_tags} - {"none"})
    if subject.interpreter_tags and not subject.targets:
        return
    if subject.files:
        kind = "shared objects or programs, but no extension module among them"
        what = f"{len(subject.files)} {kind}: nothing to say about {names(subject.known_targets)}"
        todo = "If they are all opened by name or run, nothing; a tag py3-none-<platform> is then enough."
        yield RULE.finding(what, todo=todo, details=tuple(sorted(subject.files)))
    elif abis:
        what = f"tagged for the ABI {', '.join(abis)}, but there is no shared object in it"
        todo = "Look whether an optional extension failed to build; else tag the wheel py3-none-any."
        yield RULE.finding(what, todo=todo, severity=Severity.WARNING)
    else:
        todo = "If nothing in it depends on the platform, let WHEEL say Root-Is-Purelib: true."
        yield RULE.finding("Root-Is-Purelib is false, but there is no shared object in it", todo=todo)
