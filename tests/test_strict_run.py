"""A strict run of the tests fails when it left something out, also under xdist, and says what."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wheelfuse.target import Target

ROOT = Path(__file__).parent.parent
RUNNING = Target(sys.version_info.minor, "t" in sys.abiflags)
PASSES = f"""
from tests.interpreters import environment
from wheelfuse.target import Target

def test_it(tmp_path):
    environment(Target.parse("{RUNNING}"), tmp_path / "environment")
"""
SKIPS = f"""{PASSES}
import pytest

def test_other():
    pytest.skip("no such thing here")
"""
FAILS = f"{PASSES}    assert False\n"
NO_SKIPS = {"WHEELFUSE_NO_SKIPS": "1"}


def require(*targets: object) -> dict[str, str]:
    return {"WHEELFUSE_REQUIRE_TARGETS": " ".join(map(str, targets))}


def run(directory: Path, code: str, settings: dict[str, str], *options: str) -> tuple[int, str]:
    """Exit status and output of pytest on one file of *code*, with the conftest of this project.

    No CPython but the running one is found.
    """
    shutil.copy(ROOT / "tests" / "conftest.py", directory)
    (directory / "test_it.py").write_text(code)
    homes = dict.fromkeys(("HOME", "PYENV_ROOT", "XDG_CACHE_HOME", "XDG_DATA_HOME"), str(directory / "home"))
    env = {"PATH": "/nothing", "PYTHONPATH": str(ROOT), **homes, **settings}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "--rootdir=.", "."]
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("code", "settings", "status", "text"),
    [
        pytest.param(SKIPS, {}, 0, "Could not run: no such thing here (1x)", id="a-skip-is-told"),
        pytest.param(SKIPS, NO_SKIPS, 1, "FAILED: 1 skipped", id="no-skips-allowed"),
        pytest.param(PASSES, NO_SKIPS, 0, f"installed on: {RUNNING} (", id="nothing-skipped"),
        pytest.param(PASSES, require(RUNNING), 0, f"installed on: {RUNNING} (", id="exercised"),
        pytest.param(PASSES, require("cp317"), 1, "FAILED: cp317 was not exercised", id="not-exercised"),
        pytest.param(FAILS, require(RUNNING), 1, f"FAILED: {RUNNING} was not exercised", id="test-failed"),
    ],
)
def test_outcome(tmp_path: Path, code: str, settings: dict[str, str], status: int, text: str) -> None:
    found, output = run(tmp_path, code, settings)
    assert text in output
    assert found == status, output


@pytest.mark.parametrize(
    ("settings", "status"), [({}, 0), (NO_SKIPS, 1), (require(RUNNING), 0), (require(RUNNING, "cp317"), 1)]
)
def test_outcome_under_xdist(tmp_path: Path, settings: dict[str, str], status: int) -> None:
    found, output = run(tmp_path, SKIPS, settings, "-n", "1")
    assert f"installed on: {RUNNING} (" in output
    assert found == status, output
