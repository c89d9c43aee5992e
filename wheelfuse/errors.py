"""The errors of wheelfuse. Each class carries the exit code that the command line returns for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from wheelfuse.escape import printable, printable_lines


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: in which wheel, in which member of it, what it is, and what to do about it.

    The fields are as they are: names in them may hold anything. As text they are `printable`, *what* and *todo* with
    their line breaks.
    """

    what: str
    wheel: str = ""
    member: str = ""
    todo: str = ""

    def __str__(self) -> str:
        text = ": ".join(
            (*(printable(part) for part in (self.wheel, self.member) if part), printable_lines(self.what))
        )
        return f"{text}\n    {printable_lines(self.todo)}" if self.todo else text


_MOST = 200
"""Problems of one wheel that are told."""


def told(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The problems of one wheel, if it has many only the first; the last one then says how many there are more."""
    if len(problems) <= _MOST:
        return tuple(problems)
    more = Problem(f"{len(problems) - _MOST} more problems like these", problems[0].wheel)
    return (*problems[:_MOST], more)


class WheelfuseError(Exception):
    """Base of all errors that wheelfuse raises on purpose; holds every problem found, not only the first.

    *outcome* is what the call would have returned, as far as it came: of a merge that was refused a `MergeOutcome`,
    with its plan. None if it came to nothing.
    """

    exit_code: ClassVar[int] = 1
    outcome: Any = None

    def __init__(self, problems: Problem | str | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(WheelfuseError):
    """The request itself makes no sense: an unknown strategy, no inputs, an output that is also an input."""

    exit_code = 2


class InvalidInput(WheelfuseError, ValueError):
    """An input cannot be trusted or read: damaged zip, RECORD mismatch, unreadable ELF file."""

    exit_code = 3


class ConflictError(WheelfuseError, ValueError):
    """The inputs are sound, but cannot become one wheel without a decision of the user."""

    exit_code = 4


class JobFailed(WheelfuseError):
    """A job on one of the CPythons failed: a build that ended with an error, or a wheel that does not work there."""

    exit_code = 5
