"""A report as markdown: the short table of the README, and the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median

from bench.measure import Run
from bench.result import Entry, Figure, Report

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


class NoMarkers(ValueError):
    """The text has no place for the table."""


def targets(report: Report) -> str:
    """The table of all figures that have a target."""
    rows = [
        (entry.title, figure.name, value(figure), limit(figure), "yes" if figure.met else "**no**")
        for entry in report.entries
        for figure in entry.result.figures
        if figure.limit is not None
    ]
    return table(("what", "figure", "measured", "target", "met"), rows, right=(2, 3))


def brief(report: Report) -> str:
    """What stands between the markers of the README."""
    return f"{targets(report)}\n{_sentences(report)}\n"


def whole(report: Report, about: Mapping[str, str]) -> str:
    """``latest.md``: targets, then each case with its programs and figures; *about* says what a case measures."""
    parts = [
        "# The bench\n",
        "Written by `python -m bench`. Seconds are the median of the rounds, with the least and the most; programs of"
        " one case run in turns, whole processes, after a round that only fills caches. Ratios are taken in each round"
        " and are the median of those. Memory is the largest resident set of any run. 1 MB is a million bytes.\n",
        "## Targets\n",
        targets(report),
        *(part for entry in report.entries for part in _case(entry, about)),
        "## Machines\n",
        *(table(("", ""), list(session.items())) for session in report.sessions.values()),
    ]
    return "\n".join(parts) + "\n"


def _case(entry: Entry, about: Mapping[str, str]) -> Iterator[str]:
    yield f"## {entry.title}\n"
    yield f"`{entry.case}`, {entry.session}. {about.get(entry.case, '')}\n"
    rows = [
        (name, *_times(runs), _megabytes(runs), str(len(runs))) for name, runs in entry.result.runs.items()
    ]
    titles = ("program", "seconds", "least – most", "CPU seconds", "peak memory", "rounds")
    yield table(titles, rows, right=range(1, 6))
    figures = [(figure.name, value(figure), limit(figure)) for figure in entry.result.figures]
    yield table(("figure", "measured", "target"), figures, right=(1, 2))


def _times(runs: Sequence[Run]) -> tuple[str, str, str]:
    times = [run.seconds for run in runs]
    busy = median(run.cpu_seconds for run in runs)
    return digits(median(times)), f"{digits(min(times))} – {digits(max(times))}", digits(busy)


def _megabytes(runs: Sequence[Run]) -> str:
    return f"{max(run.peak_bytes for run in runs) / 1e6:.0f} MB"


def _sentences(report: Report) -> str:
    """One sentence for each machine with its versions, with the day of the last session on it."""
    days = {_sentence(session): session["date"][:10] for session in report.sessions.values()}
    return "\n".join(f"{about}, {day}." for about, day in days.items())


def _sentence(session: Mapping[str, str]) -> str:
    machine = f"{session['processor']}, {session['cores']} cores, {session['memory']}, {session['disk']}"
    version = session["wheelfuse"].partition(" (")[0]  # without the commit: latest.md has it
    return f"wheelfuse {version}, {session['peers']}, {session['python']}; {machine}"


# --- values ---


def digits(number: float) -> str:
    """Three significant digits, as many as a measurement is worth: ``0.0413``, ``4.13``, ``413``."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:#.3g}".rstrip(".")


def value(figure: Figure) -> str:
    """The value with its unit: ``12.3×``, ``0.25 s``."""
    return _with_unit(digits(figure.value), figure.unit)


def limit(figure: Figure) -> str:
    """The target with its unit: ``≤ 2×``; empty if there is none."""
    if figure.limit is None:
        return ""
    return f"{'≥' if figure.at_least else '≤'} {_with_unit(f'{figure.limit:g}', figure.unit)}"


def _with_unit(number: str, unit: str) -> str:
    return f"{number}{unit}" if unit in ("×", "") else f"{number} {unit}"


# --- markdown ---


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """A table; the columns *right* are flush right."""
    flush_right = set(right)
    rule = ["---:" if column in flush_right else "---" for column in range(len(titles))]
    escape: Callable[[str], str] = lambda cell: cell.replace("|", "\\|")  # noqa: E731
    return "".join(f"| {' | '.join(map(escape, row))} |\n" for row in (titles, rule, *rows))


def placed(text: str, content: str) -> str:
    """*text* with *content* in place of what stands between the markers.

    Raises:
        NoMarkers: there are no markers, or more than one pair.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise NoMarkers(f"there must be one line {BEGIN} and one line {END}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{content.rstrip()}\n{END}{after}"
