"""Running the jobs of a build: each in processes of its own, with a log, and with a wheel at its end or none."""

from __future__ import annotations

import enum
import errno
import fcntl
import os
import shlex
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wheelfuse import processes
from wheelfuse.building.checking import checked
from wheelfuse.building.diagnosis import diagnosis
from wheelfuse.building.placing import placed
from wheelfuse.building.plan import LOGS, STATE, Job, Placing, Plan
from wheelfuse.building.state import Entry, State
from wheelfuse.errors import JobFailed, Problem, UsageError
from wheelfuse.interpreters.environments import Environment, create, install
from wheelfuse.processes import Finished
from wheelfuse.target import Target
from wheelfuse.wheel.outputs import writing
from wheelfuse.wheel.record import file_digest

TAIL = 30
"""How many lines of a failed job's log are shown."""


class Phase(enum.Enum):
    """Where a job is; the value is what it is called in a report."""

    WAITING = "waiting"
    STARTED = "started"
    ENVIRONMENT = "environment"
    REQUIREMENTS = "requirements"
    BUILDING = "building"
    BUILT = "built"
    KEPT = "kept"
    FAILED = "failed"


@dataclass(frozen=True)
class JobResult:
    """How a job ended: BUILT or KEPT (by ``--resume``) with a wheel, or FAILED with a reason.

    *seconds* it took; *size* of the wheel in bytes; *tail* is the end of the log of a failed job.
    """

    target: Target
    phase: Phase
    seconds: float
    log: Path
    wheel: Path | None = None
    size: int = 0
    sha256: str = ""
    reason: str = ""
    tail: str = ""


@dataclass(frozen=True)
class JobEvent:
    """Something that happened to a job: a phase begins, or (in the same phase) it printed a line.

    With the phase STARTED, *line* tells of the interpreter; with the last one comes the *result*.
    """

    target: Target
    phase: Phase
    line: str = ""
    result: JobResult | None = None


Tell = Callable[[JobEvent], None]


class _Failed(Exception):
    """Why a job ends without a wheel, and the end of what it printed."""

    def __init__(self, reason: str, tail: str = "") -> None:
        super().__init__(reason)
        self.tail = tail


def run_jobs(plan: Plan, tell: Tell | None = None) -> tuple[JobResult, ...]:
    """Run all jobs, and answer in the order of the plan. *tell* is called from one thread at a time.

    What does not last is removed at the end, however it comes; an interrupt ends the processes of all jobs.

    Raises:
        UsageError: another build into this wheelhouse is running.
        OSError: the wheelhouse cannot be written to.
    """
    setup = plan.setup
    with _locked(setup.directory), _removed(setup.work):
        if setup.placing is Placing.OVERLAID:
            plan.source.copy(setup.common_source)  # what lies there is never built: jobs' copies cover it
        running = _Running(plan, tell or (lambda _: None))
        with ThreadPoolExecutor(setup.parallel) as pool:
            futures = {job.target: pool.submit(running.job, job) for job in plan.jobs}
            try:
                for future in as_completed(futures.values()):
                    future.result()
            except BaseException:
                running.stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return tuple(futures[job.target].result() for job in plan.jobs)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                Problem("another build into this directory is running", str(directory))
            ) from None
        with writing(directory / LOGS):
            (directory / LOGS).mkdir(exist_ok=True)
        yield
    finally:
        os.close(handle)


@contextmanager
def _removed(work: Path) -> Iterator[None]:
    """A directory that is empty when the block begins, and gone when it ends."""
    shutil.rmtree(work, ignore_errors=True)  # of a build that was killed
    with writing(work):
        work.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(work, ignore_errors=True)  # the wheels are what counts; the next build tries again


@dataclass
class _Running:
    """What the threads of the jobs share."""

    plan: Plan
    tell_one: Tell
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    wheels: dict[str, tuple[Target, str]] = field(default_factory=dict)
    state: State = field(init=False)

    def __post_init__(self) -> None:
        self.state = State.read(self.plan.setup.directory / LOGS / STATE)

    def tell(self, event: JobEvent) -> None:
        with self.lock:
            self.tell_one(event)

    def job(self, job: Job) -> JobResult:
        """Run one job to its end."""
        begun = time.monotonic()
        result = self._kept(job) or self._ended(job, begun)
        if not self.stop.is_set():  # what was interrupted has not failed
            self.tell(JobEvent(job.target, result.phase, result=result))
        return result

    def _kept(self, job: Job) -> JobResult | None:
        """The result of an earlier build, if that is what was asked for, and its wheel is still there."""
        directory = self.plan.setup.directory
        with self.lock:
            path = self.state.made(str(job.target), job.key, directory)
            if self.plan.options.resume and path:
                entry = self.state.entries[str(job.target)]
                self.wheels[path.name] = job.target, entry.sha256
                return JobResult(
                    job.target, Phase.KEPT, 0.0, job.log, path, path.stat().st_size, entry.sha256
                )
        return None

    def _ended(self, job: Job, begun: float) -> JobResult:
        try:
            self._forget(job)
            if not job.interpreter:
                raise _Failed(job.why_not)
            about = f"CPython {job.interpreter.version}, {job.interpreter.path}"
            self.tell(JobEvent(job.target, Phase.STARTED, about))
            job.log.write_bytes(b"")
            wheel, digest = self._placed(job, _made(job, self, begun))
            size = wheel.stat().st_size
            return JobResult(job.target, Phase.BUILT, time.monotonic() - begun, job.log, wheel, size, digest)
        except (_Failed, JobFailed, OSError) as failure:
            seconds = time.monotonic() - begun
            tail = failure.tail if isinstance(failure, _Failed) else ""
            return JobResult(job.target, Phase.FAILED, seconds, job.log, reason=_told(failure), tail=tail)
        finally:
            shutil.rmtree(job.work, ignore_errors=True)

    def _forget(self, job: Job) -> None:
        """Remove the wheel of an earlier build: should this one fail, it must not pass for that of these sources."""
        with self.lock:
            entry = self.state.entries.get(str(job.target))
            if not entry:
                return
            made = self.state.made(str(job.target), entry.key, self.plan.setup.directory)
            if made and entry.wheel not in self.wheels:
                made.unlink()
            self.state = self.state.with_entry(str(job.target), None)

    def _placed(self, job: Job, built: Path) -> tuple[Path, str]:
        """Move a finished wheel into the wheelhouse, whole; its place there and its SHA-256."""
        digest = file_digest(built).hex()
        with built.open("rb") as file:
            os.fsync(file.fileno())
        with self.lock:
            other, known = self.wheels.get(built.name, (job.target, digest))
            if known != digest:
                raise _Failed(
                    f"{built.name} was also built for {other}, with other content: "
                    "build wheels that serve several CPythons once, with --include or pythons"
                )
            path = built.replace(self.plan.setup.directory / built.name)
            self.wheels[built.name] = job.target, digest
            self.state = self.state.with_entry(str(job.target), Entry(job.key, built.name, digest))
        return path, digest


def _made(job: Job, running: _Running, begun: float) -> Path:
    """The wheel that a job makes, still in its own directory."""
    plan, interpreter = running.plan, job.interpreter
    assert interpreter
    job.output.mkdir(parents=True)
    plan.source.copy(job.copy)
    steps = _Steps(job, running, begun)
    if plan.options.isolation:
        steps.phase(Phase.ENVIRONMENT)
        environment = create(interpreter.path, job.environment, stop=running.stop)
        steps.variables = environment.variables(**job.variables)
        steps.phase(Phase.REQUIREMENTS)
        steps.install(environment, plan.project.requirements(plan.options.skip_requirements))
        steps.backend("requires", "the build backend was asked what it needs, and")
        steps.install(environment, tuple(job.wanted.read_text(encoding="utf-8").splitlines()))
    steps.phase(Phase.BUILDING)
    steps.backend("wheel", "the build")
    return checked(job.output, job.target)


class _Steps:
    """The steps of one job: each a child process that must end well in the time that is left."""

    def __init__(self, job: Job, running: _Running, begun: float) -> None:
        self._job, self._running = job, running
        timeout = running.plan.options.timeout
        self._deadline = begun + timeout if timeout else None
        self._phase = Phase.STARTED
        self.variables = processes.environment(job.variables)

    def phase(self, phase: Phase) -> None:
        if self._running.stop.is_set():
            raise _Failed("stopped")
        self._phase = phase
        self._running.tell(JobEvent(self._job.target, phase))

    def install(self, environment: Environment, requirements: tuple[str, ...]) -> None:
        if requirements:
            finished = install(
                environment, requirements,
                timeout=self._left(), log=self._job.log, stop=self._running.stop,
            )  # fmt: skip
            self._check(finished, f"the installation of what it needs to build ({', '.join(requirements)})")

    def backend(self, step: str, subject: str) -> None:
        job, plan = self._job, self._running.plan
        command = plan.backend_command(step, job)
        if plan.setup.placing is Placing.OVERLAID:
            command = placed(command, plan.setup.way, job.copy, job.sources)
        with job.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {shlex.join(command)}\n")
        finished = processes.run(
            command, cwd="/", env=self.variables,
            timeout=self._left(), log=job.log, stop=self._running.stop, on_output=self._line,
        )  # fmt: skip
        self._check(finished, subject)

    def _left(self) -> float | None:
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def _line(self, output: bytes) -> None:
        """Tell the last whole line of what came."""
        lines = output.decode(errors="replace").strip().splitlines()
        if lines:
            self._running.tell(JobEvent(self._job.target, self._phase, line=lines[-1].strip()))

    def _check(self, finished: Finished, subject: str) -> None:
        if finished.ok and not self._running.stop.is_set():
            return
        if finished.timed_out:
            timeout = self._running.plan.options.timeout
            reason = f"{subject} was not done within --timeout {timeout:g} s and was killed"
        else:
            cause = diagnosis(finished.output)
            reason = f"{subject} {finished.why()}" + (f": {cause}" if cause else "")
        raise _Failed(reason, finished.tail(TAIL))


def _told(failure: Exception) -> str:
    if isinstance(failure, JobFailed):
        return str(failure)
    if isinstance(failure, OSError):
        full = "the disk is full: " * (failure.errno in (errno.ENOSPC, errno.EDQUOT))
        where = f" ({failure.filename})" if failure.filename else ""
        return f"{full}{failure.strerror or failure}{where}"
    return str(failure)
