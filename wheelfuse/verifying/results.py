"""What a verification returns: for each wheel and each CPython what happened."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wheelfuse.errors import JobFailed
from wheelfuse.target import Target


class Outcome(enum.Enum):
    """What became of one step.

    MISSING: the wheel has no file of this module for this CPython. ABSENT: the same, and the user accepts it.
    NOT_VERIFIED: it was not tried, or said nothing about the wheel; the reason tells.
    """

    OK = "ok"
    FAILED = "failed"
    CRASHED = "crashed"
    HUNG = "hung"
    MISSING = "missing"
    ABSENT = "absent"
    NOT_VERIFIED = "not verified"

    @property
    def is_failure(self) -> bool:
        """Whether it shows that the wheel does not work."""
        return self in (Outcome.FAILED, Outcome.CRASHED, Outcome.HUNG, Outcome.MISSING)


@dataclass(frozen=True)
class Result:
    """The outcome of one step, why (one line), the end of what it printed, and how long it took in seconds.

    An OK may have a reason, too: something that its users should know.
    """

    outcome: Outcome
    reason: str = ""
    output: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Imported:
    """What became of importing one module (dotted name); *path* is its file in the wheel, empty if there is none."""

    module: str
    path: str
    result: Result


@dataclass(frozen=True)
class Trial:
    """One wheel on one CPython. *python* and *version* are empty where the machine has none; *command* is None if
    there is none to run."""

    target: Target
    python: str
    version: str
    installation: Result
    modules: tuple[Imported, ...] = ()
    command: Result | None = None

    @property
    def results(self) -> Iterator[Result]:
        """All steps, in order."""
        yield self.installation
        yield from (item.result for item in self.modules)
        if self.command:
            yield self.command

    def has(self, outcome: Outcome) -> bool:
        """Whether a step had this outcome."""
        return any(result.outcome is outcome for result in self.results)

    @property
    def failed(self) -> bool:
        """Whether a step showed that the wheel does not work here."""
        return any(result.outcome.is_failure for result in self.results)


@dataclass(frozen=True)
class VerifiedWheel:
    """One wheel on every CPython that was asked about.

    *unasked* are those that it claims, but that the caller left out; *unreleased* those that would install it,
    too, but are not out yet.
    """

    path: Path
    trials: tuple[Trial, ...]
    unasked: tuple[Target, ...] = ()
    unreleased: tuple[Target, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether it does not work somewhere."""
        return any(trial.failed for trial in self.trials)

    @property
    def nothing_verified(self) -> bool:
        """Whether it was not even tried to install anywhere."""
        return all(trial.installation.outcome is Outcome.NOT_VERIFIED for trial in self.trials)


@dataclass(frozen=True)
class Verification:
    """All wheels of one run. *command* is what was run in each environment, if anything."""

    wheels: tuple[VerifiedWheel, ...]
    command: str = ""
    require_all: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def trials(self) -> tuple[Trial, ...]:
        return tuple(trial for wheel in self.wheels for trial in wheel.trials)

    @property
    def nothing_verified(self) -> bool:
        """Whether nothing is known of any wheel, which is no success."""
        return all(wheel.nothing_verified for wheel in self.wheels)

    @property
    def incomplete(self) -> bool:
        """Whether something that a wheel claims was not verified."""
        left_out = any(wheel.unasked for wheel in self.wheels)
        return left_out or any(trial.has(Outcome.NOT_VERIFIED) for trial in self.trials)

    @property
    def failed(self) -> bool:
        """Whether a wheel does not work somewhere, nothing was verified, or not all of what had to be."""
        broken = any(wheel.failed for wheel in self.wheels)
        return broken or self.nothing_verified or (self.require_all and self.incomplete)

    @property
    def exit_code(self) -> int:
        """0, or that of :class:`~wheelfuse.errors.JobFailed`."""
        return JobFailed.exit_code if self.failed else 0
