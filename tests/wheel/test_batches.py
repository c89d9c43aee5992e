"""Members in portions for threads."""

from __future__ import annotations

import stat

from wheelfuse.wheel.batches import SIZE, batches
from wheelfuse.wheel.directory import Member


def member(path: str, size: int) -> Member:
    return Member(path, stat.S_IFREG | 0o644, 0, 0, size, size, 0)


def test_large_members_come_first_and_alone_and_small_ones_together() -> None:
    sizes = {"a": 10, "b": 3 * SIZE, "c": SIZE // 2, "d": 20, "e": SIZE, "f": 0}
    found = [[m.path for m in batch] for batch in batches(member(path, size) for path, size in sizes.items())]
    assert found == [["b"], ["e"], ["c", "d", "a", "f"]]


def test_no_portion_of_several_members_is_large() -> None:
    members = [member(str(number), number * 1000) for number in range(1000)]
    found = list(batches(members))
    assert sorted(m.path for batch in found for m in batch) == sorted(m.path for m in members)
    assert all(len(batch) == 1 or sum(m.size for m in batch) <= SIZE for batch in found)
    assert list(batches([])) == []
