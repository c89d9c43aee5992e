"""From runs to figures: medians, ratios, growth."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from statistics import median

from bench.measure import Run

_IMPORT = re.compile(r"^import time: +(\d+) \|", re.MULTILINE)


def seconds(runs: Sequence[Run]) -> float:
    """The median of the seconds of runs."""
    return median(run.seconds for run in runs)


def peak(runs: Sequence[Run]) -> int:
    """The most memory that any of the runs took, in bytes."""
    return max(run.peak_bytes for run in runs)


def paired(figure: Callable[..., float], *runs: Sequence[Run]) -> float:
    """The median over the rounds of what *figure* makes of the seconds of each round's runs.

    Runs of one round stand under the same load, so a figure of each round is steadier than one of medians.
    """
    rounds = zip(*runs, strict=True)
    return median(figure(*(run.seconds for run in one)) for one in rounds)


def ratio(of: Sequence[Run], to: Sequence[Run]) -> float:
    """How many times as long the runs *of* took as the runs *to*."""
    return paired(lambda first, second: first / second, of, to)


def import_seconds(stderr: str) -> float:
    """The seconds of all imports, from what ``python -X importtime`` prints.

    Each line states first what a module took without the modules that it imports itself, in microseconds.
    """
    return sum(map(int, _IMPORT.findall(stderr))) / 1e6


def growth_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The e of value = fixed + c · size^e, between a quarter of the largest size and the largest.

    The smallest of the series stands for what is fixed: it is subtracted from both. 1 is linear, 2 quadratic.
    Sizes ascend.

    Raises:
        ValueError: the values do not grow, so that there is no exponent.
    """
    quarter = min(range(1, len(sizes) - 1), key=lambda place: abs(sizes[place] - sizes[-1] / 4))
    steps = [(sizes[place] - sizes[0], values[place] - values[0]) for place in (quarter, -1)]
    (small, low), (large, high) = steps
    if low <= 0 or high <= 0:
        raise ValueError(f"the values do not grow with the sizes: {list(values)}")
    return math.log(high / low) / math.log(large / small)
