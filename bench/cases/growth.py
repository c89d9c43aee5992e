"""Merges of series of growing inputs: time should grow as they do, memory not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import inputs as given
from bench import programs
from bench.cases.bench import Bench
from bench.figures import growth_exponent, peak, seconds
from bench.measure import Command
from bench.result import Figure, Growth, Result

MEMBERS = (1_000, 10_000, 50_000, 100_000, 200_000)
SIZES = (16, 64, 256, 512, 1024)
INPUTS = (2, 4, 8, 15, 30)

LINEAR = 1.1
"""The largest exponent that counts as linear: that of n·log n here is at most 1.1, that of n² is 2."""


def members(bench: Bench) -> Result:
    """Merges of two wheels with 1,000 to 200,000 files of 100 bytes each. The exponent e of time = fixed + c·membersᵉ
    is that between 50,000 and 200,000; 1 is linear."""
    commands = [
        programs.merge(
            f"{count:,} members", given.of_members(_place(bench, count), count), bench.directory, *given.PAIR
        )
        for count in MEMBERS
    ]
    return _series(bench, commands, "members of each of 2 wheels", MEMBERS)


def size(bench: Bench) -> Result:
    """Merges of two wheels with 16 MiB to 1 GiB in members of 4 MiB, which deflate to about a third. The exponent is
    that between 256 MiB and 1 GiB."""
    commands = [
        programs.merge(
            f"{mebi:,} MiB", given.of_bytes(_place(bench, mebi), mebi << 20), bench.directory, *given.PAIR
        )
        for mebi in SIZES
    ]
    return _series(bench, commands, "MiB in each of 2 wheels, inflated", SIZES)


def inputs(bench: Bench) -> Result:
    """Merges of 2 to 30 wheels with the same 500 files and 16 MiB and one source that differs. There are 15 CPythons,
    so wheelfuse runs here with a longer list of them (bench/many_cpythons.py). The exponent is that between 8 and 30
    inputs."""
    wheels = {count: given.of_inputs(_place(bench, count), count) for count in INPUTS}
    output = bench.directory / "merged"
    start = ("-m", "bench.many_cpythons", "merge", "--quiet", "-o", str(output))
    commands = [
        programs.python(f"{count} inputs", *start, *given.expecting(count), *wheels[count], output=output)
        for count in INPUTS
    ]
    return _series(bench, commands, "inputs", INPUTS)


def _place(bench: Bench, number: int) -> Path:
    return bench.directory / str(number)


def _series(bench: Bench, commands: Sequence[Command], axis: str, sizes: Sequence[int]) -> Result:
    runs = bench.alternate(*commands)
    times = [seconds(runs[command.name]) for command in commands]
    figures = (
        Figure("exponent of time", growth_exponent(sizes, times), "", LINEAR),
        Figure("peak memory", max(map(peak, runs.values())) / 1e6, "MB", 120),
    )
    return Result(runs, figures, Growth(axis, tuple(sizes)))
