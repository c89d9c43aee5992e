"""Tables in markdown."""

from __future__ import annotations

import pytest

from bench.result import Figure
from bench.tables import NoMarkers, brief, digits, limit, placed, table, value, whole
from tests.bench.reports import SESSION, entry, report, runs


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0.04131, "0.0413"),
        (0.5, "0.500"),
        (4.131, "4.13"),
        (41.31, "41.3"),
        (413.1, "413"),
        (1_234.5, "1,234"),
    ],
)
def test_numbers_have_three_digits_that_count(number: float, shown: str) -> None:
    assert digits(number) == shown


def test_values_and_targets_have_units() -> None:
    figure = Figure("r", 12.34, "×", 12, at_least=True)
    assert (value(figure), limit(figure)) == ("12.3×", "≥ 12×")
    assert (value(Figure("t", 0.2, "s", 0.25)), limit(Figure("t", 0.2, "s", 0.25))) == ("0.200 s", "≤ 0.25 s")


def test_bars_in_cells_do_not_break_a_table() -> None:
    assert table(("a", "b"), [("x|y", "1")], right=[1]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |\n"


def test_the_short_table_has_figures_with_a_target_and_the_machine_once() -> None:
    met, missed = Figure("met", 1, "×", 2), Figure("missed", 3, "×", 2)
    text = brief(report(entry("a", met, Figure("free", 5, "s")), entry("b", missed)))
    assert "| title of a | met | 1.00× | ≤ 2× | yes |" in text
    assert "| title of b | missed | 3.00× | ≤ 2× | **no** |" in text
    assert "free" not in text
    assert text.count("Some CPU, 2 cores, 16 GiB") == 1


def test_the_long_table_has_every_program_with_median_least_and_most() -> None:
    text = whole(report(entry("a", merge=runs(3, 1, 2, megabytes=77))), {"a": "What is measured."})
    assert "| merge | 2.00 | 1.00 – 3.00 | 1.00 | 77 MB | 3 |" in text
    assert "What is measured." in text
    assert all(fact in text for fact in SESSION.values())


def test_what_stands_between_the_markers_is_replaced_and_nothing_else() -> None:
    text = "before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n"
    made = placed(text, "new\n")
    assert made == "before\n<!-- bench -->\nnew\n<!-- /bench -->\nafter\n"
    assert placed(made, "new\n") == made


@pytest.mark.parametrize(
    "text", ["no markers", "<!-- bench -->", "<!-- bench --><!-- bench --><!-- /bench -->"]
)
def test_without_one_place_nothing_is_written(text: str) -> None:
    with pytest.raises(NoMarkers):
        placed(text, "new")
