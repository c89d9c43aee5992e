"""``wheelfuse pythons``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from wheelfuse.cli import refusals
from wheelfuse.cli.command import Command, Example
from wheelfuse.cli.matrix import stated_matrix
from wheelfuse.cli.options import MATRIX, OneOf, matrix_options, project_option, python_option
from wheelfuse.cli.terminal import color, echo, echo_for_programs, live_output, note, plain, warn, width
from wheelfuse.errors import Problem, UsageError
from wheelfuse.interpreters.api import located, require_all
from wheelfuse.interpreters.formats import FORMATS, OF_INTERPRETERS, OF_TARGETS, cmake
from wheelfuse.interpreters.matrix import MatrixOptions, Pythons, parse_pythons
from wheelfuse.interpreters.search import VARIABLE, parse_python, parted
from wheelfuse.pyproject import located as pyproject_at
from wheelfuse.pyproject import read_pyproject

EXAMPLES = (
    Example("What this project needs, and what is here:", "wheelfuse pythons"),
    Example("The matrix of a GitHub workflow:", "wheelfuse pythons --format github-matrix"),
    Example("Fail if one is missing, and show details:", "wheelfuse pythons --exclude 3.15 --require-all -v"),
)


@click.command("pythons", cls=Command, examples=EXAMPLES, sections=MATRIX)
@project_option
@python_option
@matrix_options
@click.option("--provision", is_flag=True, help="Let uv install those that are missing.")
@click.option("--require-all", "strict", is_flag=True, help="Exit with 5 if one is missing.")
@click.option(
    "--format",
    "form",
    type=OneOf(FORMATS),
    default="text",
    metavar="FORMAT",
    help=f"How to print it: {', '.join(FORMATS)}.",
)
@click.option(
    "--separator",
    type=OneOf([";", ":"]),
    help="What separates the list of the format cmake (default: ;).",
)
@click.option("-v", "--verbose", is_flag=True, help="Show SOABI and headers, and all that were passed over.")
def command(
    project: Path,
    named: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    free_threaded: bool | None,
    provision: bool,
    strict: bool,
    form: str,
    separator: str | None,
    verbose: bool,
) -> None:
    """Show the CPythons that a project is built for, and the interpreter of this machine for each.

    They are those that requires-python admits, up to the newest CPython known, or the ones that pythons in
    [tool.wheelfuse.build] names; include, exclude and free-threaded in that table are as the options.

    A CPython that is missing on this machine is shown as such, and only with --require-all a failure (exit code 5).
    The formats github-matrix, buildkite and gitlab are for jobs elsewhere, and do not look at this machine. The
    formats cmake and env, which name interpreters, print nothing and exit with 5 if one is missing.
    """
    with refusals("pythons", as_json=form == "json"):
        if separator and form != "cmake":
            raise UsageError("--separator is for --format cmake alone")
        extra, only = parted(map(parse_python, named))
        given = MatrixOptions(only, parse_pythons(include), parse_pythons(exclude), free_threaded)
        path = pyproject_at(project)
        targets = stated_matrix(read_pyproject(path), path, given)
        if form in OF_TARGETS:
            if provision or strict or extra:
                raise UsageError(
                    f"--format {form} is for jobs elsewhere: --python, --provision and --require-all "
                    "have no meaning for it"
                )
            note(targets.notes)
            echo_for_programs(OF_TARGETS[form](targets.targets))
            return
        found = located(targets, extra=extra, provision=provision, on_output=live_output())
        if form in OF_INTERPRETERS:
            require_all(found)
    _show(found, form, separator or ";", verbose)
    if strict:
        require_all(found)


def _show(found: Pythons, form: str, separator: str, verbose: bool) -> None:
    silent = (one for one in found.others if one.source == VARIABLE and one.target is None)
    warn(Problem(f"{one.path} {one.reason}", VARIABLE) for one in silent)
    if form == "json":
        from wheelfuse.report.pythons_json import pythons_to_json

        text = f"{pythons_to_json(found)}\n"
    elif form == "text":
        from wheelfuse.report.pythons_text import pythons_plain, pythons_text

        if plain():
            text = pythons_plain(found, verbose=verbose)
        else:
            text = pythons_text(found, width=width(), color=color(sys.stdout), verbose=verbose)
    else:
        note(found.matrix.notes)
        text = (
            cmake(found.interpreters, separator)
            if form == "cmake"
            else OF_INTERPRETERS[form](found.interpreters)
        )
    (echo if form in ("json", "text") else echo_for_programs)(text)
