"""The plan of a merge: what the fused wheel will hold, or every reason why there can be none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from wheelfuse.errors import ConflictError, InvalidInput, Problem, UsageError, WheelfuseError
from wheelfuse.fuse.binding import bind
from wheelfuse.fuse.conflicts import explain
from wheelfuse.fuse.contract import check_contracts
from wheelfuse.fuse.coverage import (
    ModuleRow,
    check_expected,
    check_modules,
    holes,
    matrix,
    modules_of,
    prove_tags,
)
from wheelfuse.fuse.model import Case, Conflict, Facts, Lost, Original, Output, Resolution, Settled
from wheelfuse.fuse.modules import is_tagged_bytecode, parse_module
from wheelfuse.fuse.options import MergeOptions, Rule
from wheelfuse.fuse.provenance import FILE
from wheelfuse.fuse.resolvers import RESOLVERS
from wheelfuse.fuse.resolvers.context import Context
from wheelfuse.fuse.resolvers.sources import RULE as DISPATCHED
from wheelfuse.fuse.rules import settle_by_rule
from wheelfuse.fuse.survey import Survey
from wheelfuse.wheel.name import WheelName, common_platforms


@dataclass(frozen=True)
class Plan:
    """What would be written. A plan with *conflicts* or *refusals* cannot be.

    *refusals* are contracts broken (exit code 3 of their own), CPythons missing, tags that promise too much.
    """

    name: WheelName
    dist_info: str
    originals: tuple[Original, ...]
    outputs: tuple[Output, ...]
    modules: tuple[ModuleRow, ...]
    resolutions: tuple[Resolution, ...]
    lost: tuple[Lost, ...]
    conflicts: tuple[Conflict, ...]
    broken: tuple[Problem, ...]
    refusals: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    debug_bytes: int
    restored: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    """For each original (label), path and text of the files that the fused wheel has in another form."""
    rules: tuple[Rule, ...] = ()
    holes: tuple[str, ...] = ()

    def error(self) -> WheelfuseError | None:
        """Why nothing can be written, all reasons in one; None if the plan can be carried out."""
        problems = (*self.broken, *self.refusals, *explain(self.conflicts, self.originals))
        if not problems:
            return None
        return InvalidInput(problems) if self.broken else ConflictError(problems)


def make_plan(survey: Survey, options: MergeOptions) -> Plan:
    """Decide what becomes of every path of every original.

    Raises:
        UsageError: a rule asks for something that makes no sense at the path it matches.
    """
    originals, facts = survey.originals, survey.facts
    given, options = options, options.over(survey.remembered)
    cases = tuple(_cases(originals))
    differing = tuple(case for case in cases if case.absent or len(case.variants) > 1)
    chosen = {case.path: rule for case in differing if (rule := _rule(case, options))}
    binding = bind(
        originals,
        facts,
        forced=[path for path, rule in chosen.items() if rule.strategy == "rename"],
        settled=[path for path, rule in chosen.items() if rule.strategy != "rename"],
    )
    context = Context(originals[-1].dist_info, facts, binding, strict=options.strict)
    settled, conflicts = _settle(cases, chosen, context)
    outputs = tuple(sorted((output for item in settled for output in item.outputs), key=lambda o: o.path))
    _check_unique(outputs)
    name = fused_name(originals)
    modules = modules_of(outputs, originals, binding)
    contract = check_contracts(originals, outputs, binding)
    errors, notes = check_expected(originals, options)
    refusals = (*errors, *prove_tags(name, originals, modules), *check_modules(modules, originals, options))
    warnings = (*survey.warnings, *contract.warnings, *notes, *_unused(given, chosen))
    return Plan(
        name, context.dist_info, originals, outputs, matrix(modules, originals),
        tuple(resolution for item in settled for resolution in item.resolutions),
        tuple(lost for item in settled for lost in item.lost),
        conflicts, contract.errors, refusals, warnings, _debug_bytes(outputs, facts),
        _restored(originals, settled, conflicts, facts),
        tuple(rule for rule in dict.fromkeys(options.resolve)
              if rule in survey.remembered.resolve or rule in chosen.values()),
        holes(originals, modules),
    )  # fmt: skip


def fused_name(originals: tuple[Original, ...]) -> WheelName:
    """The name of the wheel that is all of these: the compressed tag sets, sorted, and the common platform."""
    newest = originals[-1].name
    return replace(
        newest,
        pythons=tuple(sorted({tag for original in originals for tag in original.name.pythons})),
        abis=tuple(sorted({tag for original in originals for tag in original.name.abis})),
        platforms=common_platforms([original.name.platforms for original in originals]),
    )


def _cases(originals: tuple[Original, ...]) -> Iterator[Case]:
    """Every path that any original has, but for those that are made anew for each wheel."""
    made = {f"{originals[-1].dist_info}/{file}" for file in ("WHEEL", FILE)}
    for path in sorted({path for original in originals for path in original.files} - made):
        yield Case(path, originals)


def _rule(case: Case, options: MergeOptions) -> Rule | None:
    """The user's word on a path. Files that carry their CPython in the name never meet: they can only be dropped."""
    rule = next((rule for rule in options.resolve if rule.matches(case.path)), None)
    module = parse_module(case.path)
    tagged = is_tagged_bytecode(case.path) or (module and module.target and len(case.variants) == 1)
    return None if rule and tagged and rule.strategy != "drop" else rule


def _settle(
    cases: Iterable[Case], chosen: dict[str, Rule], context: Context
) -> tuple[list[Settled], tuple[Conflict, ...]]:
    settled: list[Settled] = []
    conflicts: list[Conflict] = []
    # Bytecode last: whether a cache is stale depends on what became of its source.
    for case in sorted(cases, key=lambda case: (case.path.endswith(".pyc"), case.path)):
        if case.path.endswith(".pyc") and not context.dispatched:
            dispatched = {r.path for item in settled for r in item.resolutions if r.rule == DISPATCHED}
            context = replace(context, dispatched=frozenset(dispatched))
        result = _settle_one(case, chosen.get(case.path), context)
        if isinstance(result, Conflict):
            conflicts.append(result)
        else:
            settled.append(result)
    return settled, tuple(conflicts)


def _settle_one(case: Case, rule: Rule | None, context: Context) -> Settled | Conflict:
    if rule and rule.strategy != "rename":
        return settle_by_rule(case, rule)
    if not case.absent and len(case.variants) == 1 and not _touched(case, context):
        return Settled((case.output(case.owners),))
    if rule and case.path not in context.binding.per_target:
        raise UsageError(f"--resolve {rule}: {case.path} is neither an extension module nor a library")
    results = (resolver(case, context) for resolver in RESOLVERS)
    return next(result for result in results if result is not None)


def _touched(case: Case, context: Context) -> bool:
    """Whether a file that is everywhere the same is still concerned by what becomes of others."""
    if case.path in context.binding.per_target or case.path.endswith(".pyc"):
        return True
    return any(context.binding.rename(original, case.path) for original in case.owners)


def _restored(
    originals: tuple[Original, ...], settled: Iterable[Settled], conflicts: Iterable[Conflict], facts: Facts
) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """What no output and no loss accounts for: text that was reconciled, kept as each original had it."""
    accounted: dict[str, set[str]] = {original.label: set() for original in originals}
    for item in settled:
        for output in item.outputs:
            for label in output.owners:
                accounted[label].add(output.origin)
        for lost in item.lost:
            accounted[lost.label].add(lost.loss.path)
    found = []
    open_ = {conflict.path for conflict in conflicts}
    for original in originals:
        gone = accounted[original.label] | {loss.path for loss in original.losses} | open_
        paths = sorted(path for path in original.files if path not in gone)
        found.append(
            (
                original.label,
                tuple((path, facts.contents[original.files[path].digest].decode()) for path in paths),
            )
        )
    return tuple(found)


def _check_unique(outputs: tuple[Output, ...]) -> None:
    paths: set[str] = set()
    for output in outputs:
        if output.path in paths:
            raise ConflictError(
                Problem(
                    "two files of the fused wheel would have this name",
                    member=output.path,
                    todo="Rename one.",
                )
            )
        paths.add(output.path)


def _unused(options: MergeOptions, chosen: dict[str, Rule]) -> Iterator[Problem]:
    for rule in dict.fromkeys(options.resolve):
        if rule not in chosen.values():
            yield Problem(f"--resolve {rule} matched no difference", todo="Remove it.")


def _debug_bytes(outputs: tuple[Output, ...], facts: Facts) -> int:
    images = (facts.images.get(output.file.digest) for output in outputs)
    return sum(image.size_of_debug for image in images if image)
