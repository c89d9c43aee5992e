"""The same as :mod:`wheelfuse.surveying.pool`, by the workers of a Dask cluster that is there already.

Dask tries the tasks of a worker that died elsewhere by itself, and gives those up that were in several that did: the
one to blame, and what waited behind it. Here these are tried once more when all others are done, each alone. An item
that takes too long ends with its worker, which its nanny starts anew. A task is several items of one kind, since each
task costs the scheduler some milliseconds.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from functools import partial
from itertools import groupby, islice
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from distributed import Client, Future, KilledWorker, get_worker

from wheelfuse import __version__
from wheelfuse.errors import JobFailed, Problem, UsageError
from wheelfuse.escape import printable
from wheelfuse.surveying.pool import Unanswered

T = TypeVar("T")
R = TypeVar("R")

_PER_THREAD, _LEAST = 4, 32  # tasks in flight
_ANSWER = 10.0  # seconds that a scheduler may take to answer
_POLL = 1.0  # seconds between looks at what is late
_RESTART = 30.0  # seconds that a worker may take to come back
_FETCHED = 64  # results at once
_MOST = 8  # items in a task
_UNTOLD = 1 / 16  # of the deadline: so long a worker says nothing of the items that it begins


def run(
    function: Callable[[T], R],
    items: Iterable[T],
    scheduler: str,
    deadline: float,
    tell: Callable[[str], None],
    key: Callable[[T], object] = id,
) -> Iterator[tuple[T, R | Unanswered]]:
    """Call a function for each item on the workers of a scheduler; what comes first is given first.

    They import the function by its name. Items of one *key* that follow each other go to one worker, a few at a time.
    Items are taken as workers have need of them, and results are forgotten by the cluster when they are here.
    *tell* is told where the dashboard is, and what may go wrong.

    Raises:
        UsageError: *scheduler* is no address.
        JobFailed: it cannot be reached, is lost, or wheelfuse is not installed there or on a worker.
    """
    with _connected(scheduler) as client:
        tell(f"Dashboard: {client.dashboard_link}")
        _check_versions(client, scheduler, tell)
        tasks: _Tasks[T, R] = _Tasks(client, function, scheduler, deadline, tell)
        lost: list[T] = []
        for item, answer in tasks.answers(_grouped(items, key)):
            if isinstance(answer, _Lost):
                lost.append(item)
            else:
                yield item, answer
        for item in lost:
            for _, answer in tasks.answers([(item,)]):
                yield item, Unanswered(f"{answer.reason}, again") if isinstance(answer, _Lost) else answer


def _grouped(items: Iterable[T], key: Callable[[T], object]) -> Iterator[tuple[T, ...]]:
    """Items of one key that follow each other, so many at most."""
    for _, group in groupby(items, key):
        while few := tuple(islice(group, _MOST)):
            yield few


class _Lost(Unanswered):
    """There is no result since a worker died or hung, perhaps not with this one."""


class _Tasks(Generic[T, R]):
    """Tasks of one run on a cluster."""

    def __init__(
        self,
        client: Client,
        function: Callable[[T], R],
        scheduler: str,
        deadline: float,
        tell: Callable[[str], None],
    ) -> None:
        self._client, self._scheduler, self._deadline, self._tell = client, scheduler, deadline, tell
        self._name = f"wheelfuse-survey-{secrets.token_hex(6)}"
        self._function = partial(_begun_and_done, function, self._name, deadline * _UNTOLD)
        self._count = 0
        self._in_flight: dict[int, tuple[tuple[T, ...], Future[list[R | Unanswered]]]] = {}
        self._ended: SimpleQueue[int] = SimpleQueue()
        self._begun: dict[int, tuple[float, str]] = {}
        """When each task was begun with the latest item that was told, by the clock of this process, and by whom."""
        client.subscribe_topic(self._name, self._note)

    def answers(self, groups: Iterable[tuple[T, ...]]) -> Iterator[tuple[T, R | Unanswered]]:
        """The answers for these items; of those that are lost, too."""
        waiting, looked = iter(groups), 0.0
        window, more, able = _LEAST, True, True
        while True:
            if time.monotonic() - looked > _POLL:
                workers = self._workers()
                if bool(workers) != able:
                    able = bool(workers)
                    self._tell(
                        "It goes on." if able else "The scheduler has no workers; it goes on when one comes."
                    )
                window = max(_LEAST, _PER_THREAD * sum(workers.values()))
                yield from self._late(workers)
                looked = time.monotonic()
            while more and len(self._in_flight) < window:
                more = self._submit(waiting)
            if not self._in_flight:
                return
            yield from self._results(self._finished(min(_POLL, self._deadline / 4)))

    def _submit(self, waiting: Iterator[tuple[T, ...]]) -> bool:
        for items in waiting:
            self._count += 1
            number = self._count
            future = self._client.submit(self._function, number, items, key=(self._name, number), pure=False)
            self._in_flight[number] = items, future
            future.add_done_callback(partial(self._end, number))
            return True
        return False

    def _end(self, number: int, _: Future[list[R | Unanswered]]) -> None:
        self._ended.put(number)

    def _finished(self, timeout: float) -> list[int]:
        """The tasks that ended, at most as many as are fetched at once; none if none does for so long."""
        found: list[int] = []
        with suppress(Empty):
            found.append(self._ended.get(timeout=timeout))
            while len(found) < _FETCHED:
                found.append(self._ended.get_nowait())
        if not found and self._client.status not in ("running", "connecting"):
            raise self._gone()
        return found

    def _results(self, numbers: list[int]) -> Iterator[tuple[T, R | Unanswered]]:
        ended = [(number, *self._in_flight.pop(number)) for number in numbers if number in self._in_flight]
        results = self._gathered([future for *_, future in ended if future.status == "finished"])
        for number, items, future in ended:
            self._begun.pop(number, None)
            answers = results[future.key] if future.key in results else self._answers(future, len(items))
            future.release()
            yield from zip(items, answers, strict=True)

    def _gathered(self, futures: list[Future[list[R | Unanswered]]]) -> dict[Any, list[R | Unanswered]]:
        """The results by key, all of them in one go; none if one was lost meanwhile."""
        try:
            found = self._client.gather(futures) if futures else []
        except (KilledWorker, CancelledError, asyncio.CancelledError):
            return {}
        except (OSError, TimeoutError) as error:
            raise self._gone() from error
        return {future.key: result for future, result in zip(futures, found, strict=True)}

    def _answers(self, future: Future[list[R | Unanswered]], number: int) -> list[R | Unanswered]:
        try:
            return future.result()
        except ModuleNotFoundError as error:
            raise _not_installed(f"a worker lacks {error.name}") from error
        except Exception as error:  # noqa: BLE001, since one task must not end the run
            return [self._why(future, error)] * number

    def _why(self, future: Future[list[R | Unanswered]], error: Exception) -> Unanswered:
        """Why there is no answer of a task."""
        if isinstance(error, KilledWorker):
            return _Lost("the workers that read it died")
        gone = isinstance(error, (CancelledError, asyncio.CancelledError, OSError, TimeoutError))
        if gone and future.status != "error":
            self._workers()  # or else the scheduler is gone
            return _Lost("its result was lost with a worker")
        return Unanswered(f"{type(error).__name__}: {error}")

    def _workers(self) -> dict[str, int]:
        """The threads of each worker."""
        try:
            found: dict[str, int] = self._client.nthreads()
        except (OSError, TimeoutError, CancelledError, asyncio.CancelledError) as error:
            raise self._gone() from error
        return found

    def _late(self, workers: Collection[str]) -> Iterator[tuple[T, Unanswered]]:
        """End what takes too long, with the workers that do it. What was in one that died is begun anew, elsewhere."""
        before = time.monotonic() - self._deadline * (1 + _UNTOLD)
        late = {number: worker for number, (since, worker) in list(self._begun.items())
                if since <= before and worker in workers and not self._is_done(number)}  # fmt: skip
        if not late:
            return
        lost = [(number, *self._in_flight.pop(number)) for number in late if number in self._in_flight]
        for number, _, future in lost:
            self._begun.pop(number, None)
            future.cancel()
        for worker in set(late.values()):  # meanwhile the others go on
            threading.Thread(target=self._restart, args=(worker,), daemon=True).start()
        for _, items, _ in lost:
            yield from ((item, _Lost(f"not read within {self._deadline:g} s")) for item in items)

    def _is_done(self, number: int) -> bool:
        return number not in self._in_flight or self._in_flight[number][1].done()

    def _restart(self, worker: str) -> None:
        try:
            self._client.restart_workers([worker], timeout=_RESTART, raise_for_error=False)
        except ValueError:  # it has no nanny
            self._tell(f"A task hangs in {worker}, which cannot be restarted, since it has no nanny.")
        except (OSError, TimeoutError, RuntimeError, CancelledError, asyncio.CancelledError):
            pass  # if that is the end of the scheduler, the next call tells

    def _note(self, event: tuple[float, Any]) -> None:
        _, (number, worker) = event
        if number in self._in_flight:
            self._begun[number] = time.monotonic(), worker

    def _gone(self) -> JobFailed:
        todo = "What was read is written: --resume goes on with it."
        return JobFailed(Problem(f"the scheduler {printable(self._scheduler)} is gone", todo=todo))


def _begun_and_done(
    function: Callable[[T], R], topic: str, untold: float, number: int, items: tuple[T, ...]
) -> list[R | Unanswered]:
    """What a worker does: it tells when it begins with an item, unless it has told so less than *untold* seconds ago.

    Each word of it costs the scheduler and the client some time.
    """
    worker, answers, told = get_worker(), list[R | Unanswered](), float("-inf")
    for item in items:
        if time.monotonic() - told >= untold:
            worker.log_event(topic, (number, worker.address))
            told = time.monotonic()
        try:
            answers.append(function(item))
        except ModuleNotFoundError:
            raise
        except Exception as error:  # noqa: BLE001, since one item must not end the run
            answers.append(Unanswered(f"{type(error).__name__}: {error}"))
    return answers


@contextmanager
def _connected(scheduler: str) -> Iterator[Client]:
    try:
        client = Client(scheduler, timeout=_ANSWER, set_as_default=False)
    except ValueError as error:
        todo = "An address looks like tcp://host:8786."
        raise UsageError(Problem(f"--scheduler {printable(scheduler)}: {error}", todo=todo)) from error
    except (OSError, TimeoutError) as error:
        todo = "See that it runs, and that this machine can reach it; or leave --scheduler out."
        raise JobFailed(Problem(f"no scheduler answers at {printable(scheduler)}", todo=todo)) from error
    with client:
        yield client


def _check_versions(client: Client, scheduler: str, tell: Callable[[str], None]) -> None:
    try:
        found = {scheduler: client.run_on_scheduler(_version)}
    except ModuleNotFoundError as error:
        raise _not_installed(f"the scheduler {printable(scheduler)} lacks {error.name}") from error
    found |= client.run(_version, on_error="return")
    for address, version in found.items():
        if isinstance(version, ModuleNotFoundError):
            raise _not_installed(f"the worker {address} lacks {version.name}")
        if version != __version__:
            tell(f"{address} has wheelfuse {version}, and this is {__version__}: its rows may differ.")


def _version() -> str:
    return __version__


def _not_installed(what: str) -> JobFailed:
    todo = f"Install wheelfuse[survey] {__version__} there, as here."
    return JobFailed(Problem(what, todo=todo))
