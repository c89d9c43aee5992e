"""CPythons would install this wheel, and then find no file that they can load for any of its extension modules.

Tags and Requires-Python are all that an installer sees. ``py3-none`` lets every CPython 3 in, the free-threaded builds
(cp313t) among them, and a compressed tag set is a cross product, which promises more than the list of wheels that it
came from. Users of those CPythons get an installation that succeeds and an import that fails, where an older release,
or a clear message, would have been theirs. CPythons not yet released are named beside: they will be hit in their turn.

- Reported: ``pkg-1.0-py3-none-manylinux_2_28_x86_64.whl`` whose module has files for cpython-311 and cpython-312 alone.
- Not reported: the same files in ``pkg-1.0-cp311.cp312-cp311.cp312-manylinux_2_28_x86_64.whl``.

How to fix it: add the missing files, state the tags one by one (cp312-cp312), or bound Requires-Python. Free-threaded
builds can be kept out by tags alone.
The tags: https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.coverage import doubt, matrix, names, severity_of, without_any
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.target import Target

RULE = Rule(
    "WF108", "over-claim", Severity.ERROR, "CPythons install the wheel, but find nothing they can load"
)


def check(subject: Subject) -> Iterator[Finding]:
    """The CPythons without any module, if there are modules."""
    rows = matrix(subject)
    holes = without_any(rows)
    if not holes:
        return
    modules = (
        f"its {len(rows)} extension modules" if len(rows) > 1 else f"its extension module {rows[0].name}"
    )
    present = {target for row in rows for target in row.present}
    own = {file.module.target for file in subject.files.values() if file.module and file.module.target}
    have = f"there for {names(present)}" if present else f"its files are for {names(own) or 'none of them'}"
    python = f", Requires-Python {subject.requires_python}" if subject.requires_python else ""
    tags = ", ".join(sorted({f"{python}-{abi}" for python, abi in subject.interpreter_tags}))
    tags = tags if tags.count(",") < 3 else "its tags"
    yield RULE.finding(
        f"{names(holes)} would install it ({tags}{python}), but find no file of {modules}; {have}{doubt(rows)}",
        todo=_todo(present or own, any(target.free_threaded for target in holes)),
        details=tuple(path for row in rows for path in row.paths),
        severity=severity_of(holes, rows),
    )


def _todo(served: set[Target], free_threaded: bool) -> str:
    ways = "Add the files, or state only the tags that are true"
    if served:
        first = min(served)
        ways += f" ({first.python_tag}-{first}{' and so on' if len(served) > 1 else ''})"
    if free_threaded:
        return f"{ways}; Requires-Python cannot keep free-threaded builds out."
    return f"{ways}, or bound Requires-Python."
