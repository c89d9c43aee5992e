"""Bytecode caches (PEP 3147): each CPython reads only those with its own tag in the name."""

from __future__ import annotations

import posixpath
import re

from wheelfuse.fuse.model import Case, Conflict, Resolution, Settled, labels
from wheelfuse.fuse.resolvers.context import Context

_CACHED = re.compile(
    r"(?P<package>(?:.*/)?)__pycache__/(?P<module>[^/]+)\.cpython-3(?P<minor>\d+)(?:\.opt-\w+)?\.pyc"
)


def resolve(case: Case, context: Context) -> Settled | Conflict | None:
    match = _CACHED.fullmatch(case.path)
    if match is None:
        return None
    source = posixpath.join(match["package"], f"{match['module']}.py")
    if source in context.dispatched:
        why = f"bytecode of {source}, which became a dispatching module"
        return case.dropped(why, "stale-bytecode", f"dropped: {why}")
    if len(case.variants) == 1:
        resolution = Resolution("bytecode", case.path, labels(case.owners), "read by its own CPython only")
        return Settled((case.output(case.owners),), (resolution,))
    keeper = next((o for o in case.owners if o.target and o.target.minor == int(match["minor"])), case.newest)
    why = "bytecode cache that another wheel has in another form"
    return case.collapsed(why, "bytecode", f"{keeper.label}'s kept", keeper)
