"""Pictures: the same report gives the same bytes, and what a reader needs is in them."""

from __future__ import annotations

from pathlib import Path

from bench import plots
from bench.result import Figure, Growth
from tests.bench.reports import entry, report, runs

PROGRAMS = {
    "merge": runs(2, 2.2),
    "cat": runs(1, 1.1),
    "cat && sync": runs(1.5, 1.6),
    "unpack, copy, pack": runs(30, 33),
}


def test_pictures_are_the_same_each_time(tmp_path: Path) -> None:
    series = entry(
        "growth_members",
        Figure("exponent of time", 1.0, "", 1.1),
        Figure("peak memory", 60, "MB", 120),
        growth=Growth("members", (1, 10, 100)),
        one=runs(1),
        ten=runs(2),
        hundred=runs(11),
    )
    made = report(entry("merge_onnxruntime", **PROGRAMS), series)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert [path.name for path in plots.draw(made, tmp_path / name)] == ["ratios.svg", "growth.svg"]
    for name in ("ratios.svg", "growth.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_report_without_series_draws_none(tmp_path: Path) -> None:
    assert [path.name for path in plots.draw(report(entry("merge_onnxruntime", **PROGRAMS)), tmp_path)] == [
        "ratios.svg"
    ]
