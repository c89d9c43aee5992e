"""What a case is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Command, Runs, alternate


@dataclass(frozen=True)
class Bench:
    """Where a case may write, and how many rounds it makes. *tools* outlives the case: the peers' environments."""

    directory: Path
    tools: Path
    rounds: int

    def alternate(self, *commands: Command) -> Runs:
        """`measure.alternate`, with the rounds of the case."""
        return alternate(self._distinct(commands), self.rounds, self.directory)

    @staticmethod
    def _distinct(commands: Sequence[Command]) -> Sequence[Command]:
        names = [command.name for command in commands]
        assert len(names) == len(set(names)), f"two commands have one name: {names}"
        return commands
