"""Settling a difference the way the user asked for, now or when a fused input was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wheelfuse.abi.modules import is_tagged_bytecode, parse_module
from wheelfuse.fuse.model import Case, Conflict, Original, Resolution, Settled, labels
from wheelfuse.fuse.options import Rule, Rules
from wheelfuse.fuse.resolvers.context import Context
from wheelfuse.fuse.resolvers.sources import can_dispatch, dispatched, is_importable_source

RULE = "by-rule"


@dataclass(frozen=True)
class Decision:
    """What the user said about one path: the strategies (several, if earlier merges disagree), and in which words."""

    strategies: frozenset[str]
    words: str

    @property
    def strategy(self) -> str:
        return next(iter(self.strategies)) if len(self.strategies) == 1 else ""


def decisions(
    cases: Iterable[Case], rules: tuple[Rule, ...], remembered: Mapping[str, frozenset[str]]
) -> tuple[dict[str, Decision], frozenset[Rule]]:
    """The decision for each path that has one, and the rules that were of use.

    What is said now goes before what was said when a fused input was made. Files that carry their CPython in
    the name never meet: they are left alone unless a glob names such files.
    """
    found: dict[str, Decision] = {}
    by_path = Rules(rules)
    used = {rule for path in remembered for rule in by_path.matching(path)}
    for case in cases:
        rule = next(iter(by_path.matching(case.path)), None)
        if (
            rule
            and (rule.strategy == "drop" or not _tagged(case))
            and (rule.names_files or not _module(case))
        ):
            found[case.path] = Decision(frozenset({rule.strategy}), f"--resolve {rule}")
            used.add(rule)
        elif strategies := remembered.get(case.path):
            words = f"--resolve {case.path}={next(iter(strategies))}" if len(strategies) == 1 else ""
            found[case.path] = Decision(strategies, words)
    return found, frozenset(used)


def _tagged(case: Case) -> bool:
    return is_tagged_bytecode(case.path) or _module(case)


def _module(case: Case) -> bool:
    module = parse_module(case.path)
    return bool(module and module.target and len(case.variants) == 1)


def settle_by_rule(case: Case, decision: Decision, context: Context) -> Settled | Conflict:
    """Do what was decided about a path, or say why that cannot be done there."""
    strategy, words = decision.strategy, decision.words
    if not strategy:
        told = " and ".join(sorted(decision.strategies))
        return Conflict(
            case.path, f"earlier merges settled it differently ({told})", case.groups, ("newest", "oldest")
        )
    if strategy == "drop":
        if case.path == f"{context.dist_info}/METADATA":
            return Conflict(
                case.path, f"{words} cannot be: no wheel is without it", case.groups, ("newest", "oldest")
            )
        return case.dropped(words, RULE, "dropped", strategy)
    if strategy == "dispatch" and is_importable_source(case.path):
        if can_dispatch(case):
            return dispatched(case)
        reason = f"{words} cannot be: two wheels that are not for one CPython differ"
        return Conflict(case.path, reason, case.groups, ("newest", "oldest"))
    if strategy in ("keep", "dispatch"):
        return _kept(case, decision, context)
    return _as_in(case, decision, context)


def _kept(case: Case, decision: Decision, context: Context) -> Settled | Conflict:
    if len(case.variants) > 1:
        reason = f"{decision.words} says nothing about which of its {len(case.variants)} contents counts"
        return Conflict(case.path, reason, case.groups, ("newest", "oldest"))
    resolution = Resolution(RULE, case.path, labels(case.owners), "kept for all")
    return _linked(Settled((case.output(case.owners),), (resolution,)), case, case.owners, context)


def _as_in(case: Case, decision: Decision, context: Context) -> Settled | Conflict:
    """As in one original's wheel: its content, or no such file."""
    ends = {"newest": case.owners[-1], "oldest": case.owners[0]}
    decider = ends.get(decision.strategy) or next(
        (o for o in case.originals if o.label == decision.strategy), None
    )
    if decider is None:
        reason = f"{decision.words}: no such wheel came, only {', '.join(labels(case.originals))}"
        return Conflict(case.path, reason, case.groups, ("newest", "oldest"))
    if decider not in case.owners:
        outcome = f"dropped, as in {decider.label}"
        return case.dropped(
            f"{decision.words}: {decider.label} has no such file", RULE, outcome, decision.strategy
        )
    settled = case.collapsed(decision.words, RULE, f"{decider.label}'s for all", decider, decision.strategy)
    return _linked(settled, case, (decider,), context)


def _linked(
    settled: Settled, case: Case, owners: tuple[Original, ...], context: Context
) -> Settled | Conflict:
    """A shared object that stays one file for all cannot link what is one for each CPython."""
    renames = {context.binding.rename(original, case.path) for original in owners}
    if renames == {None}:
        return settled
    reason = "it links a library that is one for each CPython, so it cannot be one for all"
    return Conflict(case.path, reason, case.groups, ("rename", "drop"))
