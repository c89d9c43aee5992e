"""What the user decides about a survey."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wheelfuse.errors import UsageError
from wheelfuse.wheel.limits import DEFAULT_LIMITS, Limits

DEADLINE = 600.0
"""Seconds that reading one wheel may take. The largest, of some GB, take a minute on a slow line."""


@dataclass(frozen=True)
class SurveyOptions:
    """Which wheels, where to, and by whom.

    *locations* are what :func:`wheelfuse.surveying.locations.wheels_at` takes, of which *include* and *exclude* take
    some by globs on file names; *output* is a directory of this machine, and *resume* goes on with what is in it.
    *scheduler* is the address of a Dask cluster; without one, so many *workers* of this machine read, 0 for as many as
    there are processors, and four times that for what comes over a network. A wheel beyond the *limits*, or one that
    takes more than *deadline* seconds, is a failure.
    """

    locations: tuple[str, ...]
    output: Path
    scheduler: str = ""
    workers: int = 0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    resume: bool = False
    limits: Limits = DEFAULT_LIMITS
    deadline: float = DEADLINE

    def __post_init__(self) -> None:
        """Raises:
        UsageError: there is no location, or a number makes no sense.
        """
        if not self.locations:
            raise UsageError("nothing to survey: name wheels, directories, buckets, or the URL of an index")
        if self.workers < 0:
            raise UsageError(f"--workers must be a number above zero, not {self.workers}")
        if self.workers and self.scheduler:
            raise UsageError(
                "--workers are of this machine, and --scheduler has workers of its own: name one of them"
            )
        if not self.deadline > 0:
            raise UsageError(f"--deadline must be a number of seconds above zero, not {self.deadline:g}")
