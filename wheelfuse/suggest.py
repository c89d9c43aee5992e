"""What somebody meant who mistyped a name."""

from __future__ import annotations

from collections.abc import Iterable

_MOST = 3
"""How many names are offered."""


def close(word: str, known: Iterable[str]) -> tuple[str, ...]:
    """The names that *word* may have been meant for, the closest first; those that it begins come before all."""
    from difflib import get_close_matches  # only where something is wrong

    by_letters = {name.lower(): name for name in known}
    low = word.lower()
    if low in by_letters:
        return (by_letters[low],)
    begun = [name for name in by_letters if low and name.startswith(low)]
    near = get_close_matches(low, by_letters, n=_MOST, cutoff=0.6)
    return tuple(by_letters[name] for name in dict.fromkeys((*begun[:_MOST], *near)))[:_MOST]


def meant(word: str, known: Iterable[str]) -> str:
    """``; did you mean keep or drop?``, to be added to what is wrong; empty if nothing is close."""
    *others, last = close(word, known) or ("",)
    listed = f"{', '.join(others)} or {last}" if others else last
    return f"; did you mean {listed}?" if last else ""
