"""Fused wheels made from real ones, each made once for all tests of its project and removed after them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interpreters import available
from tests.real.download import fetched
from tests.real.environments import Installer
from tests.real.fusing import Fused, merge
from tests.real.projects import PROJECTS, Project
from tests.wheels import wheelfuse
from wheelfuse.target import Target

INSTALLERS: tuple[Installer, ...] = ("pip", "uv")
_RESOLVE = re.compile(r"--resolve '(?P<glob>.+)=(?P<strategy>\w+)'")


@pytest.fixture(scope="session")
def fused(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fused]:
    """The fused wheel of the project that the test is parametrised with."""
    project = PROJECTS[request.param]
    originals = tuple(fetched("projects", project.key))
    directory = tmp_path_factory.mktemp("fused")
    options = (*project.options, *resolution(originals, directory, project))
    outcome = merge(originals, directory, *options)
    yield Fused(project, originals, Path(outcome["output"]["path"]), options, outcome)
    shutil.rmtree(directory)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A directory that is gone after the test, passed or failed: environments are large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def resolution(originals: tuple[Path, ...], directory: Path, project: Project) -> tuple[str, ...]:
    """The options for what nobody may decide silently, out of the refusal that says so."""
    if not project.resolve:
        return ()
    refused = wheelfuse("merge", *originals, "-o", directory)
    assert refused.returncode == 4, refused.stderr
    assert not list(directory.iterdir())
    offered = [match.groups() for match in _RESOLVE.finditer(refused.stderr)]
    assert len({glob for glob, _ in offered}) == 1, refused.stderr
    (glob,) = (glob for glob, strategy in offered if strategy == project.resolve)
    return ("--resolve", f"{glob}={project.resolve}")


def of_each(*keys: str) -> list[object]:
    """Parameters of a test: each project, or those with these keys. All tests of one run in the same worker."""
    return [pytest.param(key, id=key, marks=_group(key)) for key in keys or PROJECTS]


def of_each_target(*keys: str) -> list[object]:
    """Parameters of a test: each project, or those with these keys, with each of its CPythons at hand."""
    return [
        pytest.param(key, target, id=f"{key}-{target}", marks=_group(key))
        for key in keys or PROJECTS
        for target in _at_hand(key)
    ]


def of_each_installation() -> list[object]:
    """Parameters of a test: each project, with each of its CPythons at hand, from each installer."""
    return [
        pytest.param(key, target, installer, id=f"{key}-{target}-{installer}", marks=_group(key))
        for key, project in PROJECTS.items()
        for number, target in enumerate(_at_hand(key))
        for installer in ((INSTALLERS[number % 2],) if project.bulky else INSTALLERS)
    ]


def _at_hand(key: str) -> list[Target]:
    return [target for target in available() if target in PROJECTS[key].targets]


def _group(key: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xdist_group(f"real-{key}")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the sizes of what was fused."""
    passed = terminalreporter.stats.get("passed", [])
    lines = [value for report in passed for name, value in report.user_properties if name == "fused"]
    if lines:
        terminalreporter.section("fused wheels: inputs -> output, ratio, targets")
        for line in sorted(set(lines)):
            terminalreporter.write_line(line)
