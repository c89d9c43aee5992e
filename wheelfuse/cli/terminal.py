"""What commands read from and show on a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import click

from wheelfuse.cli import color
from wheelfuse.errors import Problem


def names(given: Iterable[str]) -> list[str]:
    """The arguments, with ``-`` replaced by the lines of standard input."""
    found: list[str] = []
    for name in given:
        if name == "-":
            found += [line.strip() for line in sys.stdin if line.strip()]
        else:
            found.append(name)
    return found


def width() -> int:
    """Columns of the terminal, or of ``COLUMNS``; 100 in a log or a pipe."""
    return click.get_current_context().terminal_width or shutil.get_terminal_size((100, 24)).columns


@contextmanager
def progress(
    quiet: bool, *, of_bytes: bool = True, doing: str = ""
) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on a terminal; nothing in a log or a pipe."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from wheelfuse.report.progress import bar

    with bar(color=color(sys.stderr), of_bytes=of_bytes, doing=doing) as advance:
        yield advance


def live_output() -> Callable[[bytes], None] | None:
    """Where a program that wheelfuse runs may print while it works: a terminal; None in a log or a pipe."""
    if not sys.stderr.isatty():
        return None
    return lambda data: click.echo(data, nl=False, err=True)


def note(notes: Iterable[str]) -> None:
    """What was assumed, on stderr."""
    for text in notes:
        click.echo(f"note: {text}", err=True)


def warn(warnings: Iterable[Problem]) -> None:
    """What deserves attention, on stderr."""
    for warning in warnings:
        click.secho("warning: ", fg="yellow", bold=True, nl=False, err=True, color=color(sys.stderr))
        click.echo(str(warning), err=True)
