"""METADATA admits versions of torch that cannot load the wheel's files.

Requires-Dist decides which torch an installer puts beside the wheel; the symbols that the files need decide which
torch can load them. If the newest torch that is admitted cannot, a fresh install is broken, which is an error. If it
is only older ones, users who pin or already have one of them meet an ImportError, which is a warning.

A wheel that needs torch and does not require it is for information: many projects leave the choice of the torch build
to their users. Only the versions of torch that the tables know are judged, 2.6 and newer.

- Reported: ``Requires-Dist: torch>=2.6`` where the files need what torch has since 2.10.
- Not reported: ``Requires-Dist: torch>=2.10``, if the newer ones load them, too.

How to fix it: require just the versions that work, such as torch>=2.13 for files within the stable ABI, and
torch==2.10.* for files with unstable C++ symbols.
https://packaging.python.org/en/latest/specifications/core-metadata/#requires-dist-multiple-use
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.torch import versions
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.libtorch import (
    TorchNeeds,
    TorchRequirement,
    all_needs,
    named_version,
    shortened,
    spans,
    torch_requirement,
    torch_versions,
    torches,
)
from wheelfuse.auditing.subject import Subject

RULE = Rule(
    "WF402", "torch-requirement", Severity.ERROR, "METADATA admits a torch that cannot load the files"
)


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """At most one finding: about all files that need torch."""
    files = all_needs(subject)
    loading = torch_versions(subject)
    if not loading or subject.metadata is None:  # what no torch loads is another rule's
        return
    requirement = torch_requirement(subject)
    if not requirement.specifiers:
        yield _unstated(requirement, files, loading)
    elif not requirement.admitted:
        known = f"{versions()[0]}-{versions()[-1]}"
        yield RULE.not_run(f"METADATA requires {requirement}, of which the tables ({known}) know nothing")
    elif refused := [version for version in requirement.admitted if version not in loading]:
        yield _too_wide(requirement, files, loading, refused)


def _unstated(
    requirement: TorchRequirement, files: dict[str, TorchNeeds], loading: tuple[str, ...]
) -> Finding:
    how = "requires only with an extra" if requirement.optional else "does not require"
    return RULE.finding(
        f"needs {torches(loading)}, which METADATA {how}",
        todo=f"Add Requires-Dist: {_suggestion(files, loading)}, unless the choice of torch is left to the user.",
        details=tuple(f"{path}: {torches(item.versions)}" for path, item in files.items()),
        severity=Severity.INFO,
    )


def _too_wide(
    requirement: TorchRequirement, files: dict[str, TorchNeeds], loading: tuple[str, ...], refused: list[str]
) -> Finding:
    newest = requirement.admitted[-1]
    fresh = newest in refused
    end = f"; a fresh install gets {newest}" if fresh else ""
    return RULE.finding(
        f"METADATA requires {requirement}, but only {torches(loading)} loads the files: not {spans(refused)}{end}",
        todo=f"Require {_suggestion(files, loading)}.",
        details=tuple(
            _why(path, item, refused[-1]) for path, item in files.items() if item.lacking(refused[-1])
        ),
        # Who carries a file for each torch has another way for the rest, such as compiling at run time.
        severity=Severity.ERROR if fresh and not any(map(named_version, files)) else Severity.WARNING,
    )


def _why(path: str, item: TorchNeeds, version: str) -> str:
    lacking = item.lacking(version)
    more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    return f"{path}: torch {version} lacks {shortened(lacking[0])}{more}"


def _suggestion(files: dict[str, TorchNeeds], loading: tuple[str, ...]) -> str:
    """A requirement that admits just what loads; open to later versions only for the stable ABI."""
    known = versions()
    first, last = known.index(loading[0]), known.index(loading[-1])
    excluded = [f"!={version}.*" for version in known[first:last] if version not in loading]
    lower = f">={loading[0]}"
    if all(item.only_stable for item in files.values()):
        return f"torch{','.join((lower, *excluded))}"
    if len(loading) == 1:
        return f"torch=={loading[0]}.*"
    major, minor = loading[-1].split(".")
    return f"torch{','.join((lower, *excluded, f'<{major}.{int(minor) + 1}'))}"
