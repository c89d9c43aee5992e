"""Tries inputs in a process of its own, within limits of time and memory; what was found comes back as values.

The process is forked, so that it begins with all modules loaded, and ends after a portion of inputs, so that none
sees what another one left behind. Each input is known by target, seed and number alone.
"""

from __future__ import annotations

import mmap
import os
import pickle
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis.strategies import SearchStrategy

import wheelfuse
from fuzz.drawing import drawer
from fuzz.target import ACCEPTED, REFUSED, Target, scratch
from wheelfuse.errors import WheelfuseError

SECONDS = 10
"""How long one input may take."""
MEMORY = 1 << 30
"""How much address space one input may take, in bytes, beyond what the process has at its start."""
_GRACE = 5
"""Seconds after which a process is killed that did not notice that its time is over."""
_PACKAGE = str(Path(wheelfuse.__file__).parent)


class Hang(BaseException):
    """The time is over. No `Exception`, so that nothing takes it for one of its own."""


@dataclass(frozen=True)
class Failure:
    """What went wrong with one input: *kind* is crash, wrong, hang or memory; *where* tells equal failures."""

    target: str
    seed: int
    number: int
    kind: str
    what: str
    where: str


@dataclass
class Tally:
    """What became of the inputs of one target: counts by outcome, seconds, and the failures."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: float = 0.0
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count what another tally has, too."""
        self.counts += other.counts
        self.seconds += other.seconds
        self.slowest = max(self.slowest, other.slowest)
        self.failures += other.failures


def attempt(target: Target, data: bytes, place: Path) -> str:
    """What becomes of one input: accepted or refused.

    Raises:
        Exception: anything else.
    """
    try:
        target.check(data, place)
    except WheelfuseError:
        return REFUSED
    return ACCEPTED


def failure_of(error: BaseException, target: Target, seed: int, number: int) -> Failure:
    """A failure, from the exception that it was."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if frame.filename.startswith(_PACKAGE)]
    last = (inside or frames)[-1]
    where = f"{type(error).__name__} in {Path(last.filename).name}:{last.name}:{last.lineno}"
    kind = {Hang: "hang", MemoryError: "memory"}.get(type(error)) or "crash"
    if (
        kind == "crash"
        and not frames[-1].filename.startswith(_PACKAGE)
        and type(error).__name__ in ("Wrong", "AssertionError")
    ):
        kind, where = "wrong", f"{str(error)[:60]} ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
    return Failure(target.name, seed, number, kind, f"{type(error).__name__}: {error}"[:2000], where)


@contextmanager
def limited(seconds: float = SECONDS) -> Iterator[None]:
    """Raise `Hang` in this block after so much time."""

    def ring(number: int, frame: Any) -> None:
        raise Hang(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def limit_memory() -> None:
    """From now on the process gets so much memory more, and then a `MemoryError`."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def tried(
    target: Target, draw: Callable[[int], bytes], seed: int, numbers: range, tick: Callable[[int], None]
) -> Tally:
    """Try the inputs of these numbers in this process; *tick* is told which one is next."""
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=scratch()) as name:
        place = Path(name) / "input"
        for number in numbers:
            tick(number)
            data = draw(number)
            place.mkdir()
            start = time.monotonic()
            try:
                with limited():
                    outcome = attempt(target, data, place)
            except (Exception, Hang) as error:  # noqa: BLE001, since to find any is the purpose
                failure = failure_of(error, target, seed, number)
                outcome = failure.kind
                tally.failures.append(failure)
            taken = time.monotonic() - start
            tally.counts[outcome] += 1
            tally.seconds += taken
            tally.slowest = max(tally.slowest, taken)
            shutil.rmtree(place)
    return tally


def without_syncing(descriptor: int) -> None:
    """Stands for `os.fsync`: that outputs reach the disk is not what is tried here, and would take most of the time."""


def run_portion(target: Target, seed: int, numbers: range) -> tuple[Tally, int]:
    """Try inputs in a forked process. Returns what became of them, and the number of the first that is left.

    A process that dies or hangs beyond help is a failure of the input that it was at.
    """
    draw = _drawer(target.name, target.inputs, seed)
    progress = mmap.mmap(-1, 8)
    progress[:] = struct.pack("<q", numbers.start)
    source, sink = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(source)
        _child(target, draw, seed, numbers, progress, sink)
    os.close(sink)
    try:
        data, status = _collected(child, source, progress)
    finally:
        os.close(source)
    if data:
        return pickle.loads(data), numbers.stop
    (at,) = struct.unpack("<q", progress[:])
    kind = "hang" if status == -signal.SIGKILL else "crash"
    what = f"the process ended with {status}" if kind == "crash" else f"killed after {SECONDS + _GRACE} s"
    failure = Failure(target.name, seed, at, kind, what, what)
    return Tally(Counter({kind: 1}), failures=[failure]), at + 1


@cache
def _drawer(name: str, inputs: Callable[[], SearchStrategy[bytes]], seed: int) -> Callable[[int], bytes]:
    """The inputs of a target; one is drawn at once, so that the forked processes need not warm up."""
    draw = drawer(inputs(), name, seed)
    draw(0)
    return draw


def _child(
    target: Target, draw: Callable[[int], bytes], seed: int, numbers: range, progress: mmap.mmap, sink: int
) -> None:
    status = 1
    try:
        os.fsync = without_syncing  # type: ignore[assignment]
        limit_memory()

        def tick(number: int) -> None:
            progress[:] = struct.pack("<q", number)

        result = pickle.dumps(tried(target, draw, seed, numbers, tick))
        with os.fdopen(sink, "wb") as file:
            file.write(result)
        status = 0
    except BaseException:  # noqa: BLE001, since nothing may return from here
        traceback.print_exc()
    finally:
        os._exit(status)


def _collected(child: int, source: int, progress: mmap.mmap) -> tuple[bytes, int]:
    """What the child wrote, and its exit status; a child that is at one input for too long is killed."""
    import select

    data, last, since = b"", progress[:], time.monotonic()
    while True:
        if select.select([source], [], [], 1)[0]:
            piece = os.read(source, 1 << 20)
            if not piece:
                break
            data += piece
        elif progress[:] != last:
            last, since = progress[:], time.monotonic()
        elif time.monotonic() - since > SECONDS + _GRACE:
            os.kill(child, signal.SIGKILL)
            break
    return data, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
