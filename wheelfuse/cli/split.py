"""``wheelfuse split``."""

from __future__ import annotations

import click

from wheelfuse.cli import refusals
from wheelfuse.cli.terminal import echo, echo_for_programs
from wheelfuse.fuse.api import split
from wheelfuse.fuse.options import parse_targets


@click.command("split", no_args_is_help=True)
@click.argument("fused", metavar="FUSED")
@click.option("-d", "--directory", default=".", metavar="DIR", help="Where the wheels go (default: here).")
@click.option(
    "--target", "targets", multiple=True, metavar="TARGETS", help="Only the wheels for these: cp312,cp313t."
)
@click.option("--force", is_flag=True, help="Replace existing files.")
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the paths of the wheels.")
def command(
    fused: str, directory: str, targets: tuple[str, ...], force: bool, as_json: bool, quiet: bool
) -> None:
    """Take a fused wheel apart again: the single-Python wheels, every member as it was.

    Files that a merge did not keep (builds taken as interchangeable, --resolve newest or drop) cannot come back,
    and are listed. A wheel that another tool fused is taken apart as far as the names of its modules tell.
    """
    from wheelfuse.report import json, text

    with refusals("split", as_json=as_json):
        wheels = split(fused, directory, parse_targets(targets), force=force)
    if as_json:
        echo(json.split_to_json(wheels))
    elif quiet:
        for wheel in wheels:
            echo_for_programs(str(wheel.path))
    else:
        echo(text.split_report(wheels))
