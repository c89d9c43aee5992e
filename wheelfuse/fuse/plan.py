"""The plan of a merge: what the fused wheel will hold, or every reason why there can be none. Pure."""

from __future__ import annotations

import stat
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter

from wheelfuse.abi.modules import installed_path, is_tagged_bytecode
from wheelfuse.errors import ConflictError, InvalidInput, Problem, WheelfuseError
from wheelfuse.fuse.binding import bind
from wheelfuse.fuse.conflicts import explain
from wheelfuse.fuse.contract import check_contracts
from wheelfuse.fuse.coverage import ModuleRow, check_coverage, matrix, modules_of
from wheelfuse.fuse.device_code import ModuleShare, Sharing, could_save, share
from wheelfuse.fuse.differences import differences
from wheelfuse.fuse.links import broken_links
from wheelfuse.fuse.model import (
    Case,
    Conflict,
    Facts,
    File,
    HeldCode,
    Inline,
    Lost,
    Original,
    Output,
    Resolution,
    SeenCode,
    Settled,
    labels,
)
from wheelfuse.fuse.options import MergeOptions, Rule, Share
from wheelfuse.fuse.provenance import FILE
from wheelfuse.fuse.resolvers import RESOLVERS
from wheelfuse.fuse.resolvers.context import Context
from wheelfuse.fuse.resolvers.sources import RULE as DISPATCHED
from wheelfuse.fuse.rules import Decision, decisions, settle_by_rule
from wheelfuse.fuse.stripping import Stripping, stripping
from wheelfuse.fuse.survey import Survey
from wheelfuse.wheel.metadata import parse_headers
from wheelfuse.wheel.name import WheelName, common_platforms

LONGEST_NAME = 246
"""What the public index takes for a file name, in bytes; file systems take 255."""


@dataclass(frozen=True)
class Plan:
    """What would be written. A plan with *conflicts*, *broken* contracts or *refusals* cannot be.

    *refusals* are CPythons missing, tags that promise too much, and files that would not find what they link.
    *restored* has, for each original (by label), path and text of files that the fused wheel has in another form.
    *resolve* (path -> strategy) and *holes* are the user's decisions, for whoever merges the wheel again.
    *debug_bytes* are what only debuggers read in the fused wheel, *stripping* is what is cut out of that. *sharing* is
    what becomes of GPU code.
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
    restored: Mapping[str, Mapping[str, str]]
    resolve: Mapping[str, str]
    holes: tuple[str, ...]
    debug_bytes: int
    stripping: Stripping
    sharing: Sharing = field(default_factory=Sharing)

    def error(self) -> WheelfuseError | None:
        """Why nothing can be written, all reasons in one; None if the plan can be carried out."""
        if not self._problems:
            return None
        return InvalidInput(self._problems) if self.broken else ConflictError(self._problems)

    @cached_property
    def _problems(self) -> tuple[Problem, ...]:
        return (*self.broken, *self.refusals, *explain(self.conflicts, self.originals))


def make_plan(survey: Survey, options: MergeOptions) -> Plan:
    """Decide what becomes of every path of every original."""
    originals, facts = survey.originals, survey.facts
    options = replace(options, allow_missing=options.allow_missing + survey.holes)
    agreed, cases = _compared(originals, facts)
    differing = [case for case in cases if case.absent or len(case.variants) > 1]
    decided, used = decisions(differing, options.resolve, survey.remembered)
    renamed = [path for path, decision in decided.items() if decision.strategy == "rename"]
    binding = bind(originals, facts, forced=renamed, settled=decided.keys() - set(renamed))
    context = Context(originals[-1].dist_info, facts, binding, strict=options.strict)
    settled, conflicts = _settle(cases, decided, context)
    made = (output for item in settled for output in item.outputs)
    outputs = tuple(sorted((*agreed, *made), key=attrgetter("path")))
    lost = tuple(lost for item in settled for lost in item.lost)
    name = fused_name(originals)
    modules = modules_of(outputs, originals, binding)
    contract = check_contracts(originals, outputs, lost, binding)
    requires_python = _requires_python(outputs, originals, context.dist_info)
    unsettled = [conflict.path for conflict in conflicts]
    coverage = check_coverage(name, requires_python, originals, modules, lost, unsettled, options)
    return Plan(
        name=name,
        dist_info=context.dist_info,
        originals=originals,
        outputs=outputs,
        modules=matrix(modules, originals),
        resolutions=tuple(resolution for item in settled for resolution in item.resolutions),
        lost=lost,
        conflicts=conflicts,
        broken=contract.errors,
        refusals=(
            *coverage.errors,
            *(() if conflicts else broken_links(originals, outputs, binding)),
            *_collisions(outputs),
            *_too_long(name),
        ),
        warnings=(*survey.warnings, *contract.warnings, *coverage.notes, *_unused(options, used)),
        restored=_restored(originals, cases, settled, conflicts, facts),
        resolve=_resolve(decided, lost, originals),
        holes=coverage.holes,
        debug_bytes=_debug_bytes(outputs, facts),
        stripping=stripping(outputs, facts.unstripped),
    )


def with_code_left(plan: Plan, seen: Mapping[str, SeenCode]) -> Plan:
    """The plan with GPU code that stays in every file that holds it."""
    rows = tuple(
        ModuleShare(output.path, 0, 0, code.size, code.architectures, code.why_fixed)
        for output in plan.outputs
        if (code := seen.get(output.file.digest))
    )
    return replace(plan, sharing=Sharing(modules=rows, possible=could_save(plan.outputs, seen)))


def with_shared_code(plan: Plan, facts: Facts, code: Mapping[str, HeldCode], asked: Share | None) -> Plan:
    """The plan with GPU code that several files hold in one place; *code* is that of each file, by its digest."""
    outputs, sharing = share(plan.outputs, facts, code, plan.name.distribution, asked)
    return replace(plan, outputs=outputs, sharing=sharing)


def fused_name(originals: tuple[Original, ...]) -> WheelName:
    """The name of the wheel that is all of these: the compressed tag sets, sorted, and the common platform."""
    return replace(
        originals[-1].name,
        pythons=tuple(sorted({tag for original in originals for tag in original.name.pythons})),
        abis=tuple(sorted({tag for original in originals for tag in original.name.abis})),
        platforms=common_platforms([original.name.platforms for original in originals]),
    )


def _made(originals: tuple[Original, ...]) -> set[str]:
    """The paths of what is made anew for each wheel."""
    return {f"{originals[-1].dist_info}/{file}" for file in ("WHEEL", FILE)}


def _compared(originals: tuple[Original, ...], facts: Facts) -> tuple[list[Output], list[Case]]:
    """Plain files that every original has as they are, and all other paths, sorted, as cases to be settled."""
    made, everybody = _made(originals), labels(originals)
    open_ = {loss.path for o in originals for loss in o.losses if loss.path in o.files}
    open_ |= differences(originals).of_any_kind
    agreed = []
    for path, file in originals[-1].files.items():
        if path in open_ or path in made:
            continue
        if _is_plain(path, file, facts):
            agreed.append(Output(path, file.with_mode(file.mode | file.kind), everybody, path))
        else:
            open_.add(path)
    return agreed, [Case(path, originals) for path in sorted(open_ - made)]


def _is_plain(path: str, file: File, facts: Facts) -> bool:
    """Whether nothing that becomes of other files concerns this one, if it is the same for all."""
    return file.kind == stat.S_IFREG and file.digest not in facts.images and not is_tagged_bytecode(path)


def _settle(
    cases: Iterable[Case], decided: Mapping[str, Decision], context: Context
) -> tuple[list[Settled], tuple[Conflict, ...]]:
    settled: list[Settled] = []
    conflicts: list[Conflict] = []
    caches = []
    for case in cases:
        if is_tagged_bytecode(case.path):
            caches.append(case)
        else:
            _sort(_settle_one(case, decided.get(case.path), context), settled, conflicts)
    # Bytecode last: whether a cache is stale depends on what became of its source.
    changed = {r.path for item in settled for r in item.resolutions if r.rule == DISPATCHED}
    changed |= {lost.loss.path for item in settled for lost in item.lost}
    context = replace(context, changed=frozenset(changed))
    for case in caches:
        _sort(_settle_one(case, decided.get(case.path), context), settled, conflicts)
    return settled, tuple(conflicts)


def _sort(result: Settled | Conflict, settled: list[Settled], conflicts: list[Conflict]) -> None:
    if isinstance(result, Conflict):
        conflicts.append(result)
    else:
        settled.append(result)


def _settle_one(case: Case, decision: Decision | None, context: Context) -> Settled | Conflict:
    if len({original.files[case.path].is_symlink for original in case.owners}) > 1:
        return Conflict(case.path, "a symbolic link in some wheels, a file in others", case.groups, ("drop",))
    if decision and decision.strategy != "rename":
        result = settle_by_rule(case, decision, context)
    elif not case.absent and len(case.variants) == 1 and not _touched(case, context):
        result = Settled((case.output(case.owners),))
    elif decision and case.path not in context.binding.per_target:
        reason = f"{decision.words} cannot be: neither a module to import nor a library that any file links"
        result = Conflict(case.path, reason, case.groups, ("newest", "oldest"))
    else:
        results = (resolver(case, context) for resolver in RESOLVERS)
        result = next(result for result in results if result is not None)
    return _with_stand_ins(case, result)


def _touched(case: Case, context: Context) -> bool:
    """Whether a file that is everywhere the same is still concerned by what becomes of others."""
    if case.path in context.binding.per_target or is_tagged_bytecode(case.path):
        return True
    if case.newest.files[case.path].is_symlink:
        return True
    return any(context.binding.rename(original, case.path) for original in case.owners)


def _with_stand_ins(case: Case, result: Settled | Conflict) -> Settled | Conflict:
    """Where another build's file stands in for an original's own, nothing can be made of it but one copy for all."""
    strangers = tuple(original.label for original in case.owners if original.is_stood_in_for(case.path))
    if not strangers or isinstance(result, Conflict):
        return result
    if all(output.path == output.origin == case.path and not output.rename for output in result.outputs):
        return result
    reason = (
        f"an earlier merge did not keep the file of {', '.join(strangers)}: merge the original wheels instead"
    )
    return Conflict(case.path, reason, case.groups, ("newest", "oldest", "drop"))


def _requires_python(outputs: Iterable[Output], originals: tuple[Original, ...], dist_info: str) -> str:
    """What the fused METADATA will say."""
    for output in outputs:
        if output.path == f"{dist_info}/METADATA":
            if isinstance(output.file.source, Inline):
                found = parse_headers(output.file.source.content).get_all("Requires-Python")
                return found[0].flat if found else ""
            return next((o.requires_python for o in originals if o.label in output.owners), "")
    return originals[-1].requires_python


def _restored(
    originals: tuple[Original, ...],
    cases: Iterable[Case],
    settled: Iterable[Settled],
    conflicts: Iterable[Conflict],
    facts: Facts,
) -> dict[str, dict[str, str]]:
    """What no output and no loss accounts for: text that was reconciled, kept as each original had it."""
    accounted: dict[str, set[str]] = defaultdict(set)
    for item in settled:
        for output in item.outputs:
            for label in output.owners:
                accounted[label].add(output.origin)
        for lost in item.lost:
            accounted[lost.label].add(lost.loss.path)
    unsettled = {conflict.path for conflict in conflicts}
    open_ = {case.path for case in cases} | _made(originals)
    found = {}
    for original in originals:
        gone = accounted[original.label] | {loss.path for loss in original.losses} | unsettled
        paths = sorted(path for path in open_ - gone if path in original.files)
        found[original.label] = {path: facts.contents[original.files[path].digest].decode() for path in paths}
    return found


def _resolve(
    decided: Mapping[str, Decision], lost: Iterable[Lost], originals: Iterable[Original]
) -> dict[str, str]:
    """The user's decisions, path by path: those taken now, and those that earlier losses tell of."""
    earlier = (loss for original in originals for loss in original.losses)
    losses = (*earlier, *(item.loss for item in lost))
    found = {loss.path: loss.strategy for loss in losses if loss.strategy}
    return found | {path: decision.strategy for path, decision in decided.items()}


def _collisions(outputs: Iterable[Output]) -> Iterator[Problem]:
    places = Counter(installed_path(output.path) for output in outputs)
    for path, count in places.items():
        if count > 1:
            yield Problem(
                f"{count} files of the fused wheel would be installed here", member=path, todo="Drop one."
            )


def _too_long(name: WheelName) -> Iterator[Problem]:
    if (length := len(str(name).encode())) > LONGEST_NAME:
        what = f"the file name of the fused wheel would have {length} bytes; the public index takes {LONGEST_NAME}"
        yield Problem(
            what, str(name), todo="Fuse fewer targets, or give the wheels fewer platform tags (`wheel tags`)."
        )


def _unused(options: MergeOptions, used: frozenset[Rule]) -> Iterator[Problem]:
    for rule in dict.fromkeys(options.resolve):
        if rule not in used:
            yield Problem(f"--resolve {rule} matched no difference", todo="Remove it.")


def _debug_bytes(outputs: tuple[Output, ...], facts: Facts) -> int:
    images = (facts.images.get(output.file.digest) for output in outputs)
    return sum(image.size_of_debug for image in images if image)
