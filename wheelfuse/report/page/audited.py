"""The page of an audit: from a report, which was asked to keep its facts, to what is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from wheelfuse import __version__
from wheelfuse.auditing.finding import Finding, Severity
from wheelfuse.auditing.report import Outcome, Report, SubjectReport
from wheelfuse.auditing.rules import Entry
from wheelfuse.report.audit_parts import count, counting, fails, kind_of, pythons, tally
from wheelfuse.report.page.bars import bars
from wheelfuse.report.page.blocks import contents
from wheelfuse.report.page.model import (
    Block,
    Decline,
    Explained,
    Input,
    Page,
    State,
    Stuff,
    SymbolTable,
    Verdict,
)
from wheelfuse.report.page.symbols import symbol_tables
from wheelfuse.sizes import human_size
from wheelfuse.target import Target

_FINE = (Outcome.LOADS, Outcome.SUPPLIED)


def page_of_audit(report: Report, rules: Sequence[Entry]) -> Page:
    """What the page of an audit shows. *rules* are those that were applied.

    Of inputs whose facts the report did not keep (``audit(..., facts=True)``) contents and symbols are left out.
    """
    labels = [subject.label for subject in report.subjects]
    title = labels[0] if len(labels) == 1 else f"{len(labels)} inputs"
    return Page(
        title,
        __version__,
        verdict_of(report),
        inputs_of(report),
        findings_of(report),
        explained(report, rules),
        report.roads,
        Decline(report.decline) if report.decline else None,
    )


def findings_of(report: Report) -> tuple[tuple[str, Finding], ...]:
    """All findings with the label of their input, the worst first."""
    found = [(subject.label, finding) for subject in report.subjects for finding in subject.findings]
    return tuple(sorted(found, key=lambda item: (-item[1].severity.rank, item[1].code)))


def explained(report: Report, rules: Iterable[Entry]) -> Mapping[str, Explained]:
    """The rules that the report names."""
    from wheelfuse.report.rules_text import wrapped  # and with it rich

    named = {finding.code for finding in report.findings}
    named |= {item.code for subject in report.subjects for item in subject.not_run}
    return {
        rule.code: Explained(
            rule.code, rule.name, rule.title, str(rule.severity), "\n".join(wrapped(entry.explanation, 100))
        )
        for entry in rules
        if (rule := entry.rule).code in named
    }


def inputs_of(report: Report, notes: Mapping[str, str] | None = None) -> tuple[Input, ...]:
    """The inputs, in order; *notes* tell more of their files, by path."""
    known = [subject.facts for subject in report.subjects if subject.facts]
    tables = dict(zip(map(id, known), symbol_tables(known), strict=True))
    return tuple(
        _input(report, subject, tables.get(id(subject.facts), ()), notes) for subject in report.subjects
    )


def _input(
    report: Report,
    subject: SubjectReport,
    tables: tuple[SymbolTable, ...],
    notes: Mapping[str, str] | None,
) -> Input:
    facts = subject.facts
    inside = contents(facts, notes) if facts else Block(subject.label, subject.size, subject.size, Stuff.DATA)
    return Input(
        subject.label,
        kind_of(subject, human_size(subject.size)),
        subject.size,
        inside.size,
        subject.answer,
        bars(facts, subject.answer) if facts else (),
        inside,
        tables,
        fails(report, subject),
        tuple(dict.fromkeys(_not_run(item.code, item.path, item.reason) for item in subject.not_run)),
    )


def _not_run(code: str, path: str, reason: str) -> str:
    return f"{code}: {f'{path}: ' if path else ''}{reason}"


# --- the verdict ---


def verdict_of(report: Report) -> Verdict:
    """The first sentence about an audit, and what to do next."""
    sentence = f"{where_it_loads(report)}; {tally(report.findings)}"
    if report.failed:
        return Verdict(State.BAD, sentence, next_step(report))
    worth = [finding for finding in report.findings if finding.severity > Severity.INFO]
    open_ = any(
        cell.outcome not in _FINE for s in report.subjects for row in s.answer.modules for cell in row.cells
    )
    if worth or open_:
        return Verdict(State.PARTLY, sentence, next_step(report))
    return Verdict(State.GOOD, sentence, "Nothing has to be done.")


def where_it_loads(report: Report) -> str:
    """``Loads on CPython 3.10 to 3.13, fails on 3.14``: of all the inputs together."""
    refused = [s.label for s in report.subjects if not s.answer.targets and _is_unreadable(s)]
    if refused and len(refused) == len(report.subjects):
        return "Cannot be read" if len(refused) == 1 else f"None of {len(refused)} inputs can be read"
    outcomes: dict[Target, set[Outcome]] = {}
    for subject in report.subjects:
        for row in subject.answer.modules:
            for cell in row.cells:
                outcomes.setdefault(cell.target, set()).add(cell.outcome)
    many = len(report.subjects) > 1
    if not outcomes:
        return (
            "No extension modules" if not many else f"{len(report.subjects)} inputs without extension modules"
        )
    fine = [target for target, found in outcomes.items() if found <= set(_FINE)]
    broken = [target for target, found in outcomes.items() if Outcome.FAILS in found]
    holes = [t for t, found in outcomes.items() if Outcome.MISSING in found and t not in broken]
    open_ = [t for t in outcomes if t not in (*fine, *broken, *holes)]
    told = (
        (fine, "load" if many else "loads", "on CPython "),
        (broken, "fail" if many else "fails", "on "),
        (holes, "lack modules" if many else "lacks modules", "on "),
        (open_, "not proved", "on "),
    )
    parts = [f"{verb} {on}{pythons(targets)}" for targets, verb, on in told if targets]
    text = f"{len(report.subjects)} inputs {', '.join(parts)}" if many else ", ".join(parts)
    if refused:
        text += f", {len(refused)} cannot be read"
    return text[0].upper() + text[1:]


def _is_unreadable(subject: SubjectReport) -> bool:
    """Whether nothing can be said of it but why."""
    return any(finding.code in ("WF001", "WF002") and not finding.path for finding in subject.findings)


def next_step(report: Report) -> str:
    """What to do first: what the worst finding asks for."""
    failing = counting(report, report.findings)
    first = next((f for f in failing or report.findings if f.todo), None)
    if first is None:
        return "See the findings below." if report.findings else "See why it is not proved, below the matrix."
    others = len(failing) - 1
    more = f" {count(others, 'more finding')} fail{'s' * (others == 1)} the audit." if others > 0 else ""
    end = "" if first.todo.endswith((".", "!", "?")) else "."
    return f"{first.code}: {first.todo}{end}{more}"
