"""An audit in words alone, one fact in a line, for screen readers and for grep: nothing is a table, nothing wrapped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from wheelfuse.auditing.finding import Severity
from wheelfuse.auditing.report import ModuleRow, Outcome, Report, SubjectReport
from wheelfuse.auditing.road import Road
from wheelfuse.auditing.rules import Entry
from wheelfuse.escape import printable
from wheelfuse.report.audit_parts import (
    PLURALS,
    by_rule,
    count,
    fails,
    finding_groups,
    kind_of,
    not_run_groups,
    pythons,
    reasons,
    road_summaries,
    roads_ahead,
    roads_arrived,
    titles,
    verdict,
    versions,
)
from wheelfuse.sizes import human_size
from wheelfuse.target import Target

WORDS = {
    Outcome.LOADS: "loads on",
    Outcome.SUPPLIED: "loads, with the assumed libraries, on",
    Outcome.FAILS: "fails to load on",
    Outcome.MISSING: "has no file for",
    Outcome.UNPROVED: "is not proved to load on",
}
"""What a cell of the matrix says."""


def audit_plain(report: Report, rules: Iterable[Entry], *, verbose: bool = False, roads: bool = False) -> str:
    """The report of an audit. *verbose* shows notes; *roads* spells the roads to one file out."""
    known = titles(rules)
    lines: list[str] = []
    for number, subject in enumerate(report.subjects, 1):
        before = f"input {number}: " if len(report.subjects) > 1 else ""
        lines += (f"{before}{line}" for line in _subject(subject, known, verbose))
    ahead = roads_ahead(report.roads)
    lines += (line for road in ahead for line in _road(road)) if roads else road_summaries(ahead)
    lines += roads_arrived(report.roads) if roads else ()
    return "\n".join((*map(printable, (*lines, verdict(report))), ""))


def summary_plain(report: Report) -> str:
    """One line for each input: what ``--quiet`` prints."""
    lines = []
    for subject in report.subjects:
        found = Counter(finding.severity for finding in subject.findings)
        counts = ", ".join(count(found[severity], word) for severity, word in PLURALS.items())
        lines.append(
            printable(f"{'FAILED' if fails(report, subject) else 'passed'}: {subject.label}: {counts}")
        )
    return "\n".join((*lines, ""))


def _subject(subject: SubjectReport, known: dict[str, str], verbose: bool) -> Iterator[str]:
    yield f"{subject.label}: {kind_of(subject, human_size(subject.size))}"
    yield from _modules(subject.answer.modules)
    yield from _facts(subject)
    shown = [finding for finding in subject.findings if verbose or finding.severity is not Severity.INFO]
    for (severity, code), findings in by_rule(shown).items():
        yield f"{PLURALS[severity]} {code}: {known.get(code, '')}"
        for group in finding_groups(findings):
            said = group.finding
            if not group.paths:
                yield f"{code}: {said.message}"
            yield from (f"{code} in {path}: {said.message}" for path in group.paths)
            yield from (f"{code} detail: {detail}" for detail in said.details)
            if said.todo:
                yield f"{code} fix: {said.todo}"
    if not verbose:
        notes = Counter(finding.code for finding in subject.findings if finding.severity is Severity.INFO)
        for code, number in sorted(notes.items()):
            yield f"note {code}: {known.get(code, '')} ({count(number, 'time')}; -v shows more)"
    for (by, why), number in Counter((str(one.by), one.by.reason) for one in subject.suppressed).items():
        yield f"suppressed: {count(number, 'finding')} by {by}{': ' + why if why else ''}"
    for (code, reason), paths in not_run_groups(subject.not_run).items():
        yield from (f"not checked: {code}{' in ' + path if path else ''}: {reason}" for path in paths)


def _modules(rows: Iterable[ModuleRow]) -> Iterator[str]:
    rows = tuple(rows)
    for row in rows:
        where: dict[Outcome, list[Target]] = defaultdict(list)
        for cell in row.cells:
            where[cell.outcome].append(cell.target)
        yield from (
            f"module {row.module}: {WORDS[outcome]} {pythons(found)}" for outcome, found in where.items()
        )
    for (_, reason), modules in reasons(rows).items():
        yield from (f"reason for {module} on {pythons(found)}: {reason}" for module, found in modules.items())


def _facts(subject: SubjectReport) -> Iterator[str]:
    answer = subject.answer
    if answer.targets and not answer.modules:
        yield f"CPython: {pythons(answer.targets)}, no extension module"
    if answer.unreleased:
        yield f"later: {pythons(answer.unreleased)} would install it, too, once out"
    if answer.torch is not None:
        yield f"torch: {versions(answer.torch) or 'no known version exports all that is needed'}"
    if answer.libc:
        yield f"C library: {', '.join(answer.libc)} at least"
    if answer.platforms:
        yield f"platform: tagged {', '.join(answer.platforms)}"
    if answer.architectures:
        yield f"GPUs: {', '.join(answer.architectures)}"
    if answer.assumed:
        yield f"assumed: {', '.join(answer.assumed)}"


def _road(road: Road) -> Iterator[str]:
    """What stands between a module and one file for all."""
    lead = f"road to {road.goal}, {road.module}"
    told = (
        f"{count(road.count, 'symbol')} to go, {road.left} without a known replacement" if road.steps else ""
    )
    yield f"{lead}: {road.subject}, {count(len(road.files), 'file')}: {told or 'no symbol is in the way'}"
    for step in road.steps:
        for symbol, replacement in step.symbols:
            instead = f", replaced by {replacement}" if replacement else ", without a known replacement"
            yield f"{lead}: {step.cause}: {symbol}{instead}"
    yield from (f"{lead}: {sentence}" for sentence in road.advice)
