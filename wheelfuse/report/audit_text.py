"""An audit for people: first where each input loads, then what was found, then the verdict."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from rich.cells import cell_len
from rich.text import Text

from wheelfuse.auditing.finding import Finding, Severity
from wheelfuse.auditing.report import Outcome, Report, SubjectReport
from wheelfuse.auditing.road import Road
from wheelfuse.auditing.rules import Entry
from wheelfuse.escape import printable
from wheelfuse.report.audit_parts import (
    LEGEND,
    MARKS,
    PLURALS,
    FindingGroup,
    RowGroup,
    by_rule,
    count,
    fails,
    finding_groups,
    kind_of,
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
from wheelfuse.report.lines import rendered
from wheelfuse.sizes import human_size
from wheelfuse.target import Target

MOST_GROUPS, MOST_PATHS, MOST_DETAILS, MOST_LINES, MOST_WORDS = 5, 4, 6, 3, 6
"""How many findings of a rule, paths of a finding, details of it, other lines and names in a line are shown."""

_STYLES = {
    Severity.ERROR: "bold red",
    Severity.WARNING: "bold yellow",
    Severity.INFO: "bold cyan",
}
_CELL_STYLES = {
    Outcome.LOADS: "green",
    Outcome.SUPPLIED: "green",
    Outcome.FAILS: "bold red",
    Outcome.MISSING: "red",
    Outcome.UNPROVED: "yellow",
}
_TITLE = "loads on CPython"
_T = TypeVar("_T")
_KEY = 10
"""Columns of the words that begin a line of the answer."""


def audit_report(
    report: Report,
    rules: Iterable[Entry],
    *,
    width: int = 80,
    color: bool = False,
    verbose: bool = False,
    roads: bool = False,
) -> str:
    """The report of an audit. *verbose* shows notes and every line; otherwise long lists are cut. *roads* spells the
    roads to one file out, which are a line each otherwise."""
    writer = _Writer(titles(rules), max(width, 40), verbose)
    lines: list[Text] = []
    if len(report.subjects) > 1:
        lines += [*_summary(report), Text()]
    for subject in report.subjects:
        lines += [*writer.subject(report, subject), Text()]
    lines += writer.roads(report.roads, spelt_out=roads)
    last = verdict(report)
    if len(last) > writer.width:
        last = verdict(report, brief=True)
    style = "bold red" if report.failed else "bold green"
    lines += (Text(line, style) for line in textwrap.wrap(last, writer.width))
    return rendered(lines, color)


def audit_summary(report: Report, *, color: bool = False) -> str:
    """One line for each input, and the verdict: what ``--quiet`` prints."""
    return rendered([*_summary(report)], color)


def _summary(report: Report) -> Iterator[Text]:
    yield Text(f"{'':6}  errors  warnings  notes  input", style="bold")
    for subject in report.subjects:
        found = Counter(finding.severity for finding in subject.findings)
        failed = fails(report, subject)
        line = Text("FAILED" if failed else "passed", style="bold red" if failed else "green")
        for severity, wide in ((Severity.ERROR, 8), (Severity.WARNING, 10), (Severity.INFO, 7)):
            number = found[severity]
            line.append(f"{number or '-':>{wide}}", style=_STYLES[severity] if number else "not bold default")
        line.append(f"  {printable(subject.label)}", style="not bold default")
        yield line


class _Writer:
    """What all sections have in common: titles of rules, the width in columns, and whether lists are cut."""

    def __init__(self, rule_titles: dict[str, str], width: int, verbose: bool) -> None:
        self.titles, self.width, self.verbose = rule_titles, width, verbose

    def subject(self, report: Report, subject: SubjectReport) -> Iterator[Text]:
        """One input: what it is, where it loads, what was found. Short, if there is little to tell."""
        mark = "=== " if len(report.subjects) > 1 else ""
        yield Text(f"{mark}{printable(subject.label)}", style="bold")
        yield from self._wrapped(kind_of(subject, human_size(subject.size)), "", indent=4)
        short = len(report.subjects) > 1 and not self.verbose and _loads_everywhere(subject)
        yield from self._answer(subject, short=short)
        shown = [f for f in subject.findings if self.verbose or f.severity is not Severity.INFO]
        for (severity, code), findings in by_rule(shown).items():
            yield Text()
            yield from self._rule(severity, code, findings)
        rest = [*self._notes(subject, short=short), *self._suppressed(subject), *self._not_run(subject)]
        if rest:
            yield Text()
            yield from rest

    def _answer(self, subject: SubjectReport, *, short: bool) -> Iterator[Text]:
        answer = subject.answer
        if answer.modules and not short:
            yield Text()
            yield from self._matrix(row_groups(answer.modules, verbose=self.verbose))
            yield from self._reasons(subject)
            yield Text()
        elif answer.targets:
            what = count(len(answer.modules), "extension module") if answer.modules else "no extension module"
            yield from self._fact("CPython", f"{pythons(answer.targets)} ({what})")
        if answer.unreleased:
            later = f"{pythons(answer.unreleased)} would install it, too, once out"
            yield from self._fact("later", later)
        if answer.torch is not None:
            none = "no known version exports all that is needed"
            yield from self._fact("torch", versions(answer.torch) or none, "" if answer.torch else "bold red")
        tags = f"tagged {', '.join(answer.platforms)}" if answer.platforms else ""
        if answer.libc:
            needs = f"{', '.join(answer.libc)} at least"
            yield from self._fact("C library", "; ".join(filter(None, (needs, tags))))
        elif tags:
            yield from self._fact("platform", tags)
        if answer.architectures:
            yield from self._fact("GPUs", ", ".join(answer.architectures))
        if answer.assumed:
            yield from self._fact("assumed", self._some(answer.assumed, "library", "libraries"))

    def _matrix(self, groups: Sequence[RowGroup]) -> Iterator[Text]:
        """Modules by CPython; on a narrow terminal several tables, one below the other."""
        labels = [printable(group.label) for group in groups]
        for columns in self._columns(groups[0], max(map(cell_len, labels))):
            shown = [groups[0].cells[column].target for column in columns]
            room = self.width - sum(_column(target) for target in shown)
            name = min(max(len(_TITLE), 3 + max(map(cell_len, labels))), max(room, 24))
            header = Text(_TITLE.ljust(name), style="bold")
            for target in shown:
                header.append(python(target).center(_column(target)))
            yield header
            for group, label in zip(groups, labels, strict=True):
                # A long name has a line of its own, whole: it is for copying.
                fits = cell_len(label) + 2 < name
                if not fits:
                    yield Text(f"  {label}")
                line = Text(f"  {label}" + " " * (name - 2 - cell_len(label)) if fits else " " * name)
                for column in columns:
                    cell = group.cells[column]
                    mark = MARKS[cell.outcome].center(_column(cell.target))
                    line.append(mark, style=_CELL_STYLES[cell.outcome])
                yield line
        used = {cell.outcome for group in groups for cell in group.cells}
        legend = [f"{MARKS[outcome]} {words}" for outcome, words in LEGEND.items() if outcome in used]
        if legend:
            yield from self._wrapped(f"({', '.join(legend)})", "  ")

    def _columns(self, group: RowGroup, longest: int) -> Iterator[list[int]]:
        """The numbers of the columns of each table; the free-threaded builds have their own if all do not fit."""
        every = list(range(len(group.cells)))
        name = min(max(len(_TITLE), longest + 3), max(self.width // 2, 24))
        if sum(_column(cell.target) for cell in group.cells) + name <= self.width:
            yield every
            return
        at_once = max(1, (self.width - name) // 7)
        for _, builds in groupby(
            sorted(every, key=lambda number: group.cells[number].target.free_threaded),
            key=lambda number: group.cells[number].target.free_threaded,
        ):
            numbers = list(builds)
            even = math.ceil(len(numbers) / math.ceil(len(numbers) / at_once))
            yield from (numbers[at : at + even] for at in range(0, len(numbers), even))

    def _reasons(self, subject: SubjectReport) -> Iterator[Text]:
        """Why a cell is no plain yes, the same reason once. Of what is not proved, the assumed libraries tell most."""
        found = list(reasons(subject.answer.modules).items())
        unproved = [item for item in found if item[0][0] is Outcome.UNPROVED]
        known = [item for item in found if item not in unproved]
        most = 1 if subject.answer.assumed else MOST_LINES
        shown = [*self._cut(known, MOST_LINES), *self._cut(unproved, most)]
        for (outcome, reason), modules in shown:
            every = [target for targets in modules.values() for target in targets]
            names = list(modules)
            who = printable(names[0]) if len(names) == 1 else count(len(names), "module")
            text = f"{who} on {pythons(every)}: {printable(reason)}"
            lead = f"  {MARKS[outcome]:<3} "
            yield from self._wrapped(text, lead, style=_CELL_STYLES[outcome], styled=len(lead))
        if hidden := len(found) - len(shown):
            yield Text(f"      and {hidden} more reason{'s' * (hidden != 1)}; -v shows all", style="dim")

    def _fact(self, key: str, text: str, style: str = "") -> Iterator[Text]:
        for line in self._wrapped(printable(text), f"{key:<{_KEY}}", style="bold", styled=_KEY):
            if style:
                line.stylize(style, _KEY)
            yield line

    def _rule(self, severity: Severity, code: str, findings: Sequence[Finding]) -> Iterator[Text]:
        title = self.titles.get(code, "")
        lead = f"{'note' if severity is Severity.INFO else severity} {code} "
        yield from self._wrapped(title, lead, style=_STYLES[severity], styled=len(lead), indent=2)
        groups = finding_groups(findings)
        todos = {group.finding.todo for group in groups}
        common = len(todos) == 1 and len(groups) > 1
        for group in self._cut(groups, MOST_GROUPS):
            yield from self._finding(group, todo=not common)
        yield from self._more(len(groups), MOST_GROUPS, "finding of this rule", 2, "findings of this rule")
        if common:
            yield from self._todo(groups[0].finding.todo, 2)

    def _finding(self, group: FindingGroup, *, todo: bool) -> Iterator[Text]:
        indent = 2
        for path in self._cut(group.paths, MOST_PATHS):
            yield Text(f"  {printable(path)}", style="default")
        if group.paths:
            yield from self._more(len(group.paths), MOST_PATHS, "file", 2)
            indent = 4
        yield from self._wrapped(printable(group.finding.message), " " * indent)
        for detail in self._cut(group.finding.details, MOST_DETAILS):
            yield from self._wrapped(printable(detail), " " * (indent + 2), indent=indent + 6)
        yield from self._more(len(group.finding.details), MOST_DETAILS, "", indent + 2)
        if todo:
            yield from self._todo(group.finding.todo, indent)

    def _todo(self, todo: str, indent: int) -> Iterator[Text]:
        if todo:
            lead = " " * indent + "fix: "
            yield from self._wrapped(printable(todo), lead, style="green", styled=len(lead))

    def _notes(self, subject: SubjectReport, *, short: bool) -> Iterator[Text]:
        """That there are findings of no consequence, by rule."""
        notes = Counter(f.code for f in subject.findings if f.severity is Severity.INFO)
        if not notes or self.verbose:
            return
        head = count(notes.total(), PLURALS[Severity.INFO])
        if short:
            yield Text(f"{head} ({', '.join(sorted(notes))}); -v shows more", style="cyan")
            return
        if len(notes) == 1:
            [code] = notes
            lead = f"{head} ({code}): "
            yield from self._wrapped(
                f"{self.titles.get(code, '')}; -v shows more", lead, style="cyan", styled=len(lead)
            )
            return
        yield Text(f"{head}; -v shows more", style="cyan")
        for code, number in sorted(notes.items()):
            times = f" ({number} times)" if number > 1 else ""
            yield from self._wrapped(f"{self.titles.get(code, '')}{times}", f"  {code} ")

    def _suppressed(self, subject: SubjectReport) -> Iterator[Text]:
        by = Counter((str(item.by), item.by.reason) for item in subject.suppressed)
        for (ignore, reason), number in self._cut(list(by.items()), MOST_LINES):
            why = f": {reason}" if reason else ""
            yield from self._wrapped(
                printable(f"{count(number, 'finding')} by {ignore}{why}"), "suppressed: "
            )
        yield from self._more(len(by), MOST_LINES, "suppression", 0)

    def _not_run(self, subject: SubjectReport) -> Iterator[Text]:
        found = not_run_groups(subject.not_run)
        for (code, reason), paths in self._cut(list(found.items()), MOST_LINES):
            named = [path for path in paths if path]
            where = f"{named[0]}: " if len(named) == 1 else f"{len(named)} files: " if named else ""
            text = printable(f"{code} {where}{reason}")
            yield from self._wrapped(text, "not checked: ", style="yellow", styled=len("not checked:"))
        yield from self._more(
            len(found), MOST_LINES, "check that could not be made", 0, "checks that could not be made"
        )

    def roads(self, roads: Iterable[Road], *, spelt_out: bool) -> Iterator[Text]:
        """The roads to one file: in a line, or symbol by symbol."""
        ahead, there = roads_ahead(roads), roads_arrived(roads)
        if not spelt_out:
            for line in road_summaries(ahead):
                yield from self._wrapped(f"{line} (--road-to-abi3)", "")
            if ahead:
                yield Text()
            return
        for road in ahead:
            yield from (*self._road(road), Text())
        for line in there:
            yield from self._wrapped(printable(line), "", style="green", styled=len(line))
        if there:
            yield Text()

    def _road(self, road: Road) -> Iterator[Text]:
        """What stands between a module and one file for all."""
        files = count(len(road.files), "file")
        yield Text(f"road to {road.goal}: {printable(road.module)}", style="bold")
        if not road.steps:
            yield Text(f"{printable(road.subject)}, {files}: no symbol is in the way", style="green")
        else:
            left = f"{count(road.count, 'symbol')} to go, {road.left} without a known replacement"
            yield from self._wrapped(f"{printable(road.subject)}, {files}: {left}", "")
        for step in road.steps:
            yield Text(f"  {printable(step.cause)} ({len(step.symbols)})", style="bold")
            wide = max(cell_len(printable(symbol)) for symbol, _ in step.symbols)
            for symbol, replacement in self._cut(step.symbols, 2 * MOST_GROUPS):
                yield from self._replaced(printable(symbol), printable(replacement), wide)
            yield from self._more(len(step.symbols), 2 * MOST_GROUPS, "", 4)
        for sentence in road.advice:
            yield from self._wrapped(printable(sentence), "- ")

    def _replaced(self, symbol: str, replacement: str, wide: int) -> Iterator[Text]:
        if not replacement:
            yield Text(f"    {symbol}")
        elif 4 + wide + 4 + cell_len(replacement) <= self.width:
            yield Text(f"    {symbol}{' ' * (wide - cell_len(symbol))} -> {replacement}")
        else:
            yield Text(f"    {symbol}")
            yield Text(f"      -> {replacement}")

    def _wrapped(
        self, text: str, lead: str, *, style: str = "", styled: int = 0, indent: int = 0
    ) -> Iterator[Text]:
        """*text* after *lead*, in several lines below each other; names stay whole, to be copied."""
        hanging = " " * (indent or min(len(lead), 24))
        lines = textwrap.wrap(
            text, self.width, initial_indent=lead, subsequent_indent=hanging, break_long_words=False,
            break_on_hyphens=False,
        ) or [lead]  # fmt: skip
        for number, line in enumerate(lines):
            shown = Text(line)
            if style and number == 0:
                shown.stylize(style, 0, styled)
            yield shown

    def _cut(self, items: Sequence[_T], most: int) -> Sequence[_T]:
        return items if self.verbose or len(items) <= most + 1 else items[:most]

    def _more(self, number: int, most: int, thing: str, indent: int, things: str = "") -> Iterator[Text]:
        if not self.verbose and number > most + 1:
            words = f" {things or thing + 's'}" if thing else ""
            yield Text(f"{' ' * indent}and {number - most} more{words}; -v shows all", style="dim")

    def _some(self, items: Sequence[str], thing: str, things: str) -> str:
        shown = self._cut(items, MOST_WORDS)
        hidden = len(items) - len(shown)
        return ", ".join(shown) + (f" and {hidden} more {things if hidden != 1 else thing}" if hidden else "")


def _column(target: Target) -> int:
    return len(python(target)) + 2


def _loads_everywhere(subject: SubjectReport) -> bool:
    rows = subject.answer.modules
    return all(cell.outcome in (Outcome.LOADS, Outcome.SUPPLIED) for row in rows for cell in row.cells)
