"""The search for interpreters finds the right ones, and says why it passes others over."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def test_the_running_interpreter_is_found_on_a_bare_machine(bare_machine: Path) -> None:
    assert list(available()) == [RUNNING]
    assert version(RUNNING).startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")


@pytest.mark.parametrize("place", ["python3", "python3.17", "bin/python3", "cp317/bin/python3"])
def test_an_interpreter_is_found_in_directories_bins_and_prefixes(bare_machine: Path, place: str) -> None:
    path = fake(bare_machine / place)
    assert available()[Target(17)] == path


def test_an_interpreter_can_be_named_itself(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake(bare_machine.parent / "elsewhere" / "my-own-build")
    monkeypatch.setenv("WHEELFUSE_PYTHONS", f"{bare_machine}:{path}")
    assert available()[Target(17)] == path


@pytest.mark.parametrize(
    "place", ["PYENV_ROOT/versions/3.17.0/bin", "XDG_CACHE_HOME/wheelfuse/pythons/cp317/bin"]
)
def test_usual_places_are_searched(bare_machine: Path, place: str) -> None:
    path = fake(bare_machine.parent / place / "python3")
    assert available()[Target(17)] == path


def test_path_is_searched(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake(bare_machine.parent / "somewhere" / "python3.17t", free_threaded=True)
    monkeypatch.setenv("PATH", str(path.parent))
    assert available()[Target(17, free_threaded=True)] == path


@pytest.mark.parametrize(
    ("worse", "better", "shown"),
    [
        ({"micro": 2}, {"micro": 10}, "3.17.10"),
        ({"level": "candidate"}, {"level": "final"}, "3.17.0"),
        ({"level": "beta"}, {"level": "candidate"}, "3.17.0rc1"),
    ],
)
@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_the_newest_release_of_a_target_wins(
    bare_machine: Path, worse: dict[str, int], better: dict[str, int], shown: str, names: tuple[str, str]
) -> None:
    fake(bare_machine / names[0] / "bin" / "python3", **worse)  # type: ignore[arg-type]
    path = fake(bare_machine / names[1] / "bin" / "python3", **better)  # type: ignore[arg-type]
    assert available()[Target(17)] == path
    assert version(Target(17)) == shown


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"name": "pypy"}, "is pypy, not CPython"),
        ({"minor": 9}, "is cp39, older than cp310"),
        ({"suffix": ".cpython-317d-x86_64-linux-gnu.so", "debug": True}, "debug"),
    ],
)
def test_an_unusable_interpreter_is_passed_over_with_the_reason(
    bare_machine: Path, answer: dict[str, Any], reason: str
) -> None:
    path = fake(bare_machine / "python3", **answer)
    assert list(available()) == [RUNNING]
    assert reason in rejected()[path]


@pytest.mark.parametrize("script", ["exit 3", "echo hello", ""])
def test_a_program_that_does_not_answer_is_passed_over(bare_machine: Path, script: str) -> None:
    path = fake(bare_machine / "python3")
    path.write_text(f"#!/bin/sh\n{script}\n")
    assert list(available()) == [RUNNING]
    assert "does not run" in rejected()[path]


def test_other_programs_are_not_even_run(bare_machine: Path) -> None:
    others = [
        fake(bare_machine / name) for name in ("python3-config", "python3.17-intel64", "python2", "pythonw")
    ]
    assert list(available()) == [RUNNING]
    assert not rejected().keys() & set(others)


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_both_installers_install_into_a_fresh_environment(installer: str, tmp_path: Path) -> None:
    for target in available().keys() & set(list(available())[-2:]):
        wheel = WHEELS / C.wheel_name(target)
        python = environment(target, tmp_path / str(target))
        with pytest.raises(CommandFailed, match="No module named 'fusec'"):
            run_python(python, "import fusec")
        install(python, wheel, installer=installer)  # type: ignore[arg-type]
        assert Path(run_python(python, "import fusec; print(fusec.__file__)")).is_relative_to(tmp_path)


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_both_installers_refuse_the_wheel_of_another_target(installer: str, tmp_path: Path) -> None:
    other = Target(11 if RUNNING.minor == 10 else 10)
    python = environment(RUNNING, tmp_path / "environment")
    with pytest.raises(CommandFailed):
        install(python, WHEELS / C.wheel_name(other), installer=installer)  # type: ignore[arg-type]
