"""Bytecode caches: each CPython reads only those with its own tag in the name."""

from __future__ import annotations

from wheelfuse.abi.modules import parse_bytecode
from wheelfuse.fuse.model import Case, Conflict, Settled
from wheelfuse.fuse.resolvers.context import Context


def resolve(case: Case, context: Context) -> Settled | Conflict | None:
    cache = parse_bytecode(case.path)
    if cache is None:
        return None
    if cache.source in context.changed:
        why = f"bytecode of {cache.source}, which is another file now"
        return case.dropped(why, "stale-bytecode", f"dropped: {why}")
    if len(case.variants) == 1:
        # An equal cache in two wheels, or one that only some have: nobody else reads it.
        return Settled((case.output(case.owners),))
    own = (original for original in case.owners if original.target and original.target.minor == cache.minor)
    keeper = next(own, case.newest)
    why = "bytecode cache that another wheel has in another form"
    return case.collapsed(why, "bytecode", f"{keeper.label}'s kept", keeper)
