"""The reports of a build: the table on a terminal, and the JSON held against its schema."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.building.projects import TARGETS, project, pythons
from tests.fuse.merging import command
from tests.report.test_json import valid
from wheelfuse.building.jobs import JobEvent, JobResult, Phase
from wheelfuse.report.build_live import JobTable
from wheelfuse.report.build_text import event_line
from wheelfuse.target import Target


def result(target: Target, phase: Phase, **more: object) -> JobResult:
    return JobResult(target, phase, 12.34, Path("w/logs/x.log"), **more)  # type: ignore[arg-type]


BUILT = result(Target(12), Phase.BUILT, wheel=Path("w/x-1-cp312.whl"), size=1258291)
FAILED = result(Target(13), Phase.FAILED, reason="the build ended badly: \x1b[31mred\nand more")


def test_lines_of_a_log() -> None:
    assert (
        event_line(JobEvent(Target(12), Phase.STARTED, "CPython 3.12.1")) == "cp312: started (CPython 3.12.1)"
    )
    assert event_line(JobEvent(Target(12), Phase.BUILDING, "cc -c a.c")) == ""
    ended = event_line(JobEvent(Target(12), Phase.BUILT, result=BUILT))
    assert ended == "cp312: done in 12.3 s -> x-1-cp312.whl 1.2 MiB"
    failed = event_line(JobEvent(Target(13), Phase.FAILED, result=FAILED))
    assert failed == "cp313: FAILED after 12.3 s: the build ended badly: \\x1b[31mred"


def test_the_table_on_a_terminal() -> None:
    now = [100.0]
    table = JobTable([Target(12), Target(13), Target(14, True), Target(15)], clock=lambda: now[0])
    table.take(JobEvent(Target(14, True), Phase.STARTED, "CPython 3.14.0"))
    now[0] = 103.0
    table.take(JobEvent(Target(14, True), Phase.BUILDING, "[3/9] cc \x1b[2J -c a.c " + "x" * 200))
    table.take(JobEvent(Target(12), Phase.BUILT, result=BUILT))
    table.take(JobEvent(Target(13), Phase.FAILED, result=FAILED))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table.rendered())
    *lines, all_jobs = [line.rstrip() for line in console.export_text().splitlines()]
    assert all_jobs == "building 2 of 4 jobs (50%), 2 s each, about 3 s left"
    assert [line.split()[0] for line in lines] == ["target", "cp312", "cp313", "cp314t", "cp315"]
    assert all(len(line) <= 80 for line in lines)
    assert "x-1-cp312.whl 1.2 MiB" in lines[1]
    assert ("failed" in lines[2], "and more" in lines[2]) == (True, False)
    assert ("building" in lines[3], "3 s" in lines[3], "[3/9] cc" in lines[3]) == (True, True, True)
    assert lines[4].split() == ["cp315", "waiting"]
    assert not [line for line in lines if "\x1b" in line]


@pytest.mark.parametrize(
    ("body", "options", "code"),
    [
        ("", ("--merge", "-o", "{tmp}/d"), 0),
        ("assert TARGET == 'cp310'", (), 5),
        ("", ("--dry-run",), 0),
        ("", ("-C", "x"), 2),
        ("files['tiny/same.dat'] = TARGET", ("--merge", "-o", "{tmp}/d"), 4),
    ],
    ids=["merged", "failed", "dry run", "refused", "conflict"],
)
def test_json_is_as_its_schema_says(body: str, options: tuple[str, ...], code: int, tmp_path: Path) -> None:
    sources = project(tmp_path / "p", body)
    arguments = [option.format(tmp=tmp_path) for option in options]
    ended, out, _ = command(
        "build", sources, "-d", tmp_path / "w", "--json", *arguments, *pythons(*TARGETS[:2])
    )
    document = valid("build", out)
    assert ended == code
    assert document["ok"] is (code == 0)
    if document.get("merge"):
        valid("merge", json.dumps(document["merge"]))
    if document.get("audit"):
        valid("audit", json.dumps(document["audit"]))
    assert bool(document.get("merge")) == ("--merge" in options)
