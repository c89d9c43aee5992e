"""What the documentation shows of pipelines: calls that work, and YAML that is admitted."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.machine import ROOT
from tests.pipelines.systems import load, refused
from tests.wheels import wheelfuse
from wheelfuse.cli.ci import command

PAGE = (ROOT / "docs" / "how-to" / "ci.md").read_text(encoding="utf-8")
CALLS = re.findall(r"^wheelfuse (ci .*)$", PAGE, re.MULTILINE)
ACTION = (
    (ROOT / "docs" / "how-to" / "github-actions.md")
    .read_text(encoding="utf-8")
    .partition("\n## The action")[2]
)
[WORKFLOW] = re.findall(r"```yaml\n(.*?)```", ACTION, re.DOTALL)
[CONFIGURATION] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("call", CALLS)
def test_each_call_works(call: str, tmp_path: Path) -> None:
    (tmp_path / "python").mkdir()
    for directory in (tmp_path, tmp_path / "python"):
        (directory / "pyproject.toml").write_text(
            '[project]\nname = "pkg"\nrequires-python = ">=3.10,<3.14"\n'
        )
    arguments = shlex.split(call)
    done = wheelfuse(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    file = tmp_path / arguments[arguments.index("-o") + 1] if "-o" in arguments else None
    assert "wheelfuse merge wheelhouse" in (file.read_text() if file else done.stdout)


def test_all_options_are_told() -> None:
    table = PAGE[PAGE.index("## Options") : PAGE.index("## Why this shape")]
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.name not in ("output", "force"):
            assert parameter.opts[0] in table, parameter.opts


def test_the_workflow_with_the_action_is_one(tmp_path: Path) -> None:
    file = tmp_path / "workflow.yml"
    file.write_text(WORKFLOW)
    assert refused("github-workflows", file) == ""
    [step] = [
        step for step in load(WORKFLOW)["jobs"]["fuse"]["steps"] if "/wheelfuse@" in step.get("uses", "")
    ]
    assert set(step["with"]) <= set(load((ROOT / "action.yml").read_text())["inputs"])


def test_the_configuration_of_pre_commit_is_one(tmp_path: Path) -> None:
    file = tmp_path / ".pre-commit-config.yaml"
    file.write_text(CONFIGURATION)
    program = str(Path(sys.executable).with_name("pre-commit"))
    done = subprocess.run([program, "validate-config", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    [hook] = load(CONFIGURATION)["repos"][0]["hooks"]
    assert hook["id"] in [entry["id"] for entry in load((ROOT / ".pre-commit-hooks.yaml").read_text())]
