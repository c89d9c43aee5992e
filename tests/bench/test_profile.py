"""Samples of a profile are counted once each, and tables show them as seconds."""

from __future__ import annotations

from collections import Counter

import pytest

from bench import profile


@pytest.mark.parametrize(
    ("stack", "row"),
    [
        (
            "main (wheelfuse/cli/merge.py:1);_find_and_load (<frozen importlib>);x (y.py:3)",
            "starting Python, imports",
        ),
        (
            "_Reader.verify (wheelfuse/fuse/reading.py:1);Archive._inflated (wheelfuse/wheel/archive.py:9)",
            "inflating",
        ),
        (
            "merge (wheelfuse/fuse/api.py:1);make_plan (wheelfuse/fuse/plan.py:9)",
            "deciding (the plan, or the rules)",
        ),
        ("something (else.py:1)", profile.OTHER),
    ],
)
def test_a_sample_counts_for_the_first_row_that_knows_it(stack: str, row: str) -> None:
    assert profile.row_of(stack) == row


def test_every_function_that_a_row_names_is_there() -> None:
    """So that a renamed function does not silently count as something else."""
    root = profile.programs.ROOT
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (root / "wheelfuse").rglob("*.py"))
    for _, marks in profile.ROWS[1:]:
        for mark in marks:
            name = mark.partition(" (")[0].split(".")[-1]
            is_place = (root / name.rstrip("/")).is_dir() or (root / f"{name}.py").exists()
            assert is_place or f"def {name}(" in sources, mark


def test_a_table_has_seconds_and_no_empty_rows() -> None:
    text = profile.table({"merge": Counter({"inflating": 2 * profile.RATE}), "audit": Counter()})
    assert "| inflating | 2.00 |  |" in text
    assert "compressing" not in text
    assert text.splitlines()[-1] == "| together | 2.00 | 0.00 |"
