"""Conflicts for people: grouped, with the line of the command that would settle each group."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator

from wheelfuse.errors import Problem
from wheelfuse.fuse.model import Conflict, Group, Original

_MEANING = {
    "keep": "all CPythons get {it}",
    "drop": "none gets {it}",
    "newest": "{newest}'s for all",
    "oldest": "{oldest}'s for all",
    "dispatch": "each CPython runs its own",
    "rename": "one copy per CPython",
}


def explain(conflicts: Iterable[Conflict], originals: tuple[Original, ...]) -> tuple[Problem, ...]:
    """One problem for each group of paths that differ in the same way, each with the lines that settle it."""
    alike: dict[tuple[str, tuple[Group, ...], tuple[str, ...]], list[Conflict]] = defaultdict(list)
    for conflict in conflicts:
        single = (conflict.path,) if conflict.details else ()
        alike[(conflict.reason, conflict.groups, single)].append(conflict)
    everywhere = {path for original in originals for path in original.files}
    problems = []
    for (reason, groups, _), members in alike.items():
        for glob, paths in _globs([conflict.path for conflict in members], everywhere):
            problems.append(_problem(reason, groups, glob, paths, members[0], originals))
    return tuple(problems)


def _problem(
    reason: str,
    groups: tuple[Group, ...],
    glob: str,
    paths: list[str],
    example: Conflict,
    originals: tuple[Original, ...],
) -> Problem:
    lines = []
    if len(paths) > 1:
        shown = ", ".join(posixpath.basename(path) for path in paths[:3])
        lines.append(f"    {len(paths)} files: {shown}{', ...' if len(paths) > 3 else ''}")
    lines += [f"    {'' if group.present else 'not in '}{group}" for group in groups]
    lines += [f"    {line}" for line in example.details]
    words = {
        "it": "them" if len(paths) > 1 else "it",
        "newest": originals[-1].label,
        "oldest": originals[0].label,
    }
    options = [f"--resolve '{glob}={strategy}'" for strategy in example.strategies]
    width = max(map(len, options), default=0)
    todo = "\n    ".join(
        f"{option:<{width}}  {_MEANING.get(strategy, '{it}').format(**words)}"
        if strategy in _MEANING
        else f"{option:<{width}}  {strategy}'s for all"
        for option, strategy in zip(options, example.strategies, strict=True)
    )
    return Problem("\n".join((reason, *lines)), member=glob, todo=f"To settle it, add one of:\n    {todo}")


def _globs(paths: list[str], everywhere: set[str]) -> Iterator[tuple[str, list[str]]]:
    """As few globs as name these paths and nothing else: whole directories, else single files."""
    remaining = set(paths)
    for directory in _directories(paths):
        prefix = f"{directory}/"
        inside = [path for path in everywhere if path.startswith(prefix)]
        if len(inside) > 1 and remaining.issuperset(inside):
            remaining -= set(inside)
            yield f"{_escaped(directory)}/**", sorted(inside)
    for path in sorted(remaining):
        yield _escaped(path), [path]


def _directories(paths: list[str]) -> list[str]:
    """All directories above the paths, the topmost first."""
    found = set()
    for path in paths:
        while path := posixpath.dirname(path):
            found.add(path)
    return sorted(found, key=lambda directory: (directory.count("/"), directory))


def _escaped(path: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)
