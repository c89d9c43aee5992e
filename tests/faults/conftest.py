"""The wheels that these tests merge."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.wheels import build_wheel

TARGETS = ("cp310", "cp311", "cp312")


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Wheels of which much is copied as it lies there."""
    noise = b"".join(os.urandom(50_000) for _ in range(2))
    for target in TARGETS:
        build_wheel(tmp_path / "in", target, {"pkg/config.py": f"N = {target!r}\n", "pkg/noise.bin": noise})
    return tmp_path / "in"
