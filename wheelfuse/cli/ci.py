"""``wheelfuse ci``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from wheelfuse.building.options import BuildOptions
from wheelfuse.cli import refusals
from wheelfuse.cli.configuration import read_project, read_pyproject
from wheelfuse.errors import Problem, UsageError
from wheelfuse.interpreters.matrix import MatrixOptions, matrix, parse_pythons
from wheelfuse.pipelines import buildkite, github, gitlab
from wheelfuse.pipelines.project import IMAGE, WHEELFUSE, PipelineOptions, Project
from wheelfuse.target import Target
from wheelfuse.wheel.writer import replacing

SYSTEMS = {"github": github.workflow, "buildkite": buildkite.pipeline, "gitlab": gitlab.pipeline}
"""The writer of the pipeline for each CI system."""


@click.command("ci", no_args_is_help=True)
@click.argument("system", type=click.Choice(tuple(SYSTEMS)))
@click.option(
    "--project",
    default=".",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A pyproject.toml, or the directory it is in, below this one (default: this one).",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write FILE (default: standard output).")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace FILE.")
@click.option("--include", multiple=True, metavar="PYTHONS", help="These CPythons as well: 3.14t,cp316.")
@click.option("--exclude", multiple=True, metavar="PYTHONS", help="Not these.")
@click.option(
    "--free-threaded/--no-free-threaded",
    default=None,
    help="The free-threaded build of each as well, where there is one (default: no).",
)
@click.option(
    "--image", default=IMAGE, metavar="IMAGE", help=f"The container image of all jobs (default: {IMAGE})."
)
@click.option(
    "--build-with",
    multiple=True,
    metavar="REQUIREMENT",
    help="Install this beside wheelfuse, for all builds to share: torch==2.13.0.",
)
@click.option(
    "--verify-command", default="", metavar="COMMAND", help="Run this on every CPython, too: pytest."
)
@click.option("--verify-with", multiple=True, metavar="REQUIREMENT", help="What that command needs.")
@click.option(
    "--sarif", is_flag=True, help="github: findings go to code scanning, too, not only to annotations."
)
@click.option(
    "--wheelfuse",
    default=WHEELFUSE,
    metavar="REQUIREMENT",
    help=f"What the jobs install wheelfuse from (default: {WHEELFUSE}).",
)
def command(
    system: str,
    project: Path,
    output: Path | None,
    force: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    free_threaded: bool | None,
    image: str,
    build_with: tuple[str, ...],
    verify_command: str,
    verify_with: tuple[str, ...],
    sarif: bool,
    wheelfuse: str,
) -> None:
    """Write a pipeline for the project at hand: github, buildkite or gitlab.

    A job for each CPython that requires-python admits builds a wheel; another fuses them, audits the result, and
    verifies it on every CPython. The step that publishes it is left to be filled in.
    """
    if sarif and system != "github":
        raise UsageError(f"--sarif is for github: {system} shows the findings by other means")
    given = MatrixOptions((), parse_pythons(include), parse_pythons(exclude), free_threaded)
    options = PipelineOptions(image, wheelfuse, build_with, verify_command, verify_with, sarif)
    text = SYSTEMS[system](_read(project, given), options)
    if output:
        _write(output, text, force=force)
    else:
        click.echo(text, nl=False)


def _read(path: Path, given: MatrixOptions) -> Project:
    path = path / "pyproject.toml" if path.is_dir() else path
    stated = read_project(path)
    chosen = matrix(stated.requires_python, given.over(BuildOptions.from_table(stated.table).matrix))
    for note in chosen.notes:
        click.echo(f"note: {note}", err=True)
    directory = Path(os.path.relpath(path.parent)).as_posix()
    return Project.from_pyproject(
        read_pyproject(path), chosen.targets, directory, whole=_whole(stated.requires_python, chosen.targets)
    )


def _whole(requires_python: str, targets: tuple[Target, ...]) -> bool:
    """Whether the targets are all that Requires-Python, if there is one, admits."""
    return (
        bool(requires_python) and matrix(requires_python, MatrixOptions(include=targets)).targets == targets
    )


def _write(path: Path, text: str, *, force: bool) -> None:
    if path.exists() and not force:
        raise UsageError(Problem("exists already", str(path), todo="Add --force to replace it."))
    with refusals("ci", as_json=False), replacing(path.resolve(), overwrite=force) as file:
        file.write(text.encode())
