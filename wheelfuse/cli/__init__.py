"""The command line. One module for each command, loaded when it is called: ``--version`` answers at once."""

from __future__ import annotations

import errno
import importlib
import io
import math
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click

from wheelfuse import __version__
from wheelfuse.cli.command import HELP_OPTIONS, plain_option
from wheelfuse.cli.terminal import complain, echo, speak_as_usual, warn
from wheelfuse.errors import InvalidInput, Problem, UsageError, WheelfuseError
from wheelfuse.suggest import meant

COMMANDS = {
    "pythons": "Show the CPythons that a project is built for, and the interpreter of this machine for each.",
    "build": "Build a project's wheels, one for each CPython that it is for.",
    "compile": "Compile C++ and CUDA sources to one extension module for one CPython.",
    "merge": "Fuse the wheels of one release, one per CPython, into one wheel.",
    "split": "Take a fused wheel apart again: the single-Python wheels, every member as it was.",
    "audit": "Say where wheels load, on which CPython, torch, C library and GPU, and why not elsewhere.",
    "verify": "Install wheels, import their extension modules, and run a command, on every CPython that they claim.",
    "survey": "Read what the wheels of a directory, a bucket or an index need, into tables that answer questions.",
    "ci": "Write a pipeline for the project at hand: github, buildkite or gitlab.",
    "explain": "Explain rules of the audit: what each finds, why it matters, and what to do.",
    "doctor": "Say what this machine can do, and how to install what is missing.",
    "completion": "Print the script by which bash, zsh or fish completes wheelfuse.",
}
"""The commands, and how the help of each begins: ``--help`` lists them, and loads none."""

EXAMPLES = (
    "wheelfuse merge wheelhouse -o dist",
    "wheelfuse audit dist",
    "wheelfuse merge --help",
)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"wheelfuse.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but whoever mistypes a command is told which may be meant."""
        name = args[0]
        if name not in COMMANDS and name[:1].isalnum() and not ctx.resilient_parsing:
            ctx.fail(f"No such command {name!r}{meant(name, COMMANDS)}.".replace("?.", "?"))
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Commands, of which none is loaded, and options."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=told) for name, told in COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for line in EXAMPLES:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _abandon(sys.stdout, sys.stderr)  # the reader of a pipe has enough
            sys.exit(141)


@click.command(cls=_Commands, context_settings={"help_option_names": HELP_OPTIONS})
@click.version_option(__version__, prog_name="wheelfuse")
def cli() -> None:
    """Fuse the wheels of a build matrix, one per CPython, into one wheel that works on all of them, and tell where
    a wheel loads, and why not elsewhere.

    Exit codes: 0 done, 1 the audit found something, 2 the call makes no sense, 3 an input cannot be trusted or
    read, 4 the wheels cannot become one without a decision of yours, 5 a build or a verification failed, or the
    output could not be written, 70 wheelfuse has a fault.
    """


cli.params.append(plain_option())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    with _faults_told(), _ending_in_order(), _leftovers_told():
        _run(arguments)


def _run(arguments: list[str] | None) -> None:
    speak_as_usual()
    if os.environ.get("_WHEELFUSE_COMPLETE"):  # a shell asks
        from wheelfuse.cli import shells  # noqa: F401 (makes itself known)
    try:
        code: int | None = cli.main(arguments, prog_name="wheelfuse", standalone_mode=False)
        sys.stdout.flush()
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show(shown := io.StringIO())
        with _whoever_listens():
            echo(shown.getvalue(), err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except WheelfuseError as error:
        with _whoever_listens():
            complain(error.problems)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        _abandon(sys.stdout, sys.stderr)
        sys.exit(141)
    except OSError as error:
        _abandon(sys.stdout)
        with _whoever_listens():
            complain([Problem(_told(error))])
        sys.exit(CannotWrite.exit_code)
    sys.exit(code or 0)


@contextmanager
def _whoever_listens() -> Iterator[None]:
    """Nobody may read what is told on standard error, or it may be full: the exit code is the same."""
    try:
        yield
    except OSError:
        _abandon(sys.stderr)


@contextmanager
def _faults_told() -> Iterator[None]:
    """What nobody foresaw ends with a code of its own: EX_SOFTWARE of sysexits.h."""
    try:
        yield
    except Exception:  # noqa: BLE001 (whatever it is)
        import traceback

        what = "this is a fault of wheelfuse, not yours"
        todo = "Please report it, with the lines above and the command that you gave."
        with _whoever_listens():
            echo(traceback.format_exc(), err=True)
            complain([Problem(what, todo=todo)])
        sys.exit(os.EX_SOFTWARE)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """A signal to end is an exit, so that what is half-written is removed, and children do not go on alone.

    What comes soon after is the same wish, and does not disturb that.
    """
    until = -math.inf
    lost: list[_End] = []

    def end(number: int, _: object) -> None:
        nonlocal until
        if time.monotonic() >= until:
            until = time.monotonic() + _PATIENCE
            raise _End(128 + number)

    def ignored(what: Any) -> None:
        """Where Python has to ignore exceptions, as in a finaliser, it cannot end: it is told again right after."""
        nonlocal until
        if not isinstance(what.exc_value, _End):
            otherwise(what)
            return
        import threading

        until = -math.inf
        lost.append(what.exc_value)
        number = int(what.exc_value.code) - 128
        threading.Timer(_RIGHT_AFTER, os.kill, (os.getpid(), number)).start()

    handlers = {number: signal.getsignal(number) for number in _TO_END}
    otherwise, sys.unraisablehook = sys.unraisablehook, ignored
    try:
        for number, handler in handlers.items():
            if handler is not signal.SIG_IGN:  # as nohup leaves it
                signal.signal(number, end)
        yield
    except (Exception, SystemExit) as error:
        # What the signal did to other processes may come before it is told again.
        if end_behind := _End.behind(error) or next(iter(lost), None):
            raise end_behind from None
        raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.unraisablehook = otherwise


class _End(SystemExit):
    """The exit that a signal is."""

    code: int

    @classmethod
    def behind(cls, error: BaseException | None) -> _End | None:
        """The exit of which Python made another exception, as CPython 3.11 does where a class is made."""
        while error and not isinstance(error, cls):
            error = error.__cause__ or error.__context__
        return error if isinstance(error, cls) else None


@contextmanager
def _leftovers_told() -> Iterator[None]:
    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        from wheelfuse.temporary import LeftBehind

        if issubclass(category, LeftBehind):
            with _whoever_listens():
                warn([Problem(str(message))])
        else:
            otherwise(message, category, *where, **more)

    with warnings.catch_warnings():
        otherwise, warnings.showwarning = warnings.showwarning, show
        yield


def _abandon(*streams: TextIO) -> None:
    """What is left in their buffers must not raise again at exit, which would change the exit code."""
    for stream in streams:
        with suppress(ValueError):  # in a test it may be no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 5.0
"""For how long after a signal to end a further one is ignored, in seconds."""

_RIGHT_AFTER = 0.01  # seconds

_ANYWHERE = {
    errno.EMFILE: "Raise the limit on open files (ulimit -n).",
    errno.EIO: "Check the disk.",
}
"""What to do about an error of the system, whatever it is about."""

_TODO = {
    **_ANYWHERE,
    errno.ENOSPC: "Free some space there, or choose another directory.",
    errno.EDQUOT: "Free some space there, or choose another directory.",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f).",
    errno.EACCES: "Choose a directory that you may write to.",
    errno.EPERM: "Choose a directory that you may write to.",
    errno.EROFS: "Choose a directory that you may write to.",
    errno.EISDIR: "Choose another name: it is that of a directory.",
    errno.ENOTDIR: "Choose another directory: what is to be one is a file.",
    errno.ENOENT: "See that the directory is there, or choose another.",
    errno.ENAMETOOLONG: "Choose a directory with a shorter path.",
    errno.ELOOP: "Choose another directory: a symbolic link leads back to itself.",
}
"""What to do about an output that cannot be written."""


class CannotWrite(WheelfuseError):
    """The disk is full, a directory cannot be written to, or the like."""

    exit_code = 5


@contextmanager
def refusals(command: str, *, as_json: bool) -> Iterator[None]:
    """Around the work of a command: a refusal is printed as JSON too, if that is what stdout is for."""
    try:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _refusal(error) from error
    except WheelfuseError as refusal:
        if as_json:
            from wheelfuse.report.document import dumped, refusal_document

            echo(dumped(refusal_document(command, refusal)))
        raise


def _told(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _refusal(error: OSError) -> WheelfuseError:
    """What an error of the system means: one about an output or a temporary file is of a class of its own, and any
    other with a name is about something that was to be read."""
    from wheelfuse.temporary import TemporaryFileError
    from wheelfuse.wheel.outputs import Unsettled, WriteFailed

    number = error.errno or 0
    if isinstance(error, FileExistsError):  # it has come into being meanwhile
        todo = "Choose another directory, or add --force."
        return UsageError(Problem("exists already", str(error.filename), todo=todo))
    if isinstance(error, TemporaryFileError):
        todo = "Free some space there, or set TMPDIR to another directory."
        what = f"could not write temporary files: {_told(error)}; no output was changed"
        return CannotWrite(Problem(what, todo=todo))
    if isinstance(error, WriteFailed):
        changed = "" if isinstance(error, Unsettled) else "; nothing there has changed"
        return CannotWrite(Problem(f"could not write: {_told(error)}{changed}", todo=_TODO.get(number, "")))
    if error.filename is None:  # no more processes, a full standard output
        return CannotWrite(Problem(_told(error), todo=_ANYWHERE.get(number, "")))
    todo = _ANYWHERE.get(number, "See that it is there, and that you may read it.")
    return InvalidInput(Problem(f"cannot be read: {error.strerror}", str(error.filename), todo=todo))
