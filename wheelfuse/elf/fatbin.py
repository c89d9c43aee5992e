"""GPU code in an ELF file (CUDA fat binaries)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DeviceCode:
    """The GPU code of one file."""
