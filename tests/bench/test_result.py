"""Results as JSON and back, and runs of only some cases."""

from __future__ import annotations

import json

import pytest

from bench.result import Figure, Growth, from_json, to_json, updated
from tests.bench.reports import SESSION, entry, report, runs

LATER = {**SESSION, "date": "2026-12-24 12:00:00 UTC", "processor": "Another CPU"}


def test_a_report_survives_json() -> None:
    made = report(
        entry(
            "a",
            Figure("r", 12.5, "×", 12, True),
            Figure("t", 0.25, "s"),
            merge=runs(1, 2),
            cat=runs(0.5, 0.5),
        ),
        entry(
            "g", Figure("exponent", 1.0, "", 1.1), growth=Growth("members", (1, 2)), one=runs(1), two=runs(2)
        ),
    )
    assert from_json(json.loads(json.dumps(to_json(made)))) == made


def test_json_says_whether_targets_are_met() -> None:
    figures = (
        Figure("met", 2, "×", 2),
        Figure("missed", 3, "×", 2),
        Figure("low", 3, "×", 4, True),
        Figure("free", 1, "s"),
    )
    cases = to_json(report(entry("a", *figures)))["cases"]
    assert [figure.get("met") for figure in cases["a"]["figures"]] == [True, False, False, None]


def test_another_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="wheelfuse-bench/0"):
        from_json({"schema": "wheelfuse-bench/0", "cases": {}})


def test_a_run_of_some_cases_leaves_the_others_as_they_are() -> None:
    last = report(entry("a", Figure("r", 1, "×")), entry("b", Figure("r", 1, "×")))
    again = entry("b", Figure("r", 2, "×"), session=LATER["date"])
    made = updated(last, [again], LATER, ["a", "b"])
    assert made.entries == (last.entries[0], again)
    assert set(made.sessions) == {SESSION["date"], LATER["date"]}


def test_cases_come_in_the_order_of_the_bench_and_those_it_no_longer_has_go() -> None:
    last = report(entry("gone"), entry("b"))
    made = updated(last, [entry("a")], SESSION, ["a", "b"])
    assert [one.case for one in made.entries] == ["a", "b"]


def test_descriptions_of_sessions_go_with_their_last_entry() -> None:
    last = report(entry("a"))
    made = updated(last, [entry("a", session=LATER["date"])], LATER, ["a"])
    assert set(to_json(made)["sessions"]) == {LATER["date"]}


def test_the_first_run_of_all_needs_no_earlier_report() -> None:
    assert updated(None, [entry("a")], SESSION, ["a"]).entries == (entry("a"),)
