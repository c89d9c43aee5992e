"""The ``Tag`` lines of WHEEL are not the tags of the file name.

Installers choose by the file name, but what they write to disk is WHEEL: tools that look at an installed package
(``pip check``, uv's and auditwheel's checks, this audit with ``--installed``) see the tags there. Typical causes are a
wheel that was renamed by hand (WHEEL still says linux_x86_64), or a blank line in WHEEL, after which nothing is read.

A compressed file name also implies pairs that no interpreter asks for (cp310-cp311), and py2.py3 speaks of Python 2;
that WHEEL leaves those out is only a note.

- Reported: ``Tag: cp312-cp312-linux_x86_64`` in ``pkg-1.0-cp312-cp312-manylinux_2_28_x86_64.whl``.
- Not reported: ``Tag: cp312-cp312-manylinux_2_28_x86_64`` in it.

How to fix it: rename wheels with ``wheel tags``, or ``auditwheel repair``, which change both.
The rule: https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-contents
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

_ONE_CPYTHON = re.compile(r"(cp3\d+)-(cp3\d+)t?-")

RULE = Rule("WF104", "wheel-tags", Severity.WARNING, "WHEEL and the file name state different tags")


def check(subject: Subject) -> Iterator[Finding]:
    """Compare the two sets of tags, compressed ones written out."""
    if not (subject.name and subject.wheel_file):
        return
    named, said = set(subject.name.tags), set(subject.wheel_file.tags)
    if named == said:
        return
    lines = f"{len(subject.wheel_file.unread)} lines" if len(subject.wheel_file.unread) > 1 else "1 line"
    if not said and subject.wheel_file.unread:
        what = f"WHEEL states no tag: nobody reads the {lines} after its blank line"
        todo = "Remove the blank line from WHEEL, and write RECORD anew (wheel unpack, wheel pack)."
    else:
        what = _difference(sorted(named - said), sorted(said - named)) if said else "WHEEL states no tag"
        todo = "Rename the wheel with `wheel tags`, which changes both, or build it again."
    details = (
        *(f"in the file name alone: {tag}" for tag in sorted(named - said) if said),
        *(f"in WHEEL alone: {tag}" for tag in sorted(said - named)),
        *(f"not read: {line}" for line in subject.wheel_file.unread),
    )
    harmless = said and all(map(_is_idle, named ^ said))
    severity = Severity.INFO if harmless else RULE.severity
    yield RULE.finding(what, f"{subject.dist_info}/WHEEL", todo=todo, details=details, severity=severity)


def _is_idle(tag: str) -> bool:
    """Whether no interpreter of today asks for a tag: it is Python 2's, or pairs a CPython with another's ABI."""
    match = _ONE_CPYTHON.match(tag)
    return tag.startswith("py2-") or (match is not None and match[1] != match[2])


def _difference(named: list[str], said: list[str]) -> str:
    """What one side has and the other one lacks, by its first tags."""
    if not named:
        return f"WHEEL also says {_first(said)}, which the file name does not"
    if not said:
        return f"WHEEL does not say {_first(named)}, as the file name does"
    return f"WHEEL says {_first(said)}, the file name {_first(named)}"


def _first(tags: list[str]) -> str:
    return f"{tags[0]} and {len(tags) - 1} more" if len(tags) > 1 else tags[0]
