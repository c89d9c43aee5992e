"""Conflicts for people: grouped, with the line of the command that would settle each group."""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from wheelfuse.abi.modules import is_tagged_bytecode
from wheelfuse.errors import Problem
from wheelfuse.escape import printable, shell_word
from wheelfuse.fuse.differences import differences
from wheelfuse.fuse.model import Conflict, Group, Original
from wheelfuse.fuse.resolvers.sources import is_importable_source

_MEANING = {
    "keep": "all CPythons get {it}",
    "drop": "none gets {it}",
    "newest": "{newest}'s for all",
    "oldest": "{oldest}'s for all",
    "dispatch": "each CPython imports what its own wheel had",
    "rename": "one copy per CPython",
}
_MOST_PATHS = 12


@dataclass(frozen=True)
class Alike:
    """Conflicts that differ in the same way, and what settles them.

    *globs* name these paths and no other difference. *lines* are options of the command: one of them is enough if
    there is one glob, and else all are needed, with one strategy; *meanings* has what each strategy does.
    """

    conflicts: tuple[Conflict, ...]
    globs: tuple[str, ...]
    lines: tuple[str, ...]
    meanings: Mapping[str, str]

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(conflict.path for conflict in self.conflicts)

    @property
    def title(self) -> str:
        """The glob, or how many files there are."""
        return self.globs[0] if len(self.globs) == 1 else f"{len(self.conflicts)} files"

    @property
    def problem(self) -> Problem:
        """The same for people."""
        return Problem("\n".join(_lines(self)), member=self.title, todo=_advice(self))


def explain(conflicts: Iterable[Conflict], originals: tuple[Original, ...]) -> tuple[Problem, ...]:
    """One problem for all paths that differ in the same way, with the lines that settle them."""
    return tuple(group.problem for group in grouped(conflicts, originals))


def grouped(conflicts: Iterable[Conflict], originals: tuple[Original, ...]) -> tuple[Alike, ...]:
    """The conflicts that differ in the same way together."""
    alike: dict[tuple[str, tuple[Group, ...], tuple[str, ...]], list[Conflict]] = defaultdict(list)
    for conflict in conflicts:
        alike[(conflict.reason, conflict.groups, conflict.strategies)].append(conflict)
    if not alike:
        return ()
    # Bytecode aside, which follows its source.
    differing = _counts(path for path in differences(originals).of_files if not is_tagged_bytecode(path))
    return tuple(_alike(members, differing, originals) for members in alike.values())


def options(conflict: Conflict) -> tuple[tuple[str, str, str], ...]:
    """What would settle this conflict alone: (strategy, ``--resolve 'path=newest'``, what that means)."""
    words = {"it": "it", "newest": "the newest CPython", "oldest": "the oldest CPython"}
    glob = _escaped(conflict.path)
    return tuple(
        (strategy, f"--resolve {_quoted(glob, strategy)}", meaning)
        for strategy, meaning in _meanings(_strategies([conflict]), words).items()
    )


def _alike(members: list[Conflict], differing: Counter[str], originals: tuple[Original, ...]) -> Alike:
    have = {label for group in members[0].groups if group.present for label in group.labels}
    owners = [original.label for original in originals if original.label in have]
    globs = tuple(_globs([conflict.path for conflict in members], differing))
    strategies = _strategies(members)
    words = {"it": "them" if len(members) > 1 else "it", "newest": owners[-1], "oldest": owners[0]}
    meanings = _meanings(strategies, words)
    choices = [(globs[0], s) for s in meanings] if len(globs) == 1 else [(g, strategies[0]) for g in globs]
    lines = tuple(f"--resolve {_quoted(glob, strategy)}" for glob, strategy in choices)
    return Alike(tuple(members), globs, lines, meanings)


def _lines(group: Alike) -> list[str]:
    first, paths, globs = group.conflicts[0], group.paths, group.globs
    lines = [first.reason]
    if len(globs) > 1:
        lines += [f"    {printable(glob)}" for glob in globs[:_MOST_PATHS]]
        lines += [f"    and {len(globs) - _MOST_PATHS} more"] if len(globs) > _MOST_PATHS else []
    elif len(paths) > 1:
        names = ", ".join(printable(posixpath.basename(path)) for path in paths[:3])
        lines.append(f"    {len(paths)} files: {names}{', ...' if len(paths) > 3 else ''}")
    lines += [f"    {'in' if each.present else 'not in'} {each}" for each in first.groups]
    return [*lines, *(f"    {line}".rstrip() for line in first.details)]


def _strategies(members: list[Conflict]) -> tuple[str, ...]:
    """Those of the conflicts; source that only some wheels have can also be hidden from the other CPythons."""
    strategies = members[0].strategies
    if "keep" in strategies and any(is_importable_source(conflict.path) for conflict in members):
        strategies += ("dispatch",)
    return strategies


def _advice(group: Alike) -> str:
    if len(group.globs) == 1:
        width = max(map(len, group.lines))
        lines = [
            f"{option:<{width}}  {meaning}"
            for option, meaning in zip(group.lines, group.meanings.values(), strict=True)
        ]
        return "\n    ".join(("To settle it, add one of:", *lines))
    choices = "; ".join(f"{strategy}: {meaning}" for strategy, meaning in group.meanings.items())
    return "\n    ".join((f"To settle them, add these ({choices}):", *group.lines))


def _meanings(strategies: Iterable[str], words: dict[str, str]) -> dict[str, str]:
    """Strategy -> what it means; of those that are the label of a wheel, whose file it takes."""
    return {
        strategy: _MEANING[strategy].format(**words) if strategy in _MEANING else f"{strategy}'s for all"
        for strategy in strategies
    }


def _quoted(glob: str, strategy: str) -> str:
    return shell_word(f"{glob}={strategy}", quotes=True)


def _globs(paths: list[str], differing: Counter[str]) -> Iterator[str]:
    """As few globs as name these differences and no others: whole directories, else single files.

    *differing* tells how many differences there are below each directory.
    """
    mine = _counts(paths)
    whole = {directory for directory, count in mine.items() if count == differing[directory] and count > 1}
    found = set()
    for path in paths:
        topmost = [directory for directory in _above(path) if directory in whole][-1:]
        found.add(f"{_escaped(topmost[0])}/**" if topmost else _escaped(path))
    yield from sorted(found, key=lambda glob: (not glob.endswith("/**"), glob))


def _counts(paths: Iterable[str]) -> Counter[str]:
    """How many of the paths lie below each directory."""
    return Counter(directory for path in paths for directory in _above(path))


def _above(path: str) -> Iterator[str]:
    """The directories above a path, from the nearest to the topmost."""
    while (above := posixpath.dirname(path)) not in ("", path):  # that of / is /
        yield above
        path = above


def _escaped(path: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)
