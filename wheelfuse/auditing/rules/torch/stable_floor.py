"""A file keeps to libtorch's stable ABI: which torch it needs at least.

The file takes nothing from libtorch but functions of the stable shim. Each is promised from some version of torch on,
for two years at least, so that one file serves many versions; the youngest function that it uses sets the floor. The
macro TORCH_TARGET_VERSION, with which headers hide what is younger, leaves no mark in a file: the symbols tell.

- Reported: a file that needs ``aoti_torch_get_sizes`` and nothing else of libtorch.
- Not reported: a file that needs nothing of libtorch.

It is for information. To lower the floor, build with a lower TORCH_TARGET_VERSION, or avoid the functions in the list.
https://docs.pytorch.org/docs/stable/notes/libtorch_stable_abi.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.torch import shim_version
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.libtorch import distinct, same_in, torches
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF408", "stable-torch", Severity.INFO, "Only libtorch's stable ABI is used")


def check(subject: Subject) -> Iterator[Finding]:
    """One finding per file that uses the stable shim, and nothing else of libtorch."""
    for paths, item in distinct(subject):
        if not item.stable or not item.only_stable:
            continue
        youngest = tuple(name for name in item.stable if shim_version(name) == item.floor)
        noun = "function" if len(item.stable) == 1 else "functions"
        yield RULE.finding(
            f"{len(item.stable)} {noun} of libtorch's stable ABI, no unstable symbol: {torches(item.versions)}",
            paths[0],
            details=(*(f"{name}: since torch {item.floor}" for name in youngest), *same_in(paths)),
        )
