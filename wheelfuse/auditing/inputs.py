"""The inputs of an audit: from what the user names to subjects."""

from __future__ import annotations

import gc
import glob
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wheelfuse.auditing.reading import read_subject, read_wheel_in_zip, wheels_in_zip
from wheelfuse.auditing.subject import Kind, Subject
from wheelfuse.errors import InvalidInput, JobFailed, Problem, UsageError
from wheelfuse.wheel.limits import DEFAULT_LIMITS, Limits
from wheelfuse.workers import MOST, processors

if TYPE_CHECKING:  # here and below: what only --installed and --jobs need takes long to load
    from concurrent.futures import Future

    from wheelfuse.auditing.installed import Environment

Progress = Callable[[int, int], None]
"""Called with the inputs read so far and those to read in all."""

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Input:
    """One thing to read: a path, a wheel in a zip file, or an installed distribution."""

    path: str = ""
    member: str = ""
    distribution: str = ""
    environment: Environment | None = None
    limits: Limits = DEFAULT_LIMITS
    refused: tuple[Problem, ...] = ()
    """Why the zip file that it is cannot be looked into."""

    @property
    def size(self) -> int:
        """Bytes of the file; 0 for what is none, or cannot be looked at."""
        return os.path.getsize(self.path) if os.path.isfile(self.path) else 0  # noqa: PTH113, PTH202

    def read(self, threads: int = 1, tell: Callable[[int], None] | None = None) -> Subject:
        """The facts. Nothing raises for bad content. *tell* is told how many bytes of a wheel are read."""
        if self.environment:
            from wheelfuse.auditing.installed import read_installed

            return read_installed(self.distribution, self.environment, self.limits)
        if self.refused:
            return Subject(self.path, Kind.FILE, unreadable=self.refused, size=self.size)
        if self.member:
            return read_wheel_in_zip(Path(self.path), self.member, threads=threads, limits=self.limits)
        return read_subject(Path(self.path), threads=threads, limits=self.limits, tell=tell)


def read_all(
    paths: Iterable[StrPath] | StrPath,
    *,
    installed: Iterable[str] = (),
    python: str | None = None,
    jobs: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
    prepare: Callable[[Subject], Subject] = lambda subject: subject,
) -> tuple[Subject, ...]:
    """The facts of every input, in the order given; each input once.

    With several *jobs* what *prepare* does with a subject is done while others are being read.

    Raises:
        UsageError: nothing to audit, or an unknown interpreter.
    """
    if isinstance(paths, (str, os.PathLike)):
        paths = (paths,)
    inputs = [item for path in paths for item in _inputs(os.fspath(path), limits)]
    distributions = tuple(installed)
    if distributions:
        from wheelfuse.auditing.installed import read_environment

        environment = read_environment(python)
        inputs += [Input(distribution=name, environment=environment) for name in distributions]
    elif python:
        raise UsageError("--python only says where to look for --installed NAME")
    inputs = [replace(item, limits=limits) for item in dict.fromkeys(inputs)]
    if not inputs:
        raise UsageError("nothing to audit: name wheels, shared objects, directories, or --installed NAME")
    found: dict[Input, Subject] = {}
    total, done = sum(item.size for item in inputs), 0

    def tell(size: int) -> None:
        """So much is read, of what is being read now."""
        if progress:
            progress(min(done + size, total), total)

    for item, subject in _read(inputs, jobs or processors(), tell):
        found[item] = prepare(subject)
        done += item.size
        tell(0)
    return tuple(distinct(found[item] for item in inputs))


def _inputs(given: str, limits: Limits) -> Iterable[Input]:
    """What a path stands for; one that does not exist stands for itself, and reading it will tell."""
    path = Path(given)
    # Unlike the methods of paths, these functions do not raise for what may not be looked at.
    if os.path.isdir(given):  # noqa: PTH112
        wheels = sorted(path.glob("*.whl"))
        return [Input(str(wheel)) for wheel in wheels] or [Input(given)]
    if not os.path.exists(given) and glob.has_magic(given):  # noqa: PTH110
        matching = sorted(glob.glob(given, recursive=True))  # noqa: PTH207, since a pattern may be absolute
        return [item for found in matching for item in _inputs(found, limits)] or [Input(given)]
    if path.suffix == ".zip":
        try:
            members = wheels_in_zip(path, limits)
        except InvalidInput as error:
            return [Input(given, refused=error.problems)]
        return [Input(given, member) for member in members] or [Input(given)]
    return [Input(given)]


def _read(inputs: Sequence[Input], jobs: int, tell: Callable[[int], None]) -> Iterator[tuple[Input, Subject]]:
    """Read the inputs by so many processors; they come as they end."""
    if jobs > 1 and len(inputs) > 1:
        yield from _read_by_processes(inputs, jobs, tell)
        return
    tell(0)
    for item in inputs:
        yield item, item.read(min(jobs, MOST), tell)


def _read_by_processes(
    inputs: Sequence[Input], jobs: int, tell: Callable[[int], None]
) -> Iterator[tuple[Input, Subject]]:
    """Read by several processes, since parsing is Python. This process is one of them."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    processes = min(jobs, len(inputs))
    threads = min(jobs // processes, MOST)
    # A fork has everything imported already, but would inherit what other threads hold locked.
    method = "fork" if threading.active_count() == 1 else "spawn"
    gc.freeze()  # what the collector touches would have to be copied for each process
    pool = ProcessPoolExecutor(processes - 1, multiprocessing.get_context(method), _end_with_parent)
    try:
        largest_first = sorted(inputs, key=lambda item: -item.size)
        futures = {pool.submit(item.read, threads): item for item in largest_first}
        tell(0)  # not before: who is told may start a thread, and the processes are forked by now
        elsewhere: deque[Future[Subject]] = deque()
        for future, item in futures.items():
            if not future.cancel():  # another process has it
                elsewhere.append(future)
                continue
            yield item, item.read(threads)
            while elsewhere and elsewhere[0].done():
                yield futures[elsewhere[0]], elsewhere.popleft().result()
        for future in as_completed(elsewhere):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        todo = "There may be too little memory for several at a time: run again with --jobs 1."
        raise JobFailed(Problem("a process that read the inputs was killed", todo=todo)) from error
    finally:
        pool.shutdown(cancel_futures=True)
        gc.unfreeze()


def _end_with_parent() -> None:
    """What ends the process that started this one ends this one, too, and without a word."""
    import multiprocessing

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def distinct(subjects: Iterable[Subject]) -> Iterable[Subject]:
    """Labels tell the inputs apart in every report: equal ones get a number."""
    seen: dict[str, int] = {}
    for subject in subjects:
        seen[subject.label] = number = seen.get(subject.label, 0) + 1
        yield replace(subject, label=f"{subject.label} ({number})") if number > 1 else subject
