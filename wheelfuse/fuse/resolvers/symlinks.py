"""Symbolic links: they go with what they lead to, and cannot follow a library that becomes one per CPython."""

from __future__ import annotations

import posixpath

from wheelfuse.fuse.model import Case, Conflict, Settled
from wheelfuse.fuse.resolvers.context import Context


def resolve(case: Case, context: Context) -> Settled | Conflict | None:
    if not case.newest.files[case.path].is_symlink:
        return None
    for original in case.owners:
        destination = context.facts.contents[original.files[case.path].digest].decode(
            "utf-8", "surrogateescape"
        )
        path = posixpath.normpath(posixpath.join(posixpath.dirname(case.path), destination))
        if path in context.binding.per_target:
            reason = "a symbolic link to a library that becomes one per CPython"
            return Conflict(case.path, reason, case.groups, ("drop",))
    if case.absent or len(case.variants) > 1:
        return None
    return Settled((case.output(case.owners),))
