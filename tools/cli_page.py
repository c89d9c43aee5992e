"""The page of all commands, from what click knows of them: docs/reference/cli.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from inspect import cleandoc

import click

from wheelfuse.cli import COMMANDS, cli

NO_REWRAP = "\b"
"""What click has at the beginning of a paragraph that keeps its lines."""


def page() -> str:
    """The page: what holds for all commands, and a section for each, with the anchor ``#merge``."""
    root = click.Context(cli, info_name="wheelfuse", help_option_names=["-h", "--help"])
    rows = [f"| [{name}](#{name}) | {_cell(text)} |" for name, text in COMMANDS.items()]
    parts = [
        "<!-- Written by `make docs` (tools/cli_page.py). Change the help texts in wheelfuse/cli instead. -->",
        "# Commands",
        "What `wheelfuse --help` and `wheelfuse COMMAND --help` print, on one page.",
        "\n".join(("| Command | |", "| --- | --- |", *rows)),
        *_body(cli, root),
    ]
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command, name
        parts += [f"## {name}", *_body(command, click.Context(command, info_name=name, parent=root))]
        if name == "survey":
            from wheelfuse.cli.ask import command as ask

            parts += ["### survey ask", *_body(ask, click.Context(ask, info_name="survey ask", parent=root))]
    return "\n\n".join(parts) + "\n"


def _body(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```"
    for text in (command.help, command.epilog):
        yield from map(_paragraph, filter(None, re.split(r"\n\s*\n", cleandoc(text or ""))))
    options = [option for option in command.get_params(context) if isinstance(option, click.Option)]
    if rows := list(_rows(options, context)):
        yield "\n".join(("| Option | |", "| --- | --- |", *rows))


def _paragraph(text: str) -> str:
    if text.startswith(NO_REWRAP):
        return f"```text\n{text.removeprefix(NO_REWRAP).strip(chr(10))}\n```"
    return re.sub(r"(?<![`\w])(--[a-z][a-z-]*)", r"`\1`", text)


def _rows(options: Iterable[click.Option], context: click.Context) -> Iterator[str]:
    for option in options:
        if record := option.get_help_record(context):
            names, text = record
            yield f"| `{_cell(names)}` | {_cell(text)} |"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", r"\|").replace("<", "&lt;")
