"""``wheelfuse verify``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from wheelfuse.cli import completing, refusals
from wheelfuse.cli.command import Command, Example
from wheelfuse.cli.options import LIMITS, json_option, limit_options
from wheelfuse.cli.terminal import color, echo, names, plain, progress, warn, width
from wheelfuse.errors import Problem, UsageError
from wheelfuse.fuse.options import parse_missing
from wheelfuse.interpreters.search import parse_python
from wheelfuse.verifying.api import verify
from wheelfuse.verifying.options import COMMAND_TIMEOUT, IMPORT_TIMEOUT, VerifyOptions, parse_requirements
from wheelfuse.verifying.results import Verification
from wheelfuse.wheel.limits import Limits

_SECONDS = click.FloatRange(min=0, min_open=True)


EXAMPLES = (
    Example("On every CPython that it claims and that is here:", "wheelfuse verify dist"),
    Example("On two, with tests:", "wheelfuse verify dist --python 3.12 --with pytest --command pytest"),
    Example("In CI, where none may be left out:", "wheelfuse verify dist --require-all --json"),
)
SECTIONS = {
    "Where": ("--python", "--all", "--allow-missing", "--require-all"),
    "What is installed": ("--with", "--no-deps", "--offline", "--find-links"),
    "What is run": ("--command", "--timeout", "--command-timeout", "--jobs", "--keep"),
    "What is shown": ("--json", "--quiet", "--plain"),
    **LIMITS,
}


@click.command("verify", cls=Command, no_args_is_help=True, examples=EXAMPLES, sections=SECTIONS)
@click.argument("wheels", nargs=-1, required=True, metavar="WHEEL...", shell_complete=completing.wheels)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    shell_complete=completing.pythons,
    metavar="PATH_OR_VERSION",
    help="Only on this one: an interpreter, a directory with some, or a version (3.12, 3.13t).",
)
@click.option(
    "--all", "every", is_flag=True, help="On every CPython that is claimed and found here (the default)."
)
@click.option(
    "--command",
    "shell",
    default="",
    metavar="'COMMAND'",
    help="Run this by the shell in each environment; {project} is the present directory.",
)
@click.option(
    "--with", "with_", multiple=True, metavar="REQ", help="Install this, too: a requirement, or a wheel."
)
@click.option("--no-deps", is_flag=True, help="Do not install what the wheel requires.")
@click.option("--offline", is_flag=True, help="Ask no index: uv's cache and --find-links must have it all.")
@click.option(
    "--find-links",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="A directory with wheels to install from.",
)
@click.option(
    "--timeout",
    type=_SECONDS,
    default=IMPORT_TIMEOUT,
    metavar="SECONDS",
    help=f"For each import (default: {IMPORT_TIMEOUT:g}).",
)
@click.option(
    "--command-timeout",
    type=_SECONDS,
    default=COMMAND_TIMEOUT,
    metavar="SECONDS",
    help=f"For each run of the command (default: {COMMAND_TIMEOUT:g}).",
)
@click.option(
    "--allow-missing",
    multiple=True,
    metavar="TARGET[:MODULE]",
    shell_complete=completing.targets,
    help="Accept that a CPython, or a module of it, has no file.",
)
@click.option(
    "--require-all", is_flag=True, help="What is claimed, but could not be verified, is a failure as well."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Work on N environments at a time (0: all cores).",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Leave the environments in DIR.",
)
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Print one line for each wheel, and errors.")
@limit_options
def command(
    wheels: tuple[str, ...],
    pythons: tuple[str, ...],
    every: bool,
    shell: str,
    with_: tuple[str, ...],
    no_deps: bool,
    offline: bool,
    find_links: tuple[Path, ...],
    timeout: float,
    command_timeout: float,
    allow_missing: tuple[str, ...],
    require_all: bool,
    jobs: int,
    keep: Path | None,
    as_json: bool,
    quiet: bool,
    limits: Mapping[str, int],
) -> int:
    """Install wheels, import their extension modules, and run a command, on every CPython that they claim.

    Each CPython that a wheel claims and this machine has gets a fresh environment, and each import a process of its
    own: a crash and a hang are results. WHEEL is a file, a directory of wheels, or - to read names from standard
    input, one in a line. Exits with 5 if something fails, or if nothing could be verified.
    """
    with refusals("verify", as_json=as_json):
        if pythons and every:
            raise UsageError("--all and --python exclude each other")
        options = VerifyOptions(
            tuple(map(parse_python, pythons)), shell, parse_requirements(with_), no_deps, offline, find_links,
            timeout, command_timeout, require_all, parse_missing(allow_missing),
        )  # fmt: skip
        with progress(quiet, ("verifying", "finishing"), "environments") as advance:
            bounds = Limits.from_table(limits, "the command line:")
            outcome = verify(names(wheels), options, jobs=jobs, keep=keep, limits=bounds, progress=advance)
    _show(outcome, as_json, quiet)
    return outcome.exit_code


def _show(outcome: Verification, as_json: bool, quiet: bool) -> None:
    from wheelfuse.report import verify_json, verify_plain, verify_text

    if not quiet:
        warn(map(Problem, outcome.warnings))
    colored = color(sys.stdout)
    if as_json:
        echo(verify_json.verification_to_json(outcome))
    elif quiet:
        echo(verify_text.verification_summary(outcome, color=colored))
    else:
        text = verify_text.verification_report(outcome, width=width(), color=colored)
        echo(verify_plain.verification_plain(outcome) if plain() else text)
