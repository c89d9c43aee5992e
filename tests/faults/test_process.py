"""What befalls the process itself: closed streams, faults of its own, signals, workers that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.kills import SIGNALS, Killing
from tests.faults.soundness import require_installable
from tests.fuse.merging import command
from wheelfuse.wheel.writer import ZipWriter


class TestStandardStreams:
    def shell(self, end: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "wheelfuse", *map(str, arguments)]
        return subprocess.run(["sh", "-c", f'"$@" {end}', "sh", *line], capture_output=True, text=True)

    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    def test_some_are_closed(self, wheels: Path, tmp_path: Path, closed: str) -> None:
        done = self.shell(closed, "merge", wheels, "-o", tmp_path / "out")
        assert (done.returncode, done.stderr) == (0, "")
        [wheel] = (tmp_path / "out").iterdir()
        require_installable(wheel)

    @pytest.mark.parametrize("closed", [">&-", "2>&-"])
    def test_a_refusal_while_some_are_closed(self, tmp_path: Path, closed: str) -> None:
        assert self.shell(closed, "merge", tmp_path / "missing").returncode == 2

    def test_names_from_a_closed_one(self) -> None:
        done = self.shell("<&-", "merge", "-")
        assert done.returncode == 2
        assert "no wheels were given" in done.stderr

    @pytest.mark.parametrize("end", ["2>/dev/full", "2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}"])
    @pytest.mark.parametrize("arguments", [("merge", "/missing"), ("merge", "--unknown"), ("nonsense",)])
    def test_messages_that_nobody_reads(self, end: str, arguments: tuple[str, ...]) -> None:
        line = [sys.executable, "-m", "wheelfuse", *arguments]
        done = subprocess.run(["bash", "-c", f'"$@" {end}', "bash", *line], stdout=subprocess.PIPE)
        assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.parametrize("kind", [RuntimeError, RecursionError, MemoryError, KeyError])
def test_a_fault_has_an_exit_code_of_its_own(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def copy(*_: object) -> None:
        raise kind("::error::\x1b]0;deep")

    monkeypatch.setattr(ZipWriter, "copy", copy)
    code, out, err = command("merge", wheels, "-o", tmp_path / "out")
    assert (code, out) == (70, "")
    assert err.startswith("Traceback (most recent call last):\n")
    assert kind.__name__ in err and "\x1b" not in err and "\n::error" not in err
    assert err.splitlines()[-2:] == [
        "error: this is a fault of wheelfuse, not yours",
        "    Please report it, with the lines above and the command that you gave.",
    ]
    assert not (tmp_path / "out").exists()


def script(body: str, *arguments: object) -> list[str]:
    """A command line of wheelfuse in a Python that runs *body* before."""
    start = "from wheelfuse.__main__ import run\nrun()"
    return [sys.executable, "-c", f"{body}\n{start}", *map(str, arguments)]


class TestSignals:
    def test_kills_at_random_instants(self, wheels: Path, tmp_path: Path) -> None:
        tally = Killing(sorted(wheels.iterdir()), tmp_path / "killed").run(25, seed=1)
        assert tally.failures == []
        assert tally.kills == sum(tally.by_signal.values()) == 25

    @pytest.mark.parametrize("numbers", [
        *([number] for number in sorted({*SIGNALS} - {signal.SIGKILL})),
        [signal.SIGTERM, signal.SIGHUP], [signal.SIGINT, signal.SIGINT, signal.SIGTERM],
    ])  # fmt: skip
    def test_one_or_more_while_the_wheel_is_written(
        self, wheels: Path, tmp_path: Path, numbers: list[signal.Signals]
    ) -> None:
        body = (
            "import os, signal\n"
            "from wheelfuse.wheel.writer import ZipWriter\n"
            f"signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            f"for number in ({signal.SIGTERM}, {signal.SIGHUP}): signal.signal(number, signal.SIG_DFL)\n"
            f"def copy(*_):\n    for number in {[int(number) for number in numbers]}:\n"
            "        try: os.kill(os.getpid(), number)\n"
            "        except SystemExit as error: ended = error\n"
            "    raise ended\n"
            "ZipWriter.copy = copy"
        )
        done = subprocess.run(
            script(body, "merge", wheels, "-o", tmp_path / "out"), capture_output=True, text=True
        )
        assert done.returncode == 128 + numbers[0], done.stderr
        assert (done.stdout, done.stderr) == ("", "")
        assert not (tmp_path / "out").exists()

    def test_one_that_comes_where_python_ignores_exceptions(self, wheels: Path, tmp_path: Path) -> None:
        """In a finaliser, or in a callback of the import system, an exit is printed and forgotten."""
        body = (
            "import os, signal, time\n"
            "from wheelfuse.wheel.writer import ZipWriter\n"
            "class Dying:\n"
            f"    def __del__(self): os.kill(os.getpid(), {int(signal.SIGTERM)})\n"
            "def copy(*_):\n    Dying()\n    time.sleep(60)\n"
            "ZipWriter.copy = copy"
        )
        line = script(body, "merge", wheels, "-o", tmp_path / "out")
        done = subprocess.run(line, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")
        assert not (tmp_path / "out").exists()

    def test_what_it_does_to_others_may_be_told_first(self, wheels: Path, tmp_path: Path) -> None:
        """A worker that it killed is no reason of its own, if Python ignored the signal here for a moment."""
        body = (
            "import os, signal\n"
            "from wheelfuse.errors import JobFailed\n"
            "from wheelfuse.wheel.writer import ZipWriter\n"
            "class Dying:\n"
            f"    def __del__(self): os.kill(os.getpid(), {int(signal.SIGTERM)})\n"
            "def copy(*_):\n    Dying()\n    raise JobFailed('a process was killed')\n"
            "ZipWriter.copy = copy"
        )
        line = script(body, "merge", wheels, "-o", tmp_path / "out")
        done = subprocess.run(line, capture_output=True, text=True, timeout=30)
        assert done.returncode in (128 + signal.SIGTERM, -signal.SIGTERM), done.stderr
        assert not (tmp_path / "out").exists()

    def test_one_of_which_python_makes_another_exception(self, wheels: Path, tmp_path: Path) -> None:
        """As CPython 3.11 does where a class is made."""
        body = (
            "import os, signal\n"
            "from wheelfuse.wheel.writer import ZipWriter\n"
            "def copy(*_):\n"
            f"    try: os.kill(os.getpid(), {int(signal.SIGTERM)})\n"
            "    except SystemExit as error: raise RuntimeError('Error calling __set_name__') from error\n"
            "ZipWriter.copy = copy"
        )
        done = subprocess.run(
            script(body, "merge", wheels, "-o", tmp_path / "out"), capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")
        assert not (tmp_path / "out").exists()


class TestWorkers:
    BODY = (
        "import os, signal, time\n"
        "from wheelfuse.auditing.inputs import Input\n"
        "main, read = os.getpid(), Input.read\n"
        "def reading(self, threads=1):\n"
        "    if os.getpid() != main:\n        {act}\n"
        "    return read(self, threads)\n"
        "reading.__name__ = 'read'\n"  # workers find it by its name
        "Input.read = reading"
    )

    def test_one_that_is_killed(self, wheels: Path, tmp_path: Path) -> None:
        body = self.BODY.replace("{act}", "os.kill(os.getpid(), signal.SIGKILL)")
        report = tmp_path / "report.json"
        line = script(body, "audit", wheels, "--jobs", 3, "--format", f"json={report}")
        done = subprocess.run(line, capture_output=True, text=True)
        assert done.returncode == 5
        assert done.stderr.startswith("error: a process that read the inputs was killed\n")
        assert "run again with --jobs 1" in done.stderr
        assert not report.exists()

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_they_end_with_the_process_that_started_them(
        self, wheels: Path, tmp_path: Path, number: signal.Signals
    ) -> None:
        """As after Ctrl-C at a terminal, all of them get the signal, unless it is SIGKILL."""
        notes = tmp_path / "notes"
        notes.mkdir()
        act = f"open(f'{notes}/{{os.getpid()}}', 'w').close(); time.sleep(1000)"
        line = script(self.BODY.replace("{act}", act), "audit", wheels, "--jobs", 3)
        process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, start_new_session=True)
        limit = time.monotonic() + 30
        while len(list(notes.iterdir())) < 2:
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
        process.kill() if number == signal.SIGKILL else os.killpg(process.pid, number)
        _, err = process.communicate(timeout=30)
        assert process.returncode in (-number, 128 + number)
        assert "Traceback" not in err
        for note in notes.iterdir():
            while _alive(int(note.name)):
                assert time.monotonic() < limit, "a worker goes on alone"
                time.sleep(0.02)


def _alive(pid: int) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False
