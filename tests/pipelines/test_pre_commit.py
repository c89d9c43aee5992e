"""The hooks of pre-commit, run by pre-commit itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.native import module, soabi
from tests.wheels import build_wheel
from wheelfuse.target import Target

ROOT = Path(__file__).parents[2]
MANIFEST = ".pre-commit-hooks.yaml"
PRE_COMMIT = str(Path(sys.executable).with_name("pre-commit"))
IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")


def git(directory: Path, *arguments: str) -> None:
    subprocess.run(["git", *IDENTITY, *arguments], cwd=directory, check=True, capture_output=True)


def test_pre_commit_accepts_the_manifest() -> None:
    done = subprocess.run(
        [PRE_COMMIT, "validate-manifest", str(ROOT / MANIFEST)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with what the package is made of, as pre-commit clones it."""
    directory = tmp_path_factory.mktemp("hooks")
    for name in (MANIFEST, "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, directory)
    shutil.copytree(ROOT / "wheelfuse", directory / "wheelfuse", ignore=shutil.ignore_patterns("__pycache__"))
    git(directory, "init", "--quiet")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message=all")
    git(directory, "tag", "v1")
    return directory


@pytest.mark.real
def test_the_hook_judges_wheels_and_modules_that_are_committed(hooks: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    good, bad = module("_x", Target(12)), module("_x", Target(12), "PyThreadState_GetUnchecked")
    name = soabi("_x", Target(12))
    build_wheel(repository / "dist", "cp312", {f"pkg/{name}": good})
    (repository / "pkg").mkdir()
    (repository / "pkg" / name).write_bytes(good)
    (repository / "notes.so.txt").write_text("none of its business")
    (repository / ".pre-commit-config.yaml").write_text(
        f"repos: [{{repo: '{hooks}', rev: v1, hooks: [{{id: wheelfuse-audit}}]}}]\n"
    )
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    command = [PRE_COMMIT, "run", "--all-files", "--verbose", "--color=never"]
    env = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "cache")}

    passed = subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "wheelfuse audit" in passed.stdout
    assert f"pkg/{name}" in passed.stdout
    assert "pkg-1.0-cp312-cp312-" in passed.stdout
    assert "notes.so.txt" not in passed.stdout

    (repository / "pkg" / name).write_bytes(bad)
    git(repository, "add", "--all")
    failed = subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True)
    assert failed.returncode == 1
    assert "PyThreadState_GetUnchecked" in failed.stdout
