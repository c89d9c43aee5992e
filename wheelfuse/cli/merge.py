"""``wheelfuse merge``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from wheelfuse.cli import completing, refusals
from wheelfuse.cli.command import Command, Example
from wheelfuse.cli.configuration import configured
from wheelfuse.cli.options import LIMITS, OneOf, limit_options
from wheelfuse.cli.terminal import (
    color,
    complain,
    echo,
    echo_for_programs,
    names,
    plain,
    progress,
    warn,
    width,
)
from wheelfuse.errors import UsageError
from wheelfuse.fuse.api import MergeOutcome, ReportFile, merge
from wheelfuse.fuse.options import NAMES, MergeOptions, Rule, Share, parse_missing, parse_targets
from wheelfuse.report.progress import MERGING
from wheelfuse.wheel.limits import Limits

EQUAL = "equal"
"""What --share-device-code means without a value."""


class _Merge(Command):
    """--share-device-code has a value only after an equals sign: an argument after it is a wheel."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        option = "--share-device-code"
        return super().parse_args(ctx, [f"{option}={EQUAL}" if arg == option else arg for arg in args])


EXAMPLES = (
    Example("Fuse the wheels of a directory:", "wheelfuse merge wheelhouse -o dist"),
    Example("Make sure that none is missing:", "wheelfuse merge wheelhouse -o dist --expect cp311,cp312"),
    Example(
        "See what would be done with a difference:",
        "wheelfuse merge wheelhouse --resolve 'pkg/*.txt=newest' --dry-run",
    ),
)
SECTIONS = {
    "What is decided": ("--resolve", "--expect", "--allow-missing", "--strict", "--config"),
    "What takes less room": (
        "--share-device-code",
        "--no-share-device-code",
        "--strip-debug",
        "--debug-files",
    ),
    "What comes out": ("--output", "--report", "--force", "--dry-run", "--json", "--quiet", "--plain"),
    **LIMITS,
}


@click.command("merge", cls=_Merge, no_args_is_help=True, examples=EXAMPLES, sections=SECTIONS)
@click.argument("wheels", nargs=-1, required=True, metavar="WHEEL...", shell_complete=completing.wheels)
@click.option(
    "-o", "--output", default=".", metavar="FILE_OR_DIR", shell_complete=completing.files,
    help="Where the fused wheel goes (default: here).",
)  # fmt: skip
@click.option(
    "--resolve",
    multiple=True,
    metavar="GLOB=STRATEGY",
    shell_complete=completing.rules_to_resolve,
    help="Settle differences at the paths that GLOB matches: keep, drop, newest, oldest, dispatch, rename, "
    "or a target such as cp312. The refusal prints the line that is needed.",
)
@click.option(
    "--expect",
    multiple=True,
    metavar="TARGETS",
    shell_complete=completing.targets,
    help="Exactly these CPythons must have come: cp310,cp311,cp314t.",
)
@click.option(
    "--allow-missing",
    multiple=True,
    metavar="TARGET[:MODULE]",
    shell_complete=completing.targets,
    help="Accept that a CPython, or a module of it, is missing.",
)
@click.option(
    "--strict", is_flag=True, help="Builds of a library that only look interchangeable are a conflict."
)
@click.option(
    "--share-device-code",
    "share",
    type=OneOf([EQUAL, NAMES]),
    metavar="[=names]",
    help="Store equal GPU code once, in a library that all modules link (default: if it saves 1 MiB or more). "
    "--share-device-code=names: also such that differs only in the names that nvcc makes up for each build.",
)
@click.option("--no-share-device-code", "no_share", is_flag=True, help="Each module keeps its GPU code.")
@click.option(
    "--strip-debug/--no-strip-debug",
    default=None,
    help="Cut what only debuggers read out of modules and libraries. It changes them: split cannot restore it.",
)
@click.option(
    "--debug-files",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep what --strip-debug cuts out in DIR, where debuggers find it by build ID.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A page (HTML) on what became of each file, also if the merge is refused.",
)
@click.option("--force", is_flag=True, help="Replace an existing output. Inputs are never replaced.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON on stdout.")
@click.option(
    "-q", "--quiet", is_flag=True, help="Print nothing but the path of the fused wheel, and errors."
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The pyproject.toml whose [tool.wheelfuse.merge] counts (default: the one in this directory).",
)
@limit_options
def command(
    wheels: tuple[str, ...],
    output: str,
    resolve: tuple[str, ...],
    expect: tuple[str, ...],
    allow_missing: tuple[str, ...],
    strict: bool,
    share: str | None,
    no_share: bool,
    strip_debug: bool | None,
    debug_files: Path | None,
    report: Path | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    config: Path | None,
    limits: Mapping[str, int],
) -> None:
    """Fuse the wheels of one release, one per CPython, into one wheel.

    WHEEL is a file, a directory of wheels, or - to read names from standard input, one in a line. All wheels
    are verified first; every conflict is reported in one run; an error leaves no output behind.
    """
    with refusals("merge", as_json=as_json):
        given = MergeOptions(
            tuple(Rule.parse(text) for text in resolve),
            parse_targets(expect),
            parse_missing(allow_missing),
            strict,
            _share(share, no_share),
            strip_debug,
        )
        table = configured("merge", config)
        options = given.over(MergeOptions.from_table(table))
        bounds = Limits.from_table({**table, **limits}, "[tool.wheelfuse.merge]")
        with progress(quiet, MERGING) as advance:
            outcome = merge(
                names(wheels), output, options,
                force=force, dry_run=dry_run, debug_files=debug_files, report=_page(report, config), limits=bounds,
                progress=advance,
            )  # fmt: skip
    _show(outcome, as_json, quiet)
    if refusal := outcome.plan.error():
        complain(refusal.problems)
        sys.exit(refusal.exit_code)


def _page(path: Path | None, config: Path | None) -> ReportFile | None:
    """The page of the merge, whose audit goes by ``[tool.wheelfuse.audit]``."""
    if path is None:
        return None
    if config and path.resolve() == config.resolve():
        raise UsageError(f"{path} is an input, and cannot be the output")
    from wheelfuse.auditing.options import AuditOptions
    from wheelfuse.report.page.fused import report_to

    return report_to(path, AuditOptions.from_table(configured("audit", config)))


def _share(share: str | None, no_share: bool) -> Share | None:
    if share and no_share:
        raise UsageError("--share-device-code and --no-share-device-code exclude each other")
    if share == NAMES:
        return NAMES
    return True if share else False if no_share else None


def _show(outcome: MergeOutcome, as_json: bool, quiet: bool) -> None:
    from wheelfuse.report import json, text

    warn(() if quiet else outcome.warnings)
    written = outcome.written
    if as_json:
        echo(json.outcome_to_json(outcome))
    elif quiet:
        if written:
            echo_for_programs(str(written.path))
    else:
        report = text.merge_report(outcome, width=width(), color=color(sys.stdout))
        echo(text.merge_plain(outcome) if plain() else report)
