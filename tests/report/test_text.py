"""The report for people: what it tells of a merge, and that it stays readable."""

from __future__ import annotations

from pathlib import Path

import pytest

import wheelfuse
from tests.fuse.merging import options
from tests.wheels import build_wheel, compile_library, extension_source
from wheelfuse.report.text import MOST_ROWS, merge_report, split_report
from wheelfuse.sizes import human_size

TARGETS = ("cp310", "cp311", "cp312", "cp313t")


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compile_library(tmp_path_factory.mktemp("module") / "m.so", extension_source("m"))


def merged(directory: Path, files: dict[str, dict[str, str | bytes]], *resolve: str, dry_run: bool = False,
           allow_missing: tuple[str, ...] = ()) -> wheelfuse.MergeOutcome:  # fmt: skip
    paths = [build_wheel(directory / "in", target, members) for target, members in files.items()]
    given = options(*resolve, expect=tuple(files), allow_missing=allow_missing)
    return wheelfuse.merge(paths, directory / "out", given, dry_run=dry_run)


def suffix(target: str) -> str:
    return f".cpython-{target[2:]}-x86_64-linux-gnu.so"


def test_each_module_has_a_row_and_each_target_a_column(tmp_path: Path, module: bytes) -> None:
    files = {target: {f"pkg/m{suffix(target)}": module} for target in TARGETS}
    lines = merge_report(merged(tmp_path, files), width=100).splitlines()  # type: ignore[arg-type]
    at = next(number for number, line in enumerate(lines) if line.startswith("extension module"))
    assert lines[at].split() == ["extension", "module", *TARGETS]
    assert lines[at + 1].split() == ["pkg.m", "own", "own", "own", "own"]


def test_a_module_that_is_missing_stands_out(tmp_path: Path, module: bytes) -> None:
    files: dict[str, dict[str, str | bytes]] = {
        target: {f"pkg/m{suffix(target)}": module} for target in TARGETS
    }
    files["cp311"] = {}
    report = merge_report(merged(tmp_path, files, allow_missing=("cp311:pkg.m",)), width=100)
    row = next(line for line in report.splitlines() if line.startswith("pkg.m "))
    assert row.split() == ["pkg.m", "own", "MISSING", "own", "own"]


def test_many_modules_are_cut_but_not_those_with_a_hole(tmp_path: Path, module: bytes) -> None:
    names = [f"m{number:02}" for number in range(MOST_ROWS + 6)]
    modules = {
        name: compile_library(tmp_path / "m.so", extension_source(name)) for name in (*names, "z_hole")
    }
    files: dict[str, dict[str, str | bytes]] = {
        target: {f"pkg/{name}{suffix(target)}": modules[name] for name in names}
        for target in ("cp310", "cp311")
    }
    files["cp310"][f"pkg/z_hole{suffix('cp310')}"] = modules["z_hole"]
    report = merge_report(merged(tmp_path, files, allow_missing=("cp311:pkg.z_hole",)), width=100)
    assert report.count("pkg.m") == MOST_ROWS
    assert "and 6 more extension modules, there for all targets" in report
    assert "pkg.z_hole" in report


def test_a_wheel_without_modules_has_none(tmp_path: Path) -> None:
    assert "(none)" in merge_report(merged(tmp_path, {target: {} for target in TARGETS}))


def test_sizes_are_told_both_ways(tmp_path: Path) -> None:
    outcome = merged(tmp_path, {target: {"pkg/a.py": "x = 1\n" * 50} for target in TARGETS})
    report = merge_report(outcome)
    assert "in 4 wheels, the largest" in report
    assert "of the inputs together" in report
    assert "times the largest input, for one user" in report
    assert outcome.written
    assert f"sha256 {outcome.written.sha256}" in report.splitlines()


def test_every_kind_of_resolution_has_words(tmp_path: Path) -> None:
    files: dict[str, dict[str, str | bytes]] = {
        target: {
            "pkg/a.py": f"x = {target!r}\n",
            "pkg/data.bin": target,
            "pkg/__pycache__/a.cpython-312.pyc": target,
        }
        for target in TARGETS
    }
    report = merge_report(merged(tmp_path, files, "pkg/data.bin=newest"), width=200)
    assert "Python source that differs: a dispatching module: 1" in report
    assert "settled by --resolve: 1" in report
    assert "pkg/data.bin: cp313t's for all" in report
    assert "split cannot restore" in report


def test_nothing_is_claimed_of_a_merge_that_cannot_be(tmp_path: Path) -> None:
    files: dict[str, dict[str, str | bytes]] = {target: {"pkg/data.bin": target} for target in TARGETS}
    assert "4 wheels cannot be fused into one (dry run)" in merge_report(
        merged(tmp_path, files, dry_run=True)
    )
    assert "would be fused" in merge_report(merged(tmp_path, files, "pkg/data.bin=newest", dry_run=True))


def test_colour_only_where_it_is_asked_for(tmp_path: Path) -> None:
    outcome = merged(tmp_path, {target: {} for target in TARGETS})
    assert "\x1b[" in merge_report(outcome, color=True)
    assert "\x1b[" not in merge_report(outcome)


def test_split_tells_losses_once_and_guesses(tmp_path: Path) -> None:
    files: dict[str, dict[str, str | bytes]] = {target: {"pkg/data.bin": target} for target in TARGETS}
    outcome = merged(tmp_path, files, "pkg/data.bin=newest")
    assert outcome.written
    report = split_report(wheelfuse.split(outcome.written.path, tmp_path / "split"))
    assert report.count(".whl") == 4
    assert report.count("pkg/data.bin\n") == 3
    assert "guessed" not in report


@pytest.mark.parametrize("size, text", [
    (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (100 << 20, "100.0 MiB"),
    (5 << 40, "5120.0 GiB"),
])  # fmt: skip
def test_sizes_for_people(size: int, text: str) -> None:
    assert human_size(size) == text
