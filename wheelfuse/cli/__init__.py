"""The command line. One module for each command, loaded when it is called: ``--version`` answers at once."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from wheelfuse import __version__
from wheelfuse.cli.terminal import complain, echo
from wheelfuse.errors import Problem, WheelfuseError

COMMANDS = {
    "pythons": "Show the CPythons that a project is built for, and the interpreter of this machine for each.",
    "build": "Build a project's wheels, one for each CPython that it is for.",
    "compile": "Compile C++ and CUDA sources to one extension module for one CPython.",
    "merge": "Fuse the wheels of one release, one per CPython, into one wheel.",
    "split": "Take a fused wheel apart again: the single-Python wheels, every member as it was.",
    "audit": "Say where wheels load, on which CPython, torch, C library and GPU, and why not elsewhere.",
    "verify": "Install wheels, import their extension modules, and run a command, on every CPython that they claim.",
    "ci": "Write a pipeline for the project at hand: github, buildkite or gitlab.",
    "explain": "Explain rules of the audit: what each finds, why it matters, and what to do.",
}
"""The commands, and how the help of each begins: ``--help`` lists them, and loads none."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"wheelfuse.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        limit = formatter.width - 6 - max(map(len, COMMANDS))  # as click has it
        rows = [
            (name, click.Command(name, help=text).get_short_help_str(limit))
            for name, text in COMMANDS.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _abandon_stdout()  # the reader of a pipe has enough
            sys.exit(141)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wheelfuse")
def cli() -> None:
    """Fuse the wheels of a build matrix, one per CPython, into one wheel that works on all of them, and tell where
    a wheel loads, and why not elsewhere.

    Exit codes: 0 done, 1 the audit found something, 2 the call makes no sense, 3 an input cannot be trusted or
    read, 4 the wheels cannot become one without a decision of yours, 5 a build or a verification failed, or the
    output could not be written.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    _end_in_order()
    try:
        code: int | None = cli.main(arguments, prog_name="wheelfuse", standalone_mode=False)
        sys.stdout.flush()
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show(shown := io.StringIO())
        echo(shown.getvalue(), err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except WheelfuseError as error:
        complain(error.problems)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        _abandon_stdout()
        sys.exit(141)
    except OSError as error:
        _abandon_stdout()
        complain([Problem(_told(error))])
        sys.exit(CannotWrite.exit_code)
    sys.exit(code or 0)


def _end_in_order() -> None:
    """A signal to end is an exit, so that what is half-written is removed, and children do not go on alone."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, lambda received, _: sys.exit(128 + received))


def _abandon_stdout() -> None:
    """What is left in the buffer must not raise again at exit, which would change the exit code."""
    with suppress(ValueError):  # a test's standard output may be no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
            raise CannotWrite(f"could not write: {_told(error)}; nothing is left of the output") from error
    except WheelfuseError as refusal:
        if as_json:
            from wheelfuse.report.document import dumped, refusal_document

            echo(dumped(refusal_document(command, refusal)))
        raise


def _told(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
