"""No known torch exports all that a file needs, so no torch can load it.

The loader resolves every symbol of libtorch that a file needs, and an import fails at the first that is not there.
The tables hold what the torch wheels from 2.6 on export, for x86_64 and aarch64, with and without CUDA. If each file
finds some torch, but no single torch serves them all, that is a warning: a wheel may carry alternatives on purpose.

A file that was built against a nightly build of torch, or an older torch than METADATA requires, is found too. So is
one with the old std::string (_GLIBCXX_USE_CXX11_ABI=0): torch's wheels left it with 2.7. Files that name a torch which
the tables do not know (libx_torch24.so) are passed over.

- Reported: a module that needs a function of libtorch which torch 2.7 took away, and one that came with 2.9.
- Not reported: the module, compiled against one torch.

How to fix it: build the file again with one of the torch versions that it is meant for, or take it to the stable ABI.
https://docs.pytorch.org/docs/stable/notes/libtorch_stable_abi.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.torch import versions
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.libtorch import (
    TorchNeeds,
    all_needs,
    distinct,
    named_version,
    same_in,
    shortened,
    torch_requirement,
    torch_versions,
    torches,
)
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF401", "no-torch-version", Severity.ERROR, "No known torch exports all that a file needs")


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding per file that no torch can load; else one if no torch can load all files."""
    requirement = torch_requirement(subject)
    hopeless = [(paths, item) for paths, item in distinct(subject) if _wanted(paths, item)]
    if hopeless and requirement.specifiers and not requirement.admitted:
        yield RULE.not_run(f"METADATA requires {requirement}; the tables know torch {_known()}")
        return
    for paths, item in hopeless:
        yield _of_file(paths, item)
    files = all_needs(subject).items()
    each = all(item.versions or named_version(path) for path, item in files)
    if not hopeless and each and torch_versions(subject) == ():
        yield RULE.finding(
            "each file finds a torch that exports what it needs, but no single torch serves all of them",
            todo="Build all files with the same torch.",
            details=tuple(f"{path}: {torches(item.versions)}" for path, item in files),
            severity=Severity.WARNING,
        )


def _wanted(paths: tuple[str, ...], item: TorchNeeds) -> bool:
    """Whether some known torch should load one of the files, and none does; what is torn is a rule's of its own."""
    named = [named_version(path) for path in paths]
    return (
        not item.versions and not item.torn and any(not version or version in versions() for version in named)
    )


def _known() -> str:
    return f"{versions()[0]}-{versions()[-1]}"


def _of_file(paths: tuple[str, ...], item: TorchNeeds) -> Finding:
    known = f"torch {_known()}"
    if item.missing:
        number = "a symbol" if len(item.missing) == 1 else f"{len(item.missing)} symbols"
        message = f"needs {number} that no {known} exports"
        details = tuple(map(shortened, item.missing))
    else:
        message = f"no {known} exports all that it needs"
        lacking = {version: item.lacking(version) for version in versions()}
        nearest = sorted(lacking, key=lambda version: (len(lacking[version]), versions().index(version)))
        details = tuple(
            f"torch {v} lacks {len(lacking[v])}, such as {shortened(lacking[v][0])}" for v in nearest
        )
    return RULE.finding(
        message,
        paths[0],
        todo="Build it again with a torch that it is meant for, or use the stable ABI.",
        details=(*details, *same_in(paths)),
    )
