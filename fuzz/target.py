"""What a target is, and what may become of one input."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis.strategies import SearchStrategy

from wheelfuse.errors import WheelfuseError

ACCEPTED, REFUSED = "accepted", "refused"


@dataclass(frozen=True)
class Target:
    """One part of wheelfuse that reads what others wrote.

    *inputs* gives the strategy that builds inputs (when it is first needed, since that may take a while). *check*
    gets one of them and an empty directory; it returns when all is well, also by a `WheelfuseError`, which is a
    refusal. *share*: how many of a thousand inputs are for this target. *guided*: whether coverage leads to more of
    the code than the strategy alone does.
    """

    name: str
    about: str
    inputs: Callable[[], SearchStrategy[bytes]]
    check: Callable[[bytes, Path], None]
    share: int
    guided: bool = False


class Wrong(Exception):
    """An output that is not what it has to be."""


def expect(condition: object, what: str) -> None:
    """Raise `Wrong` unless the condition holds: ``assert`` that no optimisation removes."""
    if not condition:
        raise Wrong(what)


@contextmanager
def accepting(what: str) -> Iterator[None]:
    """A refusal in this block is wrong: *what* says why nothing may be refused any more."""
    try:
        yield
    except WheelfuseError as error:
        raise Wrong(f"{what}: {error}") from error


def scratch() -> str | None:
    """Where files of inputs go: memory, if the machine has a directory of it."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
