"""Fused wheels made from real ones, each made once for all tests of its project and removed after them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


@pytest.fixture
def fused(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fused]:
    """The fused wheel of the project that the test is parametrised with.

    The first test of a project makes it, for all workers of a parallel run, and the last one removes it: together
    these wheels have a gigabyte.
    """
    project = PROJECTS[request.param]
    directory = _shared(tmp_path_factory) / project.key
    originals = tuple(fetched("projects", project.key))
    with _state(directory) as state:
        if "outcome" not in state:
            state["options"] = [*project.options, *resolution(originals, project)]
            state["outcome"] = merge(originals, directory, *state["options"])
    outcome = state["outcome"]
    yield Fused(project, originals, Path(outcome["output"]["path"]), tuple(state["options"]), outcome)
    with _state(directory) as state:
        state["done"] = state.get("done", 0) + 1
    if state["done"] == sum(_uses(item, project.key) for item in request.session.items):
        shutil.rmtree(directory)


def _shared(factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of this run have in common."""
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "fused"


@contextmanager
def _state(directory: Path) -> Iterator[dict[str, Any]]:
    """What the workers have noted about *directory*, held by one of them at a time."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory.parent / f"{directory.name}.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        state: dict[str, Any] = json.loads(file.read() or "{}")
        yield state
        file.truncate(0)
        file.write(json.dumps(state))


def _uses(item: pytest.Item, key: str) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and callspec.params.get("fused") == key


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A directory that is gone after the test, passed or failed: environments are large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def resolution(originals: tuple[Path, ...], project: Project) -> tuple[str, ...]:
    """The options for what nobody may decide silently, out of the refusal that says so."""
    if not project.resolve:
        return ()
    refused = wheelfuse("merge", *originals, "--dry-run")
    assert refused.returncode == 4, refused.stderr
    offered = [match.groups() for match in _RESOLVE.finditer(refused.stderr)]
    assert len({glob for glob, _ in offered}) == 1, refused.stderr
    (glob,) = (glob for glob, strategy in offered if strategy == project.resolve)
    return ("--resolve", f"{glob}={project.resolve}")


def of_each(*keys: str) -> list[object]:
    """Parameters of a test: each project, or those with these keys."""
    return [pytest.param(key, id=key) for key in keys or PROJECTS]


def of_each_target(*keys: str) -> list[object]:
    """Parameters of a test: the projects with these keys, each with each of its CPythons at hand."""
    return [pytest.param(key, target, id=f"{key}-{target}") for key in keys for target in at_hand(key)]


def of_each_installation() -> list[object]:
    """Parameters of a test: each project, with each of its CPythons at hand, from each installer."""
    return [
        pytest.param(key, target, installer, id=f"{key}-{target}-{installer}")
        for key, project in PROJECTS.items()
        for number, target in enumerate(at_hand(key))
        for installer in ((INSTALLERS[number % 2],) if project.bulky else INSTALLERS)
    ]


def at_hand(key: str) -> list[Target]:
    """The CPythons on this machine that the wheels of a project are for."""
    return [target for target in available() if target in PROJECTS[key].targets]
