"""A verification for people: for each wheel a matrix of steps and CPythons, then why, then the verdict."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from wheelfuse.escape import harmless, printable
from wheelfuse.report.audit_parts import count, python, pythons
from wheelfuse.report.lines import rendered
from wheelfuse.target import Target
from wheelfuse.verifying.results import Outcome, Result, Trial, Verification, VerifiedWheel

MOST_LINES = 15
"""How many of the last lines of a failed installation or command are shown."""

MOST_ALIKE = 12
"""How many modules with equal cells have a row each."""

MARKS = {
    Outcome.OK: "ok",
    Outcome.FAILED: "FAIL",
    Outcome.CRASHED: "CRASH",
    Outcome.HUNG: "HANG",
    Outcome.MISSING: "MISSING",
    Outcome.ABSENT: "-",
    Outcome.NOT_VERIFIED: "?",
}
"""How a cell of the matrix is shown, without colour and in ASCII; an ``ok`` with a reason has a star."""

_STYLES = {Outcome.OK: "green", Outcome.ABSENT: "dim", Outcome.NOT_VERIFIED: "yellow"}
_FAILURE = "bold red"
_INSTALLS, _COMMAND = "installs", "command"
_COLUMN = 7
_KEY = 8


@dataclass(frozen=True)
class _Row:
    """One step on every CPython of the table."""

    label: str
    results: tuple[Result, ...]


def verification_report(verification: Verification, *, width: int = 80, color: bool = False) -> str:
    """The report of a verification."""
    lines: list[Text] = []
    for wheel in verification.wheels:
        lines += [*_wheel(wheel, verification, max(width, 40)), Text()]
    lines += _verdict(verification, max(width, 40))
    return rendered(lines, color)


def verification_summary(verification: Verification, *, color: bool = False) -> str:
    """One line for each wheel: what ``--quiet`` prints."""
    return rendered((_summary(wheel) for wheel in verification.wheels), color)


def _summary(wheel: VerifiedWheel) -> Text:
    word, style = ("FAILED", _FAILURE) if wheel.failed else ("passed", "green")
    if wheel.nothing_verified:
        word, style = "?     ", "yellow"
    return Text.assemble((word, style), f"  {printable(wheel.path.name)}{_told_of(wheel.trials)}")


def _told_of(trials: Sequence[Trial]) -> str:
    """Where a wheel failed, and where it was not verified."""
    failed = [trial.target for trial in trials if trial.failed]
    unknown = [trial.target for trial in trials if trial.has(Outcome.NOT_VERIFIED) and not trial.failed]
    parts = [f"fails on {pythons(failed)}"] if failed else []
    parts += [f"not verified on {pythons(unknown)}"] if unknown else []
    return f": {'; '.join(parts)}" if parts else ""


def _wheel(wheel: VerifiedWheel, verification: Verification, width: int) -> Iterator[Text]:
    yield Text(printable(wheel.path.name), style="bold")
    if verification.command:
        yield from _fact(_COMMAND, printable(verification.command), width)
    rows = _rows(wheel)
    targets = [trial.target for trial in wheel.trials]
    if targets:
        yield Text()
        yield from _matrix(_shown(rows), targets, width)
    facts = list(_facts(wheel, rows, targets, width))
    if facts:
        yield Text()
        yield from facts
    for trial in wheel.trials:
        yield from _output(trial)


def _facts(
    wheel: VerifiedWheel, rows: Sequence[_Row], targets: Sequence[Target], width: int
) -> Iterator[Text]:
    """What there is to say below the matrix."""
    if targets and not wheel.trials[0].modules:
        yield from _fact("", "there is nothing in it that could be imported", width)
    yield from _reasons(rows, targets, width)
    if wheel.unasked:
        yield from _fact("unasked", f"{pythons(wheel.unasked)}: claimed, but not named with --python", width)
    if wheel.unreleased:
        yield from _fact("later", f"{pythons(wheel.unreleased)} would install it, too, once out", width)
    if not targets:
        why = "none of those named with --python" if wheel.unasked else "no CPython that could be verified"
        yield from _fact("?", f"it claims {why}", width)


def _rows(wheel: VerifiedWheel) -> list[_Row]:
    trials = wheel.trials
    rows = [_Row(_INSTALLS, tuple(trial.installation for trial in trials))]
    for column in zip(*(trial.modules for trial in trials), strict=True):
        rows.append(_Row(column[0].module, tuple(item.result for item in column)))
    commands = tuple(trial.command for trial in trials if trial.command)
    if commands:
        rows.append(_Row(_COMMAND, commands))
    return rows


def _shown(rows: Sequence[_Row]) -> list[_Row]:
    """The rows, where many modules have equal cells only the first of them, and one for the others."""
    alike: dict[tuple[str, ...], list[_Row]] = defaultdict(list)
    for row in rows:
        alike[() if row.label in (_INSTALLS, _COMMAND) else tuple(map(_mark, row.results))].append(row)
    shown = []
    for row in rows:
        group = alike[tuple(map(_mark, row.results))]
        number = group.index(row) if row in group else 0
        if number < MOST_ALIKE or len(group) == MOST_ALIKE + 1:
            shown.append(row)
        elif number == MOST_ALIKE:
            shown.append(_Row(f"and {len(group) - MOST_ALIKE} more modules", row.results))
    return shown


def _matrix(rows: Sequence[_Row], targets: Sequence[Target], width: int) -> Iterator[Text]:
    """Steps by CPython; on a narrow terminal several tables, one below the other."""
    labels = [_fitted(row.label, width) for row in rows]
    name = max(map(cell_len, labels)) + 2
    wide = max([_COLUMN, *(2 + len(_mark(result)) for row in rows for result in row.results)])
    at_once = max(1, (width - name) // wide)
    for start in range(0, len(targets), at_once):
        columns = range(start, min(start + at_once, len(targets)))
        header = Text(" " * name, style="bold")
        for column in columns:
            header.append(python(targets[column]).center(wide))
        yield header
        for row, label in zip(rows, labels, strict=True):
            line = Text(label + " " * (name - cell_len(label)))
            for column in columns:
                result = row.results[column]
                line.append(_mark(result).center(wide), style=_STYLES.get(result.outcome, _FAILURE))
            yield line


def _fitted(label: str, width: int) -> str:
    """The label, cut to half of the width."""
    text = printable(label)
    return text if cell_len(text) <= width // 2 else f"{text[: width // 2 - 3]}..."


def _mark(result: Result) -> str:
    return MARKS[result.outcome] + "*" * (result.outcome is Outcome.OK and bool(result.reason))


def _reasons(rows: Iterable[_Row], targets: Sequence[Target], width: int) -> Iterator[Text]:
    """Why a cell is no plain ok, the same reason once; what follows from another step is not told again."""
    found: dict[tuple[str, str], dict[str, list[Target]]] = defaultdict(lambda: defaultdict(list))
    installs: dict[Target, Result] = {}
    for row in rows:
        for target, result in zip(targets, row.results, strict=True):
            before = installs.setdefault(target, result)
            follows = row.label != _INSTALLS and before.outcome is not Outcome.OK
            if result.reason and not follows:
                found[_mark(result), result.reason][row.label].append(target)
    for (mark, reason), steps in sorted(found.items(), key=lambda item: _rank(item[0][0])):
        names = list(steps)
        every = [target for where in steps.values() for target in where]
        who = "" if names == [_INSTALLS] else f"{_named(names)} on "
        yield from _fact(mark, f"{who}{pythons(every)}: {printable(reason)}", width)


def _rank(mark: str) -> int:
    order = [*MARKS.values(), mark]  # an "ok*" comes last
    return order.index(mark)


def _named(names: Sequence[str]) -> str:
    thing = "step" if {_INSTALLS, _COMMAND}.intersection(names) else "module"
    return printable(names[0]) if len(names) == 1 else count(len(names), thing)


def _output(trial: Trial) -> Iterator[Text]:
    """The end of what a failed installation or command printed."""
    for label, result in (("installation", trial.installation), (_COMMAND, trial.command)):
        if result and result.outcome.is_failure and result.output.strip():
            yield Text()
            yield Text(f"{label} on {python(trial.target)}, the end of its output:", style="bold")
            lines = result.output.rstrip().splitlines()[-MOST_LINES:]
            yield from (Text(f"    {harmless(line.expandtabs())}") for line in lines)


def _fact(key: str, text: str, width: int) -> Iterator[Text]:
    lead = f"{key:<{_KEY}}"
    styles = {mark: _STYLES.get(outcome, _FAILURE) for outcome, mark in MARKS.items()}
    style = styles.get(key.rstrip("*"), "bold")
    lines = textwrap.wrap(
        text, width, initial_indent=lead, subsequent_indent=" " * len(lead),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    for number, line in enumerate(lines):
        styled = Text(line)
        if number == 0:
            styled.stylize(style, 0, len(lead))
        yield styled


def _verdict(verification: Verification, width: int) -> Iterator[Text]:
    """The last word: passed or failed, what was done, and what was not."""
    style = _FAILURE if verification.failed else "bold green"
    for line in textwrap.wrap(verdict_line(verification), width):
        yield Text(line, style=style)


def verdict_line(verification: Verification) -> str:
    """The last word in one line."""
    return f"{'FAILED' if verification.failed else 'passed'}: {'; '.join(_parts(verification))}"


def _parts(verification: Verification) -> Iterator[str]:
    if verification.nothing_verified:
        yield "nothing was verified"
        return
    untried = [trial for trial in verification.trials if trial.installation.outcome is Outcome.NOT_VERIFIED]
    tried = [trial for trial in verification.trials if trial not in untried]
    if failures := sum(result.outcome.is_failure for trial in tried for result in trial.results):
        yield count(failures, "failure")
    imports = sum(item.result.outcome is Outcome.OK for trial in tried for item in trial.modules)
    yield f"{count(len(tried), 'environment')}, {count(imports, 'module')} imported"
    required = " (--require-all)" if verification.require_all else ""
    left = {target for wheel in verification.wheels for target in wheel.unasked}
    if left := left | {trial.target for trial in untried}:
        yield f"not verified{required}: {pythons(left)}"
    if partly := {trial.target for trial in tried if trial.has(Outcome.NOT_VERIFIED) and not trial.failed}:
        yield f"not verified in full{required}: {pythons(partly)}"
