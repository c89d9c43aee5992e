"""A run of the survey: what is read and what is not, and that one cut off and resumed equals one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.soundness import hidden, snapshot
from tests.surveying.surveyed import expected, read, rows, stored
from wheelfuse.errors import InvalidInput, UsageError
from wheelfuse.surveying import api, parts
from wheelfuse.surveying.api import run
from wheelfuse.surveying.failed import failed
from wheelfuse.surveying.layout import committed
from wheelfuse.surveying.options import SurveyOptions
from wheelfuse.surveying.report import Count, Progress, SurveyReport
from wheelfuse.surveying.rows import Remote


@pytest.fixture(autouse=True)
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is noted what is read."""
    path = tmp_path / "read"
    path.touch()
    monkeypatch.setenv("READ", str(path))
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "wheels").mkdir()
    return tmp_path


def put(place: Path, **texts: str) -> None:
    """Files, by the name of their project."""
    for name, text in texts.items():
        (place / "wheels" / f"{name}-1-py3-none-any.whl").write_text(text)


def identity(path: Path) -> str:
    return f"{path.stat().st_size}:{path.stat().st_mtime_ns}"


def all_rows(place: Path) -> dict[str, list[tuple[object, ...]]]:
    """What a survey of the files is to have."""
    wheels = []
    for path in (place / "wheels").glob("*.whl"):
        text = path.read_text()
        if text == "fail":
            remote = Remote(str(path), path.name, len(text), identity(path))
            wheels.append(failed(remote, "it does not want to", fetched=10, requests=1))
        else:
            wheels.append(rows(str(path), identity(path), symbols=3 if text == "slow" else int(text)))
    return expected(wheels)


def surveyed(place: Path, *locations: str, resume: bool = False, deadline: float = 100.0) -> SurveyReport:
    names = locations or (str(place / "wheels"),)
    return run(SurveyOptions(names, place / "out", workers=2, resume=resume, deadline=deadline), read)


def names(noted: Path) -> list[str]:
    found = sorted(line.split("-")[0] for line in noted.read_text().splitlines())
    noted.write_text("")
    return found


def test_every_wheel_is_there_with_its_rows(place: Path) -> None:
    put(place, a="3", b="0", c="fail", d="1000")
    report = surveyed(place)
    assert stored(place / "out") == all_rows(place)
    assert (report.wheels, report.read, report.failed, report.unchanged) == (4, 3, 1, 0)
    assert report.reasons == (("it does not want to", 1),)
    assert (report.fetched, report.size, report.requests) == (310, 3004, 7)
    assert report.shares[0][1] == report.shares[-1][1] == 0.1
    assert [worst.fetched for worst in report.worst] == [100, 100, 100]


def test_a_wheel_that_two_locations_list_is_read_once(place: Path, noted: Path) -> None:
    put(place, a="3", b="3")
    everywhere = place / "wheels"
    report = surveyed(place, str(everywhere), str(everywhere / "a-1-py3-none-any.whl"), str(everywhere))
    assert names(noted) == ["a", "b"]
    assert report.wheels == 2
    assert stored(place / "out") == all_rows(place)


def test_a_wheel_with_which_processes_die_is_a_failure(place: Path) -> None:
    put(place, a="3", b="die", c="3")
    report = surveyed(place)
    assert report.reasons == (("a process that read it was killed by SIGKILL, 2 times", 1),)
    assert report.read == 2
    assert [row[4] for row in stored(place / "out")["wheels"]].count("failed") == 1


def test_rows_that_no_table_can_hold_are_a_failure(place: Path) -> None:
    put(place, a="huge", b="3")
    report = surveyed(place)
    assert (report.read, report.failed) == (1, 1)
    assert "holds what no table of a survey can" in report.reasons[0][0]
    assert len(stored(place / "out")["modules"]) == 1


def test_what_did_not_change_is_not_read_again(place: Path, noted: Path) -> None:
    put(place, a="3", b="3", c="fail", d="3")
    surveyed(place)
    names(noted)
    put(place, b="7", c="4", e="5")
    report = surveyed(place, resume=True)
    assert names(noted) == ["b", "c", "e"]
    assert (report.read, report.unchanged) == (3, 2)
    assert stored(place / "out") == all_rows(place)
    surveyed(place, resume=True)
    assert names(noted) == []
    assert stored(place / "out") == all_rows(place)


def test_a_second_survey_into_the_same_directory_has_to_say_so(place: Path) -> None:
    put(place, a="3")
    surveyed(place)
    before = snapshot(place)
    with pytest.raises(UsageError, match="holds a survey already"):
        surveyed(place)
    assert snapshot(place) == before


def test_a_location_that_is_not_there_stops_the_run_and_keeps_what_came(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(place, **{f"w{n}": "3" for n in range(20)})
    with pytest.raises(InvalidInput, match="nowhere"):
        surveyed(place, str(place / "wheels"), str(place / "nowhere"))
    assert not (place / "out" / "wheels").is_dir() or stored(place / "out")["wheels"] == []
    monkeypatch.setattr(api, "_number", lambda _: None)  # as for what is not of this machine
    with pytest.raises(InvalidInput, match="nowhere"):
        surveyed(place, str(place / "wheels"), str(place / "nowhere"))
    assert stored(place / "out")["wheels"]
    surveyed(place, resume=True)
    assert stored(place / "out") == all_rows(place)


def test_progress_is_told_of_each_wheel(place: Path) -> None:
    put(place, a="3", b="fail", c="3")
    said: list[Progress] = []
    run(SurveyOptions((str(place / "wheels"),), place / "out"), read, said.append)
    assert [(one.done, one.of) for one in said] == [(1, 3), (2, 3), (3, 3)]
    assert (said[-1].failed, said[-1].fetched) == (1, 210)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"locations": ()}, "nothing to survey"),
        ({"workers": -1}, "--workers"),
        ({"workers": 1, "scheduler": "tcp://host:1"}, "name one of them"),
        ({"deadline": 0.0}, "--deadline"),
    ],
)
def test_options_that_make_no_sense(place: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SurveyOptions(**{"locations": ("x",), "output": place, **options})  # type: ignore[arg-type]


def test_counts_take_no_more_memory_for_more_wheels() -> None:
    count = Count()
    for number in range(3000):
        count.add(failed(Remote(f"/{number}.whl", f"{number}.whl"), f"reason {number}").wheel)
        count.add(rows(f"/x{number}.whl", size=1000 + number).wheel)
    report = count.report(Path())
    assert sum(times for _, times in report.reasons) == 3000
    assert report.reasons[0] == ("another reason", 2000)
    assert len(report.reasons) == 1001
    assert [worst.fetched for worst in report.worst] == [399] * 10


def test_shares_are_what_so_many_wheels_do_not_exceed() -> None:
    count = Count()
    for percent in range(1, 101):
        count.add(rows(f"/x{percent}.whl", size=1000).wheel._replace(fetched=10 * percent))
    assert dict(count.report(Path()).shares) == {
        0.1: 0.1, 0.25: 0.25, 0.5: 0.5, 0.75: 0.75, 0.9: 0.9, 0.99: 0.99, 1.0: 1.0,
    }  # fmt: skip


SCRIPT = """
import sys
from pathlib import Path
from tests.surveying.surveyed import read
from wheelfuse.surveying import api, parts
from wheelfuse.surveying.api import run
from wheelfuse.surveying.options import SurveyOptions
parts.MOST_WHEELS = 5
run(SurveyOptions((sys.argv[1],), Path(sys.argv[2]), workers=2, resume=True), read)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_cut_off_and_resumed_equals_one_that_was_not(
    place: Path, noted: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(parts, "MOST_WHEELS", 5)
    put(place, **{f"w{n:02}": "fail" if n % 7 == 3 else "slow" for n in range(60)})
    for done in (12, 35):
        before = len(committed(place / "out"))
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(place / "wheels"), str(place / "out")],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while len(committed(place / "out")) < max(before + 1, done // 5):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(number)
        process.wait()
        found = stored(place / "out")
        assert 0 < len(found["wheels"]) < 60
        assert max(Counter(row[1] for row in found["wheels"]).values()) == 1
    names(noted)
    surveyed(place, resume=True)
    assert len(names(noted)) < 60
    assert stored(place / "out") == all_rows(place)
    assert hidden(place / "out") == []
