"""The page's parts as its templates want them: rows, groups and anchors made of the model, nothing of HTML yet."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from wheelfuse.auditing.finding import Finding, Severity
from wheelfuse.auditing.report import Answer, Cell, Outcome
from wheelfuse.auditing.road import Road
from wheelfuse.fuse.model import Lost, Resolution
from wheelfuse.report.audit_parts import RowGroup, pythons, reasons, row_groups
from wheelfuse.report.page.contents import Contents, total
from wheelfuse.report.page.model import Decline, Fused, Input, Page, Settling, State, Stuff, SymbolTable
from wheelfuse.target import Target

# --- the first screen ---


@dataclass(frozen=True)
class Matrix:
    """Modules by CPython: the columns of the builds with the GIL and of those without, rows, and why not."""

    builds: tuple[tuple[str, tuple[Target, ...]], ...]
    rows: tuple[tuple[RowGroup, tuple[tuple[Cell, ...], ...]], ...]
    used: tuple[Outcome, ...]
    reasons: tuple[tuple[Outcome, str, tuple[str, ...], str], ...]


def matrix(answer: Answer) -> Matrix | None:
    """The matrix of an input; None if it has no extension module, or serves no CPython.

    Reasons are (outcome, reason, modules, on which CPythons).
    """
    groups = row_groups(answer.modules)
    if not groups or not groups[0].cells:
        return None
    builds = tuple(
        (name, found)
        for name, free in (("CPython", False), ("free-threaded", True))
        if (found := tuple(cell.target for cell in groups[0].cells if cell.target.free_threaded is free))
    )
    rows = tuple(
        (
            group,
            tuple(tuple(cell for cell in group.cells if cell.target in found) for _, found in builds),
        )
        for group in groups
    )
    outcomes = {cell.outcome for group in groups for cell in group.cells}
    why = tuple(
        (outcome, reason, tuple(modules), pythons(target for found in modules.values() for target in found))
        for (outcome, reason), modules in reasons(answer.modules).items()
    )
    return Matrix(builds, rows, tuple(outcome for outcome in Outcome if outcome in outcomes), why)


@dataclass(frozen=True)
class Scale:
    """A bar of a length in bytes, cut into parts: (what, bytes, number of its colour)."""

    label: str
    size: int
    parts: tuple[tuple[str, int, str], ...]

    def placed(self, longest: int) -> Iterator[tuple[str, int, str, float, float]]:
        """Each part with where it begins and how long it is, in thousandths of the *longest* bar."""
        at = 0.0
        for what, size, colour in self.parts:
            long = 1000 * size / max(longest, 1)
            yield what, size, colour, at, long
            at += long


def scales(item: Input, contents: Contents) -> tuple[Scale, ...]:
    """What an input takes: in the wheel, and installed."""
    installed, packed = total(contents.sums)
    bars = (
        Scale("in the wheel", item.size, _by_stuff((stuff, size) for stuff, _, size in contents.sums)),
        Scale("installed", item.installed_size, _by_stuff((stuff, size) for stuff, size, _ in contents.sums)),
    )
    shown = (item.size and packed, item.installed_size and installed)
    return tuple(bar for bar, there in zip(bars, shown, strict=True) if there)


def merge_scales(fused: Fused, before: Contents | None, after: Contents | None) -> tuple[Scale, ...]:
    """The inputs of a merge together, by what is in them if that is known, and what came of them."""
    size = sum(size for _, _, size in fused.inputs)
    if before:
        parts = _by_stuff((stuff, packed) for stuff, _, packed in before.sums)
    else:
        parts = tuple(
            (label, size, f"input-{number % 2}") for number, (label, _, size) in enumerate(fused.inputs)
        )
    bars = [Scale(f"{len(fused.inputs)} inputs together", size, parts)]
    if fused.output_size and after:
        sums = _by_stuff((stuff, packed) for stuff, _, packed in after.sums)
        bars.append(Scale("fused wheel", fused.output_size, sums))
    return tuple(bars)


def _by_stuff(sizes: Iterable[tuple[Stuff, int]]) -> tuple[tuple[str, int, str], ...]:
    return tuple((stuff.value, size, stuff.name.lower()) for stuff, size in sizes)


# --- findings ---


@dataclass(frozen=True)
class Card:
    """Findings of one input that differ in nothing but the path, their number, an anchor that stays from run to run."""

    anchor: str
    label: str
    finding: Finding
    paths: tuple[str, ...]
    number: int


def cards(findings: Iterable[tuple[str, Finding]]) -> tuple[Card, ...]:
    """The findings, in order, those with equal words as one.

    The anchor is made of the rule and of the words, so that the next version of a wheel has the same.
    """
    alike: dict[tuple[str, Finding], list[str]] = defaultdict(list)
    for label, finding in findings:
        key = Finding(finding.code, finding.severity, finding.message, "", finding.todo, finding.details)
        alike[label, key].append(finding.path)
    used = Counter[str]()
    found: list[Card] = []
    for (label, finding), paths in alike.items():
        anchor = f"{finding.code}-{_digest(finding.message, *finding.details)}"
        used[anchor] += 1
        again = f"-{used[anchor]}" if used[anchor] > 1 else ""
        there = tuple(filter(None, dict.fromkeys(paths)))
        found.append(Card(f"{anchor}{again}", label, finding, there, len(paths)))
    return tuple(found)


def _digest(*texts: str) -> str:
    # What a reader of a zip file made of bytes that are no UTF-8 has surrogates.
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:8]


# --- a merge ---


def ways(settling: Settling) -> tuple[tuple[tuple[tuple[str, str], ...], tuple[str, ...]], ...]:
    """The ways to settle conflicts: (strategies with their meanings, the lines to add).

    With one glob each strategy has its line; with several all lines are needed, with whichever strategy.
    """
    if len(settling.globs) > 1:
        return ((settling.meanings, settling.lines),)
    return tuple(
        ((meaning,), (line,)) for meaning, line in zip(settling.meanings, settling.lines, strict=True)
    )


def resolutions_by_rule(resolutions: Iterable[Resolution]) -> dict[str, list[Resolution]]:
    """What was settled, by the rule that did it."""
    found: dict[str, list[Resolution]] = defaultdict(list)
    for resolution in resolutions:
        found[resolution.rule].append(resolution)
    return dict(found)


def losses(lost: Iterable[Lost]) -> dict[str, list[str]]:
    """What `split` cannot give back: why -> paths."""
    found: dict[str, list[str]] = defaultdict(list)
    for item in lost:
        if item.loss.path not in found[item.loss.why]:
            found[item.loss.why].append(item.loss.path)
    return dict(found)


def ways_of_members(fused: Fused) -> tuple[tuple[str, int, int], ...]:
    """How members came to be there: (how, number of them, their bytes), the most bytes first."""
    numbers, sizes = Counter[str](), Counter[str]()
    for origin in fused.members:
        numbers[origin.how] += 1
        sizes[origin.how] += origin.size
    return tuple((how, numbers[how], size) for how, size in sizes.most_common())


# --- roads ---


@dataclass(frozen=True)
class Cause:
    """What brings symbols in, and for each its replacement and the modules that need it."""

    name: str
    symbols: tuple[tuple[str, str, tuple[str, ...]], ...]

    @property
    def left(self) -> int:
        return sum(not replacement for _, replacement, _ in self.symbols)


@dataclass(frozen=True)
class Goal:
    """The roads to one goal: those with something in the way, the causes over all of them, and who is there."""

    name: str
    ahead: tuple[Road, ...]
    arrived: tuple[Road, ...]
    causes: tuple[Cause, ...]
    advice: tuple[tuple[str, tuple[str, ...]], ...]


def goals(roads: Iterable[Road]) -> tuple[Goal, ...]:
    """The roads by goal, in order."""
    found: dict[str, list[Road]] = defaultdict(list)
    for road in roads:
        found[road.goal].append(road)
    return tuple(_goal(name, members) for name, members in found.items())


def _goal(name: str, roads: Sequence[Road]) -> Goal:
    ahead = tuple(road for road in roads if not road.arrived)
    users: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    advice: dict[str, list[str]] = defaultdict(list)
    for road in ahead:
        for step in road.steps:
            for symbol in step.symbols:
                users[step.cause][symbol].append(road.module)
        for sentence in road.advice:
            advice[sentence].append(road.module)
    causes = (
        Cause(cause, tuple((*symbol, tuple(modules)) for symbol, modules in found.items()))
        for cause, found in users.items()
    )
    ordered = sorted(causes, key=lambda cause: (-len(cause.symbols), cause.name))
    said = tuple((sentence, tuple(modules)) for sentence, modules in advice.items())
    arrived = tuple(road for road in roads if road.arrived)
    return Goal(name, ahead, arrived, tuple(ordered), said)


@dataclass(frozen=True)
class Line:
    """A line that falls, on a canvas of 600 by 190: its points, each with its name, number, and whether named."""

    points: tuple[tuple[float, float, str, int, bool], ...]

    @property
    def room(self) -> int:
        """How many letters of a name fit below its point."""
        return max(6, min(24, 62 // max(sum(named for *_, named in self.points), 1)))

    @property
    def path(self) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y, *_ in self.points)


_MOST_NAMED = 7


def line(decline: Decline) -> Line:
    """Where the points of the chart lie: 0 at the bottom, time from left to right."""
    highest = max((number for _, number in decline.points), default=0) or 1
    last = len(decline.points) - 1
    every = max(1, -(-last // (_MOST_NAMED - 1)))
    return Line(
        tuple(
            (
                50 + 500 * (at / last if last else 0.5),
                150 - 110 * number / highest,
                name,
                number,
                (last - at) % every == 0,
            )
            for at, (name, number) in enumerate(decline.points)
        )
    )


# --- symbols ---


def groups_of(table: SymbolTable) -> tuple[tuple[str, int, int], ...]:
    """The groups of symbols in a file: (group, how many, how many of them are not good)."""
    numbers = Counter(symbol.group for symbol in table.symbols)
    bad = Counter(symbol.group for symbol in table.symbols if symbol.state is not State.GOOD)
    return tuple((group, number, bad[group]) for group, number in numbers.most_common())


# --- all of it ---


def counts(page: Page) -> tuple[tuple[Severity, int], ...]:
    """How many findings of each severity there are, the worst first."""
    found = Counter(finding.severity for _, finding in page.findings)
    return tuple((severity, found[severity]) for severity in reversed(Severity) if found[severity])
