"""What the documentation shows of interpreters: calls that work, YAML that is admitted, and text as it is printed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import blocks
from tests.fuse.merging import command
from tests.pipelines.machine import ROOT
from tests.pipelines.systems import load, refused
from tests.wheels import wheelfuse
from wheelfuse.cli.pythons import command as options
from wheelfuse.interpreters.formats import FORMATS
from wheelfuse.interpreters.matrix import KEYS, MatrixOptions, assign, matrix, parse_pythons
from wheelfuse.interpreters.probe import Interpreter, Unusable, _headers
from wheelfuse.interpreters.search import choose
from wheelfuse.report.pythons_text import pythons_text
from wheelfuse.target import Target
from wheelfuse.wheel.name import Platform

PAGE = (ROOT / "docs" / "how-to" / "build.md").read_text(encoding="utf-8")
PART = PAGE[PAGE.index("## Interpreters") : PAGE.index("\n## Build\n")]
[WORKFLOW] = re.findall(r"```yaml\n(.*?)```", PART, re.DOTALL)
REQUIRES = ">=3.11,<3.15"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for directory in (tmp_path, tmp_path / "path" / "to"):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "pyproject.toml").write_text('[project]\nname = "x"\nrequires-python = ">=3.11,<3.14"\n')
    return tmp_path


@pytest.mark.parametrize("call", re.findall(r"^wheelfuse (pythons[^>&\n]*)", PART, re.MULTILINE))
def test_each_call_works(call: str, project: Path) -> None:
    done = wheelfuse(*shlex.split(call, comments=True), cwd=project)
    assert done.returncode == 0, done.stderr
    assert "cp311" in done.stdout.lower()


def test_all_options_formats_and_keys_are_told() -> None:
    names = [parameter.opts[0] for parameter in options.params if parameter.param_type_name == "option"]
    told = [f"`{name}" for name in names if name not in ("--project", "--format", "--verbose", "--separator")]
    told += [f"| `{form}` |" for form in FORMATS] + [f"`{key} = " for key in KEYS]
    assert [text for text in told if text not in PART] == []


def test_the_text_is_what_is_printed() -> None:
    [shown] = [block for block in blocks("how-to/build.md") if block.text.startswith("$ wheelfuse pythons")]
    call, *lines = shown.text.rstrip().splitlines()
    assert call == "$ wheelfuse pythons --include 3.14t"
    found = [interpreter(*line.split()) for line in lines if len(line.split()) == 4]
    bare = Path("/usr/bin/python3.13")
    _, why = _headers([Path("/usr/include/python3.13")], Target(13))
    unusable = Unusable(bare, why, "PATH", Target(13))
    result = assign(
        matrix(REQUIRES, MatrixOptions(include=parse_pythons(["3.14t"]))), choose(found, [unusable])
    )
    assert pythons_text(result, width=120).strip().splitlines() == lines


def interpreter(tag: str, version: str, source: str, path: str) -> Interpreter:
    target, machine = Target.parse(tag), Platform("x86_64", "glibc", (2, 28))
    soabi = f"{target.soabi_tag}-x86_64-linux-gnu"
    return Interpreter(
        Path(path), target, version, soabi, f".{soabi}.so", machine, Path("/include"), source=source
    )


def test_the_workflow_is_one_and_its_step_writes_the_matrix(project: Path) -> None:
    file = project / "workflow.yml"
    file.write_text(f"on: push\n{WORKFLOW}")
    assert refused("github-workflows", file) == ""
    [step] = [step for step in load(WORKFLOW)["jobs"]["pythons"]["steps"] if "run" in step]
    output, bin_ = project / "output", project / "bin"
    bin_.mkdir()
    launcher = bin_ / "pipx"  # it would download wheelfuse; here it is the one under test
    launcher.write_text('#!/bin/sh\nshift 2\nexec "$PYTHON" -m wheelfuse "$@"\n')
    launcher.chmod(0o755)
    run_step(step["run"], project, output, bin_)
    name, _, value = output.read_text().removesuffix("\n").partition("=")
    assert (name, value.count("\n")) == ("matrix", 0)
    assert [job["target"] for job in json.loads(value)["include"]] == ["cp311", "cp312", "cp313"]


def run_step(script: str, directory: Path, output: Path, bin_: Path) -> None:
    env = {**os.environ, "GITHUB_OUTPUT": str(output), "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    env["PATH"] = f"{bin_}{os.pathsep}{env['PATH']}"
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    done = subprocess.run(shell, cwd=directory, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_help_tells_the_exit_code_of_a_missing_one() -> None:
    code, out, _ = command("pythons", "--help")
    assert code == 0
    assert "exit code 5" in re.sub(r"\s+", " ", out)
