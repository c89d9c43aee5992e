"""Environments that hold a fused wheel and what it needs, and what importing its modules there gives."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from tests import interpreters
from tests.real.download import download, pins
from wheelfuse.target import Target

Installer = Literal["uv", "pip"]
PYTEST = (
    *(
        "pytest",
        "exceptiongroup",
        "hypothesis",
        "iniconfig",
        "packaging",
        "pluggy",
        "pygments",
        "sortedcontainers",
    ),
    *("tomli", "typing-extensions", "attrs"),
)
"""What has to be there to run tests with pytest and hypothesis."""

_PROBE = """\
import importlib, json, os, sys
site, output, *names = sys.argv[1:]
with open(output, "w") as file:
    for name in names:
        print(json.dumps([name, None]), file=file, flush=True)
        try:
            importlib.import_module(name)
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}".replace(site, "SITE")
        else:
            outcome = os.path.relpath(sys.modules[name].__spec__.origin, site)
        print(json.dumps([name, outcome]), file=file, flush=True)
"""


def create(target: Target, directory: Path, wheel: Path, installer: Installer, needs: Iterable[str]) -> Path:
    """Make an environment in *directory* with *wheel* and what is pinned of *needs* for it; returns its Python."""
    python = interpreters.environment(target, directory)
    _install_pinned(python, target, needs)
    interpreters.install(python, wheel, installer=installer)
    return python


def _install_pinned(python: Path, target: Target, needs: Iterable[str]) -> None:
    download()
    files = [str(file) for project in needs if (file := _pinned(project, target))]
    if files:
        command = [interpreters.uv(), "pip", "install", "--no-config", "--offline", "--no-deps"]
        done = subprocess.run(
            [*command, "--python", python, *files], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def _pinned(project: str, target: Target) -> Path | None:
    """The newest pinned wheel of *project* for *target* on this machine; None if there is none."""
    tags = {(target.python_tag, str(target)), ("py3", "none")}
    if not target.free_threaded:
        tags.add(("cp36", "abi3"))
    fitting: list[tuple[Version, Path]] = []
    for pin in (*pins("dependencies"), *pins("projects"), *pins("stable-abi")):
        name, version, _, _ = parse_wheel_filename(pin.file)
        if name == canonicalize_name(project) and pin.tags[:2] in tags:
            fitting.append((version, pin.path))
    return max(fitting)[1] if fitting else None


def import_each(python: Path, names: Iterable[str]) -> dict[str, str]:
    """Import modules one after the other in one process: name -> file, relative to site-packages, or the exception.

    A module that kills the process is told with the exit status, and a new process goes on with the next.
    """
    site = interpreters.run_python(python, "import sysconfig; print(sysconfig.get_path('platlib'))").strip()
    output = Path(site) / "imported.jsonl"
    outcomes: dict[str, str] = {}
    remaining = list(names)
    while remaining:
        done = run(python, "-c", _PROBE, site, str(output), *remaining, cwd=Path(site))
        told = dict(map(json.loads, output.read_text().splitlines()))
        assert told, done.stdout
        outcomes |= {name: outcome or f"exit status {done.returncode}" for name, outcome in told.items()}
        remaining = [name for name in remaining if name not in told]
    return outcomes


def run_tests(python: Path, *arguments: str, cwd: Path) -> int:
    """Run pytest in the environment of *python*; returns how many tests passed, where none may fail."""
    (cwd / "pytest.ini").write_text("[pytest]\n")  # instead of one further up
    done = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stdout
    passed = re.findall(r"(\d+) passed", done.stdout)
    return int(passed[-1])


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run *python* without the settings of the test run that this belongs to; stderr is in stdout."""
    leaky = ("PYTHON", "PYTEST", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if not name.startswith(leaky)}
    return subprocess.run(
        [str(python), *arguments],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
