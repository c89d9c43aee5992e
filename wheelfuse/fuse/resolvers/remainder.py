"""All other files: data, headers, stubs, scripts, ``.pth`` files. Nobody but the user can settle those."""

from __future__ import annotations

from wheelfuse.fuse.model import Case, Conflict, Settled
from wheelfuse.fuse.reconcile import unified_summary
from wheelfuse.fuse.resolvers.context import Context

_KINDS = (
    (".pth", "a .pth file, which every CPython runs at start-up"),
    (".pyi", "a type stub"),
    ((".h", ".hpp", ".hxx", ".cuh", ".pxd"), "a header"),
    (".py", "Python source"),
    (".pyc", "bytecode without a CPython's tag in its name"),
    (".pyx", "Cython source"),
)


def resolve(case: Case, context: Context) -> Settled | Conflict:
    kind = next((title for suffix, title in _KINDS if case.path.endswith(suffix)), "a data file")
    if len(case.variants) == 1:
        return Conflict(case.path, f"{kind} that only some wheels have", case.groups, ("keep", "drop"))
    if case.absent:
        strategies = ("newest", "oldest", "dispatch" if case.path.endswith(".py") else "drop")
        return Conflict(case.path, f"{kind} that differs, and that some wheels lack", case.groups, strategies)
    details = unified_summary(context.texts(case), case.path)
    return Conflict(case.path, f"{kind} that differs", case.groups, ("newest", "oldest"), details)
