"""A count of symbols outside of libtorch's stable ABI is not what the committed baseline says.

A migration to the stable ABI takes many steps, and each must stay. `--write-baseline FILE` writes how many symbols of
each kind every file has; `--baseline FILE` then makes every other count an error. More than the baseline allows: the
change took a step back. Fewer, or a file that is gone: the baseline is stale, and would allow the step back later.

The inputs of one release are held against it together; of several builds of one file the highest count is taken.

- Reported: ``pkg/_C.so`` with 12 unstable symbols, of which the baseline says 10, or with 8.
- Not reported: the file with 10 of them.

How to fix it: for more, use the stable counterparts (`wheelfuse audit --road-to-abi3` lists them); for fewer, write
the baseline again and commit it.
https://docs.pytorch.org/docs/stable/notes/libtorch_stable_abi.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.baseline import KINDS, Change, compare, count, file_key
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule(
    "WF407", "torch-baseline", Severity.ERROR, "More or fewer unstable symbols than the baseline says"
)


def check_release(subjects: tuple[Subject, ...]) -> Iterator[Finding | NotRun]:
    """One finding per file that is not as the baseline says."""
    held = [subject for subject in subjects if subject.against.baseline is not None]
    if not held:
        return
    for subject in held:
        if subject.unreadable:
            yield RULE.not_run("what cannot be read cannot be counted", subject=subject.label)
            return
    by_file: dict[str, list[Change]] = {}
    for change in compare(held[0].against.baseline or {}, count(held)):
        by_file.setdefault(change.file, []).append(change)
    for file, changes in by_file.items():
        yield _finding(file, changes, held)


def _finding(file: str, changes: list[Change], subjects: list[Subject]) -> Finding:
    places = [(subject, path) for subject in subjects for path in subject.files if file_key(path) == file]
    subject, path = places[0] if places else (subjects[0], "")
    if not places:
        message = f"the baseline lists {file}, which is not there"
    else:
        message = ", ".join(
            f"{c.found} {KINDS[c.kind]} symbols, {c.allowed} in the baseline" for c in changes
        )
    grew = any(change.grew for change in changes)
    return RULE.finding(
        message,
        path,
        todo="Use stable counterparts; the baseline may only shrink."
        if grew
        else "Write the baseline again (--write-baseline), and commit it.",
        subject=subject.label,
    )
