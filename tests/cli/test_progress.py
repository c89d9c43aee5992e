"""How far a command has come: the words, on a terminal, in a log, and nothing where nobody asked."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.wheels import build_wheel
from wheelfuse.report.progress import Meter, duration

STEPS = ("verifying", "comparing", "writing", "finishing")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_bytes_with_their_rate_and_the_time_left() -> None:
    clock = Clock()
    meter = Meter(STEPS, clock=clock)
    meter.advance(0, 100 << 20)
    assert meter.line() == "verifying 0 B of 100.0 MiB (0%), 0 s so far"
    clock.now += 10
    meter.advance(20 << 20, 100 << 20)
    assert meter.line() == "verifying 20.0 MiB of 100.0 MiB (20%), 2.0 MiB/s, about 40 s left"
    assert meter.line(60) == "verifying 20.0 MiB of 100.0 MiB (20%), 2.0 MiB/s"
    assert meter.line(40) == "verifying 20.0 MiB of 100.0 MiB (20%)"


def test_what_follows_a_step_and_the_next_step() -> None:
    clock = Clock()
    meter = Meter(STEPS, clock=clock)
    meter.advance(8, 8)
    clock.now += 3
    assert meter.line() == "comparing, 3 s so far"
    meter.advance(0, 10)
    clock.now += 2
    meter.advance(5, 10)
    assert meter.line() == "writing 5 B of 10 B (50%), 2 B/s, about 2 s left"
    meter.advance(10, 10)
    assert meter.line() == "finishing, 0 s so far"


def test_jobs_that_take_long_say_how_long_each_takes() -> None:
    clock = Clock()
    meter = Meter(("building", "finishing"), "jobs", clock)
    clock.now += 300
    meter.advance(2, 8)
    assert meter.line() == "building 2 of 8 jobs (25%), 2 min 30 s each, about 15 min left"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (75, "1 min 15 s"), (1200, "20 min"), (3900, "1 h 5 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


SLOW = """
import sys, time
from wheelfuse.cli import main, terminal
import wheelfuse.cli.merge as merge
terminal.AT_ONCE = terminal.AGAIN = terminal.IN_A_LOG = 0.01
fuse = merge.merge
def slow(*given, progress=None, **more):
    def told(done, total):
        if progress:
            progress(done, total)
        time.sleep(0.1)
    return fuse(*given, progress=told, **more)
merge.merge = slow
main(sys.argv[1:])
"""
"""A merge that takes its time, and a terminal and a log that are told at once."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    directory = tmp_path_factory.mktemp("wheels")
    return [str(build_wheel(directory, target, {"pkg/x.py": ""})) for target in ("cp311", "cp312")]


def in_a_terminal(arguments: list[str], **env: str) -> str:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")
    }
    environment |= {"TERM": "xterm", "COLUMNS": "80"} | env
    main, side = pty.openpty()
    line = [sys.executable, "-c", SLOW, *arguments]
    with subprocess.Popen(
        line, stdin=side, stdout=subprocess.DEVNULL, stderr=side, env=environment
    ) as process:
        os.close(side)
        shown = b""
        try:
            while chunk := os.read(main, 65536):
                shown += chunk
        except OSError:  # how Linux says that the other side is closed
            pass
        assert process.wait() == 0, shown
    os.close(main)
    return shown.decode()


def merge(wheels: list[str], out: Path, *more: str) -> list[str]:
    return ["merge", *wheels, "-o", str(out), "--expect", "cp311,cp312", *more]


def test_a_terminal_shows_a_line_that_vanishes(wheels: list[str], tmp_path: Path) -> None:
    shown = in_a_terminal(merge(wheels, tmp_path))
    assert "\r\x1b[Kverifying " in shown
    assert "\r\x1b[Kwriting " in shown
    assert shown.endswith("\r\x1b[K")
    assert "\n" not in shown


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"WHEELFUSE_PLAIN": "1"}])
def test_a_terminal_that_cannot_go_back_shows_lines(
    wheels: list[str], tmp_path: Path, env: dict[str, str]
) -> None:
    shown = in_a_terminal(merge(wheels, tmp_path), **env)
    assert "\x1b" not in shown
    assert [line for line in shown.split("\r\n") if line and not line.startswith(STEPS)] == []
    assert "verifying " in shown


@pytest.mark.parametrize("env", [{}, {"WHEELFUSE_PLAIN": "1"}])
def test_quiet_shows_nothing(wheels: list[str], tmp_path: Path, env: dict[str, str]) -> None:
    assert in_a_terminal(merge(wheels, tmp_path, "-q"), **env) == ""


def test_a_log_has_plain_lines(wheels: list[str], tmp_path: Path) -> None:
    line = [sys.executable, "-c", SLOW, *merge(wheels, tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()
    assert all(line.startswith(STEPS) for line in done.stderr.splitlines())
    assert "\r" not in done.stderr and "\x1b" not in done.stderr


def test_a_log_of_a_short_run_has_none(wheels: list[str], tmp_path: Path) -> None:
    line = [sys.executable, "-m", "wheelfuse", *merge(wheels, tmp_path)]
    assert subprocess.run(line, capture_output=True, text=True, check=True).stderr == ""
