"""The survey as a function of locations: what the command line and :mod:`wheelfuse` offer.

What it takes of memory does not depend on how many wheels there are, but for 100 bytes for each in the process that
writes, and 215 for those known from before (:mod:`wheelfuse.surveying.seen`), so that none is read twice: 215 MB for a
million. Wheels are listed as workers have need of them, in flight are two for each worker, and rows are forgotten when
their part is written. That process writes some 700 wheels in a second, which is the first limit that a survey meets
(docs/explanation/survey.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wheelfuse.errors import Problem, UsageError, WheelfuseError
from wheelfuse.surveying.failed import failed
from wheelfuse.surveying.locations import Unlisted, wheels_at
from wheelfuse.surveying.options import DEADLINE, SurveyOptions
from wheelfuse.surveying.pool import Unanswered
from wheelfuse.surveying.ranges import Unchanged, local_path
from wheelfuse.surveying.report import Count, Progress, SurveyReport
from wheelfuse.surveying.rows import Remote, Rows
from wheelfuse.wheel.limits import DEFAULT_LIMITS, Limits
from wheelfuse.workers import processors

if TYPE_CHECKING:  # what needs the extra
    from wheelfuse.surveying.parts import Parts
    from wheelfuse.surveying.seen import Before, Seen
    from wheelfuse.surveying.tables import Packed

StrPath = str | os.PathLike[str]
Read = Callable[[Remote, Limits, str], Rows | Unchanged]
"""Reads a wheel, unless its identity is still the one given."""

_OVER_NETWORK = 4
"""Workers for each processor, since most of them wait for the network."""


def survey(
    locations: Iterable[str] | str,
    output: StrPath,
    *,
    scheduler: str = "",
    workers: int = 0,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    resume: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    deadline: float = DEADLINE,
    progress: Callable[[Progress], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> SurveyReport:
    """Read wheels, wherever they lie and as little of each as tells all, into the tables of a survey.

    *locations* are wheels, directories, URLs of wheels, of pages that list them or of an index, and what fsspec opens.
    The tables are Parquet files in the directory *output* (their columns: docs/reference/survey-tables.md), which must
    be empty or new; with *resume* it may hold a survey, and what did not change since is not read again. A wheel that
    cannot be read is a row with the reason.

    *workers* processes of this machine read (0: as many as it has processors, and four times as many if a location
    is on a network), or those of the Dask cluster whose *scheduler* is named; *deadline* is for how many seconds one
    wheel may keep one of them. *include* and *exclude* are globs for file names. *progress* is called for each wheel,
    *tell* with what a user should know: where the dashboard of the cluster is, or that its workers are of another
    version.

    Raises:
        UsageError: there is no location, *output* holds something else or a survey, or the extra is not installed.
        InvalidInput: a location does not exist, or cannot be listed at all.
        JobFailed: the scheduler cannot be reached, or workers do not start.
        OSError: *output* cannot be written. What was written before is whole, and *resume* goes on with it.
    """
    names = (locations,) if isinstance(locations, str) else tuple(locations)
    options = SurveyOptions(
        names, Path(output), scheduler, workers, tuple(include), tuple(exclude), resume, limits, deadline
    )
    from wheelfuse.surveying.reading import read_wheel

    return run(options, read_wheel, progress or (lambda _: None), tell or (lambda _: None))


def run(
    options: SurveyOptions,
    read: Read,
    progress: Callable[[Progress], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> SurveyReport:
    """As :func:`survey`, which see, with a function that reads; workers import it by its name."""
    try:
        from wheelfuse.surveying import parts
        from wheelfuse.surveying.seen import Seen
    except ImportError as error:
        raise UsageError(
            Problem(
                f"a survey needs {error.name}, which is not installed", todo="pip install 'wheelfuse[survey]'"
            )
        ) from error
    with parts.opened(options.output, resume=options.resume) as there:
        _forget_unlisted(there)
        going = _Run(there, Seen(there.known()), Count(_number(options)), progress)
        try:
            for task, answer in _answers(options, partial(read_task, read, options.limits), going, tell):
                going.take(task, answer)
        except (KeyboardInterrupt, SystemExit, WheelfuseError):  # what came so far need not be read again
            there.flush()
            raise
        there.flush()
    return going.count.report(options.output)


class Task(NamedTuple):
    """A wheel to be read, unless its identity is still the one known; and what is known of it from before."""

    remote: Remote
    unless: str
    before: Before | None


@dataclass(frozen=True)
class Same:
    """A wheel did not change. It took so many bytes and requests to find out."""

    fetched: int
    requests: int


def read_task(read: Read, limits: Limits, task: Task) -> Packed | Same:
    """What a worker does."""
    from wheelfuse.surveying.tables import packed

    found = read(task.remote, limits, task.unless)
    if isinstance(found, Unchanged):
        return Same(found.tally.fetched, found.tally.requests)
    try:
        return packed(found)
    except ValueError as error:
        reason = f"holds what no table of a survey can: {error}"
        return packed(failed(task.remote, reason, fetched=found.wheel.fetched, requests=found.wheel.requests))


class _Run:
    """A run that is going on: what it has found, and where it goes to."""

    def __init__(self, parts: Parts, seen: Seen, count: Count, progress: Callable[[Progress], None]) -> None:
        self._parts, self._seen, self.count, self._progress = parts, seen, count, progress

    def tasks(self, found: Iterable[Remote | Unlisted]) -> Iterator[Task]:
        """What is to be read of what is listed: each wheel once, and not what is known to be as it was."""
        for item in found:
            if not self._seen.first(item.url):
                continue
            before = self._seen.take(item.url)
            if isinstance(item, Unlisted):
                self._keep(failed(Remote(item.url, ""), item.reason))
            elif before and before.read and before.identity == item.identity != "":
                self.count.unchanged += 1
            else:
                # A listing that has identities has told already that this is another one.
                ask = before is not None and before.read and not item.identity
                yield Task(item, before.identity if before and ask else "", before)
                continue
            self._progress(self.count.progress())

    def take(self, task: Task, answer: Packed | Same | Unanswered) -> None:
        """What became of a task."""
        if isinstance(answer, Same):
            self.count.unchanged += 1
            self.count.fetched += answer.fetched
            self.count.requests += answer.requests
        elif isinstance(answer, Unanswered):
            self._keep(failed(task.remote, answer.reason), task)
        else:
            self._add(answer, task)
        self._progress(self.count.progress())

    def _keep(self, rows: Rows, task: Task | None = None) -> None:
        from wheelfuse.surveying.tables import packed

        self._add(packed(rows), task)

    def _add(self, wheel: Packed, task: Task | None) -> None:
        self.count.add(wheel.wheel)
        if task and task.unless and wheel.wheel.status != "read":
            return  # nobody says that it changed: what is known of it stays
        self._parts.add(wheel, task.before.part if task and task.before else None)


def _answers(
    options: SurveyOptions,
    function: Callable[[Task], Packed | Same],
    going: _Run,
    tell: Callable[[str], None],
) -> Iterator[tuple[Task, Packed | Same | Unanswered]]:
    tasks = going.tasks(_listed(options))
    if options.scheduler:
        from wheelfuse.surveying import cluster

        return cluster.run(function, tasks, options.scheduler, options.deadline, tell, _project)
    from wheelfuse.surveying import pool

    workers = options.workers or processors() * (1 if _all_local(options) else _OVER_NETWORK)
    return pool.run(function, tasks, workers, options.deadline, _project)


def _project(task: Task) -> str:
    """What wheels have in common that hold the same libraries, which a worker reads once."""
    return "-".join(task.remote.name.split("-")[:2])


def _listed(options: SurveyOptions) -> Iterator[Remote | Unlisted]:
    return chain.from_iterable(
        wheels_at(location, options.include, options.exclude) for location in options.locations
    )


def _all_local(options: SurveyOptions) -> bool:
    return all(local_path(location) is not None for location in options.locations)


def _number(options: SurveyOptions) -> int | None:
    """How many wheels there are, where it takes no time to find out."""
    return sum(1 for _ in _listed(options)) if _all_local(options) else None


def _forget_unlisted(parts: Parts) -> None:
    """Pages that could not be read are asked for again, and are listed by then, or told anew."""
    pages: dict[int, list[str]] = {}
    for wheel in parts.known():
        if not wheel.file:
            pages.setdefault(wheel.part, []).append(wheel.url)
    parts.drop(pages)
