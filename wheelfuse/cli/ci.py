"""``wheelfuse ci``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from wheelfuse.cli import refusals
from wheelfuse.cli.command import Command, Example
from wheelfuse.cli.matrix import stated_matrix
from wheelfuse.cli.options import MATRIX, OneOf, matrix_options, project_option
from wheelfuse.cli.terminal import echo_for_programs, note
from wheelfuse.errors import Problem, UsageError
from wheelfuse.interpreters.matrix import Matrix, MatrixOptions, matrix, parse_pythons
from wheelfuse.pipelines import buildkite, github, gitlab
from wheelfuse.pipelines.project import IMAGE, WHEELFUSE, PipelineOptions, Project
from wheelfuse.pyproject import located, read_pyproject
from wheelfuse.wheel.outputs import followed, replacing

SYSTEMS = {"github": github.workflow, "buildkite": buildkite.pipeline, "gitlab": gitlab.pipeline}
"""The writer of the pipeline for each CI system."""


EXAMPLES = (
    Example("See what it would be:", "wheelfuse ci gitlab"),
    Example("Write it where GitHub looks:", "wheelfuse ci github -o .github/workflows/wheels.yml"),
    Example(
        "Run the tests on every CPython:", "wheelfuse ci github --verify-command pytest --verify-with pytest"
    ),
)


@click.command("ci", cls=Command, no_args_is_help=True, examples=EXAMPLES, sections=MATRIX)
@click.argument("system", type=OneOf(tuple(SYSTEMS)))
@project_option
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write FILE (default: standard output).")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace FILE.")
@matrix_options
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
        echo_for_programs(text)


def _read(path: Path, given: MatrixOptions) -> Project:
    path = located(path)
    document = read_pyproject(path)
    chosen = stated_matrix(document, path, given)
    note(chosen.notes)
    directory = Path(os.path.relpath(path.parent)).as_posix()
    return Project.from_pyproject(document, chosen.targets, directory, whole=_whole(chosen))


def _whole(chosen: Matrix) -> bool:
    """Whether the targets are all that Requires-Python, if there is one, admits."""
    stated, targets = chosen.requires_python, chosen.targets
    return bool(stated) and matrix(stated, MatrixOptions(include=targets)).targets == targets


def _write(path: Path, text: str, *, force: bool) -> None:
    if path.exists() and not force:
        raise UsageError(Problem("exists already", str(path), todo="Add --force to replace it."))
    with refusals("ci", as_json=False), replacing(followed(path), overwrite=force) as file:
        file.write(text.encode())
