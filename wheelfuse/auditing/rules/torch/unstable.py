"""A file uses C++ symbols of libtorch that have no promise of stability.

Classes such as at::Tensor and functions such as at::empty may change with every minor release of torch, in name, in
signature and in layout. A file with such symbols is tied to the torch that it was built with: the wheel is needed once
per torch version. Templates of pybind11 over torch's types that torch exports are of the same kind.

It is for information: it is how most extensions are built. The finding says how many symbols there are of each class,
and which torch versions export them all. That is necessary for the file to work, not sufficient, since a layout may
change under the same name.

- Reported: a module that needs ``at::Tensor::sizes() const``.
- Not reported: one that takes a ``torch::stable::Tensor``, and needs ``aoti_torch_get_sizes``.

How to fix it: move to the libtorch stable ABI (torch::stable::Tensor, STABLE_TORCH_LIBRARY). `wheelfuse audit
--road-to-abi3` lists the symbols with their counterparts, and a baseline (WF407) keeps their number from growing.
https://docs.pytorch.org/docs/stable/notes/libtorch_stable_abi.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from wheelfuse.abi.demangle import qualified_name
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.libtorch import TorchNeeds, distinct, same_in, torches
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF403", "unstable-torch", Severity.INFO, "Unstable C++ symbols of libtorch are used")


def check(subject: Subject) -> Iterator[Finding]:
    """One finding per file, or for all builds of a module that need the same."""
    for paths, item in distinct(subject):
        if not item.unstable and not item.templates:
            continue
        templates = f" and {_number(item.templates, 'template')} over its types" if item.templates else ""
        yield RULE.finding(
            f"{_number(item.unstable, 'unstable C++ symbol')} of libtorch{templates}: {torches(item.versions)}",
            paths[0],
            todo="Build one wheel per torch version and require just that one, or move to the libtorch stable ABI.",
            details=(*class_counts(item), *same_in(paths)),
        )


def _number(names: tuple[str, ...], noun: str) -> str:
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'}"


def class_counts(item: TorchNeeds) -> tuple[str, ...]:
    """How many symbols each class or namespace has, the most first."""
    names = (*item.unstable, *item.templates)
    found = Counter("::".join(qualified_name(name).scopes[:2]) or qualified_name(name).own for name in names)
    return tuple(
        f"{number} {name}" for name, number in sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))
    )
