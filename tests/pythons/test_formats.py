"""Each format is read by what it is for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.systems import load, refused
from tests.pythons.machines import fake
from wheelfuse.errors import UsageError
from wheelfuse.interpreters.formats import (
    FORMATS,
    OF_INTERPRETERS,
    OF_TARGETS,
    buildkite,
    cmake,
    env,
    github_matrix,
    gitlab,
)
from wheelfuse.interpreters.matrix import parse_pythons
from wheelfuse.interpreters.probe import Interpreter, probe
from wheelfuse.interpreters.search import find

TARGETS = parse_pythons(["3.10,3.13,3.14t"])


@pytest.fixture
def interpreters(tmp_path: Path) -> tuple[Interpreter, ...]:
    """Two, one of them at a path that shells and CMake could stumble over."""
    paths = [tmp_path / "cp316" / "python3", tmp_path / "it's $HOME's (other)" / "python3"]
    answers = [probe(fake(path, minor=minor)) for minor, path in zip((16, 17), paths, strict=True)]
    return tuple(answer for answer in answers if isinstance(answer, Interpreter))


def test_every_format_has_its_writer() -> None:
    assert {"text", "json", *OF_TARGETS, *OF_INTERPRETERS} == set(FORMATS)


def test_github_reads_its_matrix(tmp_path: Path) -> None:
    printed = github_matrix(TARGETS)
    assert printed.count("\n") == 1  # NAME=VALUE of $GITHUB_OUTPUT is one line
    matrix = json.loads(printed)
    assert matrix["include"] == [
        {"target": "cp310", "python-version": "3.10", "free-threaded": False},
        {"target": "cp313", "python-version": "3.13", "free-threaded": False},
        {"target": "cp314t", "python-version": "3.14t", "free-threaded": True},
    ]
    job = {"runs-on": "ubuntu-latest", "strategy": {"matrix": matrix}, "steps": [{"run": "true"}]}
    assert valid(tmp_path, "github-workflows", {"on": "push", "jobs": {"build": job}})


def test_gitlab_reads_its_matrix(tmp_path: Path) -> None:
    document = load(gitlab(TARGETS))
    assert document[".wheelfuse-pythons"]["parallel"]["matrix"] == [
        {"TARGET": "cp310", "PYTHON_VERSION": "3.10"},
        {"TARGET": "cp313", "PYTHON_VERSION": "3.13"},
        {"TARGET": "cp314t", "PYTHON_VERSION": "3.14t"},
    ]
    document["build"] = {"extends": ".wheelfuse-pythons", "script": ["echo $TARGET"]}
    assert valid(tmp_path, "gitlab-ci", document)


def test_buildkite_reads_its_matrix(tmp_path: Path) -> None:
    step = load(buildkite(TARGETS))
    assert step == {"matrix": ["cp310", "cp313", "cp314t"]}
    assert valid(tmp_path, "buildkite", {"steps": [{"command": "echo {{matrix}}", **step}]})


@pytest.mark.parametrize("system", ["github-workflows", "gitlab-ci", "buildkite"])
def test_the_schemas_refuse_a_matrix_that_is_none(tmp_path: Path, system: str) -> None:
    documents = {
        "github-workflows": {"on": "push", "jobs": {"build": {"strategy": {"matrix": 1}, "steps": []}}},
        "gitlab-ci": {"build": {"script": ["true"], "parallel": {"matrix": "cp310"}}},
        "buildkite": {"steps": [{"command": "true", "matrix": "cp310"}]},
    }
    assert not valid(tmp_path, system, documents[system])


def valid(directory: Path, schema: str, document: object) -> bool:
    path = directory / f"{schema}.json"  # YAML 1.2 has JSON in it
    path.write_text(json.dumps(document))
    return not refused(schema, path)


@pytest.mark.parametrize("separator", [";", ":"])
def test_cmake_reads_its_list(interpreters: tuple[Interpreter, ...], tmp_path: Path, separator: str) -> None:
    script = tmp_path / "list.cmake"
    script.write_text(
        'string(REPLACE ":" ";" PYTHONS "${PYTHONS}")\n'
        'foreach(python IN LISTS PYTHONS)\n  message(NOTICE "[${python}]")\nendforeach()\n'
    )
    printed = cmake(interpreters, separator).removesuffix("\n")
    command = [program("cmake"), f"-DPYTHONS={printed}", "-P", script]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr.splitlines() == [f"[{interpreter.path}]" for interpreter in interpreters]


def test_a_shell_reads_the_variables(interpreters: tuple[Interpreter, ...], tmp_path: Path) -> None:
    file = tmp_path / "variables"
    file.write_text(env(interpreters))
    names = ("WHEELFUSE_TARGETS", "WHEELFUSE_PYTHONS", "WHEELFUSE_PYTHON_CP316", "WHEELFUSE_PYTHON_CP317")
    script = f'set -a; . "{file}"; ' + "; ".join(f'printf "%s\\n" "${name}"' for name in names)
    printed = subprocess.run(["sh", "-euc", script], check=True, capture_output=True, text=True).stdout
    first, second = (str(interpreter.path) for interpreter in interpreters)
    assert printed.splitlines() == ["cp316,cp317", f"{first}:{second}", first, second]


def test_the_variables_lead_wheelfuse_to_the_same_interpreters(
    interpreters: tuple[Interpreter, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHEELFUSE_PYTHONS", ":".join(str(interpreter.path) for interpreter in interpreters))
    found = find(headers=False).by_target
    assert [found[interpreter.target].path for interpreter in interpreters] == [i.path for i in interpreters]


@pytest.mark.parametrize("character", [";", ":"])
def test_a_path_with_the_separator_in_it_is_in_no_list(tmp_path: Path, character: str) -> None:
    answer = probe(fake(tmp_path / f"a{character}b" / "python3"))
    assert isinstance(answer, Interpreter)
    with pytest.raises(UsageError, match=f"cannot be in a list that '{character}' separates"):
        cmake([answer], character)
    if character == ":":
        with pytest.raises(UsageError, match="cannot be in a list"):
            env([answer])


@pytest.mark.parametrize("character", ["\n", "\r"])
def test_a_path_of_several_lines_is_in_no_list(tmp_path: Path, character: str) -> None:
    answer = probe(fake(tmp_path / f"a{character}WHEELFUSE_TARGETS=" / "python3"))
    assert isinstance(answer, Interpreter)
    for written in (env, cmake):
        with pytest.raises(UsageError, match="has a line break in it"):
            written([answer])


def program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    assert found, f"{name} is missing"
    return found
