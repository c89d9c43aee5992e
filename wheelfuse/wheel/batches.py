"""The members of a wheel in portions that take about as long as each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wheelfuse.wheel.directory import Member

SIZE = 1 << 20
"""Up to about so many bytes are a portion."""


def batches(members: Iterable[Member]) -> Iterator[tuple[Member, ...]]:
    """Large members alone, small ones several at a time; the largest first, so that threads end together."""
    batch: list[Member] = []
    size = 0
    for member in sorted(members, key=lambda member: (-member.size, member.path)):
        if batch and size + member.size > SIZE:
            yield tuple(batch)
            batch, size = [], 0
        batch.append(member)
        size += member.size
    if batch:
        yield tuple(batch)
