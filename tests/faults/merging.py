"""A merge that must go well, and a process without the privileges of root."""

from __future__ import annotations

import ctypes
from pathlib import Path

from tests.faults.soundness import require_installable
from tests.fuse.merging import command


def merged(wheels: Path, out: Path, *arguments: object) -> Path:
    code, printed, err = command("merge", wheels, "-o", out, "-q", *arguments)
    assert code == 0, err
    require_installable(Path(printed.strip()))
    return Path(printed.strip())


def without_privileges() -> None:
    """Let the rights of files count, even for root (capabilities(7))."""
    drop_from_bounding_set, override, search = 24, 1, 2
    for capability in (override, search):
        ctypes.CDLL(None).prctl(drop_from_bounding_set, capability, 0, 0, 0)
