"""Pipelines run on this machine: each script as it stands, from the sources to the fused, audited, verified wheel."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from tests.interpreters import available
from tests.pipelines.machine import EXAMPLE, Machine
from tests.pipelines.systems import Job, jobs
from tests.wheels import wheelfuse
from wheelfuse.target import Target


def run(machine: Machine, job: Job, checkout: Path, target: str = "") -> str:
    """Run all scripts of a job in a fresh container; what they printed."""
    machine.forget()
    variables = {**job.variables, **({"TARGET": target} if target else {})}
    return "".join(machine.run(script.shell, script.text, checkout, **variables) for script in job.scripts)


def checkout(directory: Path, project: str, edit: tuple[str, str]) -> Path:
    """A fresh clone of the example, which lies in *project* of its repository, with an edit of its pyproject.toml."""
    shutil.copytree(EXAMPLE, directory / project)
    file = directory / project / "pyproject.toml"
    text = file.read_text()
    assert edit[0] in text
    file.write_text(text.replace(*edit))
    return directory


@pytest.mark.real
@pytest.mark.parametrize(
    ("system", "project", "edit", "options", "targets"),
    [
        pytest.param(
            "github", ".",
            ('<3.14"', '<3.15"\n[tool.wheelfuse.build]\nexclude = ["3.13", "3.14"]'),
            ["--include", "cp314t", "--sarif", "--verify-command", 'python -c "import tinyext"'],
            ("cp312", "cp314t"),
            id="github",
        ),
        pytest.param("buildkite", "python/ext", ("<3.14", "<3.13"), [], ("cp312",), id="buildkite"),
        pytest.param(
            "gitlab", ".",
            ("[project]", '[tool.wheelfuse.build]\npythons = ["3.13"]\n[project]'),
            ["--image", "example.org/with/uv-alone"],
            ("cp313",),
            id="gitlab",
        ),
    ],
)  # fmt: skip
def test_a_pipeline_goes_all_the_way(
    system: str,
    project: str,
    edit: tuple[str, str],
    options: list[str],
    targets: tuple[str, ...],
    machine: Machine,
    package: str,
    tmp_path: Path,
) -> None:
    for target in targets:
        if Target.parse(target) not in available():
            pytest.skip(f"no CPython for {target} on this machine")
    source = checkout(tmp_path / "source", project, edit)
    written = wheelfuse("ci", system, "--project", project, "--wheelfuse", package, *options, cwd=source)
    assert written.returncode == 0, written.stderr
    read = jobs(system, written.stdout)
    assert read["build"].targets == targets

    for target in targets:
        built = checkout(tmp_path / target, project, edit)
        run(machine, read["build"], built, target)
        [wheel] = (built / "wheelhouse").glob("*.whl")
        assert f"-{target}-manylinux" in wheel.name
        shutil.copytree(built / "wheelhouse", machine.store / "wheelhouse", dirs_exist_ok=True)

    last = checkout(tmp_path / "fuse", project, edit)
    if system != "buildkite":  # whose script fetches them
        shutil.copytree(machine.store / "wheelhouse", last / "wheelhouse")
    told = run(machine, read["fuse"], last)
    [fused] = (last / "dist").glob("*.whl")
    with zipfile.ZipFile(fused) as archive:
        modules = [name for name in archive.namelist() if name.endswith(".so")]
    assert len(modules) == len(targets)
    assert "tinyext" in (last / "audit.md").read_text()
    for target in targets:
        assert Target.parse(target).python_version in told
    if system == "github":
        assert machine.summary.read_text() == (last / "audit.md").read_text()
        assert (last / "audit.sarif").stat().st_size > 0
    elif system == "buildkite":
        assert (machine.store / "annotation-wheelfuse").read_text() == (last / "audit.md").read_text()
    else:
        assert (last / "audit.xml").read_text().startswith("<?xml")
