"""Runs the commands of a page, in order, in one shell, as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.docs.pages import Step, pattern

ROOT = Path(__file__).parents[2]
SEPARATOR = "\x1e"
TIME_LIMIT = 600
"""Seconds for a page."""


def run(steps: Sequence[Step], directory: Path) -> list[str]:
    """What went otherwise than the page says, for each step at most one text. A wrong exit status is the end."""
    script = "trap 'failed=$?' ERR\n" + "".join(map(_wrapped, steps))
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-s"], input=script, cwd=directory, env=_environment(directory),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIME_LIMIT,
    )  # fmt: skip
    answers = re.findall(rf"(.*?){SEPARATOR}(\d+){SEPARATOR}\n", done.stdout, re.DOTALL)
    problems = [
        _held(step, printed, int(status)) for step, (printed, status) in zip(steps, answers, strict=False)
    ]
    if len(answers) < len(steps) and not any(problems):
        problems.append(f"line {steps[len(answers)].line}: the shell ended: {done.stdout[-2000:]}")
    return list(filter(None, problems))


def _wrapped(step: Step) -> str:
    """The step, then its exit status; the shell ends where it is another one than told. It reads no script."""
    stop = f"[ $failed = {step.status} ] || exit 1"
    return (
        f"failed=0\n{{\n{step.command}}} </dev/null\nprintf '{SEPARATOR}%d{SEPARATOR}\\n' $failed\n{stop}\n"
    )


def _environment(directory: Path) -> dict[str, str]:
    programs = directory.parent / f"{directory.name}-programs"
    programs.mkdir()
    launcher = programs / "wheelfuse"  # the one under test, wherever it is installed
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wheelfuse "$@"\n')
    launcher.chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    given = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    return {**given, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "LC_ALL": "C.UTF-8"}


def _held(step: Step, printed: str, status: int) -> str:
    where = f"line {step.line}: $ {step.command.strip()}"
    if status != step.status:
        return f"{where}\nended with {status}, not {step.status}, and printed:\n{printed}"
    text = "\n".join(line.rstrip() for line in printed.strip("\n").split("\n")) + "\n"
    if step.shown is not None and not pattern(step.shown, numbers_vary=step.numbers_vary).fullmatch(text):
        return f"{where}\nprinted:\n{printed}\nwhich is not what the page shows:\n{step.shown}"
    return ""
