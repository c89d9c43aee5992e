"""Limits: how they are written, where they come from, and that none of them stops a real wheel."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wheel.zips import Entry, wheel_entries, write_wheel
from tests.wheels import wheelfuse
from wheelfuse.errors import UsageError
from wheelfuse.wheel.limits import DEFAULT_LIMITS, RATIO_COUNTS_FROM, Limits, parse_size, shown

WHERE = "[tool.wheelfuse.merge]"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("20GB", 20 * 10**9),
        ("20 gb", 20 * 10**9),
        ("16GiB", 16 << 30),
        ("1.5MiB", 3 << 19),
        ("0.5 kb", 500),
        (" 7TiB ", 7 << 40),
        ("12B", 12),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "20G", "-1", "1e9", "1.GB", "20GBs", "١GB", "9" * 5000])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size, such as 20GB"):
        parse_size(text)


@given(st.integers(1, 1 << 52))
def test_a_size_that_is_shown_lets_pass_what_it_is_of(size: int) -> None:
    assert size <= parse_size(shown(size)) <= 2 * size


def test_a_table_gives_limits_and_its_other_keys_do_not_matter() -> None:
    table = {"max-member-size": "2GB", "max-ratio": 7, "strict": True}
    assert Limits.from_table(table, WHERE) == Limits(2 * 10**9, 7, DEFAULT_LIMITS.members)
    assert Limits.from_table({"max-member-size": 9, "max-members": 3}, WHERE) == Limits(9, 200, 3)
    assert Limits.from_table({}, WHERE) == DEFAULT_LIMITS


@pytest.mark.parametrize(
    "table",
    [
        {"max-ratio": 0},
        {"max-ratio": "50"},
        {"max-members": True},
        {"max-member-size": "much"},
        {"max-members": 1.5},
    ],
)
def test_a_table_that_makes_no_sense_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"\[tool.wheelfuse.merge\] max-"):
        Limits.from_table(table, WHERE)


LARGEST = [
    ("libtorch_cuda.so", 1_400_000_000, 600_000_000),
    ("a library of 8 GB", 8 << 30, 2 << 30),
    ("a table of zeros", 200 << 20, 200 << 10),
    ("text at 100 to 1", 2 << 30, 22 << 20),
]


@pytest.mark.parametrize(
    ("size", "packed"), [case[1:] for case in LARGEST], ids=[case[0] for case in LARGEST]
)
def test_what_real_wheels_hold_is_within_the_limits(size: int, packed: int) -> None:
    assert DEFAULT_LIMITS.too_large(size, packed) is None
    assert DEFAULT_LIMITS.too_dense([size], packed) is None


def test_all_that_the_public_index_takes_is_within_the_limits() -> None:
    """It takes what inflates to fifty times its size, and whatever is not above 64 MiB."""
    assert DEFAULT_LIMITS.ratio >= 50
    assert RATIO_COUNTS_FROM >= 64 << 20


COMMANDS = ("merge", "split", "audit", "verify")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_the_options(tmp_path: Path, command: str) -> None:
    path = write_wheel(tmp_path, wheel_entries(Entry("pkg/a", b"1" * 100)))
    for option, value, told in (
        ("--max-members", "4", "--max-members 5"),
        ("--max-member-size", "99", "--max-member-size "),
    ):
        done = wheelfuse(command, path, option, value, cwd=tmp_path)
        assert done.returncode == (1 if command == "audit" else 3), done.stderr
        assert told in " ".join((done.stdout + done.stderr).split())
    for option, value in (("--max-ratio", "0"), ("--max-members", "many"), ("--max-member-size", "much")):
        done = wheelfuse(command, path, option, value, cwd=tmp_path)
        assert done.returncode == 2
        assert option in done.stderr


@pytest.mark.parametrize("command", ["merge", "audit"])
def test_limits_of_a_project_count_unless_others_are_given(tmp_path: Path, command: str) -> None:
    path = write_wheel(tmp_path, wheel_entries())
    table = f'[tool.wheelfuse.{command}]\nmax-members = 3\nmax-member-size = "1kB"\n'
    (tmp_path / "pyproject.toml").write_text(table)
    expect = ("--expect", "cp312", "-o", "out") if command == "merge" else ()
    refused = wheelfuse(command, path, *expect, cwd=tmp_path)
    assert "--max-members 4" in refused.stdout + refused.stderr
    assert wheelfuse(command, path, *expect, "--max-members", "4", cwd=tmp_path).returncode == 0
    (tmp_path / "pyproject.toml").write_text(table.replace("3", "0"))
    done = wheelfuse(command, path, *expect, cwd=tmp_path)
    assert done.returncode == 2
    assert f"[tool.wheelfuse.{command}] max-members must be a number above zero, not 0" in done.stderr
