"""``wheelfuse completion``."""

from __future__ import annotations

import click

from wheelfuse.cli.command import Command, Example
from wheelfuse.cli.options import OneOf
from wheelfuse.cli.shells import SHELLS, VARIABLE
from wheelfuse.cli.terminal import echo_for_programs

EXAMPLES = (
    Example("For the present bash:", 'eval "$(wheelfuse completion bash)"'),
    Example("For all that zsh will start:", "echo 'eval \"$(wheelfuse completion zsh)\"' >> ~/.zshrc"),
    Example("For fish:", "wheelfuse completion fish > ~/.config/fish/completions/wheelfuse.fish"),
)


@click.command("completion", cls=Command, no_args_is_help=True, examples=EXAMPLES)
@click.argument("shell", type=OneOf(tuple(SHELLS)))
def command(shell: str) -> None:
    """Print the script by which bash, zsh or fish completes wheelfuse.

    Tab then completes commands, options, CPythons (--expect cp31), rules (explain WF2), strategies
    (--resolve 'x=), formats, and the names of wheels. zsh needs compinit to have been called before.
    """
    root = click.get_current_context().find_root().command
    echo_for_programs(SHELLS[shell](root, {}, "wheelfuse", VARIABLE).source())
