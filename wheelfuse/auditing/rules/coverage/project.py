"""A CPython that the project's pyproject.toml promises is served by none of the wheels.

With ``--project pyproject.toml`` the inputs of one release are held, together, against ``requires-python``: every
released CPython from 3.10 on that it lets in must be able to install one of them, and find a file for each extension
module in it. It fails closed: a wheel that was not given does not count. Wheels for different machines are looked at
apart. What is installed already can only be asked about the CPythons that its own tags let in.

- Reported: ``--project`` with ``requires-python = ">=3.11"`` and wheels for cp311 and cp313, but none for cp312.
- Not reported: a wheel for each released CPython from 3.11 on, or one fused wheel for all of them.

How to fix it: build the missing wheels, name them all on the command line, or narrow requires-python.
The field: https://packaging.python.org/en/latest/specifications/pyproject-toml/#requires-python
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from wheelfuse.auditing.coverage import claimed, demanded, finds, importable, names
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Kind, Subject
from wheelfuse.target import Target

RULE = Rule("WF203", "project-coverage", Severity.ERROR, "A CPython that the project promises is not served")


def check_release(subjects: tuple[Subject, ...]) -> Iterator[Finding]:
    """One finding for each kind of platform."""
    asked = next((subject.against for subject in subjects if subject.against.requires_python), None)
    if not asked:
        return
    readable = [subject for subject in subjects if subject.name or subject.kind is not Kind.WHEEL]
    for family, group in _families(readable).items():
        expected = set(demanded(asked.requires_python))
        if all(subject.kind is Kind.DISTRIBUTION for subject in group):
            expected &= {target for subject in group for target in claimed(subject)}
        holes = {
            target: [hole for subject in group if (hole := _hole(subject, target))]
            for target in sorted(expected)
        }
        missing = {target: whys for target, whys in holes.items() if len(whys) == len(group)}
        if missing:
            where = f" on {family}" if family else ""
            project = asked.project or "the project"
            yield RULE.finding(
                f"{names(missing)} served by nothing here{where}, but {project} says {asked.requires_python}",
                todo="Build and name the missing wheels, or narrow requires-python.",
                details=tuple(f"{t}: {why}" for t, whys in missing.items() for why in dict.fromkeys(whys)),
                subject=group[0].label,
            )


def _families(subjects: list[Subject]) -> dict[str, list[Subject]]:
    """The subjects by machine and C library; those for any platform belong to each."""
    found: dict[str, list[Subject]] = defaultdict(list)
    anywhere = []
    for subject in subjects:
        families = {p.family for p in subject.linux_platforms if p.libc}
        for machine, libc in sorted(families):
            found[f"{machine}, {libc}"].append(subject)
        if not families:
            anywhere.append(subject)
    for group in found.values():
        group += anywhere
    return dict(found) or ({"": anywhere} if anywhere else {})


def _hole(subject: Subject, target: Target) -> str:
    """Why the subject does not serve a CPython; empty if it does."""
    if subject.interpreter_tags and target not in claimed(subject):
        return f"{subject.label} is not for it"
    lacking = [key for key in importable(subject) if not finds(subject, key, target)]
    if lacking:
        return f"{subject.label} has no file of {', '.join(key.replace('/', '.') for key in lacking)}"
    return ""
