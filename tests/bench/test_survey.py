"""The bench of surveys: its server, what it looks at, and what it makes of that."""

from __future__ import annotations

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
    _look,
    distribution,
    document,
    fetched_of,
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


def test_the_documents_have_every_survey_and_figure() -> None:
    figure = Figure("real wheels: bytes fetched of all", 16.0, "%", 15)
    outcome = Outcome((SURVEY, replace(SURVEY, name="other")), REAL, (figure,))
    text, value = told(outcome, {"cores": "2"}), document(outcome, {"cores": "2"})
    assert "| other |" in text
    assert "| 16.0 % | ≤ 15 % | **no** |" in text
    assert value["schema"] == SCHEMA
    assert value["figures"][0]["met"] is False
    assert [survey["name"] for survey in value["surveys"]] == ["real wheels", "other"]
    assert value["surveys"][0]["looks"] == [[1.5, 10, 100], [2.5, 20, 300], [3.5, 15, 200]]


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
