"""Bytecode caches: each CPython reads only those with its own tag in the name."""

from __future__ import annotations

from wheelfuse.fuse.model import Case, Conflict, Settled
from wheelfuse.fuse.modules import parse_bytecode
from wheelfuse.fuse.resolvers.context import Context


def resolve(case: Case, context: Context) -> Settled | Conflict | None:
    cache = parse_bytecode(case.path)
    if cache is None:
        return None
    if cache.source in context.dispatched:
        why = f"bytecode of {cache.source}, which became a dispatching module"
        return case.dropped(why, "stale-bytecode", f"dropped: {why}")
    if len(case.variants) == 1:
        return Settled((case.output(case.owners),))
    own = (original for original in case.owners if original.target and original.target.minor == cache.minor)
    keeper = next(own, case.newest)
    why = "bytecode cache that another wheel has in another form"
    return case.collapsed(why, "bytecode", f"{keeper.label}'s kept", keeper)
