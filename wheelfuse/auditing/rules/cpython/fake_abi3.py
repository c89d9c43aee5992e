"""A file is named or tagged for the stable ABI, but was compiled against the full API of one CPython.

The headers hide everything outside the limited API when ``Py_LIMITED_API`` is defined, so a file that imports a symbol
that never was in it was compiled without. Such a file works on the CPython that built it, and fails elsewhere: with a
missing symbol at best, or with wrong struct layouts and a crash, since the full API inlines those. Naming a pybind11
module ``_C.abi3.so`` is the classic case: pybind11 has no limited-API mode.

- Reported: ``_C.abi3.so`` that needs ``_PyType_Lookup``, which is in no limited API.
- Not reported: ``_C.abi3.so`` that was compiled with ``-DPy_LIMITED_API=0x030a0000``.

How to fix it: define Py_LIMITED_API for real and port the code (nanobind, Cython and PyO3 have a mode for it;
``wheelfuse audit --road-to-abi3`` lists what is in the way), or build one file for each CPython, with its suffix.
The stable ABI: https://docs.python.org/3/c-api/stable.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.cpython import exported
from wheelfuse.auditing.coverage import names
from wheelfuse.auditing.cpython_symbols import StableClaim, asked, stable_claims, support_libraries, unlimited
from wheelfuse.auditing.finding import Finding, Rule, Severity, few
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF305", "fake-abi3", Severity.ERROR, "Named abi3, but compiled against the full API")


def check(subject: Subject) -> Iterator[Finding]:
    """One finding for each file; a warning where only one CPython can install it, and loads it.

    It is merely noted where a library from elsewhere may define the symbols.
    """
    for path, claim in stable_claims(subject):
        if outside := unlimited(asked(subject, path)):
            yield _finding(subject, path, claim, outside)


def _finding(subject: Subject, path: str, claim: StableClaim, outside: tuple[str, ...]) -> Finding:
    module = subject.files[path].module
    targets = [t for t in subject.loaders.get(path, ()) if t in subject.known_targets]
    lacking = {t: tuple(name for name in outside if not exported(name, t)) for t in targets}
    failing = [target for target, absent in lacking.items() if absent]
    number = f"{len(outside)} symbols are" if len(outside) > 1 else "1 symbol is"
    if (support := support_libraries(subject, path)) and not failing:
        return RULE.finding(
            f"{number} in no limited API, unless {few(support)} defines {'them' if len(outside) > 1 else 'it'}",
            path,
            todo="Audit again --with the environment that has the library.",
            details=outside,
            severity=Severity.INFO,
        )
    where = f"; {names(failing)} cannot load it" if failing else ""
    suffix = module.suffix if module else ""
    what = f"named {suffix}" if claim.by_name else f"in a wheel tagged {claim.abi}"
    tools = subject.files[path].producers.tools
    made = f" ({', '.join(tools)})" if tools else ""
    alone = len(targets) == 1 and not failing and subject.interpreter_tags
    return RULE.finding(
        f"{what}, but compiled against the full API{made}: {number} in no limited API{where}",
        path,
        todo="Define Py_LIMITED_API and port it, or build one file for each CPython, with its suffix.",
        details=(*(f"{t} lacks {', '.join(absent)}" for t, absent in lacking.items() if absent), *outside),
        severity=Severity.WARNING if alone else RULE.severity,
    )
