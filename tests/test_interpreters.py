"""Tests run on the interpreters that the search of wheelfuse finds, those too old for wheelfuse itself left out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.build import WHEELS, C
from tests import interpreters
from tests.interpreters import CommandFailed, available, environment, install, rejected, run_python, version
from tests.pythons.machines import bare, fake
from wheelfuse.target import Target

RUNNING = Target(sys.version_info.minor, "t" in sys.abiflags)


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with no CPython but the running one; the directory is in $WHEELFUSE_PYTHONS."""
    pythons = bare(tmp_path, monkeypatch)
    interpreters._search.cache_clear()
    yield pythons
    interpreters._search.cache_clear()


def test_every_interpreter_is_what_the_search_says() -> None:
    code = "import sys; print(*sys.version_info[:2], 't' in sys.abiflags)"
    for target, python in available().items():
        assert run_python(python, code).split() == ["3", str(target.minor), str(target.free_threaded)]


def test_targets_come_in_order_and_none_is_older_than_what_wheelfuse_supports() -> None:
    assert list(available()) == sorted(available())
    assert min(available()) >= Target(10)


def test_what_is_found_and_what_is_passed_over(bare_machine: Path) -> None:
    good = fake(bare_machine / "a" / "bin" / "python3", level="candidate")
    old = fake(bare_machine / "b" / "bin" / "python3", minor=9)
    other = fake(bare_machine / "c" / "bin" / "python3", name="pypy")
    assert available() == {RUNNING: Path(sys.executable), Target(17): good}
    assert version(Target(17)) == "3.17.0rc1"
    assert rejected()[old] == "is cp39, older than cp310"
    assert rejected()[other] == "is pypy, not CPython"


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_both_installers_install_one_wheel_and_refuse_that_of_another_target(
    installer: str, tmp_path: Path
) -> None:
    python = environment(RUNNING, tmp_path / "environment")
    other = Target(11 if RUNNING.minor == 10 else 10)
    with pytest.raises(CommandFailed):
        install(python, WHEELS / C.wheel_name(other), installer=installer)  # type: ignore[arg-type]
    with pytest.raises(CommandFailed, match="No module named 'fusec'"):
        run_python(python, "import fusec")
    install(python, WHEELS / C.wheel_name(RUNNING), installer=installer)  # type: ignore[arg-type]
    assert Path(run_python(python, "import fusec; print(fusec.__file__)")).is_relative_to(tmp_path)
