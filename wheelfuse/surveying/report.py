"""What a run of the survey comes to."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from wheelfuse.surveying.failed import READ
from wheelfuse.surveying.rows import WheelRow

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
WORST = 10
"""How many of the wheels of which most was fetched are named."""

_REASONS = 1000  # different ones that are counted
_OTHER = "another reason"
_FINE = 1000  # a share is counted in steps of this part of a file
_MOST = 2 * _FINE  # more than all of a file comes if requests fail


@dataclass(frozen=True)
class Worst:
    """A wheel of which much was fetched: *fetched* bytes of *size*."""

    file: str
    url: str
    fetched: int
    size: int


@dataclass(frozen=True)
class Progress:
    """How far a run is. *of* is how many wheels there are in all, if that is known before all are listed."""

    done: int
    of: int | None
    failed: int
    unchanged: int
    fetched: int
    size: int
    seconds: float


@dataclass(frozen=True)
class SurveyReport:
    """What one run did; what an earlier one had read is in it as *unchanged*.

    *reasons* of failures, the commonest first, and how often each. *fetched* is the bytes that came of *size* bytes,
    those of wheels that failed among them, by so many *requests*. *shares* has, for each of :data:`QUANTILES`, the part
    of a wheel that was fetched which so many of those read did not exceed, from 0 to 1, or more if requests failed.
    """

    output: Path
    read: int
    failed: int
    unchanged: int
    reasons: tuple[tuple[str, int], ...]
    fetched: int
    size: int
    requests: int
    shares: tuple[tuple[float, float], ...]
    worst: tuple[Worst, ...]
    seconds: float

    @property
    def wheels(self) -> int:
        """How many wheels there were."""
        return self.read + self.failed + self.unchanged


@dataclass
class Count:
    """Counts what a run does, in memory that does not grow with it."""

    of: int | None = None
    read: int = 0
    failed: int = 0
    unchanged: int = 0
    fetched: int = 0
    size: int = 0
    requests: int = 0
    begun: float = field(default_factory=time.monotonic)
    _reasons: Counter[str] = field(default_factory=Counter)
    _shares: list[int] = field(default_factory=lambda: [0] * (_MOST + 1))
    _worst: list[tuple[int, str, str, int]] = field(default_factory=list)

    def add(self, row: WheelRow) -> None:
        """A wheel that was read, or failed."""
        self.fetched += row.fetched
        self.requests += row.requests
        self.size += row.size or 0
        if row.status != READ:
            self.fail(row.reason or "")
            return
        self.read += 1
        if row.size:
            self._shares[min(-(-row.fetched * _FINE // row.size), _MOST)] += 1
            heapq.heappush(self._worst, (row.fetched, row.file, row.url, row.size))
            if len(self._worst) > WORST:
                heapq.heappop(self._worst)

    def fail(self, reason: str) -> None:
        """A wheel that failed."""
        self.failed += 1
        first = reason.partition("\n")[0]
        self._reasons[first if first in self._reasons or len(self._reasons) < _REASONS else _OTHER] += 1

    def progress(self) -> Progress:
        """How far it is."""
        done = self.read + self.failed + self.unchanged
        seconds = time.monotonic() - self.begun
        return Progress(done, self.of, self.failed, self.unchanged, self.fetched, self.size, seconds)

    def report(self, output: Path) -> SurveyReport:
        """What it came to."""
        worst = (
            Worst(file, url, fetched, size) for fetched, file, url, size in sorted(self._worst, reverse=True)
        )
        return SurveyReport(
            output,
            self.read,
            self.failed,
            self.unchanged,
            tuple(self._reasons.most_common()),
            self.fetched,
            self.size,
            self.requests,
            tuple(self._quantiles()),
            tuple(worst),
            time.monotonic() - self.begun,
        )

    def _quantiles(self) -> Iterator[tuple[float, float]]:
        total = sum(self._shares)
        for quantile in QUANTILES if total else ():
            below = 0
            for share, count in enumerate(self._shares):  # pragma: no branch
                below += count
                if below >= quantile * total:
                    yield quantile, share / _FINE
                    break
