"""Environment markers (PEP 508) as trees of ``and`` and ``or``: compared, bounded by Python version, joined.

Markers know no ``not``. So replacing a comparison whose outcome is unknown by "true" can only make the whole
marker true more often: what is false even then is false on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache

from packaging.markers import Marker
from packaging.utils import canonicalize_name

_TOKEN = re.compile(r"""\(|\)|"[^"]*"|'[^']*'|[^\s()"']+""")
_EXTRA = re.compile(
    r'(?<=^extra [!=]= ")[^"]+'
)  # packaging below 26.3 leaves those in parentheses as spelled
_DECIDED_BY_MINOR = re.compile(
    r'python_version (?:[<>]=?|[!=]=) "\d+\.\d+"'
    r'|python_full_version (?:[<>]=?|[!=]=) "\d+\.\d+(?:\.0)?"'
    r'|python(?:_full)?_version [!=]= "\d+\.\d+\.\*"'
)
# Releases of each kind that such a comparison can tell apart: before, at and after x.y.0.
_MICROS = ("0a1", "0rc1", "0", "1", "99")


@dataclass(frozen=True)
class _Junction:
    """Comparisons, or junctions of the other kind, joined by ``and`` or by ``or``."""

    word: str
    parts: tuple[_Junction | str, ...]


_Tree = _Junction | str


def canonical(marker: Marker) -> str:
    """A spelling that does not depend on the order of operands, on parentheses or on quotes."""
    return _render(_tree(marker))


def may_hold(marker: Marker, minor: int) -> bool:
    """False if the marker is false on every release of CPython 3.*minor*, on whatever machine."""
    tree = _tree(marker)
    return any(_may_hold(tree, minor, micro) for micro in _MICROS)


def only_for(wanted: Collection[int], served: Collection[int]) -> str:
    """A marker that is true on the *wanted* minor versions of CPython 3 and false on the other *served* ones.

    Empty if there are no others. Runs of neighbours in *served* become intervals, open at either end of it.
    """
    minors = sorted(served)
    runs: list[str] = []
    start = 0
    for end in range(1, len(minors) + 1):
        same = end < len(minors) and (minors[end] in wanted) == (minors[start] in wanted)
        if same:
            continue
        if minors[start] in wanted:
            runs.append(_interval(minors, start, end))
        start = end
    return " or ".join(f"({run})" if " and " in run and len(runs) > 1 else run for run in runs)


def conjunction(*markers: str) -> str:
    """All of the markers joined by ``and``, with the parentheses that this takes; empty ones are left out."""
    present = [marker for marker in markers if marker]
    if len(present) < 2:
        return "".join(present)
    return " and ".join(f"({marker})" if _is_or(marker) else marker for marker in present)


def _is_or(marker: str) -> bool:
    """Whether it is joined by ``or`` outside of parentheses as it is written; its tree has each part once."""
    depth = 0
    for token in _TOKEN.findall(marker):
        depth += (token == "(") - (token == ")")
        if token == "or" and not depth:
            return True
    return False


def _interval(minors: list[int], start: int, end: int) -> str:
    """The marker of the run ``minors[start:end]``, not of its neighbours in *minors*."""
    lower = f'python_version >= "3.{minors[start]}"' if start else ""
    upper = f'python_version < "3.{minors[end]}"' if end < len(minors) else ""
    if lower and upper and end - start == 1:
        return f'python_version == "3.{minors[start]}"'
    return " and ".join(bound for bound in (lower, upper) if bound)


def _may_hold(tree: _Tree, minor: int, micro: str) -> bool:
    if isinstance(tree, str):
        return not _DECIDED_BY_MINOR.fullmatch(tree) or _holds(tree, minor, micro)
    parts = (_may_hold(part, minor, micro) for part in tree.parts)
    return all(parts) if tree.word == "and" else any(parts)


@cache
def _holds(comparison: str, minor: int, micro: str) -> bool:
    versions = {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.{micro}"}
    return Marker(comparison).evaluate(versions)


def _tree(marker: Marker) -> _Tree:
    tokens = _TOKEN.findall(str(marker))
    return _alternatives(tokens[::-1])


def _alternatives(tokens: list[str]) -> _Tree:
    """Consume, from the end of the reversed *tokens*, everything up to a closing parenthesis."""
    alternatives = [_conditions(tokens)]
    while tokens and tokens[-1] == "or":
        tokens.pop()
        alternatives.append(_conditions(tokens))
    return _junction("or", alternatives)


def _conditions(tokens: list[str]) -> _Tree:
    conditions = [_condition(tokens)]
    while tokens and tokens[-1] == "and":
        tokens.pop()
        conditions.append(_condition(tokens))
    return _junction("and", conditions)


def _condition(tokens: list[str]) -> _Tree:
    if tokens[-1] == "(":
        tokens.pop()
        inner = _alternatives(tokens)
        tokens.pop()
        return inner
    comparison = []
    while tokens and tokens[-1] not in ("and", "or", ")"):
        comparison.append(tokens.pop())
    return _EXTRA.sub(lambda match: canonicalize_name(match[0]), " ".join(comparison))


def _junction(word: str, parts: Iterable[_Tree]) -> _Tree:
    """The parts joined, those of a part of the same kind taken in, each once, in an order of their own."""
    flat: set[_Tree] = set()
    for part in parts:
        flat.update(part.parts if isinstance(part, _Junction) and part.word == word else (part,))
    return flat.pop() if len(flat) == 1 else _Junction(word, tuple(sorted(flat, key=_render)))


def _render(tree: _Tree) -> str:
    if isinstance(tree, str):
        return tree
    return f" {tree.word} ".join(f"({_render(p)})" if isinstance(p, _Junction) else p for p in tree.parts)
