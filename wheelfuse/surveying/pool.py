"""A pool of processes that may die or hang: each item is answered for once, whatever becomes of the process.

What `concurrent.futures` has ends as a whole if one process is killed. Here that one is replaced, its item is tried
once more, and the items that waited in it go to others. The processes are started anew and not forked, since threads
of the caller may hold locks; they import no ``__main__``, and end when this process does, however that ends.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from wheelfuse.errors import JobFailed, Problem

T = TypeVar("T")
R = TypeVar("R")

ATTEMPTS = 2
"""How often an item is tried that ends its process, or does not end."""

_AHEAD = 8  # items for each process that are known before it has need of them
_IN_FLIGHT = 2  # items in a process: one that it works on, and one that waits there, so that it need not wait
_STARTS = (
    3  # processes that are killed before they are ready, one after the other, before that counts as a failure
)
_LENGTH = struct.Struct("!Q")
_CHUNK = 1 << 20  # bytes
_READY = b""
_STARTING = 60.0  # seconds that a process may take before it is ready, at least
_PROGRAM = (
    f"import sys; sys.path[:] = sys.argv[3:]; from {__name__} import work; work(*map(int, sys.argv[1:3]))"
)


@dataclass(frozen=True)
class Unanswered:
    """There is no result, and why: the function raised, or two processes died or hung with the item."""

    reason: str


def run(
    function: Callable[[T], R],
    items: Iterable[T],
    workers: int,
    deadline: float,
    key: Callable[[T], object] = id,
) -> Iterator[tuple[T, R | Unanswered]]:
    """Call a function for each item in so many processes; what comes first is given first.

    Function, items and results are pickled, the function by its name. Items are taken a few for each process ahead, and
    those of one *key* go to one process as far as none has to wait for that. One that takes more than *deadline*
    seconds is late: its process is killed, and another one tries it once more.

    Raises:
        JobFailed: processes do not start.
    """
    pool = _Pool(function, items, workers, deadline, key)
    try:
        yield from pool.results()
    finally:
        pool.end()


class _Item(Generic[T]):
    """An item with its key, and how often a process died or hung with it."""

    __slots__ = ("failures", "key", "value")

    def __init__(self, value: T, key: object) -> None:
        self.value, self.key, self.failures = value, key, 0


class _Pool(Generic[T, R]):
    def __init__(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        workers: int,
        deadline: float,
        key: Callable[[T], object],
    ) -> None:
        self._key = key
        self._function = pickle.dumps(function)
        self._items = iter(items)
        self._most, self._deadline = max(workers, 1), deadline
        self._again: deque[_Item[T]] = deque()
        self._ahead: list[_Item[T]] = []
        self._broken: Exception | None = None
        self._workers: list[_Worker[T]] = []
        self._selector = selectors.DefaultSelector()
        self._ended = False
        self._died_unready = 0

    def results(self) -> Iterator[tuple[T, R | Unanswered]]:
        """All of them, as they come."""
        while True:
            self._hand_out()
            if not any(worker.items for worker in self._workers):
                if self._broken:
                    raise self._broken
                return
            yield from self._look(*self._wait())

    def end(self) -> None:
        """End all processes, whatever they do."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.close()
        self._selector.close()

    def _hand_out(self) -> None:
        """First one item for each process, new ones included, and then one that waits there."""
        while len(self._workers) < self._most and all(worker.items for worker in self._workers):
            if (item := self._next(None)) is None:
                break
            worker: _Worker[T] = _Worker(self._function)
            self._workers.append(worker)
            self._selector.register(worker.socket, selectors.EVENT_READ, worker)
            worker.give(item)
        for fill in range(1, _IN_FLIGHT + 1):
            for worker in self._workers:
                while len(worker.items) < fill and (item := self._next(worker)) is not None:
                    worker.give(item)

    def _next(self, worker: _Worker[T] | None) -> _Item[T] | None:
        """The next item for a process (None: a new one): of the key that it had last, or else one that no other has."""
        if self._again:
            return self._again.popleft()
        self._look_ahead()
        if not self._ahead:
            return None
        taken = {other.key for other in self._workers if other is not worker}
        own = (at for at, item in enumerate(self._ahead) if worker and item.key == worker.key)
        free = (at for at, item in enumerate(self._ahead) if item.key not in taken)
        return self._ahead.pop(next(own, next(free, 0)))

    def _look_ahead(self) -> None:
        while not self._ended and len(self._ahead) < _AHEAD * self._most:
            try:
                value = next(self._items)
            except StopIteration:
                self._ended = True
            except Exception as error:  # noqa: BLE001, raised again when what came before is done
                self._ended, self._broken = True, error
            else:
                self._ahead.append(_Item(value, self._key(value)))

    def _wait(self) -> tuple[list[_Worker[T]], list[_Worker[T]]]:
        """The processes that have said something, or died; and those of the others that are late."""
        busy = [worker for worker in self._workers if worker.items]
        first = min(worker.late_at(self._deadline) for worker in busy)
        heard = [key.data for key, _ in self._selector.select(max(first - time.monotonic(), 0.0))]
        now = time.monotonic()
        return heard, [
            worker for worker in busy if worker not in heard and worker.late_at(self._deadline) <= now
        ]

    def _look(self, heard: list[_Worker[T]], late: list[_Worker[T]]) -> Iterator[tuple[T, R | Unanswered]]:
        for worker in heard:
            alive = worker.receive()
            yield from worker.answers()
            if not alive:
                yield from self._replace(worker, f"a process that read it {worker.end()}")
        for worker in late:
            worker.kill()
            yield from self._replace(worker, f"not read within {self._deadline:g} s")

    def _replace(self, worker: _Worker[T], why: str) -> Iterator[tuple[T, R | Unanswered]]:
        """What waits in a process that ended goes to others; what it was doing, once more or not at all."""
        self._selector.unregister(worker.socket)
        self._workers.remove(worker)
        worker.close()
        items = worker.items
        if worker.ready:
            self._died_unready = 0
            if items:
                item = items.popleft()
                item.failures += 1
                if item.failures < ATTEMPTS:
                    self._again.append(item)
                else:
                    yield item.value, Unanswered(f"{why}, {ATTEMPTS} times")
        else:
            self._died_unready += 1
            if self._died_unready >= _STARTS:
                raise JobFailed(Problem(f"processes that read wheels do not start: {why}"))
        self._again.extendleft(reversed(items))


class _Worker(Generic[T]):
    """One process, and the items that are in it."""

    def __init__(self, function: bytes) -> None:
        self.items: deque[_Item[T]] = deque()
        self.since = time.monotonic()
        """When it began with the first of them."""
        self.ready = False
        self.key: object = None
        """The key of the last item that it was given."""
        self._buffer = bytearray()
        self.socket, theirs = socket.socketpair()
        alive, self._alive = os.pipe()  # this process alone holds the end that is closed when it ends
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), str(alive), *sys.path],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), alive),
                    start_new_session=True,  # ^C is for this process, which ends the others in order
                )  # fmt: skip
        finally:
            os.close(alive)
        self._send(function)

    def late_at(self, deadline: float) -> float:
        """When it is late with the first of them."""
        return self.since + (deadline if self.ready else max(deadline, _STARTING))

    def give(self, item: _Item[T]) -> None:
        """Put an item behind the others."""
        if not self.items:
            self.since = time.monotonic()
        self.items.append(item)
        self.key = item.key
        self._send(pickle.dumps(item.value))

    def receive(self) -> bool:
        """Take what has come, without waiting for more; False if it ended."""
        with suppress(BlockingIOError):
            while True:
                try:
                    data = self.socket.recv(_CHUNK, socket.MSG_DONTWAIT)
                except ConnectionError:
                    return False
                if not data:
                    return False
                self._buffer += data
        return True

    def answers(self) -> Iterator[tuple[T, Any]]:
        """What it has said in full."""
        at = 0
        while len(self._buffer) >= at + _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, at)
            end = at + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            message, at = bytes(self._buffer[at + _LENGTH.size : end]), end
            self.since = time.monotonic()
            if message == _READY:
                self.ready = True
            else:
                yield self.items.popleft().value, pickle.loads(message)
        del self._buffer[:at]

    def end(self) -> str:
        """How it ended."""
        code = self._process.wait()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.wait()
        self.socket.close()
        os.close(self._alive)

    def _send(self, message: bytes) -> None:
        with suppress(ConnectionError):  # it died, which is seen when it is listened to
            self.socket.sendall(_LENGTH.pack(len(message)) + message)


def work(connected: int, alive: int) -> None:
    """What a process of the pool does: it calls the function that comes first for each item that comes then."""
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    with socket.socket(fileno=connected) as connection, connection.makefile("rwb") as stream:
        function = pickle.loads(_received(stream))
        stream.write(_LENGTH.pack(0))
        stream.flush()
        while message := _received(stream):
            try:
                result = pickle.dumps(function(pickle.loads(message)))
            except Exception as error:  # noqa: BLE001, since one item must not end the run
                result = pickle.dumps(Unanswered(f"{type(error).__name__}: {error}"))
            stream.write(_LENGTH.pack(len(result)))
            stream.write(result)
            stream.flush()


def _received(stream: Any) -> bytes:
    """One message; empty if there is none any more."""
    head = stream.read(_LENGTH.size)
    return stream.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""


def _end_with(alive: int) -> None:
    """What ends the process that started this one ends this one, too, and without a word."""
    os.read(alive, 1)
    os._exit(1)
