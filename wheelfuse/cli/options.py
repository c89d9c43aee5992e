"""Options that several commands have, and that mean the same in all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from wheelfuse.cli import completing
from wheelfuse.suggest import meant
from wheelfuse.wheel.limits import KEYS, MEMBER_SIZE, MEMBERS, RATIO, Limits, parse_size, shown

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class OneOf(click.Choice):  # type: ignore[type-arg,unused-ignore]
    """One of some words; who mistypes one is told which may be meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in self.choices:
            listed = ", ".join(map(repr, self.choices))
            self.fail(f"{value!r} is not one of {listed}{meant(str(value), self.choices)}", param, ctx)
        return value


project_option: Decorator = click.option(
    "--project", default=".", type=click.Path(path_type=Path), metavar="PATH",
    help="A pyproject.toml, or the directory it is in (default: this one).",
)  # fmt: skip
python_option: Decorator = click.option(
    "--python", "named", multiple=True, metavar="PATH_OR_VERSION", shell_complete=completing.pythons,
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
    click.option(
        "--include", multiple=True, metavar="PYTHONS", shell_complete=completing.python_names,
        help="These as well: 3.14t,cp316.",
    ),
    click.option(
        "--exclude", multiple=True, metavar="PYTHONS", shell_complete=completing.python_names,
        help="Not these.",
    ),
    click.option(
        "--free-threaded/--no-free-threaded", default=None,
        help="The free-threaded build of each as well, where there is one (default: no).",
    ),
)  # fmt: skip

MATRIX = {
    "Which CPythons": (
        "--python",
        "--include",
        "--exclude",
        "--free-threaded",
        "--provision",
        "--require-all",
    )
}
"""The section of the help that these options are in."""


def matrix_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--include, --exclude and --free-threaded."""
    for option in reversed(_MATRIX):
        command = option(command)
    return command


class _Size(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A number of bytes, as people write it."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            size = value if isinstance(value, int) else parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return size


_COUNT = click.IntRange(min=1)
_LIMITS: tuple[Decorator, ...] = (
    click.option(
        f"--{MEMBER_SIZE}", type=_Size(), metavar="SIZE",
        help=f"Refuse wheels with a larger file in them (default: {shown(Limits.member_size)}).",
    ),
    click.option(
        f"--{RATIO}", type=_COUNT, metavar="N",
        help=f"Refuse wheels that inflate to more than N times their size (default: {Limits.ratio}).",
    ),
    click.option(
        f"--{MEMBERS}", type=_COUNT, metavar="N",
        help=f"Refuse wheels of more than N files and directories (default: {Limits.members}).",
    ),
)  # fmt: skip

LIMITS = {"Limits": tuple(f"--{key}" for key in KEYS)}
"""The section of the help that these options are in."""


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options for :class:`Limits`. The command gets those that were given as *limits*, by their keys."""

    @wraps(command)
    def with_limits(**arguments: Any) -> Any:
        values = {key: arguments.pop(key.replace("-", "_")) for key in KEYS}
        given = {key: value for key, value in values.items() if value is not None}
        return command(**arguments, limits=given)

    found: Callable[..., Any] = with_limits
    for option in reversed(_LIMITS):
        found = option(found)
    return found
