"""What a run of the survey did, for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from rich.text import Text

from wheelfuse.escape import printable, shell_word
from wheelfuse.report.lines import rendered
from wheelfuse.report.progress import duration
from wheelfuse.sizes import human_size
from wheelfuse.surveying.answer import count
from wheelfuse.surveying.report import SurveyReport

_REASONS, _WORST = 5, 3
"""How many reasons of failures, and how many of the wheels of which most was fetched, are told."""

_MUCH = 1 << 20
"""Bytes of a wheel from which on it is worth telling that they were fetched; a small one comes as a whole."""


def run_text(report: SurveyReport, *, width: int = 80, color: bool = False) -> str:
    """How many were read, what was fetched for it, why others failed, and what to ask next."""
    lines = [Text(line, "bold") for line in textwrap.wrap(_head(report), width)]
    lines += map(Text, _wrapped(_fetched(report), width))
    if worst := list(_worst(report)):
        lines.append(Text("most of:"))
        lines += (Text(line) for one in worst for line in _wrapped(f"  {one}", width, 4))
    if report.failed:
        lines += (Text(), Text("Why wheels failed", "red"))
        lines += (Text(line) for reason in _reasons(report) for line in _wrapped(f"  {reason}", width, 4))
    if report.read or report.unchanged:
        lines += (Text(), Text("Now ask"), *(Text(f"  {line}", "green") for line in _next(report)))
    return rendered(lines, color)


def run_plain(report: SurveyReport) -> str:
    """The same in words alone, one fact in a line."""
    lines = [
        _head(report),
        *_fetched(report).splitlines(),
        *(f"most fetched: {one}" for one in _worst(report)),
    ]
    lines += (f"failed: {reason}" for reason in _reasons(report))
    lines += (f"next: {line}" for line in _next(report)) if report.read or report.unchanged else ()
    return "\n".join((*filter(None, lines), ""))


def _head(report: SurveyReport) -> str:
    if not report.wheels:
        return "There is no wheel."
    parts = [f"{count(report.read, 'wheel')} read"]
    parts += [f"{report.unchanged:,} unchanged"] if report.unchanged else []
    parts += [f"{report.failed:,} failed"] if report.failed else []
    return f"{', '.join(parts)}, in {duration(report.seconds)}"


def _fetched(report: SurveyReport) -> str:
    if not report.size:
        return ""
    share = 100 * report.fetched / report.size
    text = (
        f"fetched {human_size(report.fetched)} of {human_size(report.size)}, {share:.1f}%, "
        f"in {count(report.requests, 'request')}"
    )
    told = {0.5: "half of the wheels", 0.9: "nine of ten"}
    shares = [f"of {told[at]} at most {100 * part:.1f}%" for at, part in report.shares if at in told]
    return f"{text}; {', '.join(shares)}" if shares else text


def _worst(report: SurveyReport) -> Iterator[str]:
    """Only those of which more than little was read."""
    for one in report.worst[:_WORST]:
        if one.fetched >= _MUCH and one.size:
            yield f"{human_size(one.fetched)} of {human_size(one.size)}: {printable(one.file)}"


def _reasons(report: SurveyReport) -> Iterator[str]:
    for reason, number in report.reasons[:_REASONS]:
        yield f"{number:,}: {printable(reason)}"
    if more := sum(number for _, number in report.reasons[_REASONS:]):
        yield f"{more:,} for other reasons"


def _next(report: SurveyReport) -> Iterator[str]:
    ask = f"wheelfuse survey ask {shell_word(str(report.output))}"
    yield f"{ask} breaks-on cp315"
    yield f"{ask} fuse-candidates"
    if report.failed:
        yield f"{ask} sql \"SELECT file, reason FROM wheels WHERE status = 'failed'\""
    yield "wheelfuse survey ask --list-questions"


def _wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
