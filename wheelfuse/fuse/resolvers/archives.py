"""Zip-like data files (``.npz``, ``.jar``, zipped data) that differ only in how they were zipped."""

from __future__ import annotations

from wheelfuse.fuse.model import Case, Conflict, Settled
from wheelfuse.fuse.resolvers.context import Context


def resolve(case: Case, context: Context) -> Settled | Conflict | None:
    listings = [context.facts.listings.get(digest) for digest in case.variants]
    if len(listings) < 2 or case.absent or None in listings or len(set(listings)) > 1:
        return None
    outcome = f"zip archives with equal members: {case.newest.label}'s kept"
    return case.collapsed("its members are equal in the archive that was kept", "equal-members", outcome)
