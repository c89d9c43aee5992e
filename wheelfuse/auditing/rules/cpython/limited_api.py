"""A file for the stable ABI uses functions of a newer limited API than its tag states.

``cp39-abi3`` promises that the file keeps to the limited API of 3.9 and so loads on 3.9 and everything after it. A
function that joined the limited API later is not there, or not promised to be there, on the versions between. The
lowest tag that would be true is named. If Requires-Python keeps those versions out anyway, it is only a note. For
``abi3t`` (PEP 803) the limited API of 3.15 is the first.

- Reported: ``pkg-1.0-cp39-abi3-manylinux_2_28_x86_64.whl`` whose module needs ``PyType_GetName``, of the limited API of
  3.11.
- Not reported: the same module in ``pkg-1.0-cp311-abi3-manylinux_2_28_x86_64.whl``.

How to fix it: build with ``Py_LIMITED_API`` set to the version of the tag (0x03090000), or state the tag that is true.
The list: https://docs.python.org/3/c-api/stable.html#contents-of-limited-api
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.cpython import ImportProblem, exported
from wheelfuse.abi.limited_api import check_limited, limited_api_version, lowest_limited_api
from wheelfuse.auditing.coverage import names as named
from wheelfuse.auditing.cpython_symbols import stable_claims
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF304", "newer-limited-api", Severity.ERROR, "A newer limited API than the tag states")


def check(subject: Subject) -> Iterator[Finding]:
    """One finding for each file; symbols that are in no limited API are told of by another rule."""
    for path, claim in stable_claims(subject):
        if claim.oldest is None:
            continue
        names = {name for name in subject.tree.unmet(path) if limited_api_version(name)}
        free_threaded = claim.abi == "abi3t"
        tagged = claim.oldest if claim.tagged is None else claim.tagged
        problems = [p for p in check_limited(names, tagged, free_threaded=free_threaded) if p.certain]
        if not problems:
            continue
        lowest = lowest_limited_api(names)
        harmless = not [
            p for p in check_limited(names, claim.oldest, free_threaded=free_threaded) if p.certain
        ]
        kept = f"; Requires-Python {subject.requires_python} keeps older CPythons out" if harmless else ""
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        true = f"cp3{max(lowest, 15 if free_threaded else 2)}-{claim.abi}" if lowest else ""
        yield RULE.finding(
            f"{problems[0].message}{more}{kept}",
            path,
            todo=(f"Tag the wheel {true}, which is true, or build with" if true else "Build with")
            + f" Py_LIMITED_API=0x03{claim.oldest:02x}0000.",
            details=(*(problem.message for problem in problems), *_in_practice(subject, path, problems)),
            severity=Severity.INFO if harmless else RULE.severity,
        )


def _in_practice(subject: Subject, path: str, problems: list[ImportProblem]) -> Iterator[str]:
    """Whether the CPythons that load the file have the symbols all the same."""
    targets = subject.loaders.get(path, ())
    lacking = [t for t in targets if not all(exported(p.symbol, t) for p in problems if p.symbol)]
    if lacking:
        yield f"{named(lacking)} cannot load it"
    elif targets:
        yield f"{named(targets)} have all of it, but nothing promises that it works there as compiled"
