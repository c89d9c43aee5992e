"""``wheelfuse pythons``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from wheelfuse.building.options import BuildOptions
from wheelfuse.cli import color, refusals
from wheelfuse.cli.configuration import read_project
from wheelfuse.cli.terminal import warn, width
from wheelfuse.errors import Problem, UsageError
from wheelfuse.interpreters.api import located, require_all
from wheelfuse.interpreters.formats import FORMATS, OF_INTERPRETERS, OF_TARGETS, cmake
from wheelfuse.interpreters.matrix import Matrix, MatrixOptions, Pythons, matrix, parse_pythons
from wheelfuse.interpreters.search import VARIABLE
from wheelfuse.target import Target
from wheelfuse.verifying.options import parse_python


@click.command("pythons")
@click.option(
    "--project",
    default=".",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A pyproject.toml, or the directory it is in (default: this one).",
)
@click.option(
    "--python",
    "named",
    multiple=True,
    metavar="PATH_OR_VERSION",
    help="An interpreter or a directory with some, used before all others; or a version (3.12, 3.13t): only those.",
)
@click.option("--include", multiple=True, metavar="PYTHONS", help="These as well: 3.14t,cp316.")
@click.option("--exclude", multiple=True, metavar="PYTHONS", help="Not these.")
@click.option(
    "--free-threaded/--no-free-threaded",
    default=None,
    help="The free-threaded build of each as well, where there is one (default: no).",
)
@click.option("--provision", is_flag=True, help="Let uv install those that are missing.")
@click.option("--require-all", "strict", is_flag=True, help="Exit with 5 if one is missing.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="How to print it.")
@click.option(
    "--separator",
    type=click.Choice([";", ":"]),
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
        pythons = [parse_python(text) for text in named]
        extra = [one for one in pythons if isinstance(one, Path)]
        only = tuple(one for one in pythons if isinstance(one, Target))
        given = MatrixOptions(only, parse_pythons(include), parse_pythons(exclude), free_threaded)
        stated = read_project(project)
        targets = matrix(stated.requires_python, given.over(BuildOptions.from_table(stated.table).matrix))
        if form in OF_TARGETS:
            if provision or strict or extra:
                raise UsageError(
                    f"--format {form} is for jobs elsewhere: --python, --provision and --require-all "
                    "have no meaning for it"
                )
            _tell(targets)
            click.echo(OF_TARGETS[form](targets.targets), nl=False)
            return
        found = located(targets, extra=extra, provision=provision, on_output=_live())
        if form in OF_INTERPRETERS:
            require_all(found)
    _show(found, form, separator or ";", verbose)
    if strict:
        require_all(found)


def _live() -> Callable[[bytes], None] | None:
    """Where uv's words go while it works: a terminal."""
    if not sys.stderr.isatty():
        return None
    return lambda data: click.echo(data, nl=False, err=True)


def _tell(matrix: Matrix) -> None:
    for note in matrix.notes:
        click.echo(f"note: {note}", err=True)


def _show(found: Pythons, form: str, separator: str, verbose: bool) -> None:
    silent = (one for one in found.others if one.source == VARIABLE and one.target is None)
    warn(Problem(f"{one.path} {one.reason}", VARIABLE) for one in silent)
    if form == "json":
        from wheelfuse.report.pythons_json import pythons_to_json

        text = pythons_to_json(found)
    elif form == "text":
        from wheelfuse.report.pythons_text import pythons_text

        text = pythons_text(found, width=width(), color=color(sys.stdout), verbose=verbose)
    else:
        _tell(found.matrix)
        text = (
            cmake(found.interpreters, separator)
            if form == "cmake"
            else OF_INTERPRETERS[form](found.interpreters)
        )
    click.echo(text, nl=False, color=color(sys.stdout))
