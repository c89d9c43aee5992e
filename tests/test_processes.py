"""Child processes end when they should, with all that they started, and say how."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wheelfuse.processes import KEPT, environment, run


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie that nobody has collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pid: int) -> bool:
    """Whether the process ends within a few seconds: a signal that was sent takes its time."""
    limit = time.monotonic() + 10
    while alive(pid) and time.monotonic() < limit:
        time.sleep(0.01)
    return not alive(pid)


def test_a_child_that_ends_well() -> None:
    done = run(shell("echo out; echo err >&2"))
    assert (done.ok, done.returncode, done.signal, done.timed_out) == (True, 0, None, False)
    assert sorted(done.output.split()) == ["err", "out"]
    assert done.seconds > 0


def test_an_exit_status_is_told() -> None:
    done = run(shell("exit 3"))
    assert (done.ok, done.returncode, done.signal) == (False, 3, None)
    assert "exit status 3" in done.why()


def test_a_signal_is_told_by_name() -> None:
    done = run(shell("kill -SEGV $$"))
    assert (done.ok, done.returncode, done.signal) == (False, -signal.SIGSEGV, signal.SIGSEGV)
    assert "SIGSEGV" in done.why()


def test_a_child_has_no_standard_input() -> None:
    assert run(["cat"]).ok


def test_a_child_that_hangs_is_killed_with_all_that_it_started() -> None:
    done = run(shell("sleep 1000 & echo $!; wait"), timeout=0.5)
    assert (done.ok, done.timed_out) == (False, True)
    assert gone(int(done.output))
    assert "did not end within" in done.why()


def test_a_child_that_ignores_sigterm_is_killed() -> None:
    done = run(shell("trap '' TERM; echo $$; while :; do sleep 0.1; done"), timeout=0.3)
    assert (done.timed_out, done.signal) == (True, signal.SIGKILL)
    assert gone(int(done.output))


def test_a_child_may_clean_up_when_it_is_ended() -> None:
    done = run(shell("trap 'echo cleaned; exit 1' TERM; while :; do sleep 0.1; done"), timeout=0.3)
    assert done.timed_out
    assert "cleaned" in done.output


def test_what_a_child_leaves_behind_is_killed() -> None:
    done = run(shell("sleep 1000 & echo $!"))
    assert done.ok
    assert gone(int(done.output))


def test_a_daemon_that_holds_the_output_open_is_not_waited_for() -> None:
    done = run(shell("setsid sleep 1000 & echo $!; sleep 0.3"), timeout=60)
    os.kill(int(done.output), signal.SIGKILL)
    assert (done.ok, done.timed_out) == (True, False)


def test_a_child_that_closes_its_output_is_waited_for(tmp_path: Path) -> None:
    done = run(shell(f"exec >&- 2>&-; sleep 0.3; touch {tmp_path}/late"))
    assert done.ok
    assert (tmp_path / "late").exists()


def test_the_log_has_all_output_and_memory_the_end_of_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    lines = KEPT // 4
    done = run(["seq", str(lines)], log=log)
    assert log.read_text() == "before\n" + "".join(f"{number}\n" for number in range(1, lines + 1))
    assert len(done.output) == KEPT
    assert done.tail(2) == f"{lines - 1}\n{lines}"


def test_output_is_handed_on_as_it_comes(tmp_path: Path) -> None:
    flag = tmp_path / "flag"

    def seen(_: bytes) -> None:
        flag.touch()

    script = f"echo first; while [ ! -e {flag} ]; do sleep 0.05; done; echo second"
    assert run(shell(script), on_output=seen, timeout=60).output == "first\nsecond\n"


def test_another_thread_can_stop_it() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    done = run(shell("sleep 1000 & echo $!; wait"), stop=stop)
    assert (done.signal, done.timed_out) == (signal.SIGTERM, False)
    assert gone(int(done.output))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_children(number: signal.Signals, tmp_path: Path) -> None:
    code = """
import signal, sys
from wheelfuse.processes import run
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
run(["sh", "-c", f"sleep 1000 & echo $! > {sys.argv[1]}.new; mv {sys.argv[1]}.new {sys.argv[1]}; wait"])
"""
    note = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", code, str(note)], stderr=subprocess.DEVNULL) as parent:
        while not note.exists():
            assert parent.poll() is None
            time.sleep(0.02)
        parent.send_signal(number)
        assert parent.wait(20) != 0
    assert gone(int(note.read_text()))


def test_a_command_that_does_not_exist() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        run(["/no-such-command"])


def test_a_log_that_cannot_be_written_ends_the_child(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(OSError, match="space"):
        run(shell(f"echo $$ > {note}; echo text; exec sleep 1000"), log=Path("/dev/full"))
    assert gone(int(note.read_text()))


def test_the_environment_for_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "UV_PYTHON", "CFLAGS", "LDFLAGS"):
        monkeypatch.setenv(name, "x")
    given = environment({"CXX": "c++", "LDFLAGS": None})
    assert (given["CFLAGS"], given["CXX"]) == ("x", "c++")
    assert not {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "UV_PYTHON", "LDFLAGS"} & given.keys()
