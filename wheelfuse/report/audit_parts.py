"""What the reports of an audit share: groups of findings and modules, version ranges."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wheelfuse.auditing.finding import Finding, NotRun, Severity
from wheelfuse.auditing.report import Cell, ModuleRow, Outcome, Report, SubjectReport
from wheelfuse.auditing.road import Road
from wheelfuse.auditing.rules import Entry
from wheelfuse.target import Target

MARKS = {
    Outcome.LOADS: "yes",
    Outcome.SUPPLIED: "yes*",
    Outcome.FAILS: "NO",
    Outcome.MISSING: "-",
    Outcome.UNPROVED: "?",
}
"""How a cell of the matrix is shown, without colour and in ASCII."""

LEGEND = {
    Outcome.SUPPLIED: "with the assumed libraries",
    Outcome.FAILS: "fails to load",
    Outcome.MISSING: "has no file for it",
    Outcome.UNPROVED: "not proved",
}
"""What the marks mean; ``yes`` needs no words."""

PLURALS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
"""What findings of each severity are called."""

_ALONE = 3
"""Up to so many modules with equal cells have a row each."""


def count(number: int, thing: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {thing}{'s' * (number != 1)}"


def python(target: Target) -> str:
    """A target as people call it: ``3.13t``."""
    return target.python_name


def pythons(targets: Iterable[Target]) -> str:
    """Targets as ranges, the builds with the GIL first: ``3.10 to 3.14, 3.13t, 3.14t``."""
    given = sorted(set(targets))
    builds = ([target for target in given if target.free_threaded is free] for free in (False, True))
    return ", ".join(
        text for build in builds for text in _ranges([(target.minor, python(target)) for target in build])
    )


def versions(texts: Iterable[str]) -> str:
    """Versions ``major.minor`` as ranges: ``2.6 to 2.9, 2.11``. All below one major version are taken to exist."""
    numbered = []
    for text in texts:
        major, _, minor = text.partition(".")
        numbered.append((int(major) * 1000 + int(minor), text))
    return ", ".join(_ranges(sorted(numbered)))


def _ranges(numbered: Sequence[tuple[int, str]]) -> list[str]:
    runs: list[list[tuple[int, str]]] = []
    for number, text in numbered:
        if runs and runs[-1][-1][0] + 1 == number:
            runs[-1].append((number, text))
        else:
            runs.append([(number, text)])
    return [
        part
        for run in runs
        for part in ([f"{run[0][1]} to {run[-1][1]}"] if len(run) > 2 else [text for _, text in run])
    ]


def limit(report: Report) -> Severity | None:
    """The mildest severity that fails the run; None: none does."""
    if report.fail_on == "never":
        return None
    return Severity.WARNING if report.strict or report.fail_on == "warning" else Severity.ERROR


def counting(report: Report, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those of the findings that fail the run."""
    lowest = limit(report)
    return tuple(finding for finding in findings if lowest and finding.severity >= lowest)


def fails(report: Report, subject: SubjectReport) -> bool:
    """Whether this input fails the run."""
    not_run = report.strict and report.fail_on != "never" and bool(subject.not_run)
    return not_run or bool(counting(report, subject.findings))


def tally(findings: Iterable[Finding]) -> str:
    """``2 errors, 1 warning``, or ``no findings``."""
    found = [finding.severity for finding in findings]
    parts = [count(found.count(severity), word) for severity, word in PLURALS.items() if severity in found]
    return ", ".join(parts) or "no findings"


def verdict(report: Report, *, brief: bool = False) -> str:
    """The last word: passed or failed, the counts, and, unless *brief*, what was done."""
    word = "FAILED" if report.failed else "passed"
    not_run = sum(len(subject.not_run) for subject in report.subjects)
    suppressed = sum(len(subject.suppressed) for subject in report.subjects)
    parts = [tally(report.findings)]
    if suppressed:
        parts.append(f"{suppressed} suppressed")
    if not_run:
        parts.append(f"{count(not_run, 'check')} not made")
    done = f" ({count(report.rules, 'rule')} on {count(len(report.subjects), 'input')})"
    return f"{word}: {', '.join(parts)}{'' if brief else done}"


@dataclass(frozen=True)
class RowGroup:
    """Rows of the matrix with equal outcomes: what to call them, the modules, and the cells of the first."""

    label: str
    modules: tuple[str, ...]
    cells: tuple[Cell, ...]


def row_groups(rows: Iterable[ModuleRow], *, verbose: bool = False) -> tuple[RowGroup, ...]:
    """The rows of the matrix, many equal ones as one: ``numpy.* (17 modules)``; those with a hole come last."""
    alike: dict[tuple[Outcome, ...], list[ModuleRow]] = defaultdict(list)
    for row in rows:
        alike[tuple(cell.outcome for cell in row.cells)].append(row)
    groups: list[RowGroup] = []
    prefixes: set[str] = set()
    for members in sorted(alike.values(), key=lambda members: (-len(members), members[0].module)):
        names = [row.module for row in members]
        prefix = _common_package(names)
        if verbose or len(members) <= _ALONE:
            groups += (RowGroup(row.module, (row.module,), row.cells) for row in members)
        elif prefix in prefixes:  # a second "numpy.*" would say nothing
            groups += (RowGroup(row.module, (row.module,), row.cells) for row in members[:_ALONE])
            rest = members[_ALONE:]
            label = f"and {len(rest)} more module{'s' * (len(rest) != 1)}"
            groups.append(RowGroup(label, tuple(names[_ALONE:]), rest[0].cells))
        else:
            prefixes.add(prefix)
            label = f"{prefix}.* ({len(names)} modules)" if prefix else f"{len(names)} modules"
            groups.append(RowGroup(label, tuple(names), members[0].cells))
    return tuple(groups)


def _common_package(names: Sequence[str]) -> str:
    """The innermost package that holds all of these modules; empty if there is none."""
    return posixpath.commonpath([name.rpartition(".")[0].replace(".", "/") or "." for name in names]).replace(
        "/", "."
    ).strip(".")  # fmt: skip


@dataclass(frozen=True)
class FindingGroup:
    """Findings of one rule that differ in nothing but the path."""

    finding: Finding
    paths: tuple[str, ...]


def finding_groups(findings: Iterable[Finding]) -> tuple[FindingGroup, ...]:
    """Findings with equal words as one, in order."""
    alike: dict[Finding, list[str]] = {}
    for finding in findings:
        key = Finding(finding.code, finding.severity, finding.message, "", finding.todo, finding.details)
        alike.setdefault(key, []).append(finding.path)
    return tuple(
        FindingGroup(finding, tuple(filter(None, dict.fromkeys(paths)))) for finding, paths in alike.items()
    )


def by_rule(findings: Iterable[Finding]) -> dict[tuple[Severity, str], list[Finding]]:
    """Findings by severity, the worst first, and code."""
    found: dict[tuple[Severity, str], list[Finding]] = defaultdict(list)
    for finding in sorted(findings, key=lambda finding: (-finding.severity.rank, finding.code)):
        found[finding.severity, finding.code].append(finding)
    return found


def not_run_groups(items: Iterable[NotRun]) -> dict[tuple[str, str], list[str]]:
    """Checks that could not be made: (code, reason) -> paths."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for item in items:
        found[item.code, item.reason].append(item.path)
    return found


def reasons(rows: Iterable[ModuleRow]) -> dict[tuple[Outcome, str], dict[str, list[Target]]]:
    """Why cells are not a plain yes: (outcome, reason) -> module -> targets; failures first."""
    found: dict[tuple[Outcome, str], dict[str, list[Target]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for cell in row.cells:
            for reason in cell.reasons if cell.outcome is not Outcome.LOADS else ():
                found[cell.outcome, reason][row.module].append(cell.target)
    order = list(MARKS)
    return dict(sorted(found.items(), key=lambda item: order.index(item[0][0])))


def titles(rules: Iterable[Entry]) -> dict[str, str]:
    """Code -> title."""
    return {entry.rule.code: entry.rule.title for entry in rules}


def kind_of(subject: SubjectReport, size: str) -> str:
    """What an input is, in words: ``wheel of 1.2 MiB with 3 shared objects``."""
    words = {
        "file": "shared object" if subject.shared_objects else "file",
        "distribution": "installed distribution",
    }
    word = words.get(subject.kind.value, subject.kind.value)
    of = f" of {size}" if subject.size else ""
    found = count(subject.shared_objects, "shared object") if subject.shared_objects else "no shared object"
    looked_into = subject.kind.value != "file" and (subject.shared_objects or subject.answer.targets)
    inside = f" with {found}" if looked_into else ""
    return f"{word}{of}{inside}"


def roads_ahead(roads: Iterable[Road]) -> tuple[Road, ...]:
    """Those that still have to be walked."""
    return tuple(road for road in roads if not road.arrived)


def roads_arrived(roads: Iterable[Road]) -> tuple[str, ...]:
    """A line for each goal that some modules have reached: ``abi3: pkg._a and pkg._b are there already``."""
    return tuple(
        f"{goal}: {_some([road.module for road in there])} there already"
        for goal, there in _by_goal(road for road in roads if road.arrived).items()
    )


def road_summaries(roads: Iterable[Road]) -> tuple[str, ...]:
    """A line for each goal: how many symbols are in the way, over all modules."""
    return tuple(
        f"road to {goal}: {count(len(ahead), 'module')}, {count(sum(road.count for road in ahead), 'symbol')} in the "
        f"way, {sum(road.left for road in ahead)} without a known replacement"
        for goal, ahead in _by_goal(roads).items()
    )


def _by_goal(roads: Iterable[Road]) -> dict[str, list[Road]]:
    found: dict[str, list[Road]] = defaultdict(list)
    for road in roads:
        found[road.goal].append(road)
    return found


def _some(names: Sequence[str]) -> str:
    """One or two names with their verb, of more the number."""
    if len(names) == 1:
        return f"{names[0]} is"
    return (
        f"{names[0]} and {names[1]} are" if len(names) == 2 else f"{names[0]} and {len(names) - 1} more are"
    )
