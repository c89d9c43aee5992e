"""What commands read from and show on a terminal: nothing else in wheelfuse prints."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import click

from wheelfuse.errors import InvalidInput, Problem, UsageError
from wheelfuse.escape import as_bytes, harmless, printable, without_orders

PLAIN = "WHEELFUSE_PLAIN"
_SHOWN = 200
"""Letters of a name that are shown."""


def names(given: Iterable[str]) -> list[str]:
    """The arguments, with ``-`` replaced by the lines of standard input.

    Raises:
        UsageError: a line holds what no name can.
        InvalidInput: standard input cannot be read.
    """
    return [name for one in given for name in (_names_on_stdin() if one == "-" else (one,))]


def _names_on_stdin() -> Iterator[str]:
    """Names are bytes, whatever the encoding of the stream."""
    where = "standard input"
    try:
        for line in sys.stdin.buffer:
            name = os.fsdecode(line.strip())
            if "\0" in name:
                todo = "One name a line: find -print, not -print0."
                raise UsageError(Problem(f"a NUL byte in a name: {name[:_SHOWN]!r}", where, todo=todo))
            if name:
                yield name
    except OSError as error:
        raise InvalidInput(Problem(f"cannot be read: {error.strerror}", where)) from error


_asked: bool = False


def speak_plainly() -> None:
    """What is shown from now on is `plain`."""
    global _asked
    _asked = True


def speak_as_usual() -> None:
    """The next command begins: it is `plain` only if asked anew."""
    global _asked
    _asked = False


def plain() -> bool:
    """Whether to show words alone, in ASCII, one fact in a line: ``--plain``, or ``WHEELFUSE_PLAIN=1``."""
    return _asked or os.environ.get(PLAIN, "0") not in ("", "0")


def moves(stream: object) -> bool:
    """Whether a line may be drawn again and again: on a terminal that can, and not for a screen reader."""
    return _is_terminal(stream) and os.environ.get("TERM") != "dumb" and not plain()


def color(stream: object) -> bool:
    """Whether to colour: on a terminal that can, or if ``FORCE_COLOR`` asks for it; ``NO_COLOR`` (no-color.org) and
    `plain` come first."""
    if os.environ.get("NO_COLOR") or plain():
        return False
    wanted = os.environ.get("FORCE_COLOR", "0") not in ("", "0")
    return wanted or (_is_terminal(stream) and os.environ.get("TERM") != "dumb")


def _is_terminal(stream: object) -> bool:
    return bool(getattr(stream, "isatty", lambda: False)())


def echo(text: str, *, err: bool = False, orders: bool = False) -> None:
    """Print *text*, with a line break at its end, on standard output or standard error; the only way to do so.

    Names in it were made `printable` before. What slipped through is here: nothing but the colours of reports, on a
    terminal, begins with ESC; no line is an order to a CI system, unless *orders* says that it shall be; and what the
    encoding of the stream cannot hold is escaped.
    """
    stream = sys.stderr if err else sys.stdout
    colored = color(stream)
    text = harmless(text.removesuffix("\n"), styles=colored)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = (text if orders else without_orders(text)).encode(encoding, "backslashreplace").decode(encoding)
    click.echo(text, err=err, color=colored)


def echo_for_programs(text: str) -> None:
    """Print *text* as it is on standard output, for a program to read: paths have their bytes. A terminal is none."""
    if sys.stdout.isatty():
        echo(text)
    else:
        exact = hasattr(sys.stdout, "buffer")  # not where a caller put something else in its place
        click.echo(as_bytes(text) if exact else text, nl=not text.endswith("\n"))


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
    """Where uv may print while it fetches an interpreter: a terminal; None in a log or a pipe.

    It is uv itself that draws there, and no code of a project.
    """
    if not sys.stderr.isatty():
        return None
    return lambda data: click.echo(data, nl=False, err=True)


def note(notes: Iterable[str]) -> None:
    """What was assumed, on stderr."""
    for text in notes:
        echo(f"note: {printable(text)}", err=True)


def warn(warnings: Iterable[Problem]) -> None:
    """What deserves attention, on stderr."""
    for warning in warnings:
        _tell("warning: ", "yellow", warning)


def complain(problems: Iterable[Problem]) -> None:
    """What is wrong, on stderr."""
    for problem in problems:
        _tell("error: ", "red", problem)


def _tell(word: str, hue: str, problem: Problem) -> None:
    shown = click.style(word, fg=hue, bold=True) if color(sys.stderr) else word
    echo(f"{shown}{problem}", err=True)
