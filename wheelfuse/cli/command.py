"""What all commands have in common: help with options in groups and examples at its end, and ``--plain``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from wheelfuse.cli.terminal import speak_plainly

HELP_OPTIONS = ["-h", "--help"]


@dataclass(frozen=True)
class Example:
    """A call that does something worth doing: *what* it does, and the *line* to type."""

    what: str
    line: str


def _plain(context: click.Context, _: click.Parameter, given: bool) -> None:
    if given and not context.resilient_parsing:
        speak_plainly()


def plain_option() -> click.Option:
    """``--plain``, which counts before the name of a command and after it."""
    return click.Option(
        ["--plain"], is_flag=True, is_eager=True, expose_value=False, callback=_plain,
        help="Say it in words and in ASCII, one fact in a line: for screen readers, and for grep.",
    )  # fmt: skip


class Command(click.Command):
    """A command with *examples*, and *sections* of its help: their titles, and the options in each.

    Options that are in no section come last.
    """

    def __init__(
        self,
        *arguments: Any,
        examples: tuple[Example, ...] = (),
        sections: Mapping[str, tuple[str, ...]] | None = None,
        **settings: Any,
    ) -> None:
        # Of its own, too: click keeps the option by whichever context was the first.
        settings.setdefault("context_settings", {}).setdefault("help_option_names", HELP_OPTIONS)
        super().__init__(*arguments, **settings)
        self.params.append(plain_option())
        self.examples = examples
        self.sections = sections or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``--plain`` counts for options that print and exit, too, even if these come before it."""
        if "--plain" in args and not ctx.resilient_parsing:
            speak_plainly()
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, section by section."""
        options = (param for param in self.get_params(ctx) if isinstance(param, click.Option))
        left = [(set(param.opts), record) for param in options if (record := param.get_help_record(ctx))]
        for title, names in self.sections.items():
            _write_rows(formatter, title, [record for opts, record in left if opts & set(names)])
            left = [(opts, record) for opts, record in left if not opts & set(names)]
        _write_rows(
            formatter, "Other options" if self.sections else "Options", [record for _, record in left]
        )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples: the lines are not wrapped, for they are to be copied."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write_text(example.what)
                    formatter.write(f"{'':{formatter.current_indent + 2}}{example.line}\n")


def _write_rows(formatter: click.HelpFormatter, title: str, rows: list[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)
