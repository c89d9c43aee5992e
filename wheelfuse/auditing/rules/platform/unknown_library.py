"""A file needs a library that is not in the wheel, that no platform policy allows, and that nobody is known to
supply.

The loader looks for every ``DT_NEEDED`` library of a file when the file is imported. The system is sure to
have only the few that the policy of the platform tag lists, such as libc and libstdc++. Any other one has
to be in the wheel, or in another distribution that the wheel requires. Otherwise import fails wherever the
user has not happened to install it: ``cannot open shared object file: No such file or directory``.

Let ``auditwheel repair`` copy the library into the wheel, link it statically, or do not link it. If another
distribution supplies it, load that one first, require it in METADATA, and ignore this finding with that
reason.

- Reported: a module that needs ``libjpeg.so.62``, which the wheel does not bring.
- Not reported: the module with ``pkg.libs/libjpeg-….so.62``, as ``auditwheel repair`` puts it there.

Source: https://peps.python.org/pep-0513/#the-manylinux1-policy
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wheelfuse.auditing.builds import without_graft_hash
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity, few
from wheelfuse.auditing.platform import External, are, claimed, loaded_paths, located, needs, supplied
from wheelfuse.auditing.subject import Kind, Subject

RULE = Rule(
    "WF503", "unknown-library", Severity.ERROR, "A needed library is not in the wheel, and nobody supplies it"
)

_TODO = "Copy it into the wheel (auditwheel repair), link it statically, or require what supplies it"
_REBUILD = (
    "Build the wheel again: a name with such a hash is that of a copy which auditwheel put into it, "
    "and the copy is gone"
)
_SHOWN = 5


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for the libraries that modules need, and one for those that only payload needs.

    What ``--with`` finds is not missing. Where no tag promises anything the system may well have the library.
    """
    promised = any(platform.libc in ("glibc", "musl") for platform in claimed(subject))
    loaded = loaded_paths(subject)
    certain: list[External] = []
    payload: list[External] = []
    for item in supplied(needs(subject).externals, None):
        if item.soname in subject.against.libraries:
            continue
        (payload if loaded.isdisjoint(item.users) else certain).append(item)
    # What lies beside a lone file is not known.
    mild = Severity.INFO if subject.kind is Kind.FILE else Severity.WARNING
    if certain:
        yield _finding(subject.kind, certain, None if promised else mild)
    if payload:
        yield _finding(subject.kind, payload, mild)


def _finding(kind: Kind, items: list[External], severity: Severity | None) -> Finding:
    paths = tuple(sorted({user for item in items for user in item.users}))
    path, _ = located(paths)
    shown = few([item.soname for item in items], _SHOWN)
    return RULE.finding(
        f"{are(paths, 'needs', 'need')} {shown}, found in neither the {kind.value} nor any platform policy, "
        "and of no known distribution",
        path,
        todo=_REBUILD if all(without_graft_hash(i.soname) != i.soname for i in items) else _TODO,
        details=tuple(_evidence(items)) if len(paths) > 1 or len(items) > _SHOWN else (),
        severity=severity,
    )


def _evidence(items: Iterable[External]) -> Iterator[str]:
    for item in items:
        yield f"{item.soname} for {few(item.users)}"
