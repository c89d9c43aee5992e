"""What tests of builds share."""

from __future__ import annotations

import pytest

from tests.interpreters import remembered
from wheelfuse.interpreters import search


@pytest.fixture(autouse=True)
def interpreters_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each build searches the machine, which stays as it is."""
    monkeypatch.setattr(search, "probe", remembered)
