"""What a run took, and in which order programs run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.measure import Command, RunFailed, alternate, run


def python(name: str, code: str, **more: object) -> Command:
    return Command(name, (sys.executable, "-c", code), **more)  # type: ignore[arg-type]


def test_programs_alternate_and_the_first_round_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "log"
    commands = [python(name, f"open({str(log)!r}, 'a').write({name!r})") for name in "ABC"]
    runs = alternate(commands, 2, tmp_path)
    assert log.read_text() == "ABC" * 3
    assert {name: len(taken) for name, taken in runs.items()} == {"A": 2, "B": 2, "C": 2}


def test_memory_is_that_of_the_program_not_of_the_bench(tmp_path: Path) -> None:
    held = bytearray(300_000_000)  # touched, so that this process is larger than what it measures
    held[::4096] = b"x" * len(held[::4096])
    small = run(python("small", "pass"), tmp_path)
    large = run(python("large", "held = b'x' * 100_000_000"), tmp_path)
    assert small.peak_bytes < 50_000_000
    assert 100_000_000 < large.peak_bytes < 150_000_000
    assert len(held) == 300_000_000


def test_processes_that_a_program_starts_count_as_its_own(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(10**7)); b\"x\" * 10**8'])"
    )
    taken = run(python("parent", code), tmp_path)
    assert taken.peak_bytes > 100_000_000
    assert taken.cpu_seconds > run(python("alone", "import subprocess, sys"), tmp_path).cpu_seconds


def test_sleep_is_time_but_not_work(tmp_path: Path) -> None:
    taken = run(python("sleeps", "import time; time.sleep(0.5)"), tmp_path)
    assert taken.seconds >= 0.5
    assert taken.cpu_seconds < taken.seconds


def test_a_failed_run_stops_the_case_with_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"(?s)breaks: exit code 1\n.*\nValueError: the reason"):
        alternate([python("breaks", "raise ValueError('the reason')")], 1, tmp_path)


def test_a_signal_is_a_failure_even_of_a_program_that_may_fail(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="exit code -9"):
        run(python("dies", "import os; os.kill(os.getpid(), 9)", exit_codes=(0, 1)), tmp_path)


def test_exit_codes_that_a_command_allows_are_no_failure(tmp_path: Path) -> None:
    assert run(python("finds", "raise SystemExit(1)", exit_codes=(0, 1)), tmp_path).seconds > 0


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="no-such-program could not be started"):
        run(Command("missing", (str(tmp_path / "no-such-program"),)), tmp_path)


def test_output_is_gone_before_and_after_each_run(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.write_text("of an earlier run")
    code = f"import os; os.mkdir({str(output)!r}); open({str(output / 'file')!r}, 'w').close()"
    alternate([python("writes", code, output=output)], 2, tmp_path)
    assert not output.exists()


def test_variables_of_a_command_are_its_own(tmp_path: Path) -> None:
    code = "import os; assert os.environ['ONLY_HERE'] == 'yes'"
    run(python("sees", code, environment={"ONLY_HERE": "yes"}), tmp_path)
    with pytest.raises(RunFailed, match="KeyError"):
        run(python("does not", code), tmp_path)
