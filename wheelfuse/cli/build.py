"""``wheelfuse build``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wheelfuse.building.api import BuildOutcome, plan_build, run_plan
from wheelfuse.building.jobs import JobEvent
from wheelfuse.building.options import BuildOptions, parse_config_settings
from wheelfuse.building.plan import Plan
from wheelfuse.cli import completing, refusals
from wheelfuse.cli.command import Command, Example
from wheelfuse.cli.configuration import configured
from wheelfuse.cli.options import MATRIX, json_option, matrix_options, python_option, torch_python_option
from wheelfuse.cli.terminal import (
    color,
    complain,
    echo,
    echo_for_programs,
    live_output,
    moves,
    note,
    plain,
    progress,
    warn,
    width,
)
from wheelfuse.errors import JobFailed, UsageError, WheelfuseError
from wheelfuse.interpreters.api import absent
from wheelfuse.interpreters.matrix import MatrixOptions, parse_pythons
from wheelfuse.interpreters.search import parse_python, parted
from wheelfuse.report.progress import AUDITING, BUILDING, MERGING
from wheelfuse.wheel.limits import Limits

if TYPE_CHECKING:
    from wheelfuse.auditing.options import AuditOptions
    from wheelfuse.auditing.report import Report
    from wheelfuse.fuse.api import MergeOutcome


@dataclass(frozen=True)
class Fused:
    """What ``--merge`` did; *refusal* is why it came to no end."""

    merge: MergeOutcome | None = None
    report: Report | None = None
    options: AuditOptions | None = None
    refusal: WheelfuseError | None = None


EXAMPLES = (
    Example("A wheel for each CPython of the project:", "wheelfuse build . -d wheelhouse"),
    Example("See the commands first:", "wheelfuse build . --python 3.12 --dry-run"),
    Example(
        "Up to the fused wheel, going on where it ended:",
        "wheelfuse build . --resume --merge -o dist --force",
    ),
)
SECTIONS = {
    **MATRIX,
    "How it is built": (
        "--jobs", "--timeout", "--resume", "--config-setting", "--skip-requirement", "--no-isolation", "--all-files",
        "--torch-python", "--no-cache",
    ),
    "What comes out": (
        "--directory", "--merge", "--output", "--force", "--dry-run", "--json", "--quiet", "--plain",
    ),
}  # fmt: skip


@click.command("build", cls=Command, examples=EXAMPLES, sections=SECTIONS)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@click.option(
    "-d", "--directory", default="wheelhouse", type=click.Path(path_type=Path), metavar="DIR",
    help="Where the wheels go, and their logs below it (default: wheelhouse).",
)  # fmt: skip
@python_option
@matrix_options
@click.option("--provision", is_flag=True, help="Let uv install the interpreters that are missing.")
@click.option(
    "--jobs", type=click.IntRange(min=0), default=0, metavar="N",
    help="Build N wheels at a time (0: as many as there are cores).",
)  # fmt: skip
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS",
    help="Give each job up after that time (default: never).",
)  # fmt: skip
@click.option(
    "--resume", is_flag=True, help="Leave alone what was built from the same sources in the same way."
)
@click.option(
    "-C", "--config-setting", "settings", multiple=True, metavar="KEY=VALUE", help="For the build backend."
)
@click.option(
    "--skip-requirement", "skipped", multiple=True, metavar="NAME",
    help="Do not install this, although the project asks for it to be built: torch.",
)  # fmt: skip
@click.option(
    "--no-isolation", is_flag=True, help="Build in the interpreters as they are, not in fresh environments."
)
@click.option("--all-files", is_flag=True, help="Build also from the files that git is told to ignore.")
@torch_python_option
@click.option("--no-cache", is_flag=True, help="Do not compile through ccache or sccache.")
@click.option("--merge", "fuse", is_flag=True, help="Fuse the wheels afterwards, and audit the result.")
@click.option(
    "-o", "--output", metavar="FILE_OR_DIR", shell_complete=completing.files,
    help="Where --merge puts the fused wheel (default: dist).",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Let --merge replace an existing wheel.")
@click.option(
    "--dry-run", is_flag=True, help="Print the commands of the jobs, ready for a shell, and run none."
)
@json_option
@click.option(
    "-q", "--quiet", is_flag=True,
    help="Print nothing but the paths of the wheels (with --merge, of the fused one), and errors.",
)  # fmt: skip
def command(
    project: Path,
    directory: Path,
    named: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    free_threaded: bool | None,
    provision: bool,
    jobs: int,
    timeout: float,
    resume: bool,
    settings: tuple[str, ...],
    skipped: tuple[str, ...],
    no_isolation: bool,
    all_files: bool,
    torch_python: Path | None,
    no_cache: bool,
    fuse: bool,
    output: str | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Build a project's wheels, one for each CPython that it is for.

    PROJECT is a directory with a pyproject.toml. Each job makes a fresh environment and runs the project's build
    backend (PEP 517) under the CPython in question, in a copy of the sources; DIR/logs has what it printed. If one
    fails the exit code is 5; the wheels of the others stay, and --resume goes on from there.
    """
    with refusals("build", as_json=as_json):
        if (output or force) and not fuse:
            raise UsageError("-o and --force are for --merge")
        extra, only = parted(map(parse_python, named))
        options = BuildOptions(
            MatrixOptions(only, parse_pythons(include), parse_pythons(exclude), free_threaded),
            parse_config_settings(settings), skipped, (), all_files, not no_isolation, not no_cache,
            jobs, timeout, resume,
        )  # fmt: skip
        plan = plan_build(
            project, directory, options,
            interpreters=extra, provision=provision, torch_python=torch_python, on_output=live_output(),
        )  # fmt: skip
        if not quiet:
            note(plan.notes)
        if dry_run:
            return _show_plan(plan, as_json)
        with _telling(plan, quiet) as tell:
            outcome = run_plan(plan, tell)
    error = outcome.error
    fused = _fused(outcome, project, output or "dist", force, quiet) if fuse and not error else Fused()
    _show(outcome, fused, as_json=as_json, quiet=quiet)
    if refusal := error or fused.refusal:
        complain(refusal.problems)
        return refusal.exit_code
    return fused.report.exit_code if fused.report else 0


@contextmanager
def _telling(plan: Plan, quiet: bool) -> Iterator[Callable[[JobEvent], None] | None]:
    """A table on a terminal; in a log, a line when a job starts and one when it ends."""
    if quiet:
        yield None
    elif moves(sys.stderr):
        from wheelfuse.report.build_live import live_jobs

        with live_jobs((job.target for job in plan.jobs), color=color(sys.stderr)) as take:
            yield take
    else:
        from wheelfuse.report.build_text import event_line

        with progress(quiet, BUILDING, "jobs") as advance:
            ended = 0

            def tell(event: JobEvent) -> None:
                nonlocal ended
                if line := event_line(event, plain=plain()):
                    echo(line, err=True)
                ended += bool(event.result)
                if advance:
                    advance(ended, len(plan.jobs))

            yield tell


def _fused(outcome: BuildOutcome, project: Path, output: str, force: bool, quiet: bool) -> Fused:
    """Merge and audit, as the project's tables say."""
    from wheelfuse.auditing.api import audit  # all this is slow to load
    from wheelfuse.auditing.options import AuditOptions
    from wheelfuse.fuse.api import merge
    from wheelfuse.fuse.options import MergeOptions

    pyproject = project / "pyproject.toml"
    merged = None
    try:
        table = configured("merge", pyproject)
        merge_options = MergeOptions.from_table(table)
        limits = Limits.from_table(table, "[tool.wheelfuse.merge]")
        wheels = outcome.wheels
        if not merge_options.expect and len(wheels) == len(outcome.jobs):  # the matrix is what is wanted
            merge_options = replace(merge_options, expect=tuple(job.target for job in outcome.jobs))
        with refusals("merge", as_json=False), progress(quiet, MERGING) as advance:
            merged = merge(wheels, output, merge_options, force=force, limits=limits, progress=advance)
        assert merged.written
        options = AuditOptions.from_table(configured("audit", pyproject))
        with progress(quiet, AUDITING) as advance:
            report = audit([merged.written.path], options, limits=limits, progress=advance)
        return Fused(merged, report, options)
    except WheelfuseError as refusal:
        return Fused(merged, refusal=refusal)


def _show_plan(plan: Plan, as_json: bool) -> int:
    from wheelfuse.report.build_json import plan_to_json
    from wheelfuse.report.build_text import plan_text

    problems = [absent(row) for row in plan.pythons.rows if not row.interpreter]
    echo(plan_to_json(plan, problems) if as_json else plan_text(plan))
    if not problems:
        return 0
    complain(problems)
    return JobFailed.exit_code


def _show(outcome: BuildOutcome, fused: Fused, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        _show_json(outcome, fused)
    elif quiet:
        merged = fused.merge.written if fused.merge else None
        for path in [merged.path] if merged else [job.wheel for job in outcome.jobs if job.wheel]:
            echo_for_programs(str(path))
    else:
        _show_text(outcome, fused)


def _show_text(outcome: BuildOutcome, fused: Fused) -> None:
    from wheelfuse.auditing.runner import applied_rules
    from wheelfuse.report import text
    from wheelfuse.report.audit_formats import audit_as
    from wheelfuse.report.build_text import build_plain, build_report

    colored = color(sys.stdout)
    echo(build_plain(outcome) if plain() else build_report(outcome, color=colored))
    if fused.merge:
        warn(fused.merge.warnings)
        report = text.merge_report(fused.merge, width=width(), color=colored)
        echo(text.merge_plain(fused.merge) if plain() else f"\n{report}")
    if fused.report and fused.options:
        rules = applied_rules(fused.options)
        found = audit_as("text", fused.report, rules, width=width(), color=colored, plain=plain())
        echo(found if plain() else f"\n{found}")


def _show_json(outcome: BuildOutcome, fused: Fused) -> None:
    from wheelfuse.auditing.runner import applied_rules
    from wheelfuse.report.audit_json import audit_document
    from wheelfuse.report.build_json import build_to_json
    from wheelfuse.report.document import refusal_document
    from wheelfuse.report.json import outcome_document

    error = outcome.error or fused.refusal
    merged = outcome_document(fused.merge) if fused.merge else None
    if fused.refusal and not merged:
        merged = refusal_document("merge", fused.refusal)
    rules = applied_rules(fused.options) if fused.options else ()
    audited = audit_document(fused.report, rules) if fused.report else None
    problems = error.problems if error else ()
    echo(build_to_json(outcome, problems, merge=merged, audit=audited))
