"""Child processes: in a group of their own, with a time limit, none of them outliving the call."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import BinaryIO

StrPath = str | os.PathLike[str]

KEPT = 1 << 18
"""How much of what a child prints is kept in memory, in bytes: the last of it. A log file has all of it."""

_SHORT, _POLL, _GRACE = 0.001, 0.05, 3.0  # seconds
_CHUNK = 1 << 16  # bytes
_LEAKY = ("PYTHON", "VIRTUAL_ENV", "CONDA_", "UV_PYTHON", "UV_PROJECT", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class Finished:
    """How a child ended.

    *returncode* is the exit status, or -n when signal n ended it (as in :mod:`subprocess`); *seconds* is what it
    took by the clock; *output* is the end of what it printed on stdout and stderr, at most `KEPT` bytes.
    """

    returncode: int
    signal: int | None
    timed_out: bool
    seconds: float
    output: str

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with exit status 0."""
        return self.returncode == 0 and not self.timed_out

    @property
    def signal_name(self) -> str:
        """The signal that ended it (``SIGSEGV``); empty if none did."""
        return _signal_name(self.signal) if self.signal is not None else ""

    def tail(self, lines: int) -> str:
        """The last lines of the output."""
        return "\n".join(self.output.rstrip().splitlines()[-lines:])

    def why(self) -> str:
        """How it ended, for a message: ``ended with exit status 2 after 3.1 s``."""
        if self.timed_out:
            return f"did not end within {self.seconds:.0f} s and was killed"
        if self.signal is not None:
            return f"was killed by {_signal_name(self.signal)} after {self.seconds:.1f} s"
        return f"ended with exit status {self.returncode} after {self.seconds:.1f} s"


def environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """The environment for another Python: this process's without what steers *this* Python, and with *changes*.

    A change to None removes the variable.
    """
    steering_this = steering()
    kept = {name: value for name, value in os.environ.items() if name not in steering_this}
    changed = {**kept, **(changes or {})}
    return {name: value for name, value in changed.items() if value is not None}


def steering() -> tuple[str, ...]:
    """The variables of this process that steer *this* Python, and are not for another."""
    return tuple(name for name in os.environ if name.startswith(_LEAKY))


def run(
    command: Sequence[StrPath],
    *,
    cwd: StrPath | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    log: Path | None = None,
    stop: Event | None = None,
    on_output: Callable[[bytes], None] | None = None,
) -> Finished:
    """Run *command* to its end in a session of its own, without standard input.

    What it prints is appended to the file *log*, if one is named, and handed to *on_output* in pieces as it
    comes. After *timeout* seconds, when *stop* is set (by another thread), and when an exception such as
    KeyboardInterrupt passes through here, the whole process group is ended: SIGTERM, and SIGKILL 3 s later.
    What the command left running in its group is killed in any case.

    Raises:
        OSError: the command cannot be started, or the log cannot be written.
    """
    begun = time.monotonic()
    tail = bytearray()
    with ExitStack() as stack:
        file = stack.enter_context(log.open("ab", buffering=0)) if log else None
        process = stack.enter_context(
            subprocess.Popen(
                command, cwd=cwd, env=env, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        )  # fmt: skip
        stack.callback(_end_group, process)

        def take(data: bytes) -> None:
            tail.extend(data)
            del tail[:-KEPT]
            if file:
                _write_all(file, data)
            if on_output:
                on_output(data)

        timed_out = _pump(process, take, None if timeout is None else begun + timeout, stop)
        seconds = time.monotonic() - begun
        _end_group(process)
        _drain(process, take)
    code = process.returncode
    return Finished(code, -code if code < 0 else None, timed_out, seconds, tail.decode(errors="replace"))


def _pump(
    process: subprocess.Popen[bytes],
    take: Callable[[bytes], None],
    deadline: float | None,
    stop: Event | None,
) -> bool:
    """Hand on what is printed until the process ends or must end; whether the deadline has passed."""
    assert process.stdout
    pipe, pause = process.stdout.fileno(), _SHORT
    os.set_blocking(pipe, False)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not (_ended(process) or (stop and stop.is_set())):
            if deadline is not None and time.monotonic() >= deadline:
                return True
            if not selector.get_map():  # it closed its output: about to end, as a rule, or it works on
                time.sleep(pause)
                pause = min(2 * pause, _POLL)
            elif selector.select(_POLL):
                if data := os.read(pipe, _CHUNK):
                    take(data)
                else:
                    selector.unregister(pipe)
    return False


def _drain(process: subprocess.Popen[bytes], take: Callable[[bytes], None]) -> None:
    """What is still in the pipe. Its end is not waited for: a daemon that has left the group may keep it open."""
    assert process.stdout
    with suppress(BlockingIOError):
        while data := os.read(process.stdout.fileno(), _CHUNK):
            take(data)


def _write_all(file: BinaryIO, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has ended. It stays a zombie, so that its number is still that of its group."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the process, gently first, and then whatever else is in its group."""
    if process.returncode is not None:
        return
    try:
        if not _ended(process):
            _signal_group(process, signal.SIGTERM)
            limit = time.monotonic() + _GRACE
            while not _ended(process) and time.monotonic() < limit:
                time.sleep(_POLL)
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, where only zombies are left
        os.killpg(process.pid, number)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
