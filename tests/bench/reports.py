"""Reports of the bench made by hand."""

from __future__ import annotations

from collections.abc import Sequence

from bench.measure import Run
from bench.result import Entry, Figure, Growth, Report, Result

SESSION = {
    "date": "2026-11-20 12:00:00 UTC",
    "processor": "Some CPU",
    "cores": "2",
    "memory": "16 GiB",
    "disk": "ext4 on sda",
    "load": "0.01 in the minute before",
    "kernel": "Linux 6.1",
    "python": "CPython 3.12.1",
    "wheelfuse": "0.1.0 (abc)",
    "inflate": "isal 1.7",
    "peers": "wheel 0.45",
}


def runs(*seconds: float, megabytes: int = 50) -> tuple[Run, ...]:
    return tuple(Run(time, time / 2, megabytes * 1_000_000) for time in seconds)


def entry(
    case: str,
    *figures: Figure,
    growth: Growth | None = None,
    session: str = SESSION["date"],
    **taken: Sequence[Run],
) -> Entry:
    return Entry(
        case, f"title of {case}", session, Result({k: tuple(v) for k, v in taken.items()}, figures, growth)
    )


def report(*entries: Entry) -> Report:
    return Report({SESSION["date"]: SESSION}, entries)
