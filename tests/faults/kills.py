"""Kills a merge at random instants, and looks at what is left.

The inputs are given; what is expected is what an undisturbed merge of them gives, which an installer accepts. Half of
the instants lie anywhere in a run, and half after the output was seen to be begun, however busy the machine is.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.soundness import hidden, require_installable
from wheelfuse.wheel.outputs import replacing

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What is sent, as often as it stands here."""

_LATER = "631152000"  # a time to stamp members with: the same wheel in other bytes


@dataclass
class Tally:
    """What was found after the kills."""

    kills: int = 0
    while_writing: int = 0
    by_signal: Counter[str] = field(default_factory=Counter)
    outputs: Counter[str] = field(default_factory=Counter)
    partial_outputs: list[str] = field(default_factory=list)
    left_by_sigkill: int = 0
    left_by_others: list[str] = field(default_factory=list)
    not_cleaned_up: list[str] = field(default_factory=list)
    wrong_exits: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    interpreter_starting: int = 0

    def add(self, other: Tally) -> None:
        """Count what another has counted."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            if isinstance(mine, Counter):
                mine.update(value)
            else:
                setattr(self, name, mine + value)

    @property
    def failures(self) -> list[str]:
        """All that must not be."""
        return [
            *self.partial_outputs, *self.left_by_others, *self.not_cleaned_up, *self.wrong_exits, *self.tracebacks,
        ]  # fmt: skip


class Killing:
    """A merge of *wheels* in *directory*, which is its own, to be killed again and again."""

    def __init__(self, wheels: Sequence[Path], directory: Path, *options: str) -> None:
        self._wheels, self._options = wheels, options
        self._out, self._temporary = directory / "out", directory / "tmp"
        self._temporary.mkdir(parents=True)
        begun = time.monotonic()
        process = self._started()
        self._writing = 0.0
        while process.poll() is None:
            if not self._writing and self._out.exists() and hidden(self._out):
                self._writing = time.monotonic() - begun
            time.sleep(0.001)
        self._lasting = time.monotonic() - begun
        assert process.returncode == 0, process.communicate()[1]
        [self._path] = self._out.iterdir()
        require_installable(self._path)
        self._new = self._path.read_bytes()
        assert self._started(SOURCE_DATE_EPOCH=_LATER).wait() == 0
        require_installable(self._path)
        self._old = self._path.read_bytes()
        assert self._old != self._new

    def run(self, kills: int, seed: int) -> Tally:
        """Kill so many merges."""
        chance, tally = random.Random(seed), Tally()
        for number in range(kills):
            self._kill(chance, tally, f"seed {seed}, kill {number}")
        return tally

    def _started(self, **environment: str) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-m",
            "wheelfuse",
            "merge",
            *map(str, self._wheels),
            "-o",
            str(self._out),
            "--force",
        ]
        variables = {**os.environ, "TMPDIR": str(self._temporary), **environment}
        return subprocess.Popen(
            [*command, "-q", *self._options],
            env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_as_at_a_terminal,
        )  # fmt: skip

    def _kill(self, chance: random.Random, tally: Tally, where: str) -> None:
        there_before = chance.random() < 0.5
        self._path.unlink(missing_ok=True)
        if there_before:
            self._path.write_bytes(self._old)
        number = chance.choice(SIGNALS)
        aimed = chance.random() < 0.5
        delay = chance.uniform(0.0, self._lasting - self._writing if aimed else self._lasting)
        process = self._started()
        while aimed and process.poll() is None and not (self._out.exists() and hidden(self._out)):
            time.sleep(0.0005)
        tally.while_writing += aimed and process.poll() is None
        time.sleep(delay)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        where = f"{where}, {number.name} after {delay:.3f} s{' of writing' * aimed}"
        tally.kills += 1
        tally.by_signal[number.name] += 1
        tally.outputs[self._found(there_before, tally, where)] += 1
        self._look_at_the_end(process.returncode, number, err, tally, where)
        self._look_at_leftovers(number, tally, where)

    def _found(self, there_before: bool, tally: Tally, where: str) -> str:
        if not self._path.exists():
            if there_before:
                tally.partial_outputs.append(f"{where}: the old output is gone")
            return "none, as before"
        data = self._path.read_bytes()
        if data == self._new:
            return "the new one, whole"
        if not (there_before and data == self._old):
            digest = hashlib.sha256(data).hexdigest()
            tally.partial_outputs.append(f"{where}: {len(data)} bytes, SHA-256 {digest}")
        return "the old one, untouched"

    def _look_at_the_end(self, code: int, number: signal.Signals, err: str, tally: Tally, where: str) -> None:
        if number == signal.SIGINT and "KeyboardInterrupt" in err and "wheelfuse/cli" not in err:
            tally.interpreter_starting += 1  # Python itself was, and had not come to the command line
            return
        if code not in (0, -number, 128 + number):
            tally.wrong_exits.append(f"{where}: exit status {code}: {err}")
        if "Traceback" in err or "Exception ignored" in err:
            tally.tracebacks.append(f"{where}: {err}")

    def _look_at_leftovers(self, number: signal.Signals, tally: Tally, where: str) -> None:
        left = [*hidden(self._out), *self._temporary.iterdir()]
        if left and number == signal.SIGKILL:
            tally.left_by_sigkill += 1
        elif left:
            tally.left_by_others.append(f"{where}: {left}")
        if not left:
            return
        with replacing(self._out / "next", overwrite=True):  # as the next merge does
            pass
        (self._out / "next").unlink()
        if left := [*hidden(self._out), *self._temporary.iterdir()]:
            tally.not_cleaned_up.append(f"{where}: {left}")
            for path in left:
                path.unlink()


def _as_at_a_terminal() -> None:
    """Whoever runs this may ignore signals, as nohup and background jobs do."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
