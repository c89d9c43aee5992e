"""Medians, ratios and exponents, held against numbers that are known beforehand."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.figures import growth_exponent, import_seconds, paired, ratio
from tests.bench.reports import runs

SIZES = (1_000, 10_000, 50_000, 100_000, 200_000)


def test_ratios_are_taken_in_each_round_not_of_medians() -> None:
    slow, fast = runs(2, 8, 9), runs(1, 2, 9)  # ratios 2, 4, 1; medians 8 and 2
    assert ratio(slow, fast) == 2


def test_paired_runs_need_as_many_rounds_of_each_program() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired(lambda first, second: first - second, runs(1, 2), runs(1))


def test_paired_takes_any_function_of_a_round() -> None:
    assert paired(lambda a, b, c: (a - b) / c, runs(5, 7), runs(1, 1), runs(2, 2)) == 2.5


@pytest.mark.parametrize("power", [0.5, 1, 1.5, 2])
def test_the_exponent_is_that_of_what_grows_whatever_is_fixed(power: float) -> None:
    # The first size stands for the fixed part; it is small beside the others, so it hardly shifts the exponent.
    values = [0.3 + 1e-4 * (size - SIZES[0]) ** power for size in SIZES]
    assert growth_exponent(SIZES, values) == pytest.approx(power)


def test_a_straight_line_has_exponent_one_though_it_does_not_begin_at_zero() -> None:
    assert growth_exponent(SIZES, [7 + 3 * size for size in SIZES]) == pytest.approx(1)


def test_a_quadratic_step_shows_beside_a_large_linear_one() -> None:
    values = [0.3 + 2e-5 * size + 1e-10 * size**2 for size in SIZES]
    assert growth_exponent(SIZES, values) > 1.1


def test_values_that_do_not_grow_have_no_exponent() -> None:
    with pytest.raises(ValueError, match="do not grow"):
        growth_exponent(SIZES, [1, 1, 1, 1, 1])


def test_import_seconds_are_the_sum_of_what_each_module_takes_itself() -> None:
    told = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:       100 |        100 |   zipimport\n"
        "import time:      1500 |       1600 | site\n"
        "a warning\n"
    )
    assert import_seconds(told) == pytest.approx(0.0016)


def test_import_seconds_of_this_python_hold_the_seconds_of_a_slow_module(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("slow")
    (directory / "slow.py").write_text("import time\ntime.sleep(0.2)\n")
    command = [sys.executable, "-X", "importtime", "-c", "import slow"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)
    assert import_seconds(done.stderr) >= 0.2
