"""How ``wheelfuse ci`` is called, what it reads, and where it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipelines.systems import jobs
from tests.wheels import wheelfuse

PYPROJECT = """\
[project]
name = "pkg"
requires-python = ">=3.11,<3.14"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    return tmp_path


@pytest.mark.parametrize("system", ["github", "buildkite", "gitlab"])
@pytest.mark.parametrize(
    "given", [(), ("--free-threaded",), ("--include", "3.13t"), ("--exclude", "cp311")], ids=" ".join
)
def test_the_matrix_is_that_of_wheelfuse_pythons(system: str, given: tuple[str, ...], root: Path) -> None:
    done = wheelfuse("ci", system, *given, cwd=root)
    assert (done.returncode, done.stderr) == (0, "")
    listed = json.loads(wheelfuse("pythons", "--format", "github-matrix", *given, cwd=root).stdout)
    build = jobs(system, done.stdout)["build"]
    assert list(build.targets) == [entry["target"] for entry in listed["include"]]
    assert len(build.targets) > 1


def test_the_table_of_the_project_counts(root: Path) -> None:
    (root / "pyproject.toml").write_text(f'{PYPROJECT}[tool.wheelfuse.build]\npythons = ["3.12", "cp313t"]\n')
    done = wheelfuse("ci", "github", cwd=root)
    assert jobs("github", done.stdout)["build"].targets == ("cp312", "cp313t")


def test_the_wheel_is_held_against_requires_python_only_if_nothing_was_left_out(root: Path) -> None:
    assert "--project pyproject.toml" in wheelfuse("ci", "github", cwd=root).stdout
    assert "--project pyproject.toml" in wheelfuse("ci", "github", "--free-threaded", cwd=root).stdout
    assert "--project" not in wheelfuse("ci", "github", "--exclude", "3.12", cwd=root).stdout
    (root / "pyproject.toml").write_text(
        '[project]\nname = "pkg"\n[tool.wheelfuse.build]\npythons = ["3.12"]\n'
    )
    done = wheelfuse("ci", "github", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "--project" not in done.stdout


def test_what_was_assumed_is_told_beside_the_pipeline(root: Path) -> None:
    (root / "pyproject.toml").write_text(PYPROJECT.replace(",<3.14", ""))
    done = wheelfuse("ci", "github", cwd=root)
    assert done.returncode == 0
    assert done.stderr.startswith("note: requires-python states no newest CPython")
    assert "note:" not in done.stdout


@pytest.mark.parametrize("named", ["sub/x", "sub/x/pyproject.toml", "absolute"])
def test_a_project_below_the_root_is_named_relative_to_it(named: str, root: Path) -> None:
    (root / "sub" / "x").mkdir(parents=True)
    (root / "pyproject.toml").rename(root / "sub" / "x" / "pyproject.toml")
    project = str(root / "sub" / "x") if named == "absolute" else named
    text = wheelfuse("ci", "gitlab", "--project", project, cwd=root).stdout
    assert 'wheelfuse build sub/x --python "$TARGET"' in text
    assert text.count("--config sub/x/pyproject.toml") == 2
    assert str(root) not in text


def test_a_file_is_written_whole_with_its_directories_and_replaced_only_with_force(root: Path) -> None:
    file = root / ".github" / "workflows" / "wheels.yml"
    call = ("ci", "github", "-o", file.relative_to(root))
    done = wheelfuse(*call, cwd=root)
    assert (done.returncode, done.stdout) == (0, "")
    assert file.read_text() == wheelfuse("ci", "github", cwd=root).stdout
    file.write_text("mine")
    refused = wheelfuse(*call, cwd=root)
    assert refused.returncode == 2
    assert "wheels.yml: exists already\n    Add --force to replace it." in refused.stderr
    assert file.read_text() == "mine"
    assert wheelfuse(*call, "--force", cwd=root).returncode == 0
    assert file.read_text().startswith("# Wheels of pkg")
    assert [path.name for path in file.parent.iterdir()] == ["wheels.yml"]


def test_a_file_that_cannot_be_written_is_told(root: Path) -> None:
    (root / "file").touch()
    done = wheelfuse("ci", "github", "-o", "file/wheels.yml", cwd=root)
    assert done.returncode == 5
    assert "error: could not write" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("jenkins",), "'jenkins' is not one of"),
        (("gitlab", "--sarif"), "--sarif is for github"),
        (("github", "--project", "none"), "no such file"),
        (("github", "--project", ".."), "is not within this directory"),
        (("github", "--image", "a b"), "is not the name of a container image"),
        (("github", "--include", "2.7"), "'2.7' is not a CPython"),
        (("github", "--exclude", "3.11,3.12,3.13"), "excluded"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(arguments: tuple[str, ...], told: str, root: Path) -> None:
    (root / "inner").mkdir()
    there = root / "inner" if ".." in arguments else root
    done = wheelfuse("ci", *arguments, cwd=there)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


@pytest.mark.parametrize("name", ['"<b>x</b>"', '"${{ secrets.TOKEN }}"', '"x\\ny: z"', "3"])
def test_a_name_that_is_none_is_refused(name: str, root: Path) -> None:
    (root / "pyproject.toml").write_text(PYPROJECT.replace('"pkg"', name))
    done = wheelfuse("ci", "github", cwd=root)
    assert (done.returncode, done.stdout) == (2, "")
    assert "project.name" in done.stderr
