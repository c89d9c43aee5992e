"""How many threads or processes work at the same time."""

from __future__ import annotations

import os

MOST = 8
"""More threads than this do not make reading faster, but take more memory."""


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """How many threads to start for work that lets go of the interpreter: inflating, hashing, compressing."""
    return min(MOST, processors())
