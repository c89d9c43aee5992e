"""A short look at how the variants of a text differ, for the message of a conflict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import takewhile

from wheelfuse.fuse.reconcile.variant import Variant, group, name_targets

_WIDTH = 110
_WINDOW = 300  # lines that are compared from the first difference on, which bounds the time


def unified_summary(variants: Sequence[Variant], path: str, *, max_lines: int = 12) -> tuple[str, ...]:
    """The beginning of a unified diff between the two contents that serve the most CPythons, the older first.

    At most *max_lines* lines, long ones cut. Empty for binary content and where nothing differs.
    """
    contents = group((variant.targets, variant.content) for variant in variants)
    by_weight = sorted(
        contents, key=lambda content: (len(contents[content]), contents[content]), reverse=True
    )
    if len(by_weight) < 2:
        return ()
    before, after = sorted(by_weight[:2], key=lambda content: contents[content])
    try:
        old, new = _lines(before), _lines(after)
    except UnicodeDecodeError:
        return ()
    if b"\0" in before + after:
        return ()
    diff = [
        f"--- {path} ({name_targets(contents[before])})",
        f"+++ {path} ({name_targets(contents[after])})",
        *(_hunks(old, new) if old != new else ["only line ends differ"]),
    ]
    shown = diff if len(diff) <= max_lines else [*diff[: max_lines - 1], "…"]
    return tuple(line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…" for line in shown)


def _lines(content: bytes) -> list[str]:
    return [line.decode() for line in content.splitlines()]


def _hunks(old: list[str], new: list[str]) -> Iterator[str]:
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    skip = max(0, same - 1)
    old, new = old[skip : skip + _WINDOW], new[skip : skip + _WINDOW]
    for hunk in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(1):
        (_, i1, _, j1, _), (_, _, i2, _, j2) = hunk[0], hunk[-1]
        yield f"@@ -{skip + i1 + 1},{i2 - i1} +{skip + j1 + 1},{j2 - j1} @@"
        for kind, a1, a2, b1, b2 in hunk:
            if kind == "equal":
                yield from (f" {line}" for line in old[a1:a2])
                continue
            yield from (f"-{line}" for line in old[a1:a2])
            yield from (f"+{line}" for line in new[b1:b2])
