"""A report against an earlier one."""

from __future__ import annotations

import pytest

from bench.compare import changes
from bench.result import Figure
from tests.bench.reports import entry, report


def told(before: Figure, now: Figure) -> list[str]:
    return [str(change) for change in changes(report(entry("a", before)), report(entry("a", now)))]


@pytest.mark.parametrize(
    ("before", "now", "at_least", "verdict"),
    [
        (2.0, 2.4, False, "WORSE"),
        (2.0, 1.6, False, "better"),
        (12.0, 10.0, True, "WORSE"),
        (12.0, 14.0, True, "better"),
    ],
)
def test_a_ratio_that_changed_is_told_by_which_way_is_good(
    before: float, now: float, at_least: bool, verdict: str
) -> None:
    [line] = told(Figure("r", before, "×", None, at_least), Figure("r", now, "×", None, at_least))
    assert line.startswith(verdict)
    assert f"{before:.2f} × before, {now:.2f} × now" in line


@pytest.mark.parametrize("now", [1.75, 2.0, 2.29])
def test_less_than_15_percent_is_noise(now: float) -> None:
    assert told(Figure("r", 2.0, "×"), Figure("r", now, "×")) == []


def test_seconds_are_not_compared_since_machines_differ() -> None:
    assert told(Figure("t", 1.0, "s"), Figure("t", 9.0, "s")) == []
    assert told(Figure("t", 1.0, "µs"), Figure("t", 9.0, "µs")) == []


def test_memory_and_exponents_are_compared() -> None:
    assert told(Figure("m", 100, "MB"), Figure("m", 300, "MB"))
    assert told(Figure("e", 1.0, ""), Figure("e", 2.0, ""))


def test_figures_and_cases_that_are_new_or_gone_are_no_change() -> None:
    before = report(entry("a", Figure("old", 1, "×")), entry("gone", Figure("r", 1, "×")))
    now = report(entry("a", Figure("new", 9, "×")), entry("b", Figure("old", 9, "×")))
    assert list(changes(before, now)) == []
