"""All other files: data, headers, stubs, scripts, ``.pth`` files. Nobody but the user can settle those."""

from __future__ import annotations

from wheelfuse.fuse.model import Case, Conflict
from wheelfuse.fuse.resolvers.context import Context
from wheelfuse.fuse.resolvers.sources import is_importable_source

_KINDS = (
    (".pth", ".pth files, which every CPython runs at start-up"),
    (".pyi", "type stubs"),
    ((".h", ".hpp", ".hxx", ".cuh", ".pxd"), "headers"),
    (".py", "Python source"),
    (".pyc", "bytecode without a CPython's tag in its name"),
)


def resolve(case: Case, context: Context) -> Conflict:
    if len(case.variants) == 1:
        return Conflict(case.path, "only some wheels have it", case.groups, ("keep", "drop"))
    kind = next((title for suffix, title in _KINDS if case.path.endswith(suffix)), "data")
    from wheelfuse.fuse.reconcile.summary import unified_summary  # difflib is for refusals alone

    details = unified_summary(context.texts(case), case.path)
    if case.absent:
        strategies = (
            ("dispatch", "newest", "oldest")
            if is_importable_source(case.path)
            else ("newest", "oldest", "drop")
        )
        return Conflict(
            case.path, f"differing {kind}, and some wheels have none", case.groups, strategies, details
        )
    return Conflict(case.path, f"differing {kind}", case.groups, ("newest", "oldest"), details)
