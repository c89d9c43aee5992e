"""Completion, as bash, zsh and fish themselves do it."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wheels import wheelfuse
from wheelfuse.auditing.rules import entries, listed
from wheelfuse.cli import COMMANDS
from wheelfuse.cli.shells import SHELLS

ROOT = Path(__file__).parents[2]
_PATIENCE = 60.0
"""How long a shell may take until it answers, in seconds: a machine may be busy."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with wheels and others, and ``bin/wheelfuse`` in it."""
    place = tmp_path_factory.mktemp("place")
    for name in (
        "one-1.0-py3-none-any.whl",
        "notes.txt",
        "dist/two three.whl",
        "dist/inner/x.txt",
        ".hidden/y",
    ):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    program = place / "bin" / "wheelfuse"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m wheelfuse "$@"\n')
    program.chmod(0o755)
    for shell in SHELLS:
        (place / f"w.{shell}").write_text(wheelfuse("completion", shell).stdout)
    return place


def environment(place: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST"))}
    return kept | {
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "TERM": "dumb", "HOME": str(place), "LC_ALL": "C.UTF-8",
        "XDG_CONFIG_HOME": str(place / ".config"), "XDG_DATA_HOME": str(place / ".data"),
    }  # fmt: skip


def completed(place: Path, shell: list[str], set_up: str, line: str) -> str:
    """What stands on the line after *line* was typed and Tab was pressed, in a terminal of the *shell*."""
    main, side = pty.openpty()
    with subprocess.Popen(
        shell, stdin=side, stdout=side, stderr=side, cwd=place, env=environment(place), start_new_session=True
    ) as process:  # fmt: skip
        os.close(side)
        try:
            os.write(main, f"{set_up}; stty -echo; echo rea''dy\n".encode())
            _until(main, r"ready\r?\n")
            os.write(main, f"{line}\t".encode())
            time.sleep(0.1)
            # Ctrl-A and a comment sign: what stands there is printed, and not run.
            os.write(main, b"\x01show \x05\n")
            answer = _until(main, r"<<(.*)>>")
        finally:
            process.kill()
            os.close(main)
    return answer


def _until(terminal: int, pattern: str) -> str:
    """What the first group of the pattern matches in what the terminal shows, or else all of it."""
    shown, end = "", time.monotonic() + _PATIENCE
    while not (found := re.search(pattern, shown)):
        ready, _, _ = select.select([terminal], [], [], max(end - time.monotonic(), 0))
        assert ready, f"the shell shows only {shown!r}"
        shown += os.read(terminal, 65536).decode(errors="replace")
    return found[found.lastindex or 0]


SHOW = "show() { printf '<<%s>>\\n' \"$*\"; }"


def in_bash(place: Path, line: str) -> str:
    return completed(place, ["bash", "--norc", "--noprofile", "-i"], f"{SHOW}; . ./w.bash", line)


def in_zsh(place: Path, line: str) -> str:
    set_up = f"{SHOW}; autoload -Uz compinit && compinit -u -D; . ./w.zsh"
    return completed(place, ["zsh", "-f", "-i"], set_up, line)


def in_fish(place: Path, line: str) -> set[str]:
    """All that fish offers."""
    script = f"source w.fish; complete -C {repr(line) if chr(39) not in line else chr(34) + line + chr(34)}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        cwd=place,
        env=environment(place),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {offer.partition("\t")[0] for offer in done.stdout.splitlines()}


ONE = {
    "a command": ("wheelfuse mer", "wheelfuse merge"),
    "an option": ("wheelfuse merge --exp", "wheelfuse merge --expect"),
    "a target": ("wheelfuse merge --expect cp310,cp312,cp315", "wheelfuse merge --expect cp310,cp312,cp315"),
    "the last target of a list": (
        "wheelfuse split --target cp310,cp38",
        "wheelfuse split --target cp310,cp38",
    ),
    "a strategy": ("wheelfuse merge --resolve x=ne", "wheelfuse merge --resolve x=newest"),
    "a strategy in quotes": ("wheelfuse merge --resolve 'a/*=ne", "wheelfuse merge --resolve a/*=newest"),
    "a value after an equals sign": ("wheelfuse pythons --format=bu", "wheelfuse pythons --format=buildkite"),
    "a format": ("wheelfuse audit --format mark", "wheelfuse audit --format markdown"),
    "a rule": ("wheelfuse explain WF20", "wheelfuse explain WF20"),
    "a rule by its name": ("wheelfuse explain glibc-t", "wheelfuse explain glibc-too-new"),
    "a severity": ("wheelfuse audit --severity WF203=wa", "wheelfuse audit --severity WF203=warning"),
    "a wheel": ("wheelfuse merge o", "wheelfuse merge one-1.0-py3-none-any.whl"),
    "a wheel with a blank in its name": ("wheelfuse merge dist/t", "wheelfuse merge dist/two three.whl"),
    "a directory": ("wheelfuse audit di", "wheelfuse audit dist/"),
    "a shell": ("wheelfuse completion f", "wheelfuse completion fish"),
    "nothing where there is nothing": ("wheelfuse merge notes", "wheelfuse merge notes"),
}


@pytest.mark.parametrize("what", ONE)
@pytest.mark.parametrize("shell", [in_bash, in_zsh])
def test_tab_completes(place: Path, shell: Callable[[Path, str], str], what: str) -> None:
    line, expected = ONE[what]
    assert (
        shell(place, line).strip() == expected.removeprefix("wheelfuse").strip()
        or shell(place, line).strip() == expected
    )


OFFERED = {
    "wheelfuse ": set(COMMANDS),
    "wheelfuse merge --expect cp310,cp31": {
        "cp310,cp311", "cp310,cp312", "cp310,cp313", "cp310,cp313t", "cp310,cp314", "cp310,cp314t", "cp310,cp315",
        "cp310,cp315t", "cp310,cp316", "cp310,cp316t", "cp310,cp317", "cp310,cp317t",
    },
    "wheelfuse merge --resolve 'x=": {
        "x=keep", "x=drop", "x=newest", "x=oldest", "x=dispatch", "x=rename",
    },
    "wheelfuse explain WF20": {"WF201", "WF202", "WF203", "WF204", "WF205"},
    "wheelfuse audit --select WF201,WF20": {"WF201,WF202", "WF201,WF203", "WF201,WF204", "WF201,WF205"},
    "wheelfuse audit --format ": {"text", "json", "sarif", "markdown", "github", "junit", "html"},
    "wheelfuse audit --fail-on ": {"error", "warning", "never"},
    "wheelfuse merge ": {"one-1.0-py3-none-any.whl", "dist/", "bin/"},
    "wheelfuse merge .": {".hidden/"},
    "wheelfuse audit --format json=no": {"json=notes.txt"},
    "wheelfuse build --torch-p": {"--torch-python"},
    "wheelfuse verify --python 3.8": {"3.8"},
}  # fmt: skip


@pytest.mark.parametrize("line", OFFERED)
def test_fish_offers(place: Path, line: str) -> None:
    offered = in_fish(place, line)
    assert OFFERED[line] <= offered
    made = {".config/", ".data/", ".zcompdump", "bin/"}  # by the shells themselves, some of them
    assert {offer for offer in offered - OFFERED[line] if offer not in made} == set()


def test_the_list_of_rules_that_loads_none_is_that_of_the_rules() -> None:
    rules = [entry.rule for entry in entries()]
    assert [(rule.code, rule.name, rule.title) for rule in rules] == [
        (rule.code, rule.name, rule.title) for rule in listed()
    ]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shells_are_here(shell: str) -> None:
    assert shutil.which(shell), "the tests above would have nothing to say"
