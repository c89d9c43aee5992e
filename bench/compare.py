"""This report against the one that was committed last."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from bench.programs import ROOT
from bench.result import Figure, Report, from_json

TOLERANCE = 1.15
"""How much worse or better a figure must be to be told: less is noise."""

COMMITTED = "HEAD:bench/results/latest.json"


@dataclass(frozen=True)
class Change:
    """A figure that changed. *worse* is how many times as bad it is as before; below 1 it is better."""

    case: str
    before: Figure
    now: Figure
    worse: float

    @property
    def is_worse(self) -> bool:
        return self.worse > 1

    def __str__(self) -> str:
        verdict = "WORSE" if self.is_worse else "better"
        return f"{verdict}  {self.case}: {self.now.name}: {_told(self.before)} before, {_told(self.now)} now"


def _told(figure: Figure) -> str:
    return f"{figure.value:.2f} {figure.unit}".rstrip()


def committed() -> Report | None:
    """The report of the last commit; None if it has none, or this is no clone."""
    try:
        done = subprocess.run(
            ["git", "show", COMMITTED], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return from_json(json.loads(done.stdout))


def changes(before: Report, now: Report) -> Iterator[Change]:
    """Figures that hold on any machine and are worse or better by more than `TOLERANCE`."""
    known = {
        (e.case, figure.name): figure for e in before.entries for figure in e.result.figures if figure.travels
    }
    for entry in now.entries:
        for figure in entry.result.figures:
            if (old := known.get((entry.case, figure.name))) and old.value > 0 and figure.value > 0:
                worse = old.value / figure.value if figure.at_least else figure.value / old.value
                if not 1 / TOLERANCE <= worse <= TOLERANCE:
                    yield Change(entry.case, old, figure, worse)
