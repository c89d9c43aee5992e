"""An audit as Markdown, for a job summary or a comment on a pull request: short, the rest folded away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from wheelfuse.auditing.finding import Finding, Severity
from wheelfuse.auditing.report import Report, SubjectReport
from wheelfuse.auditing.road import Road
from wheelfuse.auditing.rules import Entry
from wheelfuse.escape import printable
from wheelfuse.report.audit_parts import (
    LEGEND,
    MARKS,
    PLURALS,
    count,
    fails,
    finding_groups,
    not_run_groups,
    python,
    pythons,
    reasons,
    road_summaries,
    roads_ahead,
    roads_arrived,
    row_groups,
    titles,
    verdict,
    versions,
)

_MOST_SECTIONS, _MOST_ROWS, _MOST_PATHS, _MOST_DETAILS = 10, 50, 5, 20
_MARKUP = {ord(character): f"&#{ord(character)};" for character in "\\`*_[]|~<>&"} | {
    ord(character): f"<span>&#{ord(character)};</span>" for character in "@#"
}
"""What Markdown and HTML give a meaning to, as character references. What is looked for in the text that comes out
of them (``@name``, ``a@b.c``, ``#1``) is an element of its own besides, which no such search looks across."""

_LINK = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)
"""What makes a link of an address that is not marked up as one (GitHub Flavored Markdown, 6.9)."""

_BLOCK = re.compile(r"[-+=\s]|\d+[.)]")
"""What begins a list, a rule, a heading or code where a line begins (4 and 5)."""

_WORDS = {"yes": "yes", "yes*": r"yes\*", "NO": "**NO**", "-": "-", "?": "?"}


def audit_to_markdown(report: Report, rules: Sequence[Entry], *, roads: bool = False) -> str:
    """Verdict, a table of the inputs, and for each a section: the answer, and its findings in a fold.

    *roads* spells the roads to one file out.
    """
    names = titles(rules)
    lines = ["## wheelfuse audit", "", f"**{verdict(report)}**", "", *_inputs(report)]
    many = len(report.subjects) > _MOST_SECTIONS
    for subject in report.subjects:
        if not many or not _is_quiet(subject):
            lines += ["", *_subject(report, subject, names)]
    if many:
        lines += [
            "",
            "Of so many inputs, only those with errors, warnings or checks not made have a section.",
        ]
    ahead, there = roads_ahead(report.roads), roads_arrived(report.roads)
    for road in ahead if roads else ():
        lines += ["", *_road(road)]
    if roads:
        lines += [f"- {text(line)}" for line in there]
    elif ahead:
        lines += ["", *(f"- {text(line)}" for line in road_summaries(ahead))]
    if report.unused_ignores:
        unused = ", ".join(code(str(ignore)) for ignore in report.unused_ignores)
        lines += ["", f"Ignores that match nothing: {unused}"]
    return "\n".join((*lines, ""))


def text(value: str) -> str:
    """*value* as text in which nothing is markup, neither of Markdown nor of HTML, also within a table."""
    marked = _LINK.sub(r"<span>\g<0></span>", printable(value).translate(_MARKUP))
    return f"&#{ord(marked[0])};{marked[1:]}" if _BLOCK.match(marked) else marked


def code(value: str) -> str:
    """*value* in the type of code, also within a table, whatever is in it."""
    return f"<code>{text(value)}</code>"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'|'.join(' --- ' for _ in header)}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _inputs(report: Report) -> Iterator[str]:
    yield from _table(
        ("input", "verdict", "errors", "warnings", "notes", "loads on CPython"),
        (
            (
                code(subject.label),
                "**FAILED**" if fails(report, subject) else "passed",
                *(
                    str(sum(finding.severity is severity for finding in subject.findings) or "-")
                    for severity in PLURALS
                ),
                _loads_on(subject),
            )
            for subject in report.subjects
        ),
    )


def _is_quiet(subject: SubjectReport) -> bool:
    return not subject.not_run and all(finding.severity is Severity.INFO for finding in subject.findings)


def _loads_on(subject: SubjectReport) -> str:
    """The CPythons on which every module loads, as far as that is proved."""
    rows, targets = subject.answer.modules, subject.answer.targets
    not_yes = {
        cell.target for row in rows for cell in row.cells if MARKS[cell.outcome] not in ("yes", "yes*")
    }
    unproved = {cell.target for row in rows for cell in row.cells if MARKS[cell.outcome] == "?"}
    failing = {cell.target for row in rows for cell in row.cells if MARKS[cell.outcome] in ("NO", "-")}
    proved = pythons(target for target in targets if target not in not_yes)
    rest = pythons(unproved - failing)
    return "; ".join(filter(None, (proved, f"not proved: {rest}" if rest else ""))) or "-"


def _subject(report: Report, subject: SubjectReport, names: dict[str, str]) -> Iterator[str]:
    yield f"### {code(subject.label)}"
    yield ""
    yield from _answer(subject)
    for severity, word in PLURALS.items():
        findings = [finding for finding in subject.findings if finding.severity is severity]
        if findings:
            opened = " open" if severity is Severity.ERROR else ""
            yield f"\n<details{opened}><summary>{count(len(findings), word)}</summary>\n"
            yield from _findings(findings, names)
            yield "\n</details>"
    if subject.suppressed:
        yield f"\n<details><summary>{len(subject.suppressed)} suppressed</summary>\n"
        yield from _table(
            ("rule", "file", "reason", "suppressed by", "because"),
            (
                (
                    item.finding.code,
                    code(item.finding.path) if item.finding.path else "",
                    text(item.finding.message),
                    code(str(item.by)),
                    text(item.by.reason),
                )
                for item in subject.suppressed[:_MOST_ROWS]
            ),
        )
        yield "\n</details>"
    if subject.not_run:
        found = not_run_groups(subject.not_run)
        yield f"\n<details><summary>{count(len(subject.not_run), 'check')} not made</summary>\n"
        yield from _table(
            ("rule", "file", "reason"),
            (
                (rule, _paths([path for path in paths if path]), text(reason))
                for (rule, reason), paths in list(found.items())[:_MOST_ROWS]
            ),
        )
        yield "\n</details>"


def _answer(subject: SubjectReport) -> Iterator[str]:
    answer = subject.answer
    if answer.modules:
        groups = row_groups(answer.modules)
        yield from _table(
            ("extension module", *(python(cell.target) for cell in groups[0].cells)),
            (
                (code(group.label), *(_WORDS[MARKS[cell.outcome]] for cell in group.cells))
                for group in groups[:_MOST_ROWS]
            ),
        )
        used = {cell.outcome for group in groups for cell in group.cells}
        legend = [
            f"{_WORDS[MARKS[outcome]]}: {words}" for outcome, words in LEGEND.items() if outcome in used
        ]
        if legend:
            yield f"\n{'; '.join(legend)}"
        yield ""
    for (outcome, reason), modules in list(reasons(answer.modules).items())[:_MOST_PATHS]:
        where = pythons(target for targets in modules.values() for target in targets)
        yield f"- {MARKS[outcome].replace('-', 'no file')} {_paths(list(modules))} on {where}: {text(reason)}"
    if answer.unreleased:
        yield f"- would install on {pythons(answer.unreleased)}, too, once out"
    if answer.torch is not None:
        yield f"- torch: {versions(answer.torch) or '**no known version exports all that is needed**'}"
    if answer.libc:
        yield f"- C library: {text(', '.join(answer.libc))} at least"
    if answer.platforms:
        yield f"- platform tags: {_paths(answer.platforms)}"
    if answer.architectures:
        yield f"- GPUs: {text(', '.join(answer.architectures))}"
    if answer.assumed:
        yield f"- assumed from elsewhere: {_paths(answer.assumed, most=12)}"


def _findings(findings: Sequence[Finding], names: dict[str, str]) -> Iterator[str]:
    groups = finding_groups(findings)
    yield from _table(
        ("rule", "file", "reason", "what to do"),
        (
            (
                f"{group.finding.code}<br>{text(names.get(group.finding.code, ''))}",
                _paths(group.paths),
                text(group.finding.message) + _details(group.finding.details),
                text(group.finding.todo),
            )
            for group in groups[:_MOST_ROWS]
        ),
    )
    if len(groups) > _MOST_ROWS:
        yield f"\nand {len(groups) - _MOST_ROWS} more"


def _details(details: Sequence[str]) -> str:
    if not details:
        return ""
    shown = "<br>".join(code(detail) for detail in details[:_MOST_DETAILS])
    more = len(details) - _MOST_DETAILS
    rest = f"<br>and {more} more" if more > 0 else ""
    return f"<details><summary>{count(len(details), 'detail')}</summary>{shown}{rest}</details>"


def _paths(paths: Sequence[str], *, most: int = _MOST_PATHS) -> str:
    shown = [code(path) for path in paths[:most]]
    more = len(paths) - len(shown)
    return "<br>".join(shown) + (f"<br>and {more} more" if more else "")


def _road(road: Road) -> Iterator[str]:
    left = f"{count(road.count, 'symbol')} to go, {road.left} without a known replacement"
    yield f"### Road to {text(road.goal)}: {code(road.module)}"
    yield ""
    yield left if road.steps else "No symbol is in the way."
    if road.steps:
        yield "\n<details><summary>symbols</summary>\n"
        yield from _table(
            ("cause", "symbol", "replacement"),
            (
                (text(step.cause), code(symbol), code(replacement) if replacement else "-")
                for step in road.steps
                for symbol, replacement in step.symbols
            ),
        )
        yield "\n</details>\n"
    for sentence in road.advice:
        yield f"- {text(sentence)}"
