"""What the user decides about a merge: the same on the command line, in pyproject.toml and in Python."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, Literal, TypeVar

from wheelfuse.errors import UsageError
from wheelfuse.glob import glob_pattern, is_literal
from wheelfuse.suggest import meant
from wheelfuse.target import ALL_TARGETS, Target, meant_target
from wheelfuse.wheel.limits import KEYS as LIMITS

NAMES: Literal["names"] = "names"
Share = bool | Literal["names"]
"""Whether GPU code is stored once: that which is equal, or also that which differs in names alone."""
STRATEGIES = ("keep", "drop", "newest", "oldest", "dispatch", "rename")


@dataclass(frozen=True)
class Rule:
    """``GLOB=STRATEGY``: how to settle the differences at the paths that the glob matches.

    In a glob ``*`` and ``?`` stay within one directory, ``**`` crosses them, ``[...]`` is a set.
    Strategies: ``keep`` (a file that only some wheels have comes along for all), ``drop`` (nobody gets it),
    ``newest``, ``oldest`` (the file of the newest or oldest wheel that has one), ``cp312`` (as in that wheel, which
    may have none), ``dispatch`` (Python source: each CPython runs its own variant), ``rename`` (modules, and
    libraries that are linked: one copy per CPython).
    """

    glob: str
    strategy: str

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Read ``GLOB=STRATEGY``.

        Raises:
            UsageError: it is not of that form, or names an unknown strategy.
        """
        glob, _, strategy = text.rpartition("=")
        if not glob:
            raise UsageError(f"--resolve {text!r} is not GLOB=STRATEGY")
        if strategy not in STRATEGIES:
            try:
                Target.parse(strategy.partition("-")[0])
            except ValueError:
                known = ", ".join(STRATEGIES)
                raise UsageError(
                    f"--resolve {text!r}: unknown strategy {strategy!r}; there are {known}, or a target such as cp312"
                    f"{meant(strategy, (*STRATEGIES, *map(str, ALL_TARGETS)))}"
                ) from None
        try:
            glob_pattern(glob)
        except re.error as error:
            raise UsageError(f"--resolve {text!r}: {error}") from error
        return cls(glob, strategy)

    @property
    def names_files(self) -> bool:
        """Whether the glob names kinds of files (``*.so``), not only a directory with all that is in it."""
        return "." in self.glob.rpartition("/")[2]

    def matches(self, path: str) -> bool:
        return glob_pattern(self.glob).fullmatch(path) is not None

    def __str__(self) -> str:
        return f"{self.glob}={self.strategy}"


class Rules:
    """Rules in their order, found by path: only globs that are neither one path nor a whole directory are tried."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._at: dict[str, list[tuple[int, Rule]]] = defaultdict(list)
        self._below: dict[str, list[tuple[int, Rule]]] = defaultdict(list)
        self._others: list[tuple[int, Rule]] = []
        for numbered in enumerate(rules):
            directory = numbered[1].glob.removesuffix("**")
            if is_literal(numbered[1].glob):
                self._at[numbered[1].glob].append(numbered)
            elif is_literal(directory) and directory.endswith("/"):
                self._below[directory].append(numbered)
            else:
                self._others.append(numbered)

    def matching(self, path: str) -> list[Rule]:
        """The rules that match a path, the one that counts first."""
        found = [*self._at.get(path, ()), *(item for item in self._others if item[1].matches(path))]
        if self._below:
            ends = (end for end, letter in enumerate(path, 1) if letter == "/")
            found += (item for end in ends for item in self._below.get(path[:end], ()))
        return [rule for _, rule in sorted(found, key=itemgetter(0))]


@dataclass(frozen=True)
class MergeOptions:
    """All decisions about one merge.

    *expect*: exactly these targets must have come (empty: what Requires-Python asks for).
    *allow_missing*: targets, or ``target:module`` pairs, that may be missing.
    *strict*: builds that only look interchangeable are a conflict.
    *share_device_code*: whether equal GPU code is stored once (None: if that saves at least 1 MiB); ``names``: also
    such that differs only in the names that nvcc makes up for each build.
    *strip_debug*: whether what only debuggers read is cut out of shared objects; split cannot restore that.
    """

    resolve: tuple[Rule, ...] = ()
    expect: tuple[Target, ...] = ()
    allow_missing: tuple[str, ...] = ()
    strict: bool = False
    share_device_code: Share | None = None
    strip_debug: bool | None = None

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> MergeOptions:
        """Read ``[tool.wheelfuse.merge]``: ``resolve``, ``expect``, ``allow-missing``, ``strict``,
        ``share-device-code``, ``strip-debug``; limits are not its business.

        ``resolve`` is a list of ``GLOB=STRATEGY`` or a table of glob -> strategy.

        Raises:
            UsageError: an unknown key, or a value of the wrong kind.
        """
        known = {"resolve", "expect", "allow-missing", "strict", "share-device-code", "strip-debug"}
        if unknown := sorted(set(table) - known - set(LIMITS)):
            raise UsageError(f"[tool.wheelfuse.merge] has unknown keys: {', '.join(unknown)}")
        rules = table.get("resolve", ())
        if isinstance(rules, Mapping):
            rules = [f"{glob}={strategy}" for glob, strategy in rules.items()]
        share = "share-device-code"
        return cls(
            tuple(Rule.parse(text) for text in _strings("resolve", rules)),
            parse_targets(_strings("expect", table.get("expect", ()))),
            parse_missing(_strings("allow-missing", table.get("allow-missing", ()))),
            bool(_switch("strict", table)),
            NAMES if table.get(share) == NAMES else _switch(share, table, f'true, false or "{NAMES}"'),
            _switch("strip-debug", table),
        )

    def over(self, base: MergeOptions) -> MergeOptions:
        """These options on top of *base*: these rules come first, this expectation replaces that one."""
        return replace(
            self,
            resolve=self.resolve + base.resolve,
            expect=self.expect or base.expect,
            allow_missing=self.allow_missing + base.allow_missing,
            strict=self.strict or base.strict,
            share_device_code=_first(self.share_device_code, base.share_device_code),
            strip_debug=_first(self.strip_debug, base.strip_debug),
        )


T = TypeVar("T")


def _first(value: T | None, base: T | None) -> T | None:
    return base if value is None else value


def _switch(key: str, table: Mapping[str, Any], values: str = "true or false") -> bool | None:
    value = table.get(key)
    if value is not None and not isinstance(value, bool):
        raise UsageError(f"[tool.wheelfuse.merge] {key} must be {values}")
    return value


def _strings(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"[tool.wheelfuse.merge] {key} must be a list of strings")
    return tuple(value)


def parse_targets(texts: Iterable[str]) -> tuple[Target, ...]:
    """Targets from ``cp310,cp311`` and the like, sorted and without repetition.

    Raises:
        UsageError: one of them is no target.
    """
    found = set()
    for part in filter(None, (part.strip() for text in texts for part in text.split(","))):
        try:
            found.add(Target.parse(part))
        except ValueError as error:
            raise UsageError(f"{error}{meant_target(part)}") from error
    return tuple(sorted(found))


def parse_missing(texts: Iterable[str]) -> tuple[str, ...]:
    """Holes that are accepted: ``cp314``, or ``cp314:pkg._module`` for one module of it. Commas divide them where a
    target follows; names of modules are what files are called, and may have one.

    Raises:
        UsageError: one of them names no target.
    """
    parts = (part for text in texts for part in re.split(r",(?=\s*cp\d)", text))
    holes = [part.lstrip() if ":" in part else part.strip(" ,") for part in parts]
    parse_targets(hole.partition(":")[0] for hole in holes)
    return tuple(filter(None, holes))
