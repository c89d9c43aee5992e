"""A file needs libraries of another distribution, which METADATA does not require.

CUDA's libraries come from the wheels of NVIDIA, libtorch from torch, libarrow from pyarrow: to leave them
out of a wheel is right, since two copies in one process do harm. But then METADATA has to require that
distribution, or one that brings it (torch brings the CUDA libraries that it uses). Otherwise ``pip
install`` succeeds, and import says ``libcudart.so.13: cannot open shared object file``.

Add the distribution to ``dependencies``. Some projects leave it out on purpose, because the user has to
choose between builds of it, as for torch: ignore the finding then, with that reason.

- Reported: a module that needs ``libcudart.so.13``, and METADATA that requires nothing.
- Not reported: ``Requires-Dist: nvidia-cuda-runtime`` in METADATA.

Source: https://packaging.python.org/en/latest/specifications/core-metadata/#requires-dist-multiple-use
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from wheelfuse.abi.providers import Source
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.platform import External, loaded_paths, needs, supplied
from wheelfuse.auditing.subject import Kind, Subject

RULE = Rule(
    "WF504", "undeclared-provider", Severity.WARNING, "METADATA does not require whose libraries are needed"
)


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for all such distributions. A single file or a directory has no METADATA to look at.

    What only payload needs beside extension modules (plugins that users may leave alone) is merely noted.
    """
    found = supplied(needs(subject).externals, Source.DISTRIBUTION)
    if not found or subject.kind not in (Kind.WHEEL, Kind.DISTRIBUTION):
        return
    if subject.metadata is None:
        yield RULE.not_run("METADATA cannot be read, so nothing is known of its requirements")
        return
    missing: dict[str, list[External]] = defaultdict(list)
    for item in found:
        if not item.required:
            missing[str(item.provider)].append(item)
    if missing:
        names = sorted(missing)
        loaded = loaded_paths(subject)
        users = {user for items in missing.values() for item in items for user in item.users}
        yield RULE.finding(
            f"needs libraries of {', '.join(names)}, but METADATA requires none that brings them",
            todo=f"Add {'it' if len(names) == 1 else 'them'} to the project's dependencies, "
            "or ignore this with the reason why users install it themselves",
            details=tuple(_evidence(item) for name in names for item in missing[name]),
            severity=Severity.INFO if loaded and loaded.isdisjoint(users) else None,
        )


def _evidence(item: External) -> str:
    first, *others = item.users
    return f"{item.soname} ({item.provider}) for {first}{f' and {len(others)} more' if others else ''}"
