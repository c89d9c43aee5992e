"""The pipelines as text: held against the published schemas, linters, and the steps they are made of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.pipelines.systems import SCHEMAS, jobs, load, refused, with_publishing, zizmor
from wheelfuse.abi import providers
from wheelfuse.errors import UsageError
from wheelfuse.pipelines import buildkite, github, gitlab
from wheelfuse.pipelines.project import PipelineOptions, Project
from wheelfuse.pipelines.steps import build_steps, external_libraries, fuse_steps
from wheelfuse.pipelines.yaml import block, comment, scalar
from wheelfuse.target import Target

WRITERS: dict[str, Callable[[Project, PipelineOptions], str]] = {
    "github": github.workflow,
    "buildkite": buildkite.pipeline,
    "gitlab": gitlab.pipeline,
}
MARKUP = "a b/'$HOME' \"$(id)\" `id` ${{ github.token }} {{matrix}} $$ #: é\U0001f40d <b>&amp; \\n %s {x} |\n  - |\n\t-"


def targets(text: str) -> tuple[Target, ...]:
    return tuple(map(Target.parse, text.split()))


PLAIN = Project("pkg", targets("cp310 cp311 cp312"))
PROJECTS = {
    "plain": (PLAIN, PipelineOptions()),
    "one CPython": (Project("pkg", targets("cp313"), whole=False), PipelineOptions()),
    "free-threaded": (Project("pkg", targets("cp313 cp313t cp314 cp314t")), PipelineOptions()),
    "CUDA": (
        Project("vllm-kernels", targets("cp310 cp313"), requires=frozenset({"torch", "numpy"})),
        PipelineOptions(
            "pytorch/manylinux2_28-builder:cuda13.0",
            build_with=("torch==2.13.0", "cmake>=3.30,<5"),
            verify_command="pytest tests",
            verify_with=("pytest>=8",),
            sarif=True,
        ),
    ),
    "odd names": (
        Project("Null.2_e-1", targets("cp312"), "src/my project/.x", dynamic_version=True),
        PipelineOptions("localhost:5000/a/b@sha256:" + "0" * 64, "wheelfuse @ git+https://example.org/w.git"),
    ),
    "markup": (
        Project("on", targets("cp312"), MARKUP.replace("\n", "").replace("\t", "")),
        PipelineOptions(wheelfuse=MARKUP, build_with=(MARKUP,), verify_command=MARKUP, verify_with=(MARKUP,)),
    ),
    "control characters": (PLAIN, PipelineOptions(verify_command="a\x07\x85\u2028\ufeffb\r\nc")),
}
CASES = [
    pytest.param(system, *PROJECTS[name], id=f"{system} {name}") for system in WRITERS for name in PROJECTS
]


@pytest.mark.parametrize("system", WRITERS)
def test_the_published_schema_admits_the_pipelines_and_the_step_left_to_fill_in(
    system: str, tmp_path: Path
) -> None:
    for name, (project, options) in PROJECTS.items():
        text = WRITERS[system](project, options)
        (tmp_path / f"{name}.yml").write_text(text, encoding="utf-8")
        (tmp_path / f"{name} published.yml").write_text(with_publishing(text), encoding="utf-8")
        assert load(with_publishing(text)) != load(text)
    assert refused(SCHEMAS[system], *tmp_path.iterdir()) == ""


def test_the_schemas_refuse_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yml"
    for system, (old, new) in {
        "github": ("runs-on:", "run-on:"),
        "buildkite": ("depends_on: build", "depend_on: build"),
        "gitlab": ("needs: [build]", "need: [build]"),
    }.items():
        path.write_text(WRITERS[system](PLAIN, PipelineOptions()).replace(old, new), encoding="utf-8")
        assert "wrong.yml" in refused(SCHEMAS[system], path)


@pytest.mark.parametrize(("system", "project", "options"), CASES)
def test_the_jobs_run_the_shared_steps_as_they_are(
    system: str, project: Project, options: PipelineOptions
) -> None:
    read = jobs(system, WRITERS[system](project, options))
    formats = {
        "github": ["github", "markdown=audit.md", *(["sarif=audit.sarif"] if options.sarif else [])],
        "buildkite": ["text", "markdown=audit.md"],
        "gitlab": ["text", "markdown=audit.md", "junit=audit.xml"],
    }[system]
    expected = {"build": build_steps(project, options), "fuse": fuse_steps(project, options, formats)}
    for name, steps in expected.items():
        texts = [script.text for script in read[name].scripts]
        if system == "github":
            assert [text.rstrip("\n") for text in texts if "GITHUB_STEP_SUMMARY" not in text] == [
                step.script.rstrip("\n") for step in steps
            ]
        places = ["\n".join(texts).index(step.script) for step in steps]
        assert places == sorted(places)
    assert read["build"].targets == tuple(map(str, project.targets))
    assert read["fuse"].targets == ()


@pytest.mark.parametrize(("system", "project", "options"), CASES)
def test_the_scripts_are_sound_shell(
    system: str, project: Project, options: PipelineOptions, tmp_path: Path
) -> None:
    for name, job in jobs(system, WRITERS[system](project, options)).items():
        for number, script in enumerate(job.scripts):
            (tmp_path / f"{name}-{number}").write_text(f"{script.text}\n", encoding="utf-8")
    # SC2016: what the user gave is in single quotes on purpose; SC1017, SC1112: so are its odd characters
    command = [
        _tool("shellcheck"),
        "--shell=sh",
        "--exclude=SC2016,SC1017,SC1112",
        *map(str, tmp_path.iterdir()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["plain", "free-threaded", "CUDA", "odd names"])
@pytest.mark.parametrize("publishing", [False, True])
def test_zizmor_finds_nothing_in_the_workflow(name: str, publishing: bool, tmp_path: Path) -> None:
    text = WRITERS["github"](*PROJECTS[name])
    assert zizmor(tmp_path, with_publishing(text) if publishing else text) == []


def test_zizmor_does_find_something(tmp_path: Path) -> None:
    text = WRITERS["github"](PLAIN, PipelineOptions())
    wrong = text.replace("          persist-credentials: false", "          fetch-tags: true")
    assert set(zizmor(tmp_path, wrong)) == {"artipacked"}


RECORDER = """\
#!{python}
import json, pathlib, sys
with open({log!r}, "a", encoding="utf-8") as log:
    print(json.dumps([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]), file=log)
"""


@pytest.mark.parametrize(("system", "project", "options"), CASES)
def test_what_the_user_gave_reaches_the_programs_as_it_is(
    system: str, project: Project, options: PipelineOptions, tmp_path: Path
) -> None:
    log, programs = tmp_path / "log", tmp_path / "bin"
    programs.mkdir()
    for name in ("wheelfuse", "uv", "auditwheel", "git", "buildkite-agent"):
        program = programs / name
        program.write_text(RECORDER.format(python=sys.executable, log=str(log)))
        program.chmod(0o755)
    where = tmp_path / "checkout"
    for made in ("built/p.whl", "wheelhouse/p.whl", "dist/p.whl"):
        (where / made).parent.mkdir(parents=True)
        (where / made).touch()
    variables = {"PATH": f"{programs}:{os.defpath}", "TARGET": "cp312", "GITHUB_STEP_SUMMARY": "/dev/null"}
    for job in jobs(system, WRITERS[system](project, options)).values():
        for script in job.scripts:
            subprocess.run(script.command, cwd=where, env=job.variables | variables, check=True)
    calls = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    run = {tuple(call[:2]): call[2:] for call in calls}
    built = run["wheelfuse", "build"]
    assert built[:5] == [project.directory, "--python", "cp312", "-d", "built"]
    shared = [requirement.partition("==")[0] for requirement in options.build_with]
    assert given_for("--skip-requirement", built) == [name for name in shared if name in project.requires]
    assert run["auditwheel", "repair"][-3:] == ["-w", "wheelhouse", "built/p.whl"]
    assert set(external_libraries(project, options)) <= set(run["auditwheel", "repair"])
    assert run["wheelfuse", "merge"][:5] == [
        "wheelhouse", "-o", "dist", "--expect", ",".join(map(str, project.targets)),
    ]  # fmt: skip
    to_build, to_fuse = [call for call in calls if call[:2] == ["uv", "tool"]]
    assert to_build[-1] == to_fuse[-1] == options.wheelfuse
    assert given_for("--with", to_build) == list(options.build_with)
    assert given_for("--with", to_fuse) == []
    assert given_for("--project", run["wheelfuse", "audit"]) == [project.pyproject] * project.whole
    verified = run["wheelfuse", "verify"]
    assert verified[:2] == ["dist/p.whl", "--require-all"]
    assert given_for("--with", verified) == list(options.verify_with)
    assert given_for("--command", verified) == [options.verify_command] * bool(options.verify_command)


def given_for(option: str, arguments: list[str]) -> list[str]:
    return [arguments[at + 1] for at, argument in enumerate(arguments) if argument == option]


@given(st.text())
def test_a_scalar_is_read_as_it_was(text: str) -> None:
    line = f"key: {scalar(text)}\nafter: 1\n"
    assert "\n" not in scalar(text)
    assert load(line) == {"key": text, "after": 1}
    assert yaml.safe_load(line) == {"key": text, "after": 1}  # YAML 1.1


@pytest.mark.parametrize(
    "text", ["yes", "No", "on", "null", "~", "", "1", "1e3", ".5", "0x1", "a: b", "a #b", "- a"]
)
def test_a_scalar_stays_text(text: str) -> None:
    assert yaml.safe_load(scalar(text)) == text


def test_scalars_are_plain_where_they_can_be() -> None:
    for text in ("quay.io/pypa/manylinux_2_28_x86_64", "a/b:c", "Fuse the wheels"):
        assert scalar(text) == text


@given(st.text(min_size=1).map(lambda text: f"x{text}"), st.integers(1, 14))
def test_a_script_is_read_as_it_was(text: str, indent: int) -> None:
    line = f"key:\n- {block(text, indent)}\n"
    wanted = text.rstrip("\n") + "\n"
    assert load(line) == {"key": [wanted]}
    assert yaml.safe_load(line) == {"key": [wanted]}


def test_a_comment_is_undone_by_taking_its_marks_away() -> None:
    assert comment("a:\n\n  b: 1\n") == "# a:\n#\n#   b: 1\n"


@pytest.mark.parametrize(
    "name", ["", "-x", "x-", "a b", "a\nb: c", "${{ secrets.x }}", "<b>", "naïve", 3, None]
)
def test_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(UsageError, match=r"project\.name"):
        Project.from_pyproject({"project": {"name": name}}, targets("cp312"))


@pytest.mark.parametrize("directory", ["..", "../a", "a/../..", "/tmp", "a\nb"])
def test_a_project_elsewhere_is_refused(directory: str) -> None:
    with pytest.raises(UsageError, match="is not within this directory"):
        Project.from_pyproject({"project": {"name": "pkg"}}, targets("cp312"), directory)


@pytest.mark.parametrize("image", ["", "a b", "a\nb", "${{ x }}", "a;b", "$X"])
def test_what_is_no_image_is_refused(image: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a container image"):
        PipelineOptions(image)


@pytest.mark.parametrize(
    "document",
    [
        {"project": []},
        {"project": {"name": "a", "dependencies": "torch"}},
        {"project": {"name": "a", "dependencies": [1]}},
        {"project": {"name": "a", "dependencies": ["!"]}},
        {"project": {"name": "a"}, "build-system": {"requires": {}}},
        {"project": {"name": "a", "dynamic": "version"}},
    ],
)
def test_values_of_the_wrong_kind_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"pyproject\.toml: "):
        Project.from_pyproject(document, targets("cp312"))


def test_a_project_is_read_from_its_pyproject() -> None:
    document = {
        "project": {
            "name": "A.b",
            "dependencies": ["Torch>=2; python_version > '3'"],
            "dynamic": ["version"],
        },
        "build-system": {"requires": ["scikit_build_core"]},
    }
    project = Project.from_pyproject(document, targets("cp312"), "sub")
    assert project == Project(
        "A.b",
        targets("cp312"),
        "sub",
        requires=frozenset({"torch", "scikit-build-core"}),
        dynamic_version=True,
    )
    assert project.pyproject == "sub/pyproject.toml"
    assert Project("a", ()).pyproject == "pyproject.toml"


def test_history_is_fetched_for_a_version_that_comes_from_it() -> None:
    for system, key in {"github": "fetch-depth: 0", "gitlab": 'GIT_DEPTH: "0"'}.items():
        dynamic = Project("pkg", targets("cp312"), dynamic_version=True)
        assert key in WRITERS[system](dynamic, PipelineOptions())
        assert key not in WRITERS[system](PLAIN, PipelineOptions())


def test_the_libraries_of_torch_and_nvidia_stay_outside() -> None:
    """What the table of providers knows to come with torch is excluded, and nothing that is for a wheel to bring."""
    of_torch = [
        pattern
        for pattern, source, distributions in providers._table().libraries
        if source is providers.Source.DISTRIBUTION
        and any(name == "torch" or providers.brings("torch", name) for name in distributions)
        and pattern != "libOpenCL.so.1"  # the table's globs are wide: no torch requires it
    ]
    assert len(of_torch) > 20
    globs = external_libraries(PLAIN, PipelineOptions(build_with=("torch==2.13.0",)))
    assert globs == external_libraries(Project("pkg", (), requires=frozenset({"torch"})), PipelineOptions())
    of_nvidia = external_libraries(
        Project("pkg", (), requires=frozenset({"nvidia-cublas"})), PipelineOptions()
    )
    assert "libtorch*.so" in set(globs) - set(of_nvidia)
    assert "libcublas*.so.*" in of_nvidia
    for pattern in [*of_torch, "libcuda.so.1"]:
        assert any(fnmatchcase(pattern.replace("*", "x"), glob) for glob in globs), pattern
    for soname in (
        "libcurl.so.4",
        "libcups.so.2",
        "libgomp.so.1",
        "libstdc++.so.6",
        "libc.so.6",
        "libz.so.1",
    ):
        assert not any(fnmatchcase(soname, glob) for glob in globs), soname
    assert external_libraries(PLAIN, PipelineOptions()) == ()


def _tool(name: str) -> str:
    """A program that a package of this environment brings."""
    return str(Path(sys.executable).with_name(name))
