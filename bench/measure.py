"""Whole programs, run in turns, with what each run took."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LAUNCH = Path(__file__).with_name("launch.py")
SHOWN = 4000
"""How much of the stderr of a failed run is told, in characters."""


class RunFailed(RuntimeError):
    """A measured program ended as it must not; the message holds the end of its stderr."""


@dataclass(frozen=True)
class Command:
    """A program to measure.

    Attributes:
        name: what it is called in tables.
        arguments: the program, by its full path, and its arguments.
        exit_codes: those that it may end with.
        output: the directory or file that it writes, removed before and after each run.
        environment: variables that are set for it alone.
    """

    name: str
    arguments: tuple[str, ...]
    exit_codes: tuple[int, ...] = (0,)
    output: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What one run took.

    Attributes:
        seconds: from start to end.
        cpu_seconds: of all its threads and processes, in user and in kernel mode.
        peak_bytes: the largest resident set of the program, or of one of the processes that it started.
        stderr: what it printed there.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    stderr: str = field(default="", repr=False)


Runs = Mapping[str, tuple[Run, ...]]
"""The runs of each command, by its name. Runs at the same place were made in the same round."""


def alternate(commands: Sequence[Command], rounds: int, directory: Path, warm_up: bool = True) -> Runs:
    """Run commands in turns (A B C A B C …), after one round that only fills caches; *directory* is where they run.

    Raises:
        RunFailed: a command ended with another exit code than it may.
    """
    runs: dict[str, list[Run]] = {command.name: [] for command in commands}
    for number in range(0 if warm_up else 1, rounds + 1):
        for command in commands:
            taken = run(command, directory)
            progress(f"  round {number or '-'}  {command.name}: {taken.seconds:.3f} s")
            if number:
                runs[command.name].append(taken)
    return {name: tuple(taken) for name, taken in runs.items()}


def run(command: Command, directory: Path) -> Run:
    """Run a command once. What earlier runs wrote reaches the disk first, so that no run waits for another's.

    Raises:
        RunFailed: it ended with another exit code than it may.
    """
    remove(command.output)
    os.sync()
    stderr = directory / "stderr"
    launch = [sys.executable, "-I", "-S", str(LAUNCH), str(stderr), *command.arguments]
    environment = {**os.environ, **command.environment}
    done = subprocess.run(launch, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunFailed(f"{command.name}: {command.arguments[0]} could not be started\n{done.stderr}")
    printed = stderr.read_text(encoding="utf-8", errors="replace")
    remove(command.output)
    took = json.loads(done.stdout)
    if (code := took.pop("exit_code")) not in command.exit_codes:
        raise RunFailed(
            f"{command.name}: exit code {code}\n{' '.join(command.arguments)}\n{printed[-SHOWN:]}"
        )
    return Run(**took, stderr=printed)


def remove(path: Path | None) -> None:
    """Remove a file or a directory, if there is one."""
    if path and path.is_dir():
        shutil.rmtree(path)
    elif path:
        path.unlink(missing_ok=True)


def progress(line: str) -> None:
    """Tell on stderr what goes on."""
    print(line, file=sys.stderr, flush=True)
