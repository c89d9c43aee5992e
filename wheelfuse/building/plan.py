"""What a build will do: a job for each target, where it works, and what it sees. Pure."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from wheelfuse import __version__
from wheelfuse.building.options import BuildOptions, for_backend
from wheelfuse.building.project import Project
from wheelfuse.building.source import Source
from wheelfuse.building.torch import Torch
from wheelfuse.building.variables import deciding, digest_of, job_variables
from wheelfuse.interpreters.matrix import Pythons, Row
from wheelfuse.interpreters.probe import Interpreter
from wheelfuse.target import Target

WORK, LOGS, STATE = ".work", "logs", "state.json"
"""Below the wheelhouse: where jobs work (gone at the end), their logs, and in there what was built of what."""

FRONTEND = Path(__file__).with_name("frontend.py")


class Placing(enum.Enum):
    """How jobs see the sources; the value says it in a report."""

    ONE_BY_ONE = "each job in its turn has a fresh copy of the sources at the same path"
    OVERLAID = "each job has a copy of the sources of its own, and sees it at the same path"
    APART = "each job has a copy of the sources of its own, at another path"


@dataclass(frozen=True)
class Setup:
    """What is the same for all jobs: where the wheels go, how the sources are placed (*way* begins the commands of
    jobs with mounts of their own), how many jobs run at a time, the cores of each, the compile cache, and torch."""

    directory: Path
    placing: Placing
    parallel: int
    cores: int
    way: tuple[str, ...] = ()
    launcher: Path | None = None
    torch: Torch | None = None

    @property
    def work(self) -> Path:
        """The directory with everything that does not last."""
        return self.directory / WORK

    @property
    def common_source(self) -> Path:
        """The path at which all jobs see the sources, unless they are placed apart."""
        return self.work / "source"


@dataclass(frozen=True)
class Job:
    """The build for one target.

    *variables* are added to the environment; *key* stands for all that decides what comes out. Its files are
    in *work*, its output goes to *log*; its own copy of the sources lies at *copy*, and it sees them at *sources*.
    Without an interpreter, *why_not* has the reasons.
    """

    target: Target
    interpreter: Interpreter | None
    why_not: str
    key: str
    work: Path
    log: Path
    copy: Path
    sources: Path
    variables: Mapping[str, str]

    @property
    def environment(self) -> Path:
        """The directory of the environment that it builds in."""
        return self.work / "environment"

    @property
    def output(self) -> Path:
        """The directory where the backend leaves the wheel."""
        return self.work / "wheel"

    @property
    def wanted(self) -> Path:
        """The file with what else the backend wants installed, for uv and pip."""
        return self.work / "requires.txt"


@dataclass(frozen=True)
class Plan:
    """A build that has not begun. *notes* are what a user should know of how it is done."""

    project: Project
    source: Source
    options: BuildOptions
    setup: Setup
    pythons: Pythons
    jobs: tuple[Job, ...]
    notes: tuple[str, ...] = ()

    def python(self, job: Job) -> Path:
        """The interpreter that runs the build backend."""
        assert job.interpreter
        return job.environment / "bin" / "python" if self.options.isolation else job.interpreter.path

    def backend_command(self, step: str, job: Job) -> list[str]:
        """The command of a step, ``requires`` or ``wheel``, in the job's view of the sources."""
        output = job.wanted if step == "requires" else job.output
        settings = json.dumps(for_backend(self.options.config_settings))
        paths = (job.sources / self.source.project, self.python(job), output)
        skipped = map(canonicalize_name, self.options.skip_requirements if step == "requires" else ())
        return [sys.executable, str(FRONTEND), step, *map(str, paths), settings, *skipped]


BUILD_DIRECTORY = ".wheelfuse-build"
"""Where scikit-build-core builds, in a job's copy of the sources, if the project does not say where."""


def make_plan(
    project: Project,
    source: Source,
    options: BuildOptions,
    setup: Setup,
    pythons: Pythons,
    environ: Mapping[str, str],
    notes: tuple[str, ...] = (),
) -> Plan:
    """The plan of a build, under the environment variables *environ*; *notes* are those on the setup."""
    jobs = tuple(_job(row, project, source, options, setup, environ) for row in pythons.rows)
    notes = (*pythons.matrix.notes, *notes)
    if setup.placing is Placing.APART and source.has_device_code:
        notes += (
            "GPU code may differ from job to job, since this machine cannot show all jobs the sources at one path; "
            "--jobs 1 does (docs/how-to/build.md)",
        )
    return Plan(project, source, options, setup, pythons, jobs, notes)


def _job(
    row: Row,
    project: Project,
    source: Source,
    options: BuildOptions,
    setup: Setup,
    environ: Mapping[str, str],
) -> Job:
    work = setup.work / str(row.target)
    copy = setup.common_source if setup.placing is Placing.ONE_BY_ONE else work / "source"
    apart = setup.placing is Placing.APART
    seen = copy if apart else setup.common_source
    variables = job_variables(
        environ, row.target, cores=setup.cores, epoch=source.epoch, launcher=setup.launcher, torch=setup.torch,
        moved=copy if apart else None,
        build_directory=None if project.states_build_directory else seen / BUILD_DIRECTORY,
    )  # fmt: skip
    return Job(
        row.target,
        row.interpreter,
        row.why_not,
        _key(row.interpreter, project, source, options, setup, environ),
        work,
        setup.directory / LOGS / f"{row.target}.log",
        copy,
        seen,
        variables,
    )


def _key(
    interpreter: Interpreter | None,
    project: Project,
    source: Source,
    options: BuildOptions,
    setup: Setup,
    environ: Mapping[str, str],
) -> str:
    """What decides about a wheel; not how many jobs run, nor where, nor the compile cache."""
    if not interpreter:
        return ""
    torch = setup.torch.variables({}) if setup.torch else {}
    return digest_of(
        __version__, source.digest, source.project, interpreter.soabi, interpreter.version, str(interpreter.path),
        project.requirements(options.skip_requirements), options.config_settings, options.isolation,
        deciding({**environ, **torch}, options.environment),
    )  # fmt: skip
