"""The parts of a compressed tag set are not sorted.

PEP 425 lets one file name state several tags, joined by dots, and wants them sorted, so that a release has one name
and not several. ``packaging.utils.parse_wheel_filename(validate_order=True)`` refuses the others. Installers take any
order today, and older versions of auditwheel wrote names such as ``manylinux_2_17_x86_64.manylinux2014_x86_64``,
so this is no more than a note.

- Reported: ``pkg-1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl``.
- Not reported: ``pkg-1.0-cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.whl``.

How to fix it: ``wheel tags`` and auditwheel 6.3 or newer sort them.
The rule: https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/#compressed-tag-sets
"""

from __future__ import annotations

from collections.abc import Iterator

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF105", "tag-order", Severity.INFO, "A compressed tag set is not sorted")


def check(subject: Subject) -> Iterator[Finding]:
    """Ask packaging whether the order is right."""
    if not subject.name:
        return
    try:
        parse_wheel_filename(str(subject.name), validate_order=True)
    except InvalidWheelFilename:
        sets = (subject.name.pythons, subject.name.abis, subject.name.platforms)
        unsorted = [parts for parts in sets if list(parts) != sorted(set(parts))]
        if unsorted:
            said, sorted_ = ".".join(unsorted[0]), ".".join(sorted(set(unsorted[0])))
            todo = "Rename the wheel with a current `wheel tags` or auditwheel."
            yield RULE.finding(f"{said} is not in the order of PEP 425: {sorted_}", todo=todo)
