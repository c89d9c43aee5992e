"""What a case found: the runs of its programs, and figures made of them, some of which have a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.measure import Run, Runs


@dataclass(frozen=True)
class Figure:
    """One number, and what it should be.

    Attributes:
        name: what is compared or counted.
        value: in *unit*.
        unit: ``×`` for ratios, ``s``, ``µs``, ``MB`` (a million bytes), or empty for an exponent.
        limit: the target; None if there is none.
        at_least: whether larger is better; *limit* is a lower bound then.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        if self.limit is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def travels(self) -> bool:
        """Whether it can be held against one of another machine: ratios, exponents and memory, but no times."""
        return self.unit in ("×", "MB", "")


@dataclass(frozen=True)
class Growth:
    """A series: the commands of the result, in order, are its points.

    Attributes:
        axis: what grows, with its unit: ``members of each wheel``.
        sizes: how much of it, for each command.
    """

    axis: str
    sizes: tuple[float, ...]


@dataclass(frozen=True)
class Result:
    """What a case found. *growth* is there if the case is a series."""

    runs: Runs
    figures: tuple[Figure, ...]
    growth: Growth | None = None


@dataclass(frozen=True)
class Entry:
    """A result as it is kept, with the name and title of its case, and the key of the description of its session."""

    case: str
    title: str
    session: str
    result: Result


@dataclass(frozen=True)
class Report:
    """All entries, in the order of the cases, and the sessions in which they were measured: date -> description."""

    sessions: Mapping[str, Mapping[str, str]]
    entries: tuple[Entry, ...]


SCHEMA = "wheelfuse-bench/1"


def to_json(report: Report) -> dict[str, Any]:
    """The report as ``latest.json`` has it; sessions that no entry comes from are left out."""
    used = {entry.session for entry in report.entries}
    return {
        "schema": SCHEMA,
        "sessions": {key: dict(about) for key, about in report.sessions.items() if key in used},
        "cases": {entry.case: _entry(entry) for entry in report.entries},
    }


def _entry(entry: Entry) -> dict[str, Any]:
    runs = {
        name: {
            "seconds": [round(run.seconds, 4) for run in taken],
            "cpu_seconds": [round(run.cpu_seconds, 4) for run in taken],
            "peak_bytes": [run.peak_bytes for run in taken],
        }
        for name, taken in entry.result.runs.items()
    }
    growth = entry.result.growth
    series = {"growth": {"axis": growth.axis, "sizes": list(growth.sizes)}} if growth else {}
    figures = [_figure(figure) for figure in entry.result.figures]
    return {"title": entry.title, "session": entry.session, "figures": figures, "runs": runs, **series}


def _figure(figure: Figure) -> dict[str, Any]:
    about: dict[str, Any] = {"name": figure.name, "value": round(figure.value, 4), "unit": figure.unit}
    if figure.limit is not None:
        about |= {
            "limit": figure.limit,
            "sense": "at least" if figure.at_least else "at most",
            "met": figure.met,
        }
    elif figure.at_least:
        about |= {"sense": "at least"}
    return about


def from_json(document: Mapping[str, Any]) -> Report:
    """The report that `to_json` made.

    Raises:
        ValueError: the document has another schema.
    """
    if document.get("schema") != SCHEMA:
        raise ValueError(f"not a document of {SCHEMA}: schema is {document.get('schema')!r}")
    entries = (
        Entry(name, about["title"], about["session"], _result(about))
        for name, about in document["cases"].items()
    )
    return Report(document["sessions"], tuple(entries))


def _result(about: Mapping[str, Any]) -> Result:
    figures = tuple(
        Figure(f["name"], f["value"], f["unit"], f.get("limit"), f.get("sense") == "at least")
        for f in about["figures"]
    )
    runs = {name: _runs(taken) for name, taken in about["runs"].items()}
    growth = about.get("growth")
    return Result(runs, figures, Growth(growth["axis"], tuple(growth["sizes"])) if growth else None)


def _runs(taken: Mapping[str, Sequence[Any]]) -> tuple[Run, ...]:
    rows = zip(taken["seconds"], taken["cpu_seconds"], taken["peak_bytes"], strict=True)
    return tuple(Run(*row) for row in rows)


def updated(
    last: Report | None, entries: Sequence[Entry], session: Mapping[str, str], order: Sequence[str]
) -> Report:
    """The last report with new entries in place of those of the same cases; cases that are no more are left out."""
    merged = {entry.case: entry for entry in (*(last.entries if last else ()), *entries)}
    sessions = {**(last.sessions if last else {}), session["date"]: session}
    return Report(sessions, tuple(merged[case] for case in order if case in merged))
