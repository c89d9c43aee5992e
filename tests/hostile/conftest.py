"""What tests of hostile input count."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.directory import Member


@pytest.fixture
def inflated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of all pieces that were inflated in this process."""
    found: list[int] = []
    whole = Archive._inflated

    def counted(self: Archive, member: Member) -> Iterator[bytes]:
        for piece in whole(self, member):
            found.append(len(piece))
            yield piece

    monkeypatch.setattr(Archive, "_inflated", counted)
    return found
