"""The bench of surveys: its server, what it looks at, and what it makes of that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from bench.result import Figure
from bench.survey import (
    SCHEMA,
    Fetched,
    Look,
    Outcome,
    Survey,
    _figures,
    _in_lines,
    _look,
    distribution,
    document,
    fetched_of,
    middle,
    quantile,
    served,
    told,
    worst,
)

SURVEY = Survey(
    "real wheels", 10, 4.0, 12, 5_000_000, (Look(1.5, 10, 100), Look(2.5, 20, 300), Look(3.5, 15, 200))
)
REAL = tuple(Fetched(f"w{n}.whl", 1000, n * 100, n) for n in range(1, 11))


@pytest.mark.parametrize(("part", "value"), [(0.05, 1), (0.25, 3), (0.5, 5), (0.95, 10), (1.0, 10)])
def test_a_quantile_is_the_smallest_value_that_so_many_do_not_exceed(part: float, value: int) -> None:
    assert quantile([3, 1, 2, 10, 9, 8, 7, 6, 5, 4], part) == value


def test_growth_of_a_worker_is_its_last_quarter_over_its_second() -> None:
    assert SURVEY.worker_growth() == pytest.approx(2.0)
    assert (SURVEY.peak_worker, SURVEY.peak_client) == (300, 20)


def test_the_distribution_has_shares_and_requests() -> None:
    lines = distribution(REAL).splitlines()
    assert lines[0].split("|")[-2].strip() == "most"
    assert lines[2].split("|")[-2].strip() == "100.0%"
    assert lines[3].split("|")[4].strip() == "5"


def test_the_worst_are_those_of_which_most_bytes_came() -> None:
    lines = worst(REAL, 2).splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == ["w10.whl", "w9.whl"]


def test_told_of_several_rounds_is_the_one_in_the_middle() -> None:
    rounds = [replace(SURVEY, seconds=seconds) for seconds in (7.0, 2.0, 3.0)]
    assert middle(rounds).seconds == 3.0


def test_the_documents_have_every_survey_and_figure() -> None:
    figure = Figure("real wheels: bytes fetched of all", 16.0, "%", 15)
    other = tuple(replace(SURVEY, name="other", seconds=seconds) for seconds in (20.0, 5.0, 8.0))
    outcome = Outcome({"real wheels": (SURVEY,), "other": other}, REAL, (figure,))
    text, value = told(outcome, {"cores": "2"}), json.loads(_in_lines(document(outcome, {"cores": "2"})))
    assert "| other | 10 | 8.00 |" in text
    assert "| 16.0 % | ≤ 15 % | **no** |" in text
    assert value["schema"] == SCHEMA
    assert value["figures"][0]["met"] is False
    assert [survey["name"] for survey in value["surveys"]] == ["real wheels", "other", "other", "other"]
    assert value["surveys"][0]["looks"] == [[1.5, 10, 100], [2.5, 20, 300], [3.5, 15, 200]]


def test_ratios_are_those_of_the_round_in_the_middle_and_growth_that_of_the_least() -> None:
    def rounds(name: str, *seconds: float, wheels: int = 10) -> tuple[Survey, ...]:
        return tuple(replace(SURVEY, name=name, seconds=each, wheels=wheels) for each in seconds)

    surveys = {
        some[0].name: some
        for some in (
            rounds("real wheels, pool of 1", 5, 5, 5),
            rounds("real wheels, pool of 2", 5, 5, 5),
            rounds("real wheels", 5, 5, 5),
            rounds("cluster of 1, no latency", 9, 8, 6),
            rounds("cluster of 2, no latency", 3, 4, 6),
            *(rounds(f"{n} generated wheels", 2 + n / 10, 3 + n / 5, 99, wheels=n) for n in (10, 20, 40, 80)),
        )
    }
    found = {figure.name: figure for figure in _figures(surveys, REAL, 1.9)}
    assert found["cluster, no latency: 1 worker / 2 workers"].value == 2.0
    assert found["cluster, no latency: 1 worker / 2 workers"].met is True
    assert found["time by number of wheels, least of the rounds: exponent"].value == pytest.approx(1.0)
    assert found["two processes that only compute: together / one alone"].value == 1.9


def test_the_server_is_another_process_that_counts_requests_for_wheels(tmp_path: Path) -> None:
    (tmp_path / "a-1-py3-none-any.whl").write_bytes(b"x" * 1000)
    with served(tmp_path) as server:
        with urllib.request.urlopen(server.url) as listing:
            assert b"a-1-py3-none-any.whl" in listing.read()
        with urllib.request.urlopen(f"{server.url}a-1-py3-none-any.whl") as wheel:
            assert len(wheel.read()) == 1000
        assert server.counts() == (1, 1000)
        assert server.counts() == (0, 0)


def test_a_look_sees_the_client_and_its_workers() -> None:
    script = "import subprocess, sys; a = bytearray(50_000_000); a[::4096] = b'x' * len(a[::4096]); print(flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{script}; sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout
        child.stdout.readline()
        look = _look(1.0, os.getpid(), 0)
    assert look.second == 1.0
    assert look.client > 10_000_000
    assert look.worker > 50_000_000


def test_what_was_fetched_stands_in_the_table_of_wheels(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    for number, status in enumerate(("read", "failed")):
        row = {"file": f"{number}.whl", "size": 10, "fetched": 5, "requests": 1, "status": status}
        parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "wheels" / f"part-{number}.parquet")
    assert fetched_of(tmp_path) == (Fetched("0.whl", 10, 5, 1),)
