"""Environments are made and filled with uv, and where there is none, with venv and pip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.build import WHEELS, C
from tests.interpreters import available
from wheelfuse.errors import JobFailed
from wheelfuse.interpreters import environments
from wheelfuse.interpreters.environments import create, install
from wheelfuse.target import Target

RUNNING = Target(sys.version_info.minor, "t" in sys.abiflags)
NEWEST = max(available())


@pytest.fixture(params=["uv", "pip"], autouse=True)
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What makes and fills the environments."""
    if request.param == "pip":
        monkeypatch.setattr(environments, "uv", lambda: "")
    else:
        assert environments.uv(), "the extra `test` brings uv"
    return str(request.param)


def says(python: Path, code: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run([python, "-c", code], env=env, capture_output=True, text=True, cwd="/")
    return (done.stdout + done.stderr).strip()


@pytest.mark.parametrize("target", sorted({RUNNING, NEWEST}), ids=str)
def test_a_wheel_is_installed_into_a_fresh_environment(target: Target, tmp_path: Path) -> None:
    environment = create(available()[target], tmp_path / "environment")
    assert "No module named 'fusec'" in says(environment.python, "import fusec")
    assert says(environment.python, "import sys; print(sys.prefix)") == str(environment.directory)
    wheel = str(WHEELS / C.wheel_name(target))
    finished = install(environment, [wheel], no_deps=True, offline=True, cached=False)
    assert finished.ok, finished.output
    assert Path(says(environment.python, "import fusec; print(fusec.__file__)")).is_relative_to(tmp_path)


def test_the_wheel_of_another_cpython_is_refused(tmp_path: Path) -> None:
    environment = create(available()[RUNNING], tmp_path / "environment")
    other = Target(11 if RUNNING.minor == 10 else 10)
    finished = install(environment, [str(WHEELS / C.wheel_name(other))], offline=True)
    assert not finished.ok
    assert finished.output


def test_requirements_come_from_find_links(tmp_path: Path) -> None:
    environment = create(available()[RUNNING], tmp_path / "environment")
    assert not install(environment, ["wheelfuse-fixture-c==1.0"], offline=True).ok
    finished = install(environment, ["wheelfuse-fixture-c==1.0"], offline=True, find_links=[WHEELS])
    assert finished.ok, finished.output


def test_variables_are_those_of_the_environment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("CONDA_PREFIX", "/conda")
    environment = create(available()[RUNNING], tmp_path / "environment")
    variables = environment.variables(EXTRA="1", HOME=None)
    assert variables["EXTRA"] == "1"
    assert {"PYTHONPATH", "CONDA_PREFIX", "HOME"}.isdisjoint(variables)
    code = "import os, shutil; print(os.environ['VIRTUAL_ENV'], shutil.which('python'))"
    expected = f"{environment.directory} {environment.python}"
    assert says(environment.python, code, variables) == expected


def test_what_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobFailed, match="no environment could be made with it") as failure:
        create(available()[RUNNING], tmp_path / "file" / "environment")
    assert str(available()[RUNNING]) in str(failure.value)
    assert "exit status" in str(failure.value)


def test_without_uv_and_pip_nothing_can_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    environment = create(available()[RUNNING], tmp_path / "environment")
    monkeypatch.setattr(environments, "uv", lambda: "")
    monkeypatch.setattr(environments, "find_spec", lambda name: None)
    with pytest.raises(JobFailed, match="neither uv nor pip"):
        install(environment, ["anything"])
