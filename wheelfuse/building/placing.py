"""Several jobs, each with a copy of the sources of its own, that all see it under one path.

Backends write into the source tree, so jobs that run at a time need copies. But nvcc and debug information put the
path of a source file into what they make (docs/explanation/device-code.md), so copies under different paths give
different files. Linux gives each job its own view: in a mount namespace, its copy lies over the common path.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wheelfuse import processes
from wheelfuse.temporary import scratch

_WAYS = (
    ("unshare", "--mount"),  # as root, where the machine lets it
    ("unshare", "--user", "--map-root-user", "--mount"),
)
_MOUNT = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
_TIMEOUT = 10.0  # seconds


def possible_way() -> tuple[str, ...]:
    """The beginning of a command that has its own mounts; empty if this machine has none that works.

    Tried, not guessed: containers forbid it or not, and say so nowhere.
    """
    with scratch() as directory:
        here, there = directory / "here", directory / "there"
        here.mkdir()
        there.mkdir()
        (here / "seen").touch()
        for way in _WAYS:
            command = placed(["test", "-e", str(there / "seen")], way, here, there)
            try:
                if processes.run(command, timeout=_TIMEOUT).ok:
                    return way
            except OSError:  # there is no such program
                return ()
    return ()


def placed(command: Sequence[str], way: Sequence[str], here: Path, there: Path) -> list[str]:
    """*command*, run where what lies *here* is also seen *there*."""
    return [*way, "sh", "-c", _MOUNT, "sh", str(here), str(there), *command]
