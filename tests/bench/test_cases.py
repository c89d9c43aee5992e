"""The list of cases."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.cases import CASES
from bench.plots import PEERS
from bench.programs import ROOT


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_each_case_says_what_it_measures(case) -> None:  # type: ignore[no-untyped-def]
    assert len(case.about) > 40
    assert case.about in " ".join(bench("--list").stdout.split())


def test_pictures_are_of_cases_that_exist() -> None:
    assert PEERS.keys() <= CASES.keys()


def test_unknown_cases_are_refused_with_those_that_there_are() -> None:
    done = bench("merge_onxruntime")
    assert done.returncode == 2
    assert "no such case: merge_onxruntime" in done.stderr
    assert "merge_onnxruntime" in done.stderr
