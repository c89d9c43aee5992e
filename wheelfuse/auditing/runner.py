"""Applies the rules to the subjects: from values to values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from wheelfuse.auditing.answer import answer
from wheelfuse.auditing.finding import Finding, NotRun
from wheelfuse.auditing.options import AuditOptions, Ignore
from wheelfuse.auditing.report import Report, SubjectReport, Suppressed
from wheelfuse.auditing.road import Road
from wheelfuse.auditing.rules import Entry, entries
from wheelfuse.auditing.subject import Subject, once


def run(
    subjects: Sequence[Subject], options: AuditOptions, roads: tuple[Road, ...] = (), *, facts: bool = False
) -> Report:
    """Apply all selected rules, and the user's severities and ignores to what they find; *facts* keeps the subjects."""
    applied = applied_rules(options)
    found = _apply(applied, subjects)
    used: set[Ignore] = set()
    reports = tuple(
        _subject_report(subject, found[number], options, used) for number, subject in enumerate(subjects)
    )
    if facts:
        reports = tuple(
            replace(report, facts=subject) for report, subject in zip(reports, subjects, strict=True)
        )
    return Report(
        reports,
        tuple(ignore for ignore in options.ignore if ignore not in used),
        roads,
        len(applied),
        options.fail_on or "error",
        options.strict,
    )


def applied_rules(options: AuditOptions) -> tuple[Entry, ...]:
    """The rules that :func:`run` applies with these options, by code."""
    return tuple(entry for entry in entries() if _selected(entry, options))


def _selected(entry: Entry, options: AuditOptions) -> bool:
    code = entry.rule.code
    if options.severity.get(code, entry.rule.severity) is None:
        return False
    # What cannot be read is never passed over: a selection would make a damaged input look fine.
    return not options.select or code.startswith(("WF0", *options.select))


def judge(subject: Subject, options: AuditOptions) -> None:
    """Do in advance the part of :func:`run` that is about one subject alone."""
    for entry in applied_rules(options):
        _checked(subject, entry)
    answer(subject)


@once
def _findings(subject: Subject) -> dict[str, tuple[Finding | NotRun, ...]]:
    """What rules found so far, by their codes."""
    return {}


def _checked(subject: Subject, entry: Entry) -> tuple[Finding | NotRun, ...]:
    """What a rule finds in a subject."""
    found = _findings(subject)
    if entry.check and entry.rule.code not in found:
        found[entry.rule.code] = tuple(replace(item, subject=subject.label) for item in entry.check(subject))
    return found.get(entry.rule.code, ())


def _apply(applied: Sequence[Entry], subjects: Sequence[Subject]) -> list[list[Finding | NotRun]]:
    """What was found, by the number of the subject."""
    found: list[list[Finding | NotRun]] = [[] for _ in subjects]
    for number, subject in enumerate(subjects):
        for entry in applied:
            found[number] += _checked(subject, entry)
    for numbers in _releases(subjects):
        by_label = {subjects[number].label: number for number in numbers}
        for entry in applied:
            if entry.check_release:
                for item in entry.check_release(tuple(subjects[number] for number in numbers)):
                    found[by_label.get(item.subject, numbers[0])].append(item)
    return found


def _releases(subjects: Sequence[Subject]) -> Iterator[list[int]]:
    """The numbers of the subjects that are of one release."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, subject in enumerate(subjects):
        groups[subject.release].append(number)
    yield from groups.values()


def _subject_report(
    subject: Subject, found: Sequence[Finding | NotRun], options: AuditOptions, used: set[Ignore]
) -> SubjectReport:
    findings, suppressed = [], []
    for item in found:
        if isinstance(item, NotRun):
            continue
        matching = [ignore for ignore in options.ignore if ignore.matches(item)]
        used.update(matching)
        severity = options.severity.get(item.code) or item.severity
        if matching:
            suppressed.append(Suppressed(item, matching[0]))
        else:
            findings.append(replace(item, severity=severity))
    findings.sort(key=lambda item: (-item.severity.rank, item.code, item.path, item.message))
    return SubjectReport(
        subject.label,
        subject.kind,
        subject.size,
        len(subject.files),
        answer(subject),
        tuple(findings),
        tuple(suppressed),
        tuple(dict.fromkeys(item for item in found if isinstance(item, NotRun))),
    )
