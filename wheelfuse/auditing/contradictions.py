"""Sorts what a wheel says wrongly of itself by what it is about, and turns it into findings."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

from wheelfuse.auditing.finding import Finding, Rule
from wheelfuse.errors import Problem


class About(enum.Enum):
    """Which part of a wheel a contradiction is about."""

    RECORD = "RECORD"
    METADATA = "METADATA, WHEEL and the directory that holds them"
    MEMBERS = "the members of the zip file"


def about(problem: Problem) -> About:
    """Which part of the wheel a problem found by :mod:`wheelfuse.wheel.wheel` is about."""
    file = problem.member.rpartition("/")[2] if ".dist-info/" in problem.member else ""
    if file == "RECORD" or "RECORD" in problem.what:
        return About.RECORD
    if file in ("METADATA", "WHEEL") or not problem.member:
        return About.METADATA
    return About.MEMBERS


def findings(rule: Rule, problems: Iterable[Problem], todo: str) -> Iterator[Finding]:
    """One finding for each different statement; the members that share it are its details. *todo* fills gaps."""
    grouped: dict[str, list[Problem]] = {}
    for problem in problems:
        grouped.setdefault(problem.what, []).append(problem)
    for what, group in grouped.items():
        members = tuple(sorted({problem.member for problem in group} - {""}))
        several = len(members) > 1
        yield rule.finding(
            f"{len(members)} files: {what}" if several else what,
            members[0] if members else "",
            todo=group[0].todo or todo,
            details=members if several else (),
        )
