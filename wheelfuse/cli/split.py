"""``wheelfuse split``."""

from __future__ import annotations

from collections.abc import Mapping

import click

from wheelfuse.cli import completing, refusals
from wheelfuse.cli.command import Command, Example
from wheelfuse.cli.options import LIMITS, json_option, limit_options
from wheelfuse.cli.terminal import echo, echo_for_programs, plain, progress
from wheelfuse.fuse.api import split
from wheelfuse.fuse.options import parse_targets
from wheelfuse.wheel.limits import Limits

EXAMPLES = (
    Example("All the wheels that it was made of:", "wheelfuse split dist/*.whl -d back"),
    Example("Those for two CPythons:", "wheelfuse split dist/*.whl -d back --target cp311,cp312"),
)


@click.command("split", cls=Command, no_args_is_help=True, examples=EXAMPLES, sections=LIMITS)
@click.argument("fused", metavar="FUSED", shell_complete=completing.wheels)
@click.option("-d", "--directory", default=".", metavar="DIR", help="Where the wheels go (default: here).")
@click.option(
    "--target", "targets", multiple=True, metavar="TARGETS", shell_complete=completing.targets,
    help="Only the wheels for these: cp312,cp313t.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace existing files.")
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the paths of the wheels.")
@limit_options
def command(
    fused: str,
    directory: str,
    targets: tuple[str, ...],
    force: bool,
    as_json: bool,
    quiet: bool,
    limits: Mapping[str, int],
) -> None:
    """Take a fused wheel apart again: the single-Python wheels, every member as it was.

    Files that a merge did not keep (builds taken as interchangeable, --resolve newest or drop) cannot come back,
    and are listed. A wheel that another tool fused is taken apart as far as the names of its modules tell.
    """
    from wheelfuse.report import json, text

    with refusals("split", as_json=as_json):
        bounds = Limits.from_table(limits, "the command line:")
        with progress(quiet, ("verifying", "comparing", "writing", "finishing")) as advance:
            wheels = split(
                fused, directory, parse_targets(targets), force=force, limits=bounds, progress=advance
            )  # fmt: skip
    if as_json:
        echo(json.split_to_json(wheels))
    elif quiet:
        for wheel in wheels:
            echo_for_programs(str(wheel.path))
    else:
        echo(text.split_plain(wheels) if plain() else text.split_report(wheels))
