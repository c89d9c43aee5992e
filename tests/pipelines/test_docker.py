"""The Dockerfile of the documentation: linted, and what it runs is run, without Docker."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.machine import EXAMPLE, ROOT, Machine
from wheelfuse.pipelines.project import IMAGE, WHEELFUSE
from wheelfuse.pipelines.steps import BUILT, DIST, WHEELHOUSE

PAGE = (ROOT / "docs" / "how-to" / "docker.md").read_text(encoding="utf-8")
[DOCKERFILE] = re.findall(r"```dockerfile\n(.*?)```", PAGE, re.DOTALL)


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction with its arguments, lines joined (docs.docker.com/reference/dockerfile)."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    found = [line.partition(" ")[::2] for line in lines if line and not line.startswith("#")]
    return [(name, rest) for name, rest in found]


def runs() -> list[str]:
    return [
        re.sub(r"^(--mount=\S+\s+)+", "", rest) for name, rest in instructions(DOCKERFILE) if name == "RUN"
    ]


def test_hadolint_finds_nothing_but_an_image_without_a_tag(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(DOCKERFILE)
    # DL3059: a layer for each step, so that a build goes on where it failed; the stage is thrown away
    hadolint = str(Path(sys.executable).with_name("hadolint"))
    command = [hadolint, "--no-color", "--ignore=DL3059", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert [line.split()[1] for line in done.stdout.splitlines()] == [
        "DL3006"
    ]  # which tags are there is not known
    file.write_text(DOCKERFILE.replace("WORKDIR /src", "RUN cd /src"))
    assert "DL3003" in subprocess.run(command, capture_output=True, text=True).stdout


def test_it_names_what_pipelines_name() -> None:
    assert instructions(DOCKERFILE)[0] == ("FROM", f"{IMAGE} AS wheel")
    assert f"'{WHEELFUSE}'" in runs()[0]
    text = " ".join(runs())
    for directory in (BUILT, WHEELHOUSE, DIST):
        assert re.search(rf"-[dwo] {directory}\b", text)


@pytest.mark.real
def test_what_it_runs_goes_all_the_way(machine: Machine, package: str, tmp_path: Path) -> None:
    source = tmp_path / "src"
    shutil.copytree(EXAMPLE, source)
    [(_, shell)] = [entry for entry in instructions(DOCKERFILE) if entry[0] == "SHELL"]
    install, *others = runs()
    local = install.replace(WHEELFUSE, package)
    assert local != install
    for script in (local, *others):
        machine.run(re.findall(r'"([^"]*)"', shell), script, source)
    assert [path.name.split("-")[2] for path in (source / "dist").iterdir()] == ["cp312.cp313"]
