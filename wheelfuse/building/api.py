"""Building as a function of paths: what the command line and :mod:`wheelfuse` offer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from wheelfuse.building import placing, torch
from wheelfuse.building.jobs import JobResult, Phase, Tell, run_jobs
from wheelfuse.building.options import BuildOptions
from wheelfuse.building.plan import Placing, Plan, Setup, make_plan
from wheelfuse.building.project import Project
from wheelfuse.building.source import read as read_source
from wheelfuse.building.toolchain import find_cache
from wheelfuse.errors import JobFailed, Problem, UsageError
from wheelfuse.interpreters.api import absent
from wheelfuse.interpreters.api import pythons as find_pythons
from wheelfuse.processes import StrPath
from wheelfuse.pyproject import read_pyproject
from wheelfuse.workers import processors


@dataclass(frozen=True)
class BuildOutcome:
    """What a build did: the plan, and how each job ended."""

    plan: Plan
    jobs: tuple[JobResult, ...]

    @property
    def failed(self) -> tuple[JobResult, ...]:
        """The jobs that made no wheel."""
        return tuple(job for job in self.jobs if job.phase is Phase.FAILED)

    @property
    def error(self) -> JobFailed | None:
        """All that failed, with the end of each log; None if nothing did."""
        rows = zip(self.plan.pythons.rows, self.jobs, strict=True)
        problems = [
            _problem(job) if row.interpreter else absent(row) for row, job in rows if job in self.failed
        ]
        return JobFailed(problems) if problems else None

    @property
    def wheels(self) -> tuple[Path, ...]:
        """The wheels of all targets.

        Raises:
            JobFailed: one is missing.
        """
        if self.error:
            raise self.error
        return tuple(dict.fromkeys(job.wheel for job in self.jobs if job.wheel))


def build(
    project: StrPath = ".",
    directory: StrPath = "wheelhouse",
    options: BuildOptions | None = None,
    *,
    interpreters: Iterable[StrPath] = (),
    provision: bool = False,
    torch_python: StrPath | None = None,
    on_output: Callable[[bytes], None] | None = None,
    tell: Tell | None = None,
) -> BuildOutcome:
    """Build the wheels of a project, one for each CPython, into *directory*.

    *interpreters* are files or directories to look at first; with *provision* uv installs those that are missing,
    and *on_output* gets what it prints. *torch_python* is an interpreter that has torch, by default that of
    ``WHEELFUSE_TORCH_PYTHON`` or the running one. *tell* learns of all that happens to the jobs. A job that fails
    is part of the outcome; its ``wheels`` are to be had only if all have come.

    Raises:
        UsageError: no such project, settings that make no sense, or the extra ``build`` is not installed.
        InvalidInput: Requires-Python is no specifier, or git refuses the repository.
        JobFailed: uv could not install an interpreter, or torch cannot be imported.
    """
    plan = plan_build(
        project, directory, options,
        interpreters=interpreters, provision=provision, torch_python=torch_python, on_output=on_output,
    )  # fmt: skip
    return run_plan(plan, tell)


def run_plan(plan: Plan, tell: Tell | None = None) -> BuildOutcome:
    """Do what a plan says; *tell* learns of all that happens.

    Raises:
        UsageError: another build into the same directory is running.
    """
    return BuildOutcome(plan, run_jobs(plan, tell))


def plan_build(
    project: StrPath = ".",
    directory: StrPath = "wheelhouse",
    options: BuildOptions | None = None,
    *,
    interpreters: Iterable[StrPath] = (),
    provision: bool = False,
    torch_python: StrPath | None = None,
    on_output: Callable[[bytes], None] | None = None,
) -> Plan:
    """What :func:`build` would do, with the same parameters; it raises the same."""
    _require_frontend()
    root, place = Path(project), Path(directory).absolute()
    pyproject = root / "pyproject.toml"
    described = Project.from_pyproject(read_pyproject(pyproject), str(pyproject))
    options = (options or BuildOptions()).over(BuildOptions.from_table(described.table))
    found = find_pythons(
        described.requires_python, options.matrix,
        extra=map(Path, interpreters), provision=provision, on_output=on_output,
    )  # fmt: skip
    source = read_source(root, ignored=options.all_files, without=(place,))
    parallel = max(1, min(options.jobs or processors(), len(found.interpreters)))
    how, way = _placing(parallel)
    driver, notes = _torch(torch_python)
    setup = Setup(
        place,
        how,
        parallel,
        max(1, processors() // parallel),
        way,
        find_cache() if options.cache else None,
        driver,
    )
    return make_plan(described, source, options, setup, found, os.environ, notes)


def _torch(named: StrPath | None) -> tuple[torch.Torch | None, tuple[str, ...]]:
    """The torch for all jobs. One that nobody asked for may be broken: that is worth a note, and no more."""
    try:
        return torch.find(named), ()
    except JobFailed as failure:
        if named or os.environ.get(torch.VARIABLE):
            raise
        return None, (f"jobs get no torch, though there is one: {failure.problems[0].what}",)


def _placing(parallel: int) -> tuple[Placing, tuple[str, ...]]:
    if parallel == 1:
        return Placing.ONE_BY_ONE, ()
    # The server of sccache compiles for all jobs, and sees what the job that started it sees.
    way = () if shutil.which("sccache") else placing.possible_way()
    return (Placing.OVERLAID, way) if way else (Placing.APART, ())


def _require_frontend() -> None:
    try:
        version("build")
    except PackageNotFoundError:
        todo = "Install the extra: pip install 'wheelfuse[build]'."
        raise UsageError(
            Problem("building needs the package `build`, which is not installed", todo=todo)
        ) from None


def _problem(job: JobResult) -> Problem:
    tail = f"\n{job.tail}" if job.tail else ""
    return Problem(f"{job.reason}{tail}", str(job.target), todo=f"The whole log: {job.log}" if tail else "")
