"""Merges of small wheels in this process, and what comes of them on every CPython of this machine."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import wheelfuse
from tests.interpreters import available, run_python
from tests.wheels import build_wheel
from wheelfuse.cli import main
from wheelfuse.fuse.model import Output, Resolution
from wheelfuse.report.text import merge_report
from wheelfuse.target import Target

TARGETS = tuple(map(Target.parse, ("cp310", "cp311", "cp312", "cp313", "cp314", "cp314t", "cp315", "cp315t")))
"""The matrix of most tests."""

Files = Mapping[str, str | bytes]


def build_matrix(directory: Path, files: Mapping[Target, Files], **settings: Any) -> list[Path]:
    """One wheel for each target; by default Requires-Python starts with the oldest."""
    settings.setdefault("requires_python", f">={min(files).python_version}")
    return [build_wheel(directory, str(target), members, **settings) for target, members in files.items()]


def options(
    *resolve: str, expect: Sequence[str] = (), allow_missing: Sequence[str] = (), strict: bool = False
) -> wheelfuse.MergeOptions:
    """The options of a merge, from what stands on the command line."""
    return wheelfuse.MergeOptions(
        tuple(map(wheelfuse.Rule.parse, resolve)),
        tuple(map(Target.parse, expect)),
        tuple(allow_missing),
        strict,
    )


@dataclass(frozen=True)
class Fused:
    """A fused wheel and the plan that it came of."""

    path: Path
    plan: wheelfuse.Plan

    @property
    def names(self) -> set[str]:
        """The paths in it, without the ``.dist-info``."""
        with zipfile.ZipFile(self.path) as archive:
            return {name for name in archive.namelist() if not name.startswith(f"{self.plan.dist_info}/")}

    def read(self, member: str) -> bytes:
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(member)

    def info(self, file: str) -> str:
        """The text of a file of ``.dist-info``."""
        return self.read(f"{self.plan.dist_info}/{file}").decode()

    def output(self, path: str) -> Output:
        return next(output for output in self.plan.outputs if output.path == path)

    def resolved(self, rule: str) -> tuple[Resolution, ...]:
        """The differences that this rule settled."""
        return tuple(resolution for resolution in self.plan.resolutions if resolution.rule == rule)

    @property
    def warnings(self) -> str:
        return "\n".join(map(str, self.plan.warnings))

    def unpack(self) -> Path:
        """The tree that an installer would make of it (but for ``.data``)."""
        tree = self.path.parent / "tree"
        if not tree.exists():
            with zipfile.ZipFile(self.path) as archive:
                archive.extractall(tree)
        return tree

    def run(self, code: str, targets: Iterable[Target] = TARGETS) -> dict[Target, Any]:
        """What the expression at the end of *code*, the last line, is on those *targets* that are on this machine."""
        *statements, expression = code.strip().splitlines()
        tree = str(self.unpack())
        program = "\n".join(
            (
                "import json, sys",
                "sys.dont_write_bytecode = True",  # the trees are shared by all
                f"sys.path.insert(0, {tree!r})",
                *statements,
                f"print(json.dumps({expression}))",
            )
        )
        wanted = set(targets)
        found = {target: path for target, path in available().items() if target in wanted}
        assert found, "no interpreter for any of these targets"
        with ThreadPoolExecutor(2) as pool:
            answers = pool.map(lambda path: run_python(path, program), found.values())
            return {
                target: json.loads(answer.splitlines()[-1])
                for target, answer in zip(found, answers, strict=True)
            }


def fuse(wheels: Iterable[Path], output: Path, given: wheelfuse.MergeOptions | None = None) -> Fused:
    """Merge the wheels into the directory *output*."""
    outcome = wheelfuse.merge(wheels, output, given)
    assert outcome.written
    assert merge_report(outcome), "every rule that settled something has a title"
    return Fused(outcome.written.path, outcome.plan)


def fuse_matrix(
    directory: Path,
    files: Mapping[Target, Files],
    given: wheelfuse.MergeOptions | None = None,
    **settings: Any,
) -> Fused:
    """Merge wheels with these files, one for each target."""
    return fuse(build_matrix(directory / "in", files, **settings), directory / "out", given)


def refused(wheels: Iterable[Path], *arguments: object) -> tuple[int, str]:
    """The exit code and the message of a merge on the command line that must fail, and leave no file behind."""
    wheels = list(wheels)
    output = wheels[0].parent / "refused"
    code, _, message = command("merge", *wheels, "-o", output, *arguments)
    assert code != 0, "it was not refused"
    assert not list(output.glob("*")), "a refusal left a file"
    return code, message


def command(*arguments: object) -> tuple[int, str, str]:
    """Run the command line in this process: exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert isinstance(end.value.code, int)
    return end.value.code, out.getvalue(), err.getvalue()
