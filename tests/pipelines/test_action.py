"""The composite action: its steps run as they stand, on a stand-in for the runner of GitHub Actions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.interpreters import available
from tests.native import module, soabi
from tests.pipelines.systems import load, refused
from tests.wheels import build_wheel
from wheelfuse.target import Target

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "action.yml"
DOCUMENT: dict[str, Any] = load(ACTION.read_text())
INSTALL = "Install wheelfuse"
_EXPRESSION = re.compile(r"\$\{\{ ([\w.-]+) \}\}")
_CONDITION = re.compile(r"(?P<value>[\w.-]+) (?P<operator>[!=]=) '(?P<other>\w*)'")


@dataclass
class Runner:
    """Runs the steps as the documentation of GitHub says, and keeps what they leave behind."""

    directory: Path
    inputs: dict[str, str]
    failed: str = ""
    told: str = ""
    ran: list[str] = field(default_factory=list)
    uploaded: list[dict[str, str]] = field(default_factory=list)
    context: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        defaults = {name: entry.get("default", "") for name, entry in DOCUMENT["inputs"].items()}
        assert set(self.inputs) <= set(defaults)
        self.context |= {f"inputs.{name}": value for name, value in (defaults | self.inputs).items()}
        (self.directory / "temp").mkdir()

    @property
    def summary(self) -> str:
        file = self.directory / "summary"
        return file.read_text() if file.exists() else ""

    @property
    def outputs(self) -> dict[str, str]:
        return {name: self._expand(entry["value"]) for name, entry in DOCUMENT["outputs"].items()}

    def run(self, *, install: bool = False) -> Runner:
        if not install:
            programs = self.directory / "temp" / "wheelfuse" / "bin"
            programs.mkdir(parents=True)
            (programs / "wheelfuse").symlink_to(Path(sys.executable).with_name("wheelfuse"))
        for step in DOCUMENT["runs"]["steps"]:
            if (install or step["name"] != INSTALL) and self._wanted(step.get("if", "success()")):
                self.ran.append(step["name"])
                if "uses" in step:
                    self.uploaded.append({name: self._expand(value) for name, value in step["with"].items()})
                else:
                    self._run(step)
        return self

    def _run(self, step: dict[str, Any]) -> None:
        assert step["shell"] == "bash"
        outputs = self.directory / "outputs"
        outputs.write_text("")
        variables = {
            "RUNNER_TEMP": str(self.directory / "temp"),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(self.directory / "summary"),
            "WHEELFUSE_PYTHONS": ":".join(map(str, available().values())),
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.directory,
            env={**os.environ, **variables, **{name: self._expand(text) for name, text in step["env"].items()}},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.told += done.stdout
        if done.returncode:
            self.failed = self.failed or step["name"]
        for line in outputs.read_text().splitlines():
            name, _, value = line.partition("=")
            self.context[f"steps.{step['id']}.outputs.{name}"] = value

    def _expand(self, text: str) -> str:
        return _EXPRESSION.sub(lambda match: self.context.get(match[1], ""), text)

    def _wanted(self, condition: str) -> bool:
        parts = condition.split(" && ")
        return (not self.failed or "always()" in parts) and all(map(self._holds, parts))

    def _holds(self, part: str) -> bool:
        if part in ("always()", "success()"):
            return True
        match = _CONDITION.fullmatch(part)
        assert match, f"this runner does not know {part}"
        return (self.context.get(match["value"], "") == match["other"]) == (match["operator"] == "==")


def wheels(directory: Path, *, text: str = "", symbol: str = "") -> list[Path]:
    return [
        build_wheel(
            directory,
            tag,
            {
                f"pkg/{soabi('_x', tag)}": module("_x", Target.parse(tag), *filter(None, [symbol])),
                "pkg/a.txt": text and tag,
            },
            requires_python=">=3.12,<3.14",
        )
        for tag in ("cp312", "cp313")
    ]


def test_the_published_schema_admits_it() -> None:
    assert refused("github-actions", ACTION) == ""


def test_zizmor_finds_nothing_in_it(tmp_path: Path) -> None:
    config = tmp_path / "zizmor.yml"  # which commit a tag names cannot be known offline
    config.write_text(json.dumps({"rules": {"unpinned-uses": {"config": {"policies": {"*": "ref-pin"}}}}}))
    command = [str(Path(sys.executable).with_name("zizmor")), "--offline", "--persona=pedantic"]
    done = subprocess.run([*command, f"--config={config}", str(ACTION)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_each_input_is_used_and_only_through_variables() -> None:
    """A script with an expression in it would run whatever an input says."""
    steps = DOCUMENT["runs"]["steps"]
    assert not any("${{" in step.get("run", "") for step in steps)
    used = set(re.findall(r"inputs\.([\w-]+)", str(steps)))
    assert used == set(DOCUMENT["inputs"])


@pytest.mark.real
def test_it_installs_wheelfuse_and_goes_all_the_way(tmp_path: Path) -> None:
    wheels(tmp_path / "wheelhouse")
    runner = Runner(
        tmp_path, {"verify": "true", "verify-options": "--python=3.12\n", "python": sys.executable}
    )
    runner.run(install=True)
    assert runner.failed == "", runner.told
    assert runner.ran == [INSTALL, "Fuse the wheels", "Audit the fused wheel", "Verify the fused wheel"]
    wheel = tmp_path / runner.outputs["wheel"]
    assert wheel.parent == tmp_path / "dist"
    assert wheel.name.startswith("pkg-1.0-cp312.cp313-")
    assert json.loads(Path(runner.outputs["sarif"]).read_text())["version"] == "2.1.0"
    assert "**passed" in runner.summary


def test_options_and_names_are_one_in_a_line(tmp_path: Path) -> None:
    first, second = wheels(tmp_path / "a b", text="differs")
    given = {
        "wheels": f"{first.relative_to(tmp_path)}\n\n{second}\n",
        "output": "out put",
        "merge-options": "--resolve=pkg/a.txt=newest\n--expect=cp312,cp313\n",
        "audit-options": "--ignore=WF502=as it is\n\n--verbose",
    }
    runner = Runner(tmp_path, given).run()
    assert runner.failed == "", runner.told
    assert runner.ran == ["Fuse the wheels", "Audit the fused wheel"]
    assert (tmp_path / runner.outputs["wheel"]).parent.name == "out put"


def test_a_conflict_ends_it_with_the_lines_that_would_settle_it(tmp_path: Path) -> None:
    wheels(tmp_path / "wheelhouse", text="differs")
    runner = Runner(tmp_path, {"verify": "true", "upload-sarif": "true"}).run()
    assert runner.failed == "Fuse the wheels"
    assert runner.ran == ["Fuse the wheels"]
    assert "--resolve 'pkg/a.txt=newest'" in runner.told
    assert runner.outputs == {"wheel": "", "sarif": ""}


def test_an_error_of_the_audit_ends_it_with_annotations_summary_and_sarif(tmp_path: Path) -> None:
    wheels(tmp_path / "wheelhouse")
    given = {"verify": "true", "upload-sarif": "true", "audit-options": "--severity=WF502=error"}
    runner = Runner(tmp_path, given).run()
    assert runner.failed == "Audit the fused wheel", runner.told
    assert runner.ran == ["Fuse the wheels", "Audit the fused wheel", "Upload the findings"]
    assert re.search(r"^::error .*WF502", runner.told, re.MULTILINE)
    assert "WF502" in runner.summary
    [upload] = runner.uploaded
    assert json.loads(Path(upload["sarif_file"]).read_text())["runs"][0]["results"]


def test_a_wheel_that_fails_to_import_ends_it(tmp_path: Path) -> None:
    bad = module("_x", Target(12), body="return -1;")
    files = {f"pkg/{soabi('_x', 'cp312')}": bad}
    build_wheel(tmp_path / "wheelhouse", "cp312", files, requires_python=">=3.12,<3.13")
    runner = Runner(tmp_path, {"verify": "true"}).run()
    assert runner.failed == "Verify the fused wheel", runner.told
    assert "pkg._x" in runner.told
