"""``wheelfuse survey``, and before ``ask``, the way to :mod:`wheelfuse.cli.ask`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from wheelfuse.cli import completing, refusals
from wheelfuse.cli.command import Command, Example
from wheelfuse.cli.options import LIMITS, limit_options
from wheelfuse.cli.terminal import color, echo, note, plain, progress, width
from wheelfuse.report.progress import SURVEYING
from wheelfuse.surveying.api import survey
from wheelfuse.surveying.options import DEADLINE
from wheelfuse.surveying.report import Progress
from wheelfuse.wheel.limits import Limits

ASK = "ask"
NONE_READ = 3
"""The exit code if there is not one wheel that could be read."""

EXAMPLES = (
    Example("The wheels of a directory and all below it:", "wheelfuse survey wheelhouse -o index"),
    Example(
        "Those that an index lists, for one platform, on a Dask cluster:",
        "wheelfuse survey https://index.example/numpy/ -o index --include '*_x86_64.whl' --scheduler tcp://host:8786",
    ),
    Example("Which of them break on a CPython?", "wheelfuse survey ask index breaks-on cp315"),
)
SECTIONS = {
    "Which wheels": ("--include", "--exclude"),
    "Where they go": ("--output", "--resume"),
    "Who reads them": ("--workers", "--scheduler", "--deadline"),
    **LIMITS,
}


class _Survey(Command):
    """The command; what follows the word ``ask`` is for the command of that name."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] != [ASK]:
            return super().make_context(info_name, args, parent, **extra)
        from wheelfuse.cli.ask import command as asking

        return asking.make_context(f"{info_name} {ASK}", args[1:], parent, **extra)


@click.command("survey", cls=_Survey, no_args_is_help=True, examples=EXAMPLES, sections=SECTIONS)
@click.argument(
    "locations", nargs=-1, required=True, metavar="LOCATION...", shell_complete=completing.surveyed
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the tables go: a directory that is empty, or not there yet.",
)
@click.option(
    "--resume", is_flag=True, help="Go on with the survey in DIR; what did not change is not read again."
)
@click.option(
    "--include", multiple=True, metavar="GLOB", help="Only wheels whose file name matches: '*cp313*'."
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="No wheels whose file name matches.")
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Read with N processes (default: one for each processor, four over a network).",
)
@click.option(
    "--scheduler",
    default="",
    metavar="URL",
    help="Read on the workers of this Dask cluster: tcp://host:8786.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    default=DEADLINE,
    metavar="SECONDS",
    help=f"Give up a wheel that takes longer (default: {DEADLINE:g}).",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not tell how far it is.")
@limit_options
def command(
    locations: tuple[str, ...],
    output: Path,
    resume: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    workers: int,
    scheduler: str,
    deadline: float,
    quiet: bool,
    limits: Mapping[str, int],
) -> int:
    """Read what the wheels of a directory, a bucket or an index need, into tables that answer questions.

    LOCATION is a wheel, a directory, the URL of a wheel, of a page that lists wheels, or of a simple index; or what
    fsspec opens, such as s3://bucket/wheels. A directory called ask is ./ask. Of each wheel only those ranges are read
    that tell what its files need, and nothing of it is written to disk. A wheel that cannot be read is a row with the
    reason. Exits with 3 if none could be read.

    wheelfuse survey ask DIR QUESTION asks the tables; wheelfuse survey ask --help says what.
    """
    bounds = Limits.from_table(limits, "")
    with refusals("survey", as_json=False), progress(quiet, SURVEYING, "wheels") as advance:

        def told(so_far: Progress) -> None:
            if advance:
                advance(so_far.done, so_far.of or 0)

        report = survey(
            locations, output, scheduler=scheduler, workers=workers, include=include, exclude=exclude, resume=resume,
            limits=bounds, deadline=deadline, progress=told, tell=lambda text: note([text]),
        )  # fmt: skip
    from wheelfuse.report.survey_run import run_plain, run_text

    echo(run_plain(report) if plain() else run_text(report, width=width(), color=color(sys.stdout)))
    return 0 if report.read or report.unchanged else NONE_READ
