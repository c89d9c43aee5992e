"""A file uses functions that are called like torch's stable ones, but no known torch declares them as such.

The stable shim is a list of C functions whose names begin with aoti_torch_ or torch_. A name that is in no header of it
from torch 2.6 on is either newer than wheelfuse's tables, taken out again, or private. Then nothing promises that a
torch has it, or keeps it. A library outside of the wheel may also define such a name for itself.

- Reported: a file that needs ``aoti_torch_of_our_own``, which no torch has.
- Not reported: a file that needs ``aoti_torch_get_sizes``.

How to fix it: use a function of the shim in its place, or update wheelfuse if the function is new.
https://docs.pytorch.org/docs/stable/notes/libtorch_stable_abi.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.torch import exported_in, versions
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.libtorch import distinct, same_in, torches
from wheelfuse.auditing.subject import Subject

RULE = Rule(
    "WF405",
    "unknown-torch-shim",
    Severity.WARNING,
    "Functions look like torch's stable shim but are not in it",
)


def check(subject: Subject) -> Iterator[Finding]:
    """One finding per file."""
    for paths, item in distinct(subject):
        if item.unknown:
            number = "a function" if len(item.unknown) == 1 else f"{len(item.unknown)} functions"
            yield RULE.finding(
                f"{number} of no stable shim up to torch {versions()[-1]}: {', '.join(item.unknown[:3])}",
                paths[0],
                todo="Use functions that torch/csrc/stable/c/shim.h declares, or update wheelfuse if these are new.",
                details=(
                    *(f"{name}: exported by {torches(exported_in(name))}" for name in item.unknown),
                    *same_in(paths),
                ),
            )
