"""What made a file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Producers:
    """What a file tells of the tools that made it."""
