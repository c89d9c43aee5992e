"""A machine of one's own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pythons.machines import bare


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no CPython but the running one; its places are in the directory that is returned."""
    return bare(tmp_path, monkeypatch).parent
