"""What tests of pipelines share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.interpreters import uv
from tests.pipelines.machine import ROOT, Machine


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The requirement that installs the wheelfuse of this tree, as jobs install it from the index."""
    directory = tmp_path_factory.mktemp("package")
    subprocess.run(
        [uv(), "build", "--quiet", "--wheel", "--out-dir", str(directory), str(ROOT)],
        check=True,
        cwd=directory,
    )
    [wheel] = directory.glob("*.whl")
    return f"wheelfuse[build] @ {wheel.as_uri()}"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)
