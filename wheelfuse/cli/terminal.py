"""What commands read from and show on a terminal: nothing else in wheelfuse prints."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from wheelfuse.errors import InvalidInput, Problem, UsageError
from wheelfuse.escape import as_bytes, harmless, printable, without_orders

if TYPE_CHECKING:
    from wheelfuse.report.progress import Meter

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
    _clear()
    stream = sys.stderr if err else sys.stdout
    text = text.replace("\u2026", "...") if plain() else text
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
    quiet: bool, steps: Sequence[str], of: str = "bytes"
) -> Iterator[Callable[[int, int], None] | None]:
    """How far a command has come: on a terminal a line that is drawn again and again, and vanishes; in a log a line
    now and then. What :class:`wheelfuse.report.progress.Meter` says of the *steps*."""
    if quiet:
        yield None
        return
    from wheelfuse.report.progress import Meter

    shown = _Shown(Meter(steps, of), moves(sys.stderr))
    try:
        yield shown.advance
    finally:
        shown.end()


AT_ONCE, AGAIN = 0.5, 0.25
"""Seconds after which a terminal shows how far a command has come, and after which it does so again."""

IN_A_LOG = 15.0
"""Seconds between two lines about it in a log."""

_CLEARED = "\r\x1b[K"


class _Shown:
    """A thread shows the meter. It begins when there is something to tell: processes that are forked come before."""

    drawn: _Shown | None = None
    """The one whose line is on the terminal."""

    def __init__(self, meter: Meter, live: bool) -> None:
        self._meter, self._live = meter, live
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def advance(self, done: int, total: int) -> None:
        self._meter.advance(done, total)
        if not self._thread:
            self._columns = shutil.get_terminal_size((100, 24)).columns
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()

    def end(self) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()
        _clear()

    def _show(self) -> None:
        wait = AT_ONCE if self._live else IN_A_LOG
        with suppress(OSError, ValueError):  # nobody listens any more
            while not self._over.wait(wait):
                if self._live:
                    _Shown.drawn = self
                    line = self._meter.line(self._columns - 1)
                    click.echo(f"{_CLEARED}{line}", nl=False, err=True, color=True)
                    wait = AGAIN
                else:
                    echo(self._meter.line(), err=True)


def _clear() -> None:
    """Nothing is left of the line on the terminal."""
    if _Shown.drawn:
        _Shown.drawn = None
        with suppress(OSError, ValueError):
            click.echo(_CLEARED, nl=False, err=True, color=True)


def live_output() -> Callable[[bytes], None] | None:
    """Where uv may print while it fetches an interpreter: a terminal; None in a log or a pipe.

    It is uv itself that draws there, and no code of a project.
    """
    if not moves(sys.stderr):
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
