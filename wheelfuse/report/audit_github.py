"""An audit as workflow commands of GitHub Actions: annotations on a run (docs.github.com, "Workflow commands")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from wheelfuse.auditing.finding import Finding, Severity
from wheelfuse.auditing.report import Report, SubjectReport
from wheelfuse.auditing.rules import Entry
from wheelfuse.escape import printable
from wheelfuse.report.audit_parts import finding_groups, titles, verdict

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning"}
_MOST = 10


def audit_to_github(report: Report, rules: Sequence[Entry]) -> str:
    """One line for each finding, the worst first, and the verdict.

    Notes are left out: GitHub shows ten annotations of a kind, and no more.
    """
    names = titles(rules)
    found = [
        (finding, paths, subject)
        for subject in report.subjects
        for finding, paths in ((group.finding, group.paths) for group in finding_groups(subject.findings))
        if finding.severity in _COMMANDS
    ]
    found.sort(key=lambda item: -item[0].severity.rank)
    lines = [_annotation(*item, names) for item in found]
    lines += (line for subject in report.subjects for line in _not_run(subject, strict=report.strict))
    return "\n".join((*lines, printable(verdict(report)), ""))


def _annotation(
    finding: Finding, paths: tuple[str, ...], subject: SubjectReport, names: dict[str, str]
) -> str:
    lines = [
        f"{subject.label}: {', '.join(_some(paths))}" if paths else subject.label,
        finding.message,
        *([finding.todo] if finding.todo else []),
        *_some(finding.details),
    ]
    title = f"{finding.code} {names.get(finding.code, '')}".strip()
    return command(_COMMANDS[finding.severity], subject.label, title, lines)


def _not_run(subject: SubjectReport, *, strict: bool) -> Iterator[str]:
    for item in subject.not_run:
        place = f"{subject.label}: {item.path}" if item.path else subject.label
        yield command(
            "error" if strict else "notice",
            subject.label,
            f"{item.code} was not checked",
            [place, item.reason],
        )


def _some(items: tuple[str, ...]) -> tuple[str, ...]:
    return items if len(items) <= _MOST else (*items[:_MOST], f"and {len(items) - _MOST} more")


def command(name: str, file: str, title: str, lines: Iterable[str]) -> str:
    """One workflow command. What an input calls itself cannot end it, nor begin another."""
    message = "\n".join(printable(line) for line in lines)
    return f"::{name} file={_property(file)},title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(printable(text)).replace(":", "%3A").replace(",", "%2C")
