"""What a build of several CPythons leaves behind, what its jobs see, and what it says."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import wheelfuse
from tests.building.projects import TARGETS, command_line, git, project, pythons
from tests.fuse.merging import command
from tests.interpreters import available, environment, install, run_python, version
from wheelfuse.building import placing
from wheelfuse.building.api import plan_build
from wheelfuse.building.jobs import JobEvent, Phase
from wheelfuse.building.options import BuildOptions
from wheelfuse.building.placing import possible_way
from wheelfuse.building.plan import Placing
from wheelfuse.interpreters.environments import uv
from wheelfuse.interpreters.matrix import MatrixOptions
from wheelfuse.target import Target

PAIR = TARGETS[:2]


def built(directory: Path, *arguments: object) -> tuple[str, str]:
    """Run the command, which must do its work: what it printed on both streams."""
    code, out, err = command("build", directory, *arguments)
    assert code == 0, out + err
    return out, err


def note(wheelhouse: Path, target: Target, name: str) -> str:
    """The content of a file in the package of the wheel for a target."""
    (path,) = wheelhouse.glob(f"*-{target}-linux*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.read(f"tiny/{name}").decode()


def members(wheel: Path) -> dict[str, bytes]:
    """All files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def build(directory: Path, wheelhouse: Path, jobs: int = 0, **settings: object) -> wheelfuse.BuildOutcome:
    """A build by the Python function, for two targets."""
    options = BuildOptions(MatrixOptions(PAIR), jobs=jobs, **settings)  # type: ignore[arg-type]
    return wheelfuse.build(
        directory, wheelhouse, options, interpreters=[available()[target] for target in PAIR]
    )


@dataclass(frozen=True)
class Done:
    """A build of the whole matrix that went on to a merge: where it took place, and what it printed."""

    directory: Path
    out: str
    err: str

    @property
    def wheelhouse(self) -> Path:
        return self.directory / "w"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    directory = tmp_path_factory.mktemp("whole")
    sources = project(directory / "p")
    return Done(
        directory,
        *built(sources, "-d", directory / "w", "--merge", "-o", directory / "d", *pythons()),
    )


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_the_wheel_for_each_cpython_works_there(done: Done, target: Target, tmp_path: Path) -> None:
    python = environment(target, tmp_path / "environment")
    install(python, next(done.wheelhouse.glob(f"*-{target}-linux*.whl")))
    said = run_python(python, "import tiny._C as c; print(c.built_for)").strip()
    assert said.rpartition(".")[0] == target.python_version  # of the headers; their micro version may differ


def test_only_wheels_and_logs_are_left(done: Done, tmp_path: Path) -> None:
    assert {path.name for path in done.wheelhouse.iterdir()} == {
        "logs",
        "tiny-1.0-cp310-cp310-linux_x86_64.whl",
        "tiny-1.0-cp312-cp312-linux_x86_64.whl",
        "tiny-1.0-cp314-cp314t-linux_x86_64.whl",
    }
    logs = done.wheelhouse / "logs"
    assert {path.name for path in logs.iterdir()} == {*(f"{target}.log" for target in TARGETS), "state.json"}
    assert "building for cp312" in (logs / "cp312.log").read_text()
    untouched = {path.name for path in project(tmp_path).iterdir()}
    assert {path.name for path in (done.directory / "p").iterdir()} == untouched


def test_what_the_command_prints_in_a_log(done: Done) -> None:
    assert f"cp312: started (CPython {version(Target(12))}, {available()[Target(12)]})" in done.err
    assert "cp312: done in " in done.err
    assert "-> tiny-1.0-cp312-cp312-linux_x86_64.whl" in done.err
    assert "3 wheels in" in done.out
    assert "\x1b" not in done.out + done.err


def test_merge_goes_on_to_one_audited_wheel(done: Done) -> None:
    (fused,) = (done.directory / "d").glob("*.whl")
    with zipfile.ZipFile(fused) as archive:
        modules = [name for name in archive.namelist() if name.endswith(".so")]
    assert len(modules) == 3
    assert "3 wheels fused into one" in done.out
    assert "loads on" in done.out.lower()


def test_quiet_prints_the_paths_of_the_wheels_alone(tmp_path: Path) -> None:
    out, err = built(project(tmp_path / "p"), "-q", "-d", tmp_path / "w", *pythons(TARGETS[0]))
    assert [Path(line).is_file() for line in out.splitlines()] == [True]
    assert err == ""


MARKED = """\
import pathlib, time
marker, meeting = pathlib.Path("marker"), pathlib.Path({meeting!r})
assert not marker.exists(), "the sources are not fresh"
marker.write_text(TARGET)
(meeting / TARGET).touch()
while len(list(meeting.iterdir())) < {jobs}:
    time.sleep(0.01)
assert marker.read_text() == TARGET, "another job writes into the sources of this one"
files["where.txt"] = ""
files["tiny/where.txt"] = os.getcwd()
"""


def marked(directory: Path, jobs: int, **settings: Any) -> Path:
    """A project whose jobs, so many at a time, wait for each other, and tell where they see the sources."""
    meeting = directory / "meeting"
    meeting.mkdir()
    return project(directory / "p", MARKED.format(meeting=str(meeting), jobs=jobs), **settings)


@pytest.mark.parametrize("jobs", [1, 2])
def test_jobs_see_fresh_sources_at_one_path(jobs: int, tmp_path: Path) -> None:
    wheelhouse = tmp_path / "w"
    outcome = build(marked(tmp_path, jobs), wheelhouse, jobs, timeout=120)
    assert outcome.error is None
    if outcome.plan.setup.placing is not Placing.APART:
        seen = {note(wheelhouse, target, "where.txt") for target in PAIR}
        assert seen == {str(wheelhouse / ".work" / "source")}


@pytest.mark.parametrize("status", [0, 1])
def test_the_way_to_one_path_is_tried_out(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An `unshare` that is forbidden, and one that does nothing: what counts is whether the mount is seen."""
    fake = tmp_path / "unshare"
    fake.write_text(
        f'#!/bin/sh\n[ {status} = 0 ] || exit 1\nwhile [ "$1" != sh ]; do shift; done\nexec "$@"\n'
    )
    fake.chmod(0o755)
    (tmp_path / "mount").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert possible_way() == ()


def test_where_one_path_is_impossible_jobs_work_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "possible_way", lambda: ())
    outcome = build(marked(tmp_path, 2, files={"kernel.cu": ""}), tmp_path / "w", jobs=2, timeout=120)
    assert outcome.error is None
    assert outcome.plan.setup.placing is Placing.APART
    assert len({note(tmp_path / "w", target, "where.txt") for target in PAIR}) == 2
    assert any("GPU code may differ" in told for told in outcome.plan.notes)
    for target in PAIR:  # __FILE__ is written relative to the sources, so it is the same for all
        python = environment(target, tmp_path / str(target))
        install(python, next((tmp_path / "w").glob(f"*-{target}-linux*.whl")))
        assert run_python(python, "import tiny._C as c; print(c.file)").strip() == "./native.c"


def test_the_server_of_sccache_keeps_jobs_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy("/bin/true", tmp_path / "sccache")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    plan = plan_build(project(tmp_path / "p"), tmp_path / "w", BuildOptions(jobs=2))
    assert plan.setup.placing is Placing.APART


TELL = "files['tiny/variables.json'] = json.dumps(dict(os.environ)); files['tiny/s.json'] = json.dumps(config_settings)"


def variables(wheelhouse: Path, target: Target = TARGETS[0]) -> dict[str, str]:
    found: dict[str, str] = json.loads(note(wheelhouse, target, "variables.json"))
    return found


def test_config_settings_reach_the_backend(tmp_path: Path) -> None:
    sources = project(
        tmp_path / "p", TELL, more='[tool.wheelfuse.build]\nconfig-settings = {a = "1", c = "3"}'
    )
    built(sources, "-d", tmp_path / "w", "-C", "a=2", "-Cb=x", "-C", "b=y", *pythons(TARGETS[0]))
    assert json.loads(note(tmp_path / "w", TARGETS[0], "s.json")) == {"a": "2", "b": ["x", "y"], "c": "3"}


def test_the_variables_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("MAX_JOBS", "7")
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    sources = project(tmp_path / "p", TELL)
    git(sources, "init", "-q")
    git(sources, "add", ".")
    git(sources, "commit", "-q", "-m", "x", "--date=now")
    built(sources, "-d", tmp_path / "w", *pythons(TARGETS[0]))
    seen = variables(tmp_path / "w")
    assert seen["WHEELFUSE_TARGET"] == "cp310"
    assert seen["SOURCE_DATE_EPOCH"] == git(sources, "log", "-1", "--format=%ct").strip()
    assert seen["MAX_JOBS"] == "7"
    assert int(seen["CMAKE_BUILD_PARALLEL_LEVEL"]) >= 1
    assert "PYTHONPATH" not in seen


@pytest.mark.parametrize("option", [(), ("--no-cache",)])
def test_compilers_are_run_through_ccache(
    option: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy("/bin/true", tmp_path / "ccache")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CMAKE_C_COMPILER_LAUNCHER", "mine")
    built(project(tmp_path / "p", TELL), "-d", tmp_path / "w", *option, *pythons(TARGETS[0]))
    seen = variables(tmp_path / "w")
    wanted = None if option else str(tmp_path / "ccache")
    assert seen.get("CMAKE_CUDA_COMPILER_LAUNCHER") == seen.get("CMAKE_CXX_COMPILER_LAUNCHER") == wanted
    assert seen["CMAKE_C_COMPILER_LAUNCHER"] == "mine"


FAKE_TORCH = """\
__version__ = "2.13.0+fake"
class _C: _GLIBCXX_USE_CXX11_ABI = True
class version: cuda, hip = "13.0", None
"""


def test_jobs_learn_where_the_one_torch_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = environment(Target(12), tmp_path / "driver")
    package = tmp_path / "driver/lib/python3.12/site-packages/torch"
    (package / "utils").mkdir(parents=True)
    (package / "__init__.py").write_text(FAKE_TORCH)
    (package / "utils/__init__.py").write_text(f"cmake_prefix_path = {str(package / 'share/cmake')!r}\n")
    monkeypatch.setenv("CMAKE_PREFIX_PATH", "/mine")
    sources = project(tmp_path / "p", TELL, requires='"Torch >=2.0"')
    built(
        sources, "-d", tmp_path / "w", "--torch-python", driver, "--skip-requirement", "torch",
        *pythons(TARGETS[0]),
    )  # fmt: skip
    seen = variables(tmp_path / "w")
    assert seen["WHEELFUSE_TORCH_PYTHON"] == str(driver)
    assert seen["Torch_DIR"] == f"{package}/share/cmake/Torch"
    assert seen["CMAKE_PREFIX_PATH"] == f"{package}/share/cmake:/mine"
    assert (seen["WHEELFUSE_TORCH_VERSION"], seen["WHEELFUSE_TORCH_CUDA"]) == ("2.13.0+fake", "13.0")
    assert seen["WHEELFUSE_TORCH_CXX11_ABI"] == "1"
    assert seen["WHEELFUSE_TORCH_INCLUDE"].split(":")[0] == f"{package}/include"
    assert seen["WHEELFUSE_TORCH_LIB"] == f"{package}/lib"


def test_a_driver_without_torch_is_told(tmp_path: Path) -> None:
    driver = environment(Target(12), tmp_path / "driver")
    code, _, err = command(
        "build", project(tmp_path / "p"), "-d", tmp_path / "w", "--torch-python", driver, *pythons()
    )
    assert code == 5
    assert "torch could not be imported" in err
    assert "No module named 'torch'" in err


def test_a_broken_torch_that_nobody_asked_for_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise RuntimeError('broken')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("WHEELFUSE_TORCH_PYTHON", raising=False)
    _, err = built(project(tmp_path / "p"), "-d", tmp_path / "w", "--dry-run", *pythons(TARGETS[0]))
    assert "note: jobs get no torch, though there is one: torch could not be imported" in err


def test_without_isolation_the_interpreter_is_used_as_it_is(tmp_path: Path) -> None:
    python = environment(Target(12), tmp_path / "env")
    (tmp_path / "env/lib/python3.12/site-packages/helper.py").write_text("VALUE = 1\n")
    sources = project(tmp_path / "p", "import helper", requires='"no-such-project-anywhere"')
    built(sources, "-d", tmp_path / "w", "--no-isolation", "--python", python, "--python", "3.12")
    assert len(list((tmp_path / "w").glob("*.whl"))) == 1


def test_without_uv_environments_are_made_by_venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wheelfuse.interpreters.environments.uv", lambda: "")
    built(project(tmp_path / "p"), "-d", tmp_path / "w", *pythons(TARGETS[0]))


def test_a_dry_run_prints_the_commands_and_does_nothing(tmp_path: Path) -> None:
    out, _ = built(project(tmp_path / "p", requires='"x>=1"'), "-d", tmp_path / "w", "--dry-run", *pythons())
    assert out.count(f"{uv()} venv ") == 3
    assert out.count("'x>=1'") == 3
    assert str(available()[Target(12)]) in out
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_commands_of_a_dry_run_build_the_same_wheels(jobs: int, tmp_path: Path) -> None:
    body = "files['tiny/path'] = os.environ['PATH'].split(':')[0]; files['tiny/files'] = str(sorted(os.listdir()))"
    sources = project(tmp_path / "my p", body, files={"kept out/pyvenv.cfg": ""})
    options = (sources, "-d", sources / "w h", "--jobs", jobs, *pythons(*PAIR))
    script, _ = built(*options, "--dry-run")
    built(*options)
    wheels = {path.name: members(path) for path in (sources / "w h").glob("*.whl")}
    assert len(wheels) == 2
    shutil.rmtree(sources / "w h")
    subprocess.run(["sh", "-eu"], input=script, text=True, check=True, cwd="/")
    assert {path.name: members(path) for path in (sources / "w h").iterdir()} == wheels


def test_a_dry_run_installs_what_the_backend_asks_for_but_not_what_is_skipped(tmp_path: Path) -> None:
    """Nothing is left to install here, so that no index is asked."""
    sources = project(tmp_path / "p")
    backend = sources / "backend.py"
    backend.write_text(
        backend.read_text() + "def get_requires_for_build_wheel(settings=None): return ['Not_There.x >=1']\n"
    )
    options = (sources, "-d", tmp_path / "w", "--skip-requirement", "not-there-x", *pythons(TARGETS[0]))
    script, _ = built(*options, "--dry-run")
    subprocess.run(["sh", "-eu"], input=script, text=True, check=True)
    assert len(list((tmp_path / "w").glob("*.whl"))) == 1
    built(*options)


PURE = "return write_wheel(directory, {'tiny/__init__.py': %s}, 'py3-none-any')"


def test_a_wheel_for_all_cpythons_may_come_of_every_job(tmp_path: Path) -> None:
    out, _ = built(project(tmp_path / "p", PURE % "'x = 1'"), "-d", tmp_path / "w", *pythons(*PAIR))
    assert "1 wheel in" in out
    assert [path.name for path in (tmp_path / "w").glob("*.whl")] == ["tiny-1.0-py3-none-any.whl"]


def test_one_name_for_different_wheels_is_a_failure(tmp_path: Path) -> None:
    code, _, err = command(
        "build", project(tmp_path / "p", PURE % "TARGET"), "-d", tmp_path / "w", *pythons(*PAIR)
    )
    assert code == 5
    assert "tiny-1.0-py3-none-any.whl was also built for cp3" in err


def test_events_come_in_the_order_of_the_work(tmp_path: Path) -> None:
    seen: list[JobEvent] = []
    wheelfuse.build(
        project(tmp_path / "p"), tmp_path / "w", BuildOptions(MatrixOptions(TARGETS[:1])),
        interpreters=[available()[TARGETS[0]]], tell=seen.append,
    )  # fmt: skip
    phases = list(dict.fromkeys(event.phase for event in seen))
    assert phases == [Phase.STARTED, Phase.ENVIRONMENT, Phase.REQUIREMENTS, Phase.BUILDING, Phase.BUILT]
    assert "building for cp310" in {event.line for event in seen}


def test_two_builds_cannot_share_a_wheelhouse(tmp_path: Path) -> None:
    second: list[subprocess.CompletedProcess[str]] = []
    sources = project(tmp_path / "p")

    def meanwhile(event: JobEvent) -> None:
        if event.phase is Phase.BUILDING and not second:
            run = command_line(sources, "-d", tmp_path / "w", *pythons(TARGETS[0]))
            second.append(subprocess.run(run, capture_output=True, text=True))

    wheelfuse.build(
        sources, tmp_path / "w", BuildOptions(MatrixOptions(TARGETS[:1])),
        interpreters=[available()[TARGETS[0]]], tell=meanwhile,
    )  # fmt: skip
    (done,) = second
    assert done.returncode == 2
    assert "another build" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-o", "x"], "--merge"),
        (["-C", "novalue"], "KEY=VALUE"),
        (["--include", "pypy"], "pypy"),
    ],
)
def test_calls_that_make_no_sense(arguments: list[str], text: str, tmp_path: Path) -> None:
    code, _, err = command("build", project(tmp_path / "p"), "-d", tmp_path / "w", *arguments)
    assert code == 2
    assert text in err
    assert not (tmp_path / "w").exists()


def test_a_directory_that_is_no_project(tmp_path: Path) -> None:
    code, _, err = command("build", tmp_path, "-d", tmp_path / "w")
    assert code == 2
    assert "pyproject.toml" in err
