"""A file uses symbols of libtorch_python, torch's own bindings to Python.

These are names such as THPVariable_Wrap and THPVariableClass. They have no promise of stability, and no counterpart
in libtorch's stable ABI, whose kernels know nothing of Python: a file with them cannot be taken there. Nor can it be
loaded without Python, or before torch is imported. It is for information.

- Reported: a module that needs ``THPVariable_Wrap``.
- Not reported: operators that ``STABLE_TORCH_LIBRARY`` registers.

How to fix it: register operators with STABLE_TORCH_LIBRARY and call them as torch.ops.NAMESPACE.NAME, so that no
tensor passes through bindings of the extension's own.
https://docs.pytorch.org/docs/stable/notes/libtorch_stable_abi.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.libtorch import distinct, same_in, shortened
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF404", "torch-python", Severity.INFO, "Symbols of torch_python are used")


def check(subject: Subject) -> Iterator[Finding]:
    """One finding per file."""
    for paths, item in distinct(subject):
        if item.torch_python:
            noun = "symbol" if len(item.torch_python) == 1 else "symbols"
            yield RULE.finding(
                f"{len(item.torch_python)} {noun} of torch_python",
                paths[0],
                todo="Register operators with STABLE_TORCH_LIBRARY in place of bindings of tensors.",
                details=(*(map(shortened, item.torch_python)), *same_in(paths)),
            )
