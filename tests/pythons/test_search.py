"""The search finds interpreters where they are, takes the right one of several, and says why it passes others over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.pythons.machines import fake, headers, script
from wheelfuse.errors import UsageError
from wheelfuse.interpreters.probe import Interpreter
from wheelfuse.interpreters.search import Found, find, parse_python, require_named
from wheelfuse.target import Target

CP316, CP317, CP317T = Target(16), Target(17), Target(17, free_threaded=True)
RUNNING = Target(sys.version_info.minor, "t" in sys.abiflags)
HANG = "command -p sleep 600"  # -p: a bare machine has no PATH


def there(*extra: Path, needs_headers: bool = False, timeout: float = 20) -> Found:
    return find(extra, headers=needs_headers, timeout=timeout)


def chosen(*extra: Path) -> Interpreter:
    return there(*extra).by_target[CP317]


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("pythons/python3.17", "WHEELFUSE_PYTHONS"),
        ("pythons/bin/python3", "WHEELFUSE_PYTHONS"),
        ("pythons/mine/bin/python3", "WHEELFUSE_PYTHONS"),
        ("opt/python/cp317-cp317/bin/python3", "tmp"),
        ("PYENV_ROOT/versions/3.17.0/bin/python3", "pyenv"),
        ("XDG_CACHE_HOME/wheelfuse/pythons/cp317/bin/python3", "cache"),
        ("XDG_DATA_HOME/uv/python/cpython-3.17.0-linux-x86_64-gnu/bin/python3", "uv"),
        ("nothing/python3.17", "PATH"),
    ],
)
def test_each_place_is_searched_and_named(machine: Path, place: str, source: str) -> None:
    path = fake(machine / place)
    found = chosen()
    assert found.path == path
    assert source in found.source


def test_uv_may_keep_its_interpreters_elsewhere(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(machine / "elsewhere"))
    path = fake(machine / "elsewhere" / "cpython-3.17.0-linux-x86_64-gnu" / "bin" / "python3.17")
    assert (chosen().path, chosen().source) == (path, "uv")


@pytest.mark.parametrize("named", ["", "bin", "bin/python3"])
def test_the_caller_names_a_prefix_its_bin_or_the_program(machine: Path, named: str) -> None:
    path = fake(machine / "given" / "bin" / "python3")
    assert (chosen(machine / "given" / named).path, chosen(machine / "given" / named).source) == (
        path,
        "given",
    )


def test_a_relative_path_becomes_absolute(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake(machine / "my-python")
    monkeypatch.chdir(machine)
    assert chosen(Path("my-python")).path == path


def test_the_one_that_is_given_wins_then_the_variable_then_the_newest(machine: Path) -> None:
    old_path = fake(machine / "nothing" / "python3", micro=8)
    new_path = fake(machine / "PYENV_ROOT" / "versions" / "3.17.9" / "bin" / "python3", micro=9)
    assert chosen().path == new_path
    variable = fake(machine / "pythons" / "python3", micro=7)
    assert chosen().path == variable
    given = fake(machine / "given" / "python3", micro=6)
    found = there(machine / "given")
    assert found.by_target[CP317].path == given
    assert [twin.path for twin in found.twins] == [variable, new_path, old_path]


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ({"micro": 2}, {"micro": 10}),
        ({"level": "candidate"}, {"level": "final"}),
        ({"level": "beta"}, {"level": "candidate"}),
    ],
)
@pytest.mark.parametrize("names", ["ab", "ba"])
def test_the_newest_release_wins_wherever_it_is(
    machine: Path, worse: dict[str, Any], better: dict[str, Any], names: str
) -> None:
    fake(machine / "pythons" / names[0] / "bin" / "python3", **worse)
    path = fake(machine / "pythons" / names[1] / "bin" / "python3", **better)
    assert chosen().path == path


def test_of_equal_releases_the_earlier_place_wins(machine: Path) -> None:
    places = [
        "opt/python/cp317-cp317/bin",
        "PYENV_ROOT/versions/3.17/bin",
        "XDG_DATA_HOME/uv/python/x/bin",
        "nothing",
    ]
    paths = [fake(machine / place / "python3") for place in places]
    found = there()
    assert [found.by_target[CP317].path, *(twin.path for twin in found.twins)] == paths


def test_with_the_gil_and_without_are_two(machine: Path) -> None:
    fake(machine / "pythons" / "python3.17")
    fake(machine / "pythons" / "python3.17t", free_threaded=True)
    found = there()
    assert set(found.by_target) == {RUNNING, CP317, CP317T}
    assert not found.twins


def test_one_file_by_several_names_is_asked_once(machine: Path) -> None:
    path = fake(machine / "pythons" / "bin" / "python3.17")
    path.write_text(f"{path.read_text()}echo once >> {machine}/asked\n")
    path.with_name("python3").symlink_to("python3.17")
    (machine / "PYENV_ROOT" / "versions").mkdir(parents=True)
    (machine / "PYENV_ROOT" / "versions" / "3.17").symlink_to(machine / "pythons")
    found = there()
    assert found.by_target[CP317].path.resolve() == path
    assert not found.twins
    assert (machine / "asked").read_text() == "once\n"


@pytest.mark.parametrize("name", ["python3-config", "python3.17-intel64", "python2", "pythonw"])
def test_other_programs_are_not_even_run(machine: Path, name: str) -> None:
    script(machine / "pythons" / name, f"touch {machine}/ran")
    assert set(there().by_target) == {RUNNING}
    assert not (machine / "ran").exists()


def test_the_variable_names_a_program_of_any_name(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake(machine / "elsewhere" / "my-own-build")
    monkeypatch.setenv("WHEELFUSE_PYTHONS", f"{machine}/pythons:{path}")
    assert chosen().path == path


def test_a_launcher_that_goes_by_its_name_is_several_interpreters(machine: Path) -> None:
    for minor in (16, 17):
        fake(machine / "real" / str(minor), minor=minor)
    launcher = script(machine / "bin" / "launcher", f'exec {machine}/real/"${{0##*.}}"')
    for minor in (16, 17):
        (machine / "pythons" / f"python3.{minor}").symlink_to(launcher)
    assert set(there().by_target) == {RUNNING, CP316, CP317}


def test_the_shims_of_pyenv_are_not_run(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = script(machine / "PYENV_ROOT" / "shims" / "python3.17", f"touch {machine}/ran; exit 127")
    monkeypatch.setenv("PATH", f"{shim.parent}:/usr/bin:/bin")
    assert CP317 not in there().by_target
    assert not (machine / "ran").exists()


def test_the_running_python_is_found(machine: Path) -> None:
    [only] = there().interpreters
    assert (only.target, only.path, only.source) == (RUNNING, Path(sys.executable), "running")


def test_one_without_headers_is_passed_over_for_building(machine: Path) -> None:
    bare = fake(machine / "nothing" / "python3.17", micro=9)
    assert chosen().path == bare
    [passed_over] = [one for one in there(needs_headers=True).passed_over if one.target]
    assert (passed_over.path, passed_over.target) == (bare, CP317)
    assert "is cp317, but names no directory of headers" in passed_over.reason
    include = headers(machine / "include", 17)
    older = fake(machine / "pythons" / "python3", micro=1, include=(include,))
    assert there(needs_headers=True).by_target[CP317].path == older


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ({"platform": "linux-ppc64le"}, "is cp317 for ppc64le glibc, while the Python that runs wheelfuse"),
        (
            {"libc": "", "triplet": "x86_64-alpine-linux-musl"},
            "musl, while the Python that runs wheelfuse is for",
        ),
    ],
)
def test_one_for_another_machine_or_c_library_is_passed_over(
    machine: Path, answer: dict[str, str], what: str
) -> None:
    path = fake(machine / "pythons" / "python3", **answer)
    [passed_over] = there().passed_over
    assert passed_over.path == path
    assert what in passed_over.reason


def test_files_that_are_no_programs_are_passed_over_with_the_reason(machine: Path) -> None:
    directory = machine / "nothing"
    directory.mkdir()
    (directory / "python3").symlink_to("gone")
    (directory / "python3.17").write_text("text")
    (directory / "python3.16").mkdir()
    reasons = {one.path.name: one.reason for one in there().passed_over if one.path.parent == directory}
    assert reasons == {"python3": "is a broken symbolic link to gone", "python3.17": "is not executable"}


def test_one_that_hangs_does_not_keep_others_from_being_found(machine: Path) -> None:
    hanging = script(machine / "pythons" / "a" / "bin" / "python3", HANG)
    good = fake(machine / "pythons" / "b" / "bin" / "python3")
    found = there(timeout=2)
    assert found.by_target[CP317].path == good
    [passed_over] = found.passed_over
    assert passed_over.path == hanging
    assert "did not end within 2 s" in passed_over.reason


def test_what_is_named_in_vain_is_told(machine: Path) -> None:
    empty, gone, good = machine / "empty", machine / "gone", fake(machine / "given" / "python3")
    empty.mkdir()
    extra = (empty, gone, good.parent)
    with pytest.raises(UsageError) as caught:
        require_named(find(extra), extra)
    assert {problem.wheel: problem.what for problem in caught.value.problems} == {
        str(empty): "has no python3 in it, in its bin, or in */bin",
        str(gone): "does not exist",
    }


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("3.12", Target(12)),
        ("3.13t", Target(13, free_threaded=True)),
        ("cp314t", Target(14, free_threaded=True)),
        ("python3.12", Path("python3.12")),
        ("/usr/bin/python3", Path("/usr/bin/python3")),
        ("3.12.1", Path("3.12.1")),
    ],
)
def test_a_python_is_a_version_or_a_path(text: str, meant: Target | Path) -> None:
    assert parse_python(text) == meant


def test_a_file_goes_before_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "3.12").mkdir()
    assert parse_python("3.12") == Path("3.12")


def test_an_interrupt_ends_the_search_and_what_it_runs(machine: Path) -> None:
    pid = machine / "pid"
    script(machine / "pythons" / "python3", f"echo $$ > {pid}; {HANG}")
    code = "from wheelfuse.interpreters.search import find; find(timeout=500)"
    with subprocess.Popen([sys.executable, "-c", code], env=os.environ, stderr=subprocess.DEVNULL) as search:
        while not (pid.exists() and pid.read_text().strip()):
            time.sleep(0.02)
        search.send_signal(signal.SIGINT)
        assert search.wait(60) != 0
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
