"""``wheelfuse explain``."""

from __future__ import annotations

import difflib
import sys

import click

from wheelfuse.auditing.rules import Entry, entries
from wheelfuse.cli import completing
from wheelfuse.cli.command import Command, Example
from wheelfuse.cli.terminal import color, echo, width
from wheelfuse.errors import Problem, UsageError

EXAMPLES = (
    Example("What a finding means:", "wheelfuse explain WF203"),
    Example("Two rules, one by its name:", "wheelfuse explain WF305 glibc-too-new"),
)


@click.command("explain", cls=Command, no_args_is_help=True, examples=EXAMPLES)
@click.argument("codes", nargs=-1, required=True, metavar="CODE...", shell_complete=completing.rule_names)
def command(codes: tuple[str, ...]) -> None:
    """Explain rules of the audit: what each finds, why it matters, and what to do.

    CODE is one such as WF203, or the name of a rule. wheelfuse audit --list-rules lists all.
    """
    from wheelfuse.report.rules_text import explanation

    colored = color(sys.stdout)
    texts = [explanation(find(code), width=width(), color=colored) for code in codes]
    echo("\n".join(texts))


def find(code: str) -> Entry:
    """The rule of this code or name.

    Raises:
        UsageError: there is none; those with similar names are named.
    """
    known = {key: entry for entry in entries() for key in (entry.rule.code, entry.rule.name)}
    wanted = code.upper() if code.upper() in known else code.lower().replace("_", "-")
    if wanted in known:
        return known[wanted]
    begins = [key for key in known if code and key.lower().startswith(code.lower())]
    near = list(
        dict.fromkeys((*begins, *difflib.get_close_matches(wanted, known), *_close_codes(code, known)))
    )
    meant = f"; did you mean {', '.join(near[:6])}?" if near else ""
    todo = "wheelfuse audit --list-rules lists all."
    raise UsageError(Problem(f"no rule is called {code}{meant}", todo=todo))


def _close_codes(code: str, known: dict[str, Entry]) -> list[str]:
    return difflib.get_close_matches(code.upper(), [key for key in known if key.startswith("WF")], cutoff=0.7)
