"""Settling a difference the way the user asked for."""

from __future__ import annotations

from wheelfuse.errors import UsageError
from wheelfuse.fuse.model import Case, Original, Resolution, Settled, labels
from wheelfuse.fuse.options import Rule
from wheelfuse.fuse.resolvers.sources import can_dispatch, dispatched, is_importable_source

RULE = "by-rule"


def settle_by_rule(case: Case, rule: Rule) -> Settled:
    """Apply a rule to a path where the originals differ.

    Raises:
        UsageError: the strategy makes no sense at this path.
    """
    if rule.strategy == "drop":
        return case.dropped(f"--resolve {rule}", RULE, "dropped")
    if rule.strategy == "keep" or (rule.strategy == "dispatch" and not is_importable_source(case.path)):
        return _kept(case, rule)
    if rule.strategy == "dispatch":
        if not can_dispatch(case):
            raise UsageError(
                f"--resolve {rule}: two wheels that are not for one CPython differ at {case.path}"
            )
        return dispatched(case)
    return _decided_by(_decider(case, rule), case, rule)


def _kept(case: Case, rule: Rule) -> Settled:
    if len(case.variants) > 1:
        raise UsageError(
            f"--resolve {rule}: {case.path} has {len(case.variants)} contents, and {rule.strategy} "
            "can settle only whether a file is there; say which one: newest, oldest, or a target"
        )
    resolution = Resolution(RULE, case.path, labels(case.owners), "kept for all")
    return Settled((case.output(case.owners),), (resolution,))


def _decider(case: Case, rule: Rule) -> Original:
    if rule.strategy in ("newest", "oldest"):
        return case.originals[-1 if rule.strategy == "newest" else 0]
    for original in case.originals:
        if original.label == rule.strategy:
            return original
    came = ", ".join(labels(case.originals))
    raise UsageError(f"--resolve {rule}: no wheel for {rule.strategy} came, only for {came}")


def _decided_by(decider: Original, case: Case, rule: Rule) -> Settled:
    """As in one original's wheel: its content, or no such file."""
    if decider not in case.owners:
        return case.dropped(
            f"--resolve {rule}: {decider.label} has no such file", RULE, f"dropped, as in {decider.label}"
        )
    return case.collapsed(f"--resolve {rule}", RULE, f"{decider.label}'s for all", decider)
