"""``wheelfuse merge``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click

from wheelfuse.cli import color, refusals, show_error
from wheelfuse.errors import UsageError
from wheelfuse.fuse.api import MergeOutcome, merge
from wheelfuse.fuse.options import MergeOptions, Rule, parse_missing, parse_targets
from wheelfuse.fuse.reading import Progress


@click.command("merge", no_args_is_help=True)
@click.argument("wheels", nargs=-1, required=True, metavar="WHEEL...")
@click.option(
    "-o", "--output", default=".", metavar="FILE_OR_DIR", help="Where the fused wheel goes (default: here)."
)
@click.option(
    "--resolve",
    multiple=True,
    metavar="GLOB=STRATEGY",
    help="Settle differences at the paths that GLOB matches: keep, drop, newest, oldest, dispatch, rename, "
    "or a target such as cp312. The refusal prints the line that is needed.",
)
@click.option(
    "--expect",
    multiple=True,
    metavar="TARGETS",
    help="Exactly these CPythons must have come: cp310,cp311,cp314t.",
)
@click.option(
    "--allow-missing",
    multiple=True,
    metavar="TARGET[:MODULE]",
    help="Accept that a CPython, or a module of it, is missing.",
)
@click.option(
    "--strict", is_flag=True, help="Builds of a library that only look interchangeable are a conflict."
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
def command(
    wheels: tuple[str, ...],
    output: str,
    resolve: tuple[str, ...],
    expect: tuple[str, ...],
    allow_missing: tuple[str, ...],
    strict: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    config: Path | None,
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
        )
        options = given.over(configured(config))
        with _progress(quiet) as progress:
            outcome = merge(_names(wheels), output, options, force=force, dry_run=dry_run, progress=progress)
    _show(outcome, as_json, quiet)
    if refusal := outcome.plan.error():
        show_error(refusal)
        sys.exit(refusal.exit_code)


def configured(path: Path | None) -> MergeOptions:
    """The options in ``[tool.wheelfuse.merge]`` of a pyproject.toml, by default that of the working directory."""
    path = path or Path("pyproject.toml")
    if not path.exists():
        return MergeOptions()
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    table: Any = document
    for key in ("tool", "wheelfuse", "merge"):
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {key} must be a table")
    return MergeOptions.from_table(table)


def _names(wheels: Iterable[str]) -> list[str]:
    names: list[str] = []
    for wheel in wheels:
        if wheel == "-":
            names += [line.strip() for line in sys.stdin if line.strip()]
        else:
            names.append(wheel)
    return names


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress | None]:
    """A progress bar on a terminal; nothing in a log or a pipe."""
    if quiet or not sys.stderr.isatty():
        with nullcontext():
            yield None
        return
    from wheelfuse.report.progress import bar

    with bar(color=color(sys.stderr)) as advance:
        yield advance


def _show(outcome: MergeOutcome, as_json: bool, quiet: bool) -> None:
    from wheelfuse.report import json, text

    for warning in () if quiet else outcome.warnings:
        click.secho("warning: ", fg="yellow", bold=True, nl=False, err=True, color=color(sys.stderr))
        click.echo(str(warning), err=True)
    written = outcome.written
    if as_json:
        click.echo(json.outcome_to_json(outcome))
    elif quiet:
        if written:
            click.echo(str(written.path))
    else:
        width = click.get_current_context().terminal_width or _width()
        click.echo(
            text.merge_report(outcome, width=width, color=color(sys.stdout)),
            nl=False,
            color=color(sys.stdout),
        )


def _width() -> int:
    import shutil

    return shutil.get_terminal_size((100, 24)).columns
