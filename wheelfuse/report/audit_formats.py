"""The formats of an audit by name; each is loaded when it is used."""

from __future__ import annotations

from collections.abc import Sequence

from wheelfuse.auditing.report import Report
from wheelfuse.auditing.rules import Entry

FORMATS = ("text", "json", "sarif", "markdown", "github", "junit", "html")


def audit_as(
    name: str,
    report: Report,
    rules: Sequence[Entry],
    *,
    width: int = 100,
    color: bool = False,
    verbose: bool = False,
    roads: bool = False,
    plain: bool = False,
) -> str:
    """The report in one of the `FORMATS`, with a line break at its end. *rules* are those that were applied.

    Width, colour, verbosity and *plain* words count for text alone. *roads* spells the roads to one file out in text
    and Markdown, where they are a line otherwise; JSON has them in any case.
    """
    if name == "text" and plain:
        from wheelfuse.report.audit_plain import audit_plain

        return audit_plain(report, rules, verbose=verbose, roads=roads)
    if name == "text":
        from wheelfuse.report.audit_text import audit_report

        return audit_report(report, rules, width=width, color=color, verbose=verbose, roads=roads)
    if name == "markdown":
        from wheelfuse.report.audit_markdown import audit_to_markdown

        return audit_to_markdown(report, rules, roads=roads)
    if name == "html":
        from wheelfuse.report.page.audited import page_of_audit
        from wheelfuse.report.page.render import render as rendered

        text = rendered(page_of_audit(report, rules))
        return text if text.endswith("\n") else f"{text}\n"
    if name == "json":
        from wheelfuse.report.audit_json import audit_to_json as render
    elif name == "sarif":
        from wheelfuse.report.audit_sarif import audit_to_sarif as render
    elif name == "github":
        from wheelfuse.report.audit_github import audit_to_github as render
    elif name == "junit":
        from wheelfuse.report.audit_junit import audit_to_junit as render
    else:
        raise ValueError(f"no format is called {name}")
    text = render(report, rules)
    return text if text.endswith("\n") else f"{text}\n"
