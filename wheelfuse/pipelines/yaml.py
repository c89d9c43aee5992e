"""Text that stands in YAML. The pipelines are templates; what comes from elsewhere goes in through these."""

from __future__ import annotations

import re
import textwrap

_PLAIN = re.compile(r"[A-Za-z][\w./@+-]*(?:[ :][\w./@+-]+)*", re.ASCII)
_TAKEN = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def scalar(text: str) -> str:
    """*text* in one line: plain if it can be, else in double quotes (YAML 1.2, 7.3.1)."""
    if _PLAIN.fullmatch(text) and text.lower() not in _TAKEN:
        return text
    return f'"{"".join(map(_escaped, text))}"'


def block(text: str, indent: int) -> str:
    """Lines of a script as a literal block scalar (YAML 1.2, 8.1.2), whose lines begin at column *indent*.

    In double quotes if it holds what YAML does not print.
    """
    text = text.rstrip("\n") + "\n"
    if not all(line.isprintable() for line in text.split("\n")):
        return scalar(text)
    return "|\n" + textwrap.indent(text.rstrip("\n"), " " * indent)


def comment(text: str) -> str:
    """*text* with each line made a comment; taking the first two characters of each line away undoes it."""
    return "".join(f"# {line}".rstrip(" ") + "\n" for line in text.splitlines())


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"
