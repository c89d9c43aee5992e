"""Globs over paths in a wheel: ``*`` and ``?`` stay within one directory, ``**`` crosses them, ``[...]`` is a set."""

from __future__ import annotations

import functools
import re


@functools.cache
def glob_pattern(glob: str) -> re.Pattern[str]:
    """The regular expression that whole paths match.

    Raises:
        re.error: a set in it makes no sense.
    """
    meanings = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", glob)
    return re.compile("".join(meanings.get(part) or _literal(part) for part in parts), re.DOTALL)


def is_literal(glob: str) -> bool:
    """Whether a glob matches no other path than the one that is spelled like it."""
    return not any(letter in glob for letter in "*?[")


def _literal(part: str) -> str:
    """A part of a glob without wildcards; a set, which never matches the slash."""
    if not (part.startswith("[") and part.endswith("]") and len(part) > 2):
        return re.escape(part)
    letters = part[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
    return f"(?!/)[^{letters[1:]}]" if letters.startswith("!") and len(letters) > 1 else f"(?!/)[{letters}]"
