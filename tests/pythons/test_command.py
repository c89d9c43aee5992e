"""``wheelfuse pythons``: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from tests.fuse.merging import command
from tests.pythons.machines import fake, headers
from wheelfuse.report.json import SCHEMAS

MINORS = (16, 17)


@pytest.fixture
def project(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project for CPython 3.16 and 3.17 (which nobody knows), on a machine that has them."""
    monkeypatch.delenv("WHEELFUSE_PYTHONS")
    for minor in MINORS:
        include = headers(machine / "include" / str(minor), minor)
        fake(
            machine / "PYENV_ROOT" / "versions" / str(minor) / "bin" / "python3",
            minor=minor,
            include=(include,),
        )
    return written(machine / "project", requires=">=3.16", pythons=["3.16", "3.17"])


def written(directory: Path, *, requires: str = "", **build: Any) -> Path:
    directory.mkdir(exist_ok=True)
    stated = f"requires-python = {json.dumps(requires)}\n" if requires else ""
    table = "".join(f"{name.replace('_', '-')} = {json.dumps(value)}\n" for name, value in build.items())
    path = directory / "pyproject.toml"
    path.write_text(f'[project]\nname = "x"\n{stated}[tool.wheelfuse.build]\n{table}')
    return path


def pythons(project: Path, *arguments: object) -> tuple[int, str, str]:
    return command("pythons", "--project", project, *arguments)


def interpreter(machine: Path, minor: int) -> str:
    return str(machine / "PYENV_ROOT" / "versions" / str(minor) / "bin" / "python3")


def test_the_text_has_a_line_for_each_target(project: Path, machine: Path) -> None:
    code, out, err = pythons(project)
    assert (code, err) == (0, "")
    assert re.sub(r"\n +", "  ", out).splitlines() == [  # a long path has a line of its own
        "requires-python >=3.16: 2 CPythons, all of them are on this machine",
        "",
        f"cp316  3.16.0  pyenv  {interpreter(machine, 16)}",
        f"cp317  3.17.0  pyenv  {interpreter(machine, 17)}",
    ]


def test_the_others_are_counted(project: Path, machine: Path) -> None:
    fake(machine / "nothing" / "python3.16", minor=16, include=(machine / "include" / "16",))
    assert pythons(project)[1].endswith("\n\n1 other was found and not taken; -v shows them\n")
    fake(machine / "nothing" / "python3.17", minor=17)
    assert pythons(project)[1].endswith("\n\n2 others were found and not taken; -v shows them\n")


@pytest.mark.parametrize(
    ("chosen", "head"),
    [
        ("3.16", "1 CPython, which is on this machine"),
        ("3.18", "1 CPython, which is not on this machine"),
        ("3.18,3.19", "2 CPythons, none of them is on this machine"),
        ("3.16,3.18", "2 CPythons, 1 of them is on this machine"),
        ("3.16,3.17,3.18", "3 CPythons, 2 of them are on this machine"),
    ],
)
def test_the_text_begins_with_how_many_there_are(project: Path, chosen: str, head: str) -> None:
    names = [argument for name in chosen.split(",") for argument in ("--python", name)]
    assert pythons(project, *names)[1].splitlines()[0] == f"requires-python >=3.16: {head}"


def test_a_missing_one_is_shown_with_what_was_passed_over(project: Path, machine: Path) -> None:
    bare = fake(machine / "nothing" / "python3.18", minor=18)
    code, out, err = pythons(project, "--include", "3.18,cp319t")
    assert (code, err) == (0, "")
    assert "4 CPythons, 2 of them are on this machine" in out
    assert re.search(
        r"^cp318 +MISSING\n +\S+/python3\.18 is cp318, but names no directory of headers", out, re.M
    )
    assert re.search(r"^cp319t +MISSING$", out, re.M)
    assert str(bare) in out


def test_missing_ones_fail_only_if_all_are_required(project: Path) -> None:
    assert pythons(project, "--require-all")[0] == 0
    code, out, err = pythons(project, "--include", "3.18,3.19", "--require-all")
    assert code == 5
    assert "MISSING" in out
    assert err.count("there is no interpreter for it on this machine") == 2
    assert "leave it out: --exclude cp319" in err


def test_verbose_shows_soabi_headers_and_the_others(project: Path, machine: Path) -> None:
    twin = fake(machine / "nothing" / "python3.16", minor=16, include=(machine / "include" / "16",))
    broken = machine / "nothing" / "python3"
    broken.symlink_to("gone")
    _, out, _ = pythons(project, "-v")
    assert f"headers in {machine}/include/17" in out
    assert "SOABI cpython-317-" in out
    assert f"  cp316 3.16.0 {twin} (PATH)" in out
    assert f"  {broken} is a broken symbolic link to gone" in out
    assert "-v shows them" not in out


def test_what_a_broken_program_prints_does_not_reach_the_terminal(project: Path, machine: Path) -> None:
    path = fake(machine / "nothing" / "python3", minor=16)
    path.write_text("#!/bin/sh\nprintf '\\033[31mred\\n'; exit 1\n")
    _, out, _ = pythons(project, "-v")
    assert "\\x1b[31mred" in out
    assert "\033" not in out


def test_the_json_is_what_the_schema_says(project: Path, machine: Path) -> None:
    fake(machine / "nothing" / "python3.18", minor=18)
    code, out, err = pythons(project, "--include", "3.18", "--format", "json", "--require-all")
    assert (code, err.count("error:")) == (5, 1)
    document = valid(out)
    assert document["ok"] is False
    rows = document["pythons"]
    assert [row["target"] for row in rows] == ["cp316", "cp317", "cp318"]
    assert rows[0]["interpreter"]["path"] == interpreter(machine, 16)
    assert rows[0]["interpreter"]["include"] == str(machine / "include" / "16")
    assert rows[2]["interpreter"] is None
    assert "no directory of headers" in rows[2]["passed_over"][0]["reason"]
    code, out, _ = pythons(project, "--format", "json")
    assert (code, valid(out)["ok"]) == (0, True)


def test_a_refusal_is_json_too(project: Path) -> None:
    code, out, err = pythons(project, "--format", "json", "--include", "3.2")
    assert code == 2
    assert valid(out)["errors"][0]["what"] in err


def valid(text: str) -> Any:
    document = json.loads(text)
    fastjsonschema.compile(json.loads((SCHEMAS / "pythons-1.json").read_text()))(document)
    return document


@pytest.mark.parametrize("form", ["github-matrix", "gitlab", "buildkite"])
def test_a_matrix_for_jobs_elsewhere_does_not_look_at_this_machine(
    project: Path, machine: Path, form: str
) -> None:
    path = fake(machine / "nothing" / "python3")
    path.write_text(f"#!/bin/sh\ntouch {machine}/ran\n")
    code, out, err = pythons(project, "--format", form, "--include", "3.18t")
    assert (code, err) == (0, "")
    assert all(target in out for target in ("cp316", "cp317", "cp318t"))
    assert not (machine / "ran").exists()
    assert pythons(project, "--format", form, "--require-all")[0] == 2


@pytest.mark.parametrize("form", ["cmake", "env"])
def test_a_list_of_interpreters_lacks_none(project: Path, machine: Path, form: str) -> None:
    code, out, err = pythons(project, "--format", form)
    assert (code, err) == (0, "")
    assert all(interpreter(machine, minor) in out for minor in MINORS)
    code, out, err = pythons(project, "--format", form, "--include", "3.18")
    assert (code, out) == (5, "")
    assert "cp318: there is no interpreter" in err


def test_the_list_of_cmake_may_be_separated_otherwise(project: Path, machine: Path) -> None:
    paths = [interpreter(machine, minor) for minor in MINORS]
    assert pythons(project, "--format", "cmake")[1] == ";".join(paths) + "\n"
    assert pythons(project, "--format", "cmake", "--separator", ":")[1] == ":".join(paths) + "\n"
    assert pythons(project, "--format", "env", "--separator", ":")[0] == 2


@pytest.mark.usefixtures("known_until_3_15")
def test_what_is_assumed_is_told_beside_the_machine_readable(machine: Path) -> None:
    path = written(machine / "open", requires=">=3.14")
    code, out, err = pythons(path, "--format", "buildkite")
    assert (code, out) == (0, "matrix:\n  - cp314\n  - cp315\n")
    assert err.startswith("note: requires-python states no newest CPython: up to 3.15")


def test_a_version_alone_restricts_and_a_path_is_preferred(project: Path, machine: Path) -> None:
    given = fake(machine / "mine" / "python3", minor=16, micro=0, include=(machine / "include" / "16",))
    assert pythons(project, "--python", "3.17", "--format", "cmake")[1] == f"{interpreter(machine, 17)}\n"
    _, out, _ = pythons(project, "--python", given.parent, "--format", "cmake")
    assert out == f"{given};{interpreter(machine, 17)}\n"


def test_a_path_that_is_no_interpreter_is_refused(project: Path, machine: Path) -> None:
    code, out, err = pythons(project, "--python", machine / "gone")
    assert (code, out) == (2, "")
    assert f"{machine}/gone: does not exist\n    --python takes an interpreter" in err


def test_a_path_in_the_variable_that_is_no_interpreter_is_warned_of(
    project: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHEELFUSE_PYTHONS", f"{machine}/gone")
    code, _, err = pythons(project)
    assert code == 0
    assert err == f"warning: WHEELFUSE_PYTHONS: {machine}/gone does not exist\n"


def test_the_directory_of_a_project_will_do(project: Path) -> None:
    assert pythons(project.parent)[1] == pythons(project)[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[project]\nname = 'x'\n", "the project states no requires-python"),
        ("[project]\nrequires-python = '>=3.12'\n[tool.wheelfuse.build]\npyhtons = []\n", "pyhtons"),
        (
            "[project]\nrequires-python = '>=3.12'\n[tool.wheelfuse.build]\npythons = '3.12'\n",
            "pythons is a list",
        ),
        ("[project]\nrequires-python = 3.12\n", "requires-python is not a string"),
        ("[project\n", "pyproject.toml"),
    ],
)
def test_a_project_that_says_too_little_is_refused(machine: Path, text: str, message: str) -> None:
    (machine / "pyproject.toml").write_text(text)
    code, out, err = pythons(machine)
    assert (code, out) == (2, "")
    assert message in err


def test_no_project_is_told(machine: Path) -> None:
    code, _, err = pythons(machine / "nowhere")
    assert code == 2
    assert "there is no such file" in err
    assert "Name the directory of a project" in err


def test_a_bad_specifier_is_an_input_that_cannot_be_read(machine: Path) -> None:
    code, _, err = pythons(written(machine / "bad", requires="3.10 or so"))
    assert code == 3
    assert "3.10 or so" in err


def test_it_provisions_and_says_so_when_it_cannot(project: Path, machine: Path) -> None:
    env = {**os.environ, "UV_PYTHON_DOWNLOADS_JSON_URL": str(machine / "downloads.json")}
    (machine / "downloads.json").write_text("{}")
    arguments = ["pythons", "--project", project, "--include", "3.18", "--provision"]
    done = subprocess.run(
        [sys.executable, "-m", "wheelfuse", *arguments], env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (5, "")
    assert "uv could not install CPython 3.18" in done.stderr
