"""The documentation: each command on it is run, what it shows is what is printed, and its data can be read."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from pathlib import Path

import pytest

from tests.docs import given, running
from tests.docs.pages import DOCS, RUN, Block, blocks, head, names, pattern, steps
from tests.interpreters import available
from tests.pipelines.machine import ROOT
from tests.pipelines.systems import load, refused, with_publishing
from tests.wheels import wheelfuse
from wheelfuse.pipelines import github
from wheelfuse.target import Target

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = names()
BLOCKS = [block for page in PAGES for block in blocks(page)]
LANGUAGES = RUN | {"c", "cmake", "cpp", "dockerfile", "json", "text", "toml", "yaml"}
COMMAND = re.compile(
    r"^( {4}|\t)(\$ )?(wheelfuse|python|pip|uv|cmake|docker|make|auditwheel|twine) ", re.MULTILINE
)


def _place(block: Block) -> str:
    return f"{block.page}:{block.line}"


def _with_commands() -> list[object]:
    return [
        pytest.param(page, marks=pytest.mark.real if "index" in head(page).get("needs", ()) else ())
        for page in PAGES
        if any(block.is_run for block in blocks(page))
    ]


@pytest.mark.parametrize("page", _with_commands())
def test_the_commands_do_what_the_page_says(page: str, tmp_path: Path) -> None:
    needed = {Target.parse(name) for name in head(page).get("needs", ()) if name.startswith("cp")}
    if missing := needed - available().keys():
        pytest.skip(f"docs/{page} needs {', '.join(map(str, sorted(missing)))}")
    directory = tmp_path / "page"
    directory.mkdir()
    for name in head(page).get("given", ()):
        given.GIVEN[name](directory)
    told = [step for block in blocks(page) if block.is_run for step in steps(block)]
    problems = running.run(told, directory)
    assert problems == [], f"docs/{page}, " + "\n".join(problems)


@pytest.mark.parametrize("page", PAGES)
def test_each_command_is_in_a_block_that_is_run_or_says_why_not(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    outside = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert COMMAND.findall(outside) == []
    for block in blocks(page):
        assert block.language in LANGUAGES, f"line {block.line}"
        assert len(block.marks.get("not run", "some reason")) > 10, "a reason, please"
        assert set(block.marks) <= {"not run", "exit", "varies", "written by", "schema"}, f"line {block.line}"


@pytest.mark.parametrize(
    "block",
    [b for b in BLOCKS if b.language in ("toml", "yaml", "python")],
    ids=lambda b: f"{b.page}:{b.line}",
)
def test_data_and_code_can_be_read(block: Block) -> None:
    {"toml": tomllib.loads, "yaml": load, "python": ast.parse}[block.language](block.text)


@pytest.mark.parametrize("block", [b for b in BLOCKS if "written by" in b.marks], ids=_place)
def test_parts_of_pipelines_are_what_is_written(block: Block, tmp_path: Path) -> None:
    given.matrix(tmp_path)
    done = wheelfuse(*block.marks["written by"].split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written, lines = with_publishing(done.stdout).splitlines(), block.text.splitlines()
    windows = ("\n".join(written[at : at + len(lines)]) for at in range(len(written)))
    assert block.text.rstrip("\n") in map(textwrap.dedent, windows)


@pytest.mark.parametrize("block", [b for b in BLOCKS if "schema" in b.marks], ids=_place)
def test_whole_documents_are_admitted_by_their_schema(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "file.yml"
    file.write_text(block.text)
    assert refused(block.marks["schema"], file) == ""


def test_actions_have_the_versions_that_pipelines_have() -> None:
    action = re.compile(r"uses: ([\w-]+/[\w/-]+)@([\w.]+)")
    ours = [github.__file__, ROOT / "action.yml"]
    known = dict(pair for file in ours for pair in action.findall(Path(file).read_text(encoding="utf-8")))
    told = {(block.page, *pair) for block in BLOCKS for pair in action.findall(block.text)}
    assert told
    assert [
        (page, name, version) for page, name, version in told if known.get(name, version) != version
    ] == []


def test_a_page_that_tells_something_else_is_found(tmp_path: Path) -> None:
    def problems(text: str, exit_: str = "0") -> list[str]:
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        directory.mkdir()
        return running.run(steps(Block("x.md", 1, "console", text, {"exit": exit_})), directory)

    assert problems("$ echo a b\na b\n$ cd / && pwd\n/\n$ pwd\n/\n") == []
    assert "not what the page shows" in problems("$ echo a\nb\n")[0]
    assert "ended with 1, not 0" in problems("$ false\n$ echo a\n")[0]
    assert "ended with 0, not 3" in problems("$ true\n", "3")[0]
    assert problems("$ (exit 3)\n", "3") == []
    assert problems("$ cat <<'END'\n> a\n>  b\n> END\na\n b\n$ echo \\\n>   c\nc\n") == []
    assert "the shell ended" in problems("$ exit 0\n$ echo a\n")[0]


def test_what_is_left_out_may_be_anything() -> None:
    assert pattern("a\n...\nb ... c").fullmatch("a\nx\ny\nb z c\n")
    assert pattern("a\n...\nb").fullmatch("a\nb\n")
    assert not pattern("a\nb").fullmatch("a\nx\nb\n")
    assert pattern("3.11....").fullmatch("3.11.7  here\n")
    assert pattern("(66 rules on 2 inputs)").fullmatch("(70 rules on 2 inputs)\n")
    assert not pattern("(66 rules on 2 inputs)").fullmatch("(66 rules on 3 inputs)\n")
    assert not pattern("a ... b").fullmatch("a \nx b\n")


def test_numbers_that_vary_are_not_compared() -> None:
    shown = pattern("a  12.5 KiB  cp311-cp311-manylinux_2_34_x86_64", numbers_vary=True)
    assert shown.fullmatch("a 7 KiB     cp311-cp311-manylinux_2_5_x86_64\n")
    assert not shown.fullmatch("a 7 KiB  cp312-cp311-manylinux_2_5_x86_64\n")
    assert not shown.fullmatch("a x KiB  cp311-cp311-manylinux_2_5_x86_64\n")
