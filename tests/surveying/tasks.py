"""What processes of a pool, and workers of a cluster, do in the tests: functions that they import by name."""

from __future__ import annotations

import os
import signal
import struct
import sys
import time
from pathlib import Path

Task = tuple[str, int]


def do(task: Task) -> tuple[int, int]:
    """The number and the process. A task may name a file in which each time it is done leaves a line."""
    what, number = task
    what, _, noted = what.partition(" ")
    if noted:
        with Path(noted).open("a") as file:
            file.write(f"{number}\n")
    first = not noted or Path(noted).read_text().split().count(str(number)) == 1
    if what == "raise":
        raise ValueError(f"no {number}")
    if what == "exit":
        os._exit(3)
    if what == "die" or (what == "die-once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "stop" or (what == "stop-once" and first):
        os.kill(os.getpid(), signal.SIGSTOP)
    if what == "hang" or (what == "hang-once" and first):
        time.sleep(1000)
    if what == "slow":
        time.sleep(0.05)
    return number, os.getpid()


def large(size: int) -> bytes:
    """More than fits into a pipe."""
    return bytes(size)


def stopped_half_way(size: int) -> None:
    """The process is stopped when it has sent the beginning of an answer of so many bytes."""
    os.write(int(sys.argv[1]), struct.pack("!Q", size) + b"begun")
    os.kill(os.getpid(), signal.SIGSTOP)
