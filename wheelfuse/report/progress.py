"""How far a command has come: one line of words, for a terminal and for a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from wheelfuse.sizes import human_size

BYTES = "bytes"

MERGING = ("verifying", "comparing", "writing", "finishing")
AUDITING = ("reading", "judging")
BUILDING = ("building", "finishing")
SURVEYING = ("reading", "finishing")
"""The steps of commands, as `Meter` takes them."""

_TOO_SOON = 1.0
"""Seconds after which what is done so far says something about the rest."""


class Meter:
    """What is done of the steps of a command, and how long the rest will take; *clock* gives seconds.

    The *steps* are those that are counted, each followed by the one after it that is not: verifying, comparing,
    writing, finishing. *of* is what is counted: bytes, or jobs and the like.
    """

    def __init__(
        self, steps: Sequence[str], of: str = BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._steps, self._of, self._clock = steps, of, clock
        self._step, self._done, self._total = 0, 0, 0
        self._begun = self._ended = clock()

    def advance(self, done: int, total: int) -> None:
        """So much is done of a step, of so much in all (0: that is not known yet); less than before: the next step has
        begun."""
        if done < self._done:
            self._step = min(self._step + 2, len(self._steps) - 2)
            self._begun = self._clock()
        self._done, self._total = done, total
        if done >= total:
            self._ended = self._clock()

    def line(self, width: int = 1 << 16) -> str:
        """What is done, how fast, and what is left; in a narrow terminal without what comes last."""
        parts = list(self._parts())
        while len(parts) > 1 and len(", ".join(parts)) > width:
            parts.pop()
        return ", ".join(parts)[:width]

    def _parts(self) -> list[str]:
        now, done, total = self._clock(), self._done, self._total
        if done >= total > 0:
            return [self._steps[self._step + 1], f"{duration(now - self._ended)} so far"]
        seconds = now - self._begun
        doing = self._steps[self._step]
        if not total:
            so_far = f"{duration(seconds)} so far"
            if not done:
                return [doing, so_far]
            amount = human_size(done) if self._of == BYTES else f"{done} {self._of}"
            return [
                f"{doing} {amount}",
                *([self._rate(done / seconds)] if seconds >= _TOO_SOON else []),
                so_far,
            ]
        parts = [f"{doing} {self._amount(done, total)} ({done * 100 // total}%)"]
        if not done or seconds < _TOO_SOON:
            return [*parts, f"{duration(seconds)} so far"]
        left = seconds / done * (total - done)
        return [*parts, self._rate(done / seconds), f"about {duration(left)} left"]

    def _amount(self, done: int, total: int) -> str:
        if self._of == BYTES:
            return f"{human_size(done)} of {human_size(total)}"
        return f"{done} of {total} {self._of}"

    def _rate(self, rate: float) -> str:
        """Per second; of what is slow, how long each takes."""
        if self._of == BYTES:
            return f"{human_size(int(rate))}/s"
        return f"{rate:.0f} per second" if rate >= 2 else f"{duration(1 / rate)} each"


def duration(seconds: float) -> str:
    """``8 s``, ``3 min 20 s``, ``1 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
