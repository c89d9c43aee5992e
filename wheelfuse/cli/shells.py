"""Completion in bash, zsh and fish: the script that each loads, and what it is answered when Tab is pressed.

click parses what is typed and asks each parameter. What differs from its own support of shells: it is the line that
is looked at, not the words that a shell makes of it (bash takes ``x=keep`` for three), and files are listed here, so
that only wheels are offered where wheels are due.
"""

from __future__ import annotations

import os
from typing import Any

from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, split_arg_string

from wheelfuse.cli.completing import PATH, expanded

VARIABLE = "_WHEELFUSE_COMPLETE"
"""Tells wheelfuse that a shell asks, and which: ``bash_complete``. click makes the name of that of the program."""

_END = "\x1f"
"""Stands where the cursor is, so that a blank before it is not lost."""


class _Shell(ShellComplete):
    """What a shell is answered: an item in each line, of its type, its value and what it is, with tabs between."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before that of the cursor, without the name of the program; and what there is of that one."""
        *words, typed = split_arg_string(os.environ.get("COMP_LINE", "") + _END)
        return words[1:], typed.removesuffix(_END)

    def get_completions(self, args: list[str], incomplete: str) -> list[Any]:
        """Whole words: click leaves out what is before the equals sign of ``--option=value``."""
        option, equals, _ = incomplete.partition("=")
        before = f"{option}{equals}" if option.startswith("--") and equals else ""
        items = expanded(super().get_completions(args, incomplete))
        return [CompletionItem(before + item.value, item.type, item.help) for item in items]

    def format_completion(self, item: Any) -> str:
        told = " ".join((item.help or "").split())
        return f"{item.type}\t{item.value}\t{told}"


class Bash(_Shell):
    """bash completes the end of a word, from an equals sign or a colon on if no quote is open."""

    name = "bash"
    source_template = r"""
%(complete_func)s() {
    local kind value told
    COMPREPLY=()
    while IFS=$'\t' read -r kind value told; do
        [[ $kind != path ]] || compopt -o filenames
        [[ $value != *[=:] ]] || compopt -o nospace
        COMPREPLY+=("$value")
    done < <(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_CURRENT="$2" %(complete_var)s=bash_complete \
        "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
""".lstrip()

    def get_completions(self, args: list[str], incomplete: str) -> list[Any]:
        """The part of the words that bash is about to replace."""
        current = os.environ.get("COMP_CURRENT", "")
        current = current[1:] if current[:1] in ("'", '"') else current
        cut = len(incomplete) - len(current) if incomplete.endswith(current) else 0
        return [
            # of a directory bash adds the slash itself
            CompletionItem(item.value[cut:].rstrip("/") if item.type == PATH else item.value[cut:], item.type)
            for item in super().get_completions(args, incomplete)
        ]


class Zsh(_Shell):
    """zsh shows what each item is."""

    name = "zsh"
    source_template = r"""
#compdef %(prog_name)s
%(complete_func)s() {
    local kind value told
    local -a described files open
    while IFS=$'\t' read -r kind value told; do
        if [[ $value == *[/=] ]]; then
            open+=("$value")
        elif [[ $kind == path ]]; then
            files+=("$value")
        else
            described+=("${value//:/\\:}${told:+:$told}")
        fi
    done < <(env COMP_LINE="${(j: :)words[1,CURRENT-1]} ${words[CURRENT]}" %(complete_var)s=zsh_complete \
        "${words[1]}" 2>/dev/null)
    (( ! $#described )) || _describe -V %(prog_name)s described
    (( ! $#files )) || compadd -f -a files
    (( ! $#open )) || compadd -f -S '' -a open
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
""".lstrip()


class Fish(_Shell):
    """fish shows what each item is, after a tab."""

    name = "fish"
    source_template = r"""
function %(complete_func)s
    env COMP_LINE=(commandline -cp | string collect) %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null
end
complete --command %(prog_name)s --no-files --keep-order --arguments '(%(complete_func)s)'
""".lstrip()

    def format_completion(self, item: Any) -> str:
        return super().format_completion(item).partition("\t")[2].rstrip("\t")


SHELLS: dict[str, type[ShellComplete]] = {shell.name: shell for shell in (Bash, Zsh, Fish)}
for _shell in SHELLS.values():
    add_completion_class(_shell)
