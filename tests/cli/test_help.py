"""Help: complete, with examples that work, and no wider than asked; and what is said to whoever mistypes."""

from __future__ import annotations

import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path

import click
import pytest

from tests.fuse.merging import command
from tests.wheels import wheelfuse
from wheelfuse.cli import COMMANDS, EXAMPLES

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"

RUN = {"merge", "split", "audit", "explain", "pythons", "ci", "doctor", "completion"}
"""The commands whose examples are run here; those of the others would build, install or need CUDA, and are parsed."""


def of(name: str) -> click.Command:
    found: click.Command = import_module(f"wheelfuse.cli.{name}").command
    return found


def lines(name: str) -> list[str]:
    """The lines of the examples, as the help shows them."""
    shown = wheelfuse(name, "--help", COLUMNS="60").stdout.partition("\nExamples:\n")[2]
    return re.findall(r"^    (\S.*)$", shown, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_examples(name: str) -> None:
    found = lines(name)
    assert 1 <= len(found) <= 3
    assert all("wheelfuse" in line for line in found)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - RUN))
def test_examples_of_what_takes_long_are_understood(name: str, tmp_path: Path) -> None:
    for line in lines(name):
        program, given, *arguments = shlex.split(line)
        assert (program, given) == ("wheelfuse", name)
        of(name).make_context(name, arguments)


@pytest.mark.parametrize("name", sorted(RUN - {"completion"}))
def test_examples_work(name: str, tmp_path: Path) -> None:
    """In a project with a pyproject.toml, wheels, and a fused one."""
    shutil.copy(FIXTURES / "wheelfuse-fixture-c" / "pyproject.toml", tmp_path)
    pair = [
        next(iter((FIXTURES / "wheels").glob(f"wheelfuse_fixture_c-*-{t}-{t}-*"))) for t in ("cp311", "cp312")
    ]
    (tmp_path / "wheelhouse").mkdir()
    for path in pair:
        shutil.copy(path, tmp_path / "wheelhouse")
    allowed = {0}
    for number, line in enumerate(lines(name)):
        if name in ("split", "audit"):
            fused = wheelfuse("merge", *pair, "-o", tmp_path / "dist", "--force", "--allow-missing",
                              "cp310,cp313,cp314,cp315")  # fmt: skip
            assert fused.returncode == 0, fused.stderr
        words = [word for part in shlex.split(line)[1:] for word in globbed(tmp_path, part)]
        if name == "merge":
            words += ["--allow-missing", "cp310,cp313,cp314,cp315"] if "--expect" not in words else []
            words += ["--force"]
        if name == "pythons" and "--require-all" in words:
            allowed = {0, 5}  # this machine may lack one
        if name == "split" and number:
            words += ["--force"]
        if name == "audit":
            allowed = {0, 1}  # whether the fixture passes is not what is tried
        done = wheelfuse(*words, cwd=tmp_path)
        assert done.returncode in allowed, done.stderr
        assert "Traceback" not in done.stderr


def globbed(directory: Path, word: str) -> list[str]:
    return [str(path) for path in directory.glob(word)] if "*" in word and "=" not in word else [word]


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_and_nothing_is_cut(name: str, columns: int) -> None:
    shown = wheelfuse(*([name] if name else []), "--help", COLUMNS=str(columns)).stdout
    text, _, examples = shown.partition("\nExamples:\n")
    assert [line for line in text.splitlines() if len(line) > min(columns, 80)] == []
    assert "..." not in text.replace("WHEEL...", "").replace("CODE...", "").replace("SOURCE...", "").replace(
        "[PATH]...", ""
    ).replace("[ARGS]...", "").replace("LOCATION...", "")
    assert examples
    if not name:
        words = "".join(text.split())
        assert all("".join(told.split()) in words for told in COMMANDS.values())
        assert all(line in examples for line in EXAMPLES)


@pytest.mark.parametrize("name", COMMANDS)
def test_sections_of_the_help_name_options_that_exist(name: str) -> None:
    known = {opt for param in of(name).params for opt in (*param.opts, *param.secondary_opts)}
    sections = getattr(of(name), "sections", {})
    # The options of a matrix are a section of three commands, not all of which have all of them.
    named = {option for title, options in sections.items() if title != "Which CPythons" for option in options}
    assert named <= known


MISTYPED = {
    "a command": (("mrge",), "No such command 'mrge'; did you mean merge?"),
    "an option": (("merge", "--resove", "x"), "Did you mean"),
    "a strategy": (("merge", "--resolve", "x=newst", "a.whl"), "did you mean newest?"),
    "a target": (("merge", "--expect", "3.12", "a.whl"), "did you mean cp312?"),
    "a target to split": (("split", "--target", "py312", "a.whl"), "did you mean cp312?"),
    "a target that may be missing": (("merge", "--allow-missing", "cp3.13t", "a.whl"), "did you mean cp313t?"),
    "a CPython": (("pythons", "--include", "python3.12", "--project", ROOT), "did you mean cp312?"),
    "a code to select": (("audit", "--select", "wf203", "a.whl"), "did you mean WF203?"),
    "a code that no rule has": (("audit", "--select", "WF299", "a.whl"), "no rule has the code WF299; did you mean "),
    "a code to ignore": (("audit", "--ignore", "WF299", "a.whl"), "no rule has the code WF299; did you mean "),
    "the name of a rule": (("audit", "--ignore", "missing-modul", "a.whl"), "did you mean WF201 (missing-module)?"),
    "a severity": (("audit", "--severity", "WF203=warn", "a.whl"), "did you mean warning?"),
    "a level": (("audit", "--fail-on", "errors", "a.whl"), "did you mean error?"),
    "a format of an audit": (("audit", "--format", "jsn", "a.whl"), "did you mean json?"),
    "a format of pythons": (("pythons", "--format", "buildkit"), "did you mean buildkite?"),
    "a CI system": (("ci", "githb"), "did you mean github"),
    "a shell": (("completion", "zhs"), "did you mean zsh?"),
    "a rule to explain": (("explain", "WF23"), "did you mean"),
    "a library": (("compile", "x.cpp", "--target", "3.12", "-o", ".", "--cudart", "sttic"), "did you mean static?"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISTYPED)
def test_who_mistypes_is_told_what_may_be_meant(what: str) -> None:
    arguments, message = MISTYPED[what]
    code, _, stderr = command(*arguments)
    assert code == 2
    assert message in stderr


def test_what_resembles_nothing_is_not_guessed() -> None:
    code, _, stderr = command("quux")
    assert (code, "did you mean" in stderr) == (2, False)
