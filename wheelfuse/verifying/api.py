"""Verify as a function of paths: what the command line and :mod:`wheelfuse` offer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from wheelfuse.abi.cpython import has_table
from wheelfuse.errors import InvalidInput, Problem, UsageError
from wheelfuse.processes import StrPath
from wheelfuse.target import Target
from wheelfuse.temporary import scratch
from wheelfuse.verifying.claims import Claims, read_claims
from wheelfuse.verifying.machine import Machine, look_around
from wheelfuse.verifying.options import VerifyOptions
from wheelfuse.verifying.results import Trial, Verification, VerifiedWheel
from wheelfuse.verifying.trial import Job, untried
from wheelfuse.wheel.archive import wheels_in
from wheelfuse.wheel.limits import DEFAULT_LIMITS, Limits
from wheelfuse.workers import processors

Progress = Callable[[int, int], None]
"""Called with the CPythons done so far and those to do in all."""


def verify(
    wheels: Iterable[StrPath] | StrPath,
    options: VerifyOptions | None = None,
    *,
    jobs: int = 0,
    keep: StrPath | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Verification:
    """Install each wheel on each CPython that it claims and this machine has, import its extension modules, and run
    the command of the *options*, each CPython in a fresh environment.

    *wheels* are files, or directories that hold some. *jobs* environments are worked on at a time (0: one per core).
    The environments are left in *keep*, one directory for each wheel with one for each CPython; by default they go.
    Wheels beyond the *limits* are refused, and not installed.

    Raises:
        UsageError: there is no wheel, a Python that was named is none, or *keep* has such environments already.
        InvalidInput: a file cannot be trusted or read.
    """
    options = options or VerifyOptions()
    claims = _read(_paths(wheels), limits)
    machine = look_around(options)
    with ExitStack() as stack:
        base = Path(keep).absolute() if keep else stack.enter_context(scratch())
        stop = Event()
        places = _directories(claims) if keep else map(str, range(len(claims)))
        plans = [
            _plan(one, machine, options, base / place, bool(keep), stop)
            for one, place in zip(claims, places, strict=True)
        ]
        trials = iter(_run([step for plan in plans for step in plan.steps], jobs, stop, progress))
    verified = tuple(
        VerifiedWheel(plan.path, tuple(next(trials) for _ in plan.steps), plan.unasked, plan.unreleased)
        for plan in plans
    )
    warnings = (*machine.warnings, *_variables_that_count())
    return Verification(verified, options.command, options.require_all, warnings)


def _paths(given: Iterable[StrPath] | StrPath) -> list[Path]:
    """The wheels, each once; a directory stands for those in it.

    Raises:
        UsageError: there is none.
        InvalidInput: a path cannot be looked at.
    """
    if isinstance(given, (str, os.PathLike)):
        given = (given,)
    found: dict[Path, None] = {}
    for path in map(Path, given):
        try:
            inside = wheels_in(path)
        except FileNotFoundError:
            inside = [path]  # reading it will tell
        if not inside:
            raise UsageError(f"{path}: no wheels in this directory")
        found.update((one.absolute(), None) for one in inside)
    if not found:
        raise UsageError("nothing to verify: name a wheel")
    return list(found)


def _read(paths: Iterable[Path], limits: Limits) -> list[Claims]:
    """What each wheel claims.

    Raises:
        InvalidInput: with the problems of all of them.
    """
    claims: list[Claims] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            claims.append(read_claims(path, limits))
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    return claims


def _directories(claims: Iterable[Claims]) -> list[str]:
    """A name for the environments of each wheel: that of the file, with a number if it came before."""
    names: list[str] = []
    for one in claims:
        same = sum(name.startswith(one.name.stem) for name in names)
        names.append(f"{one.name.stem} ({same + 1})" if same else one.name.stem)
    return names


@dataclass(frozen=True)
class Plan:
    """What to do with one wheel: trials to make, and those that cannot be made; and what is left out of them."""

    path: Path
    steps: tuple[Job | Trial, ...]
    unasked: tuple[Target, ...]
    unreleased: tuple[Target, ...]


def _plan(
    claims: Claims, machine: Machine, options: VerifyOptions, directory: Path, keep: bool, stop: Event
) -> Plan:
    released = [target for target in claims.targets if has_table(target) or target in machine.interpreters]
    asked = [target for target in released if machine.is_asked(target)]
    steps: list[Job | Trial] = []
    for target in asked:
        if reason := machine.why_not(claims, target):
            steps.append(untried(claims, target, options, reason))
            continue
        place = directory / str(target)
        if os.path.lexists(place):
            raise UsageError(f"{place} exists already: remove it, or name another directory")
        steps.append(Job(claims, machine.interpreters[target], options, place, keep, stop))
    unasked = tuple(target for target in released if target not in asked)
    unreleased = tuple(target for target in claims.targets if target not in released)
    return Plan(claims.path, tuple(steps), unasked, unreleased)


def _run(steps: Sequence[Job | Trial], jobs: int, stop: Event, progress: Progress | None) -> list[Trial]:
    """Make the trials, several at a time; the answers in the order of the steps."""
    with ThreadPoolExecutor(jobs or processors()) as pool:
        running = {
            number: pool.submit(step.run) for number, step in enumerate(steps) if isinstance(step, Job)
        }
        try:
            if progress:
                progress(0, len(running))
            for done, future in enumerate(as_completed(running.values()), 1):
                future.result()
                if progress:
                    progress(done, len(running))
        except BaseException:  # an interrupt as well: nothing may go on behind the caller's back
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [running[number].result() if isinstance(step, Job) else step for number, step in enumerate(steps)]


def _variables_that_count() -> Iterator[str]:
    """A library that only this machine's settings let a module find is no proof that others find it."""
    for name in ("LD_LIBRARY_PATH", "LD_PRELOAD"):
        if os.environ.get(name):
            yield f"{name} is set, and counts for every import: what is found through it may be missing elsewhere"
