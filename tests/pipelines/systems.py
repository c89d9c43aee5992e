"""Pipelines as the CI systems read them: which scripts run, with which variables, and what each system replaces."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner
from ruamel.yaml import YAML

SCHEMAS = {"github": "github-workflows", "buildkite": "buildkite", "gitlab": "gitlab-ci"}
"""The schema in check-jsonschema for the pipelines of each system."""


@dataclass(frozen=True)
class Script:
    """What one shell runs, and the command that starts the shell with it."""

    name: str
    text: str
    shell: tuple[str, ...]

    @property
    def command(self) -> list[str]:
        return [*self.shell, self.text]


@dataclass(frozen=True)
class Job:
    """One job: the variables it sets (``TARGET`` left out), the targets of its matrix, and what it runs."""

    variables: dict[str, str]
    targets: tuple[str, ...]
    scripts: tuple[Script, ...]


def load(text: str) -> Any:
    """A document of YAML 1.2."""
    return YAML(typ="safe", pure=True).load(io.StringIO(text))


def with_publishing(text: str) -> str:
    """The pipeline with the step that publishes, which it has as a comment."""
    *lines, last = re.split(r"\n\n(?=#)", text)
    assert lines, "nothing is left to be filled in"
    return "\n\n".join(lines) + "\n\n" + re.sub(r"(?m)^# ?", "", last)


def refused(schema: str, *paths: Path) -> str:
    """Why the published schema does not admit files; empty if it does."""
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", f"vendor.{schema}", *map(str, paths)])
    return done.output if done.exit_code else ""


def zizmor(directory: Path, text: str) -> list[str]:
    """What zizmor finds in a workflow. Which commit a tag names cannot be known offline: tags are good enough."""
    path = directory / ".github" / "workflows" / "wheels.yml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    config = directory / "zizmor.yml"
    rules = {
        "unpinned-uses": {"config": {"policies": {"*": "ref-pin"}}},
        "unpinned-images": {"disable": True},
    }
    config.write_text(json.dumps({"rules": rules}))
    program = str(Path(sys.executable).with_name("zizmor"))
    command = [program, "--offline", "--persona=pedantic", "--no-exit-codes", "--format=json"]
    done = subprocess.run(
        [*command, f"--config={config}", str(path)], check=True, capture_output=True, text=True
    )
    return [finding["ident"] for finding in json.loads(done.stdout)]


def jobs(system: str, text: str) -> dict[str, Job]:
    """The jobs ``build`` and ``fuse``."""
    return dict(_READERS[system](load(text)))


def _github(document: dict[str, Any]) -> Iterator[tuple[str, Job]]:
    # docs.github.com/actions: what `shell: bash` means
    shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
    for name, job in document["jobs"].items():
        assert job["defaults"]["run"]["shell"] == "bash"
        scripts = [
            Script(step["name"], step["run"].replace("${{ '${{' }}", "${{"), shell)
            for step in job["steps"]
            if "run" in step
        ]
        variables = dict(job["env"])
        if "strategy" in job:
            assert variables.pop("TARGET") == "${{ matrix.target }}"
        targets = job.get("strategy", {}).get("matrix", {}).get("target", ())
        yield name, Job(variables, tuple(targets), tuple(scripts))


def _buildkite(document: dict[str, Any]) -> Iterator[tuple[str, Job]]:
    for step in document["steps"]:
        [(plugin, settings)] = step["plugins"][0].items()
        assert plugin.startswith("docker#")
        *shell, script = settings["command"]
        variables = dict(entry.split("=", 1) for entry in settings["environment"])
        if "matrix" in step:
            assert variables.pop("TARGET") == "{{matrix}}"
        # buildkite-agent pipeline upload: "$$" is how a "$" is written
        assert not re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", script), "a variable of the uploading agent"
        text = script.replace("$$", "$")
        yield step["key"], Job(variables, tuple(step.get("matrix", ())), (Script("all", text, tuple(shell)),))


def _gitlab(document: dict[str, Any]) -> Iterator[tuple[str, Job]]:
    # gitlab-runner puts the entries into one script, which stops at the first error
    shell = ("bash", "-eo", "pipefail", "-c")
    for name in ("build", "fuse"):
        job = document[name]
        variables = {key: value for key, value in document["variables"].items() if key != "GIT_DEPTH"}
        targets = job["parallel"]["matrix"][0]["TARGET"] if "parallel" in job else ()
        yield name, Job(variables, tuple(targets), (Script("all", "\n".join(job["script"]), shell),))


_READERS = {"github": _github, "buildkite": _buildkite, "gitlab": _gitlab}
