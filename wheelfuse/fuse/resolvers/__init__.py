"""One module for each kind of difference. A resolver gets a path that is not the same in all originals and says
what becomes of it (:class:`Settled`), why nobody may decide that silently (:class:`Conflict`), or that the
path is not of its kind (None)."""

from __future__ import annotations

from collections.abc import Callable

from wheelfuse.fuse.model import Case, Conflict, Settled
from wheelfuse.fuse.resolvers import (
    archives,
    bytecode,
    cython,
    dist_info,
    remainder,
    shared_objects,
    sources,
    symlinks,
)
from wheelfuse.fuse.resolvers.context import Context

Resolver = Callable[[Case, Context], Settled | Conflict | None]

RESOLVERS: tuple[Resolver, ...] = (
    symlinks.resolve,
    dist_info.resolve,
    shared_objects.resolve,
    sources.resolve,
    bytecode.resolve,
    archives.resolve,
    cython.resolve,
    remainder.resolve,
)
"""In order; the last one takes whatever is left."""
