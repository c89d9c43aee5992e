"""``wheelfuse verify`` as a user calls it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.report.test_json import valid
from tests.verifying.wheels import RUNNING, extension, wheel
from tests.wheels import wheelfuse
from wheelfuse.cli.verify import command

HERE = ("--python", str(RUNNING), "--offline")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel(tmp_path_factory.mktemp("good"), {"pkg/__init__.py": "", **extension("pkg/_good")})


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel(tmp_path_factory.mktemp("bad"), extension("_good") | extension("_fail"), name="bad")


def test_a_good_wheel(good: Path) -> None:
    done = wheelfuse("verify", good, *HERE, "--command", "python -m timeit -n 1 'import pkg._good'")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^pkg\._good +ok$", done.stdout, re.MULTILINE)
    assert re.search(r"^command +ok$", done.stdout, re.MULTILINE)
    assert done.stdout.endswith("passed: 1 environment, 1 module imported\n")


def test_a_bad_wheel_beside_a_good_one(good: Path, bad: Path) -> None:
    done = wheelfuse("verify", good, bad, *HERE, "--json")
    document = valid("verify", done.stdout)
    assert (done.returncode, document["exit_code"], document["ok"]) == (5, 5, False)
    assert [item["failed"] for item in document["wheels"]] == [False, True]
    [trial] = document["wheels"][1]["trials"]
    assert {item["module"]: item["outcome"] for item in trial["modules"]} == {
        "_fail": "failed",
        "_good": "ok",
    }


def test_one_line_for_each_wheel(good: Path, bad: Path) -> None:
    done = wheelfuse("verify", "-", "-q", *HERE, stdin=f"{good}\n{bad}\n")
    version = f"{RUNNING.python_version}{'t' * RUNNING.free_threaded}"
    assert done.stdout == f"passed  {good.name}\nFAILED  {bad.name}: fails on {version}\n"
    assert done.returncode == 5


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nothing-1.0-py3-none-any.whl",), 3, "cannot be opened"),
        (("--all", "--python", "3.12", "x.whl"), 2, "exclude each other"),
        (("--python", "no/such", "GOOD"), 2, "no/such: does not exist"),
        (("--with", "-e .", "GOOD"), 2, "--with -e .: neither a requirement nor a file"),
        (("--allow-missing", "3.12", "GOOD"), 2, "3.12"),
    ],
)
def test_a_refusal(good: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = wheelfuse("verify", "--json", *(good if one == "GOOD" else one for one in arguments))
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert valid("verify", done.stdout)["errors"]


def test_a_timeout_is_positive(good: Path) -> None:
    done = wheelfuse("verify", good, "--timeout", "0")
    assert done.returncode == 2


def test_a_warning_goes_to_stderr(good: Path, tmp_path: Path) -> None:
    done = wheelfuse("verify", good, *HERE, "-q", LD_LIBRARY_PATH=str(tmp_path))
    assert done.stderr == ""
    done = wheelfuse("verify", good, *HERE, "--json", LD_LIBRARY_PATH=str(tmp_path))
    assert done.stderr.startswith("warning: LD_LIBRARY_PATH is set")
    assert len(valid("verify", done.stdout)["warnings"]) == 1


def test_every_option_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "verify.md").read_text(encoding="utf-8")
    options = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    assert {name for name in options if f"`{name}" not in text} == set()
