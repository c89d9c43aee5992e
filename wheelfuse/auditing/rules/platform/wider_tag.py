"""The files would run on older systems than the platform tag lets them.

The symbol versions of all files, and the libraries that they take from the system, fit an older
``manylinux`` tag; or the tag is the bare ``linux_x86_64`` of a local build, which promises nothing,
although a ``manylinux`` tag would be true. Systems between the two could use the wheel, but installers pass
it over.

Nothing has to be done. If those systems matter, tag the wheel with what the finding names: that is the tag
with which auditwheel calls it consistent. For a bare ``linux`` tag, ``auditwheel repair`` also copies what
is missing.

- Reported: ``GLIBC_2.14`` at most in a wheel tagged manylinux_2_34_x86_64.
- Not reported: the wheel tagged manylinux_2_17_x86_64.

Source: https://peps.python.org/pep-0600/
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.platform import covering_policy
from wheelfuse.abi.providers import Source
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.platform import claimed, needs, spelled, supplied
from wheelfuse.auditing.subject import Subject
from wheelfuse.wheel.name import Platform

RULE = Rule("WF502", "wider-tag-possible", Severity.INFO, "The platform tag could promise more")


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for each platform whose tag is higher than needed."""
    found = needs(subject)
    foreign = supplied(found.externals, None) + supplied(found.externals, Source.INTERPRETER)
    for platform in claimed(subject):
        deciding = next((file for file in found.deciding if file.machine == platform.machine), None)
        if deciding is None or deciding.floor.version is None or foreign or platform.libc == "musl":
            continue
        true = Platform(platform.machine, "glibc", covering_policy(deciding.floor.version))
        if platform.libc == "glibc" and true.version >= platform.version:
            continue
        need = f"{deciding.floor.decisive or 'nothing special'} of {deciding.floor.library or 'the system'}"
        tag = spelled(subject, platform)
        yield RULE.finding(
            f"tagged {tag}, though its files keep {true.tags[-1]}: the most is {need}",
            todo=f"Tag the wheel {true.tags[-1]} if older systems matter",
        )
