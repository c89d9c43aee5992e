"""`--resume` leaves alone what was built from the same sources in the same way, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import wheelfuse
from tests.building.projects import TARGETS, project
from tests.interpreters import available
from wheelfuse.building.jobs import Phase
from wheelfuse.building.options import BuildOptions
from wheelfuse.interpreters.matrix import MatrixOptions
from wheelfuse.target import Target

PAIR = TARGETS[:2]
FAILING = 'assert TARGET not in os.environ.get("TINY_FAILS_FOR", "").split(), "as it was told"'


def build(
    directory: Path, wheelhouse: Path, *targets: Target, resume: bool = True, **settings: object
) -> dict[Target, Phase]:
    """How the job of each target ended."""
    targets = targets or PAIR
    options = BuildOptions(MatrixOptions(targets), resume=resume, **settings)  # type: ignore[arg-type]
    interpreters = [available()[target] for target in targets]
    outcome = wheelfuse.build(directory, wheelhouse, options, interpreters=interpreters)
    return {job.target: job.phase for job in outcome.jobs}


ALL_BUILT, ALL_KEPT = dict.fromkeys(PAIR, Phase.BUILT), dict.fromkeys(PAIR, Phase.KEPT)


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    sources, wheelhouse = project(tmp_path / "p"), tmp_path / "w"
    assert build(sources, wheelhouse) == ALL_BUILT
    before = {path: path.stat().st_mtime_ns for path in wheelhouse.glob("*.whl")}
    assert build(sources, wheelhouse) == ALL_KEPT
    assert {path: path.stat().st_mtime_ns for path in wheelhouse.glob("*.whl")} == before
    assert build(sources, wheelhouse, resume=False) == ALL_BUILT


def test_after_a_failure_only_the_rest_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources, wheelhouse = project(tmp_path / "p", FAILING), tmp_path / "w"
    monkeypatch.setenv("TINY_FAILS_FOR", "cp312")
    assert build(sources, wheelhouse) == {Target(10): Phase.BUILT, Target(12): Phase.FAILED}
    monkeypatch.delenv("TINY_FAILS_FOR")
    assert build(sources, wheelhouse) == {Target(10): Phase.KEPT, Target(12): Phase.BUILT}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a project and a wheelhouse, in which one wheel of it was built."""
    directory = tmp_path_factory.mktemp("done")
    assert build(project(directory / "p"), directory / "w", PAIR[0]) == {PAIR[0]: Phase.BUILT}
    return directory


def changed_source(sources: Path, wheelhouse: Path, patch: pytest.MonkeyPatch) -> None:
    (sources / "native.c").write_text((sources / "native.c").read_text() + "\n")


def other_flags(sources: Path, wheelhouse: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("CFLAGS", "-O1")


def lost_wheels(sources: Path, wheelhouse: Path, patch: pytest.MonkeyPatch) -> None:
    for path in wheelhouse.glob("*.whl"):
        path.unlink()


def altered_wheels(sources: Path, wheelhouse: Path, patch: pytest.MonkeyPatch) -> None:
    for path in wheelhouse.glob("*.whl"):
        path.write_bytes(path.read_bytes() + b"\0")


def broken_state(sources: Path, wheelhouse: Path, patch: pytest.MonkeyPatch) -> None:
    (wheelhouse / "logs/state.json").write_text('{"schema": "wheelfuse/build-state/1", "targets": [1]}')


def nested_state(sources: Path, wheelhouse: Path, patch: pytest.MonkeyPatch) -> None:
    (wheelhouse / "logs/state.json").write_text("[" * 20_000)


@pytest.mark.parametrize(
    "change",
    [
        changed_source,
        other_flags,
        lost_wheels,
        altered_wheels,
        broken_state,
        nested_state,
    ],
    ids=lambda change: change.__name__,
)
def test_what_has_changed_is_built_again(
    change: Callable[[Path, Path, pytest.MonkeyPatch], None],
    done: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    sources, wheelhouse = tmp_path / "p", tmp_path / "w"
    assert build(sources, wheelhouse, PAIR[0]) == {PAIR[0]: Phase.KEPT}
    change(sources, wheelhouse, monkeypatch)
    assert build(sources, wheelhouse, PAIR[0]) == {PAIR[0]: Phase.BUILT}


def test_other_settings_of_the_backend_are_another_build(done: Path, tmp_path: Path) -> None:
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    sources, wheelhouse, settings = tmp_path / "p", tmp_path / "w", (("a", ("1",)),)
    assert build(sources, wheelhouse, PAIR[0], config_settings=settings) == {PAIR[0]: Phase.BUILT}
    assert build(sources, wheelhouse, PAIR[0], config_settings=settings, jobs=1) == {PAIR[0]: Phase.KEPT}


def test_a_project_names_the_variables_that_matter_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = project(tmp_path / "p", more='[tool.wheelfuse.build]\nenvironment = ["TINY_*"]')
    assert build(sources, tmp_path / "w", PAIR[0]) == {PAIR[0]: Phase.BUILT}
    monkeypatch.setenv("OTHER", "1")
    assert build(sources, tmp_path / "w", PAIR[0]) == {PAIR[0]: Phase.KEPT}
    monkeypatch.setenv("TINY_DEVICE", "cuda")
    assert build(sources, tmp_path / "w", PAIR[0]) == {PAIR[0]: Phase.BUILT}


def test_a_wheel_of_older_sources_does_not_outlive_a_failed_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, wheelhouse = project(tmp_path / "p", FAILING), tmp_path / "w"
    build(sources, wheelhouse)
    other = wheelhouse / "tiny-0.9-cp312-cp312-linux_x86_64.whl"  # not of ours, so not touched
    other.touch()
    changed_source(sources, wheelhouse, monkeypatch)
    monkeypatch.setenv("TINY_FAILS_FOR", "cp312")
    build(sources, wheelhouse)
    assert {path.name for path in wheelhouse.glob("*.whl")} == {
        "tiny-1.0-cp310-cp310-linux_x86_64.whl",
        other.name,
    }
