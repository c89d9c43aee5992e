"""``wheelfuse doctor``."""

from __future__ import annotations

import sys

import click

from wheelfuse import __version__
from wheelfuse.cli import refusals
from wheelfuse.cli.command import Command, Example
from wheelfuse.cli.options import json_option
from wheelfuse.cli.terminal import color, echo, plain, progress, width
from wheelfuse.doctor import diagnosis

EXAMPLES = (
    Example("What works here, and what to install for the rest:", "wheelfuse doctor"),
    Example("What a bug report should have:", "wheelfuse doctor --json"),
)


@click.command("doctor", cls=Command, examples=EXAMPLES)
@json_option
def command(as_json: bool) -> int:
    """Say what this machine can do, and how to install what is missing.

    It looks for CPythons (with headers, with torch), uv, compilers, nvcc, caches, memory and room on disk, and
    tells for each thing that is missing what it would serve, and the line that installs it. It changes nothing.
    Exits with 0, unless no command works at all (5).
    """
    with (
        refusals("doctor", as_json=as_json),
        progress(False, ("asking", "looking"), "interpreters") as advance,
    ):
        found = diagnosis(__version__, advance)
    if as_json:
        from wheelfuse.report.doctor_json import diagnosis_to_json

        echo(diagnosis_to_json(found))
    else:
        from wheelfuse.report.doctor_text import diagnosis_plain, diagnosis_text

        echo(
            diagnosis_plain(found)
            if plain()
            else diagnosis_text(found, width=width(), color=color(sys.stdout))
        )
    return found.exit_code
