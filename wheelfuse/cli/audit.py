"""``wheelfuse audit``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from wheelfuse.auditing.api import audit, write_baseline
from wheelfuse.auditing.options import (
    FAIL_ON,
    AuditOptions,
    Ignore,
    checked_fail_on,
    parse_codes,
    parse_severity,
)
from wheelfuse.auditing.report import Report
from wheelfuse.auditing.rules import entries
from wheelfuse.auditing.runner import applied_rules
from wheelfuse.cli import completing, refusals
from wheelfuse.cli.command import Command, Example
from wheelfuse.cli.configuration import configured
from wheelfuse.cli.destinations import parse_formats, refuse_inputs, write_files
from wheelfuse.cli.options import LIMITS, limit_options
from wheelfuse.cli.terminal import color, echo, names, plain, progress, warn, width
from wheelfuse.errors import Problem
from wheelfuse.escape import printable
from wheelfuse.report.audit_formats import FORMATS, audit_as
from wheelfuse.report.progress import AUDITING
from wheelfuse.wheel.limits import Limits


def _list_rules(context: click.Context, _: click.Parameter, given: bool) -> None:
    if given and not context.resilient_parsing:
        from wheelfuse.report.rules_text import rules_plain, rules_table

        table = (
            rules_plain(entries())
            if plain()
            else rules_table(entries(), width=width(), color=color(sys.stdout))
        )
        echo(table)
        context.exit()


EXAMPLES = (
    Example("Where do these wheels load, and why not elsewhere?", "wheelfuse audit dist"),
    Example(
        "Fail on warnings, too, but for one rule:", "wheelfuse audit dist --fail-on warning --ignore WF504"
    ),
    Example(
        "A report for people, and one for code scanning:", "wheelfuse audit dist --format sarif=audit.sarif"
    ),
)
SECTIONS = {
    "What is audited": ("--installed", "--python", "--with", "--project"),
    "What counts": (
        "--select", "--ignore", "--severity", "--fail-on", "--strict", "--baseline", "--write-baseline", "--config",
    ),
    "What is shown": ("--format", "--output", "--road-to-abi3", "--verbose", "--quiet", "--plain", "--list-rules"),
    **LIMITS,
}  # fmt: skip


@click.command("audit", cls=Command, no_args_is_help=True, examples=EXAMPLES, sections=SECTIONS)
@click.argument("paths", nargs=-1, metavar="[PATH]...", shell_complete=completing.audited)
@click.option("--installed", multiple=True, metavar="NAME", help="An installed distribution, too.")
@click.option(
    "--python", metavar="PATH", help="Look for it in this interpreter's environment, or in this venv."
)
@click.option(
    "--select",
    multiple=True,
    metavar="CODES",
    shell_complete=completing.codes,
    help="Only these rules: WF3,WF401. Damage is always told.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="CODE[:GLOB][=REASON]",
    shell_complete=completing.codes,
    help="Findings of this rule, at paths that GLOB matches, do not count.",
)
@click.option(
    "--severity",
    multiple=True,
    metavar="CODE=LEVEL",
    shell_complete=completing.severities,
    help="error, warning, info or off, in place of the rule's own.",
)
@click.option(
    "--fail-on",
    default="",
    metavar="LEVEL",
    shell_complete=completing.levels,
    help=f"Exit with 1 from here on: {', '.join(FAIL_ON)}.",
)
@click.option("--strict", is_flag=True, help="Warnings fail, and checks that could not be made.")
@click.option(
    "--project",
    type=click.Path(dir_okay=False),
    metavar="PYPROJECT",
    help="Hold the inputs against its requires-python.",
)
@click.option(
    "--with",
    "with_",
    multiple=True,
    type=click.Path(exists=True),
    metavar="DIR_OR_VENV",
    help="Look here for libraries that come from elsewhere.",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Unstable symbols may not become more than this file says; of several, the oldest first, than the last says.",
)
@click.option(
    "--write-baseline",
    "new_baseline",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write that file, and do nothing else.",
)
@click.option(
    "--road-to-abi3",
    "road",
    is_flag=True,
    help="Each symbol between a module and one file.",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="FORMAT[=FILE]",
    shell_complete=completing.formats,
    help=f"{', '.join(FORMATS)}; more than one is fine if all but one have a FILE.",
)
@click.option(
    "-o", "--output", metavar="FILE", shell_complete=completing.files,
    help="Where the format without a FILE goes (default: stdout).",
)  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Show notes, and cut no list.")
@click.option("-q", "--quiet", is_flag=True, help="Print one line for each input, and errors.")
@click.option(
    "--jobs",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Use N cores, for one input or several (0: all).",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The pyproject.toml whose [tool.wheelfuse.audit] counts (default: the one in this directory).",
)
@click.option(
    "--list-rules", is_flag=True, is_eager=True, expose_value=False, callback=_list_rules,
    help="Print the rules and exit.",
)  # fmt: skip
@limit_options
def command(
    paths: tuple[str, ...],
    installed: tuple[str, ...],
    python: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    severity: tuple[str, ...],
    fail_on: str,
    strict: bool,
    project: str | None,
    with_: tuple[str, ...],
    baselines: tuple[str, ...],
    new_baseline: str | None,
    road: bool,
    formats: tuple[str, ...],
    output: str | None,
    verbose: bool,
    quiet: bool,
    jobs: int,
    config: Path | None,
    limits: Mapping[str, int],
) -> int:
    """Say where wheels load, on which CPython, torch, C library and GPU, and why not elsewhere.

    PATH is a wheel, a shared object, a directory of wheels or any other, a zip file with wheels, or - to read
    names from standard input, one in a line. Exits with 1 if there are findings at or above --fail-on.
    wheelfuse explain CODE tells more about a finding.
    """
    destinations = parse_formats(formats, output, FORMATS)
    on_stdout = next((to.format for to in destinations if not to.file), "")
    with refusals("audit", as_json=on_stdout == "json"):
        given = AuditOptions(
            parse_codes(select),
            tuple(map(Ignore.parse, ignore)),
            dict(map(parse_severity, severity)),
            checked_fail_on(fail_on) if fail_on else "",
            strict,
        )
        table = configured("audit", config)
        options = given.over(AuditOptions.from_table(table))
        bounds = Limits.from_table({**table, **limits}, "[tool.wheelfuse.audit]")
        inputs = names(paths)
        read = (project, *baselines, str(config) if config else None)
        refuse_inputs(destinations, [*inputs, *(name for name in read if name)])
        with progress(quiet, AUDITING) as advance:
            if new_baseline:
                counts = write_baseline(
                    new_baseline, inputs, installed=installed, python=python, jobs=jobs, limits=bounds,
                    progress=advance,
                )  # fmt: skip
                from wheelfuse.report.audit_parts import count

                symbols = sum(sum(kinds.values()) for kinds in counts.values())
                if not quiet:
                    told = f"{count(symbols, 'symbol')} in {count(len(counts), 'file')}"
                    echo(f"{printable(new_baseline)}: {told}", err=True)
                return 0
            report = audit(
                inputs, options, installed=installed, python=python, with_=with_, project=project,
                baseline=baselines, facts=any(to.format == "html" for to in destinations), jobs=jobs, limits=bounds,
                progress=advance,
            )  # fmt: skip
        rules = applied_rules(options)
        write_files(destinations, lambda name: audit_as(name, report, rules, verbose=verbose, roads=road))
    if not quiet:
        warn(
            Problem(f"--ignore {ignore} matched no finding", todo="Remove it.")
            for ignore in report.unused_ignores
        )
    _show(report, options, on_stdout, verbose=verbose, quiet=quiet, roads=road)
    return report.exit_code


def _show(
    report: Report, options: AuditOptions, name: str, *, verbose: bool, quiet: bool, roads: bool
) -> None:
    """What goes to standard output."""
    colored = color(sys.stdout)
    if name == "text" and quiet and plain():
        from wheelfuse.report.audit_plain import summary_plain

        text = summary_plain(report)
    elif name == "text" and quiet:
        from wheelfuse.report.audit_text import audit_summary

        text = audit_summary(report, color=colored)
    elif name:
        rules = applied_rules(options)
        text = audit_as(
            name, report, rules, width=width(), color=colored, verbose=verbose, roads=roads, plain=plain()
        )
    else:
        return
    echo(text, orders=name == "github")
