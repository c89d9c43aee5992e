"""Options that several commands have, and that mean the same in all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

project_option: Decorator = click.option(
    "--project", default=".", type=click.Path(path_type=Path), metavar="PATH",
    help="A pyproject.toml, or the directory it is in (default: this one).",
)  # fmt: skip
python_option: Decorator = click.option(
    "--python", "named", multiple=True, metavar="PATH_OR_VERSION",
    help="An interpreter or a directory with some, used before all others; or a version (3.12, 3.13t): only those.",
)  # fmt: skip
torch_python_option: Decorator = click.option(
    "--torch-python", type=click.Path(dir_okay=False, path_type=Path), metavar="PATH",
    help="The interpreter whose torch is compiled against (default: WHEELFUSE_TORCH_PYTHON, or the running one).",
)  # fmt: skip
json_option: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="The outcome as JSON on stdout."
)
_MATRIX: tuple[Decorator, ...] = (
    click.option("--include", multiple=True, metavar="PYTHONS", help="These as well: 3.14t,cp316."),
    click.option("--exclude", multiple=True, metavar="PYTHONS", help="Not these."),
    click.option(
        "--free-threaded/--no-free-threaded", default=None,
        help="The free-threaded build of each as well, where there is one (default: no).",
    ),
)  # fmt: skip


def matrix_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--include, --exclude and --free-threaded."""
    for option in reversed(_MATRIX):
        command = option(command)
    return command
