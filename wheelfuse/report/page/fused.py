"""The page of a merge: what became of each member, what that saved, and, of a refusal, what is in the way."""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from wheelfuse import __version__
from wheelfuse.auditing.finding import Severity
from wheelfuse.auditing.inputs import distinct
from wheelfuse.auditing.options import AuditOptions
from wheelfuse.auditing.reading import read_archive, read_subject
from wheelfuse.auditing.report import Report
from wheelfuse.auditing.road import roads
from wheelfuse.auditing.runner import applied_rules, run
from wheelfuse.auditing.subject import Subject
from wheelfuse.errors import Problem
from wheelfuse.fuse.api import Attempt, MergeOutcome, ReportFile
from wheelfuse.fuse.conflicts import grouped
from wheelfuse.fuse.model import Fate, Inline, Output, Resolution
from wheelfuse.fuse.plan import Plan
from wheelfuse.report.audit_parts import count, tally
from wheelfuse.report.page.audited import explained, findings_of, inputs_of, next_step
from wheelfuse.report.page.blocks import contents
from wheelfuse.report.page.model import (
    Block,
    Fused,
    Origin,
    Page,
    Saving,
    Settling,
    State,
    Verdict,
)
from wheelfuse.report.text import RESOLVED_BY
from wheelfuse.sizes import human_size
from wheelfuse.workers import MOST, processors

SAME, MADE = "the same in all", "made by wheelfuse"
_MOST_ORIGINS = 1000
"""Beyond so many members those that are the same in all inputs are told directory by directory."""
_WORTH_TELLING = 64 << 10
"""Bytes that could be saved."""


def report_to(path: str | Path, options: AuditOptions | None = None) -> ReportFile:
    """The page of a merge as a file, for the argument *report* of :func:`wheelfuse.merge`.

    It tells what became of each file, and has an audit, with *options*, of the fused wheel, or of the inputs if there
    is none.
    """
    from wheelfuse.report.page.render import render  # and with it templates

    return ReportFile(Path(path), lambda attempt: render(page_of_merge(attempt, options or AuditOptions())))


def page_of_merge(attempt: Attempt, options: AuditOptions) -> Page:
    """What the page of a merge shows: it reads and audits the fused wheel, or the inputs if there is none.

    Raises:
        TemporaryFileError: something large could not be put aside.
    """
    outcome, notes = attempt.outcome, {}
    if outcome and attempt.archive:
        before = _together(map(contents, _read(attempt)))
        subjects: tuple[Subject, ...] = (read_archive(attempt.archive, attempt.archive.name, _threads()),)
        fused = replace(_of_plan(attempt.inputs, outcome, subjects[0].sizes), before=before)
        notes = _notes(outcome.plan)
    else:
        subjects = tuple(distinct(_read(attempt)))
        fused = _refused(attempt)
    report = run(subjects, options, roads(subjects), facts=True)
    return Page(
        _title(attempt),
        __version__,
        _verdict(attempt, fused, report),
        inputs_of(report, notes),
        findings_of(report),
        explained(report, applied_rules(options)),
        report.roads,
        fused=fused,
    )


def _read(attempt: Attempt) -> Iterator[Subject]:
    """The inputs, one after another: the facts of a large wheel take much memory."""
    for path in attempt.inputs:
        yield read_subject(path, threads=_threads(), limits=attempt.limits)


def _threads() -> int:
    return min(processors(), MOST)


def _together(blocks: Iterable[Block]) -> Block:
    """What several wheels are, each a part."""
    parts = tuple(blocks)
    sizes = sum(part.size for part in parts), sum(part.packed for part in parts)
    return Block("the inputs together", *sizes, None, parts)


def _title(attempt: Attempt) -> str:
    if attempt.outcome is None:
        return f"{count(len(attempt.inputs), 'wheel')}, not fused"
    name = attempt.outcome.plan.name
    return f"{name.distribution} {name.version}{', not fused' if attempt.error else ''}"


# --- the verdict ---


def _verdict(attempt: Attempt, fused: Fused, report: Report) -> Verdict:
    if attempt.error:
        return _why_not(attempt, fused)
    wheels, total = len(fused.inputs), sum(size for _, _, size in fused.inputs)
    if not attempt.archive:
        todo = "Merge again without --dry-run to write it."
        return Verdict(State.GOOD, f"{count(wheels, 'wheel')} can be fused into one", todo)
    shown = f"{human_size(fused.output_size)} instead of {human_size(total)}"
    sentence = f"Fused {count(wheels, 'wheel')} into one: {shown}"
    worth = [finding for finding in report.findings if finding.severity > Severity.INFO]
    if not worth:
        todo = "wheelfuse verify installs it and imports its modules on each CPython."
        return Verdict(State.GOOD, sentence, " ".join(filter(None, (todo, _worth_saving(fused)))))
    return Verdict(State.PARTLY, f"{sentence}; its audit has {tally(worth)}", next_step(report))


def _worth_saving(fused: Fused) -> str:
    """What would make a tenth of the installed wheel or more needless; empty if nothing would."""
    installed = sum(origin.size for origin in fused.members)
    options = [saving for saving in fused.savings if saving.possible and saving.size * 10 >= installed]
    return " ".join(f"{saving.how} would save {human_size(saving.size)} on disk." for saving in options)


def _why_not(attempt: Attempt, fused: Fused) -> Verdict:
    """Why there is no wheel: the conflicts, and the number of other reasons, or the only one."""
    conflicts = len(fused.conflicts)
    reasons = (
        [f"{count(conflicts, 'file')} differ{'s' * (conflicts == 1)} without a rule"] if conflicts else []
    )
    problems = attempt.error.problems if attempt.error else ()
    others = len(fused.refusals)
    if others and conflicts:
        reasons.append(count(others, "other reason"))
    elif others > 1:
        reasons.append(count(others, "reason"))
    elif others:
        reasons.append(_words(problems[0].what))
    if conflicts:
        todo = "Settle each difference: the lines to add to the command are below."
    else:
        todo = _words(next((p.todo for p in problems if p.todo), "See the reasons below."))
    return Verdict(State.BAD, f"Not fused: {', '.join(reasons)}", todo)


def _words(text: str) -> str:
    """Text of several lines in one."""
    return " ".join(text.split())


def _told(problem: Problem) -> str:
    where = ": ".join(filter(None, (problem.wheel, problem.member, _words(problem.what))))
    return f"{where}. {_words(problem.todo)}" if problem.todo else where


# --- a refusal, or a dry run ---


def _refused(attempt: Attempt) -> Fused:
    """What a merge came to that wrote no wheel."""
    problems = attempt.error.problems if attempt.error else ()
    if attempt.outcome is None:
        inputs = tuple(("", path.name, _size(path)) for path in attempt.inputs)
        return Fused(inputs, "", 0, (), (), (), (), (), tuple(map(_told, problems)))
    plan = attempt.outcome.plan
    sizes = {output.path: output.file.size for output in plan.outputs}
    refusals = tuple(map(_told, (*plan.broken, *plan.refusals)))
    return replace(_of_plan(attempt.inputs, attempt.outcome, sizes), refusals=refusals)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


# --- what became of each member ---


def _of_plan(paths: Iterable[Path], outcome: MergeOutcome, sizes: Mapping[str, int]) -> Fused:
    plan = outcome.plan
    return Fused(
        tuple(_inputs(paths, outcome)),
        str(plan.name),
        outcome.written.size if outcome.written else 0,
        _bounded(_origins(plan, sizes)),
        plan.resolutions,
        plan.conflicts,
        plan.lost,
        tuple(_savings(plan)),
        settling=tuple(
            Settling(
                group.paths,
                group.globs,
                group.conflicts[0].reason,
                tuple((g.labels, g.present) for g in group.conflicts[0].groups),
                group.conflicts[0].details,
                group.lines,
                tuple(group.meanings.items()),
            )
            for group in grouped(plan.conflicts, plan.originals)
        ),
    )


def _inputs(paths: Iterable[Path], outcome: MergeOutcome) -> Iterator[tuple[str, str, int]]:
    """The files that were given, each with the labels of the originals in it: of a fused wheel there are several."""
    labels: dict[str, list[str]] = defaultdict(list)
    for original in outcome.plan.originals:
        labels[original.where.removesuffix(f" ({original.label})")].append(original.label)
    for path, (name, size) in zip(paths, outcome.inputs, strict=True):
        yield ", ".join(labels[str(path)]), name, size


def _origins(plan: Plan, sizes: Mapping[str, int]) -> Iterator[Origin]:
    """Where each member of the fused wheel comes from, sorted by path."""
    everybody = tuple(original.label for original in plan.originals)
    resolved = {resolution.path: resolution for resolution in plan.resolutions}
    found = {
        output.path: Origin(
            output.path,
            sizes.get(output.path, output.file.size),
            output.owners,
            output.origin,
            _how(output, everybody, resolved.get(output.origin)),
        )
        for output in plan.outputs
    }
    for path, size in sizes.items():
        if path not in found:
            how = "GPU code of several files, stored once" if path == plan.sharing.path else MADE
            found[path] = Origin(path, size, (), "", how)
    yield from (origin for _, origin in sorted(found.items()))


def _how(output: Output, everybody: tuple[str, ...], resolution: Resolution | None) -> str:
    if not output.origin:
        return MADE
    parts = [RESOLVED_BY.get(resolution.rule, resolution.rule)] if resolution else []
    if output.path != output.origin:
        parts.insert(0, "kept under a name of its own")
    if isinstance(output.file.source, Inline) and not parts:
        parts.append(MADE)
    if output.outsourcing:
        parts.append("GPU code moved into a library of its own")
    if parts:
        return "; ".join(parts)
    return SAME if output.owners == everybody else f"only in {', '.join(output.owners)}"


def _bounded(origins: Iterable[Origin]) -> tuple[Origin, ...]:
    """All of them, or of very many those that are the same in all as one for each directory."""
    found = tuple(origins)
    if len(found) <= _MOST_ORIGINS:
        return found
    number: Counter[str] = Counter()
    size: Counter[str] = Counter()
    told = []
    for origin in found:
        if origin.how == SAME:
            directory = posixpath.dirname(origin.path)
            number[directory] += 1
            size[directory] += origin.size
        else:
            told.append(origin)
    owners = next((origin.owners for origin in found if origin.how == SAME), ())
    told += (
        Origin(f"{directory}/ ({count(n, 'file')})", size[directory], owners, "", SAME)
        for directory, n in number.items()
    )
    return tuple(sorted(told, key=lambda origin: origin.path))


def _notes(plan: Plan) -> dict[str, str]:
    """Whose a file is, where it is not everybody's as it was."""
    everybody = tuple(original.label for original in plan.originals)
    notes = {
        output.path: f"shared by {', '.join(output.owners)}"
        if len(output.owners) > 1
        else f"only for {output.owners[0]}"
        for output in plan.outputs
        if output.owners and output.owners != everybody
    }
    if plan.sharing.path:
        notes[plan.sharing.path] = "GPU code of several files, stored once"
    return notes


# --- what was saved ---


def _savings(plan: Plan) -> Iterator[Saving]:
    """Bytes on disk that the fused wheel does not have, beside those of its inputs, and that it need not have."""
    repeated = sum(o.file.size * (len(o.owners) - 1) for o in plan.outputs if o.origin and o.owners)
    replaced = sum(lost.loss.size for lost in plan.lost if lost.loss.fate is Fate.REPLACED)
    dropped = sum(lost.loss.size for lost in plan.lost if lost.loss.fate is Fate.DROPPED)
    sharing = plan.sharing
    done = (
        Saving("Files that several wheels have", repeated, "equal content is stored once"),
        Saving("Files that differ", replaced, "one copy stands for all"),
        Saving("Files that nobody needs", dropped, "dropped"),
        Saving(
            "GPU code", sharing.saved if sharing.carrier else 0, "stored once, in a library that modules link"
        ),
        Saving("Debug information", plan.stripping.removed, "cut out by --strip-debug"),
    )
    yield from (saving for saving in done if saving.size)
    possible = (
        Saving("GPU code", 0 if sharing.carrier else sharing.possible, "--share-device-code", possible=True),
        Saving("Debug information", plan.debug_bytes, "--strip-debug", possible=True),
    )
    yield from (saving for saving in possible if saving.size > _WORTH_TELLING)
