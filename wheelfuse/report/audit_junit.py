"""An audit as JUnit XML, as CI systems read it: a suite for each input, a case for each rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from wheelfuse.auditing.finding import Finding, NotRun
from wheelfuse.auditing.report import Report, SubjectReport
from wheelfuse.auditing.rules import Entry
from wheelfuse.escape import printable
from wheelfuse.report.audit_parts import count, counting


def audit_to_junit(report: Report, rules: Sequence[Entry]) -> str:
    """Findings that fail the run are failures, checks that could not be made are skipped; milder findings are output.

    With ``--strict``, where a check that could not be made fails the run, it is a failure.
    """
    suites = ElementTree.Element("testsuites", name="wheelfuse audit")
    for subject in report.subjects:
        suites.append(_suite(report, subject, rules))
    for total in ("tests", "failures", "errors", "skipped"):
        suites.set(total, str(sum(int(suite.get(total, "0")) for suite in suites)))
    ElementTree.indent(suites, " ")
    text = ElementTree.tostring(suites, "us-ascii").decode()
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + _without_orders(text)


def _without_orders(xml: str) -> str:
    """The same document, in which the log of a CI system finds no order: see `wheelfuse.escape.without_orders`."""
    return re.sub(r"#(?=#)", "&#35;", re.sub(r"^(\s*):(?=:)", r"\1&#58;", xml, flags=re.MULTILINE))


def _suite(report: Report, subject: SubjectReport, rules: Sequence[Entry]) -> ElementTree.Element:
    label = printable(subject.label)
    cases = [_case(report, subject, entry, label) for entry in rules]
    suite = ElementTree.Element("testsuite", name=label, tests=str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", "0")
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    suite.set("time", "0")
    suite.extend(cases)
    return suite


def _case(report: Report, subject: SubjectReport, entry: Entry, label: str) -> ElementTree.Element:
    rule = entry.rule
    case = ElementTree.Element("testcase", name=f"{rule.code} {rule.title}", classname=label, time="0")
    found = [finding for finding in subject.findings if finding.code == rule.code]
    not_run = [item for item in subject.not_run if item.code == rule.code]
    failing = counting(report, found)
    strict = report.strict and report.fail_on != "never"
    if failing or (not_run and strict):
        texts = [*map(_finding, failing), *(map(_not_run, not_run) if strict else ())]
        first = failing[0].message if failing else f"not checked: {not_run[0].reason}"
        message = first if len(texts) == 1 else f"{count(len(texts), 'finding')}, the first: {first}"
        failure = ElementTree.SubElement(case, "failure", message=printable(message), type=rule.name)
        failure.text = "\n\n".join(texts)
    elif not_run:
        ElementTree.SubElement(case, "skipped", message=printable(not_run[0].reason))
    if milder := [finding for finding in found if finding not in failing]:
        ElementTree.SubElement(case, "system-out").text = "\n\n".join(map(_finding, milder))
    return case


def _finding(finding: Finding) -> str:
    where = f"{finding.path}: " if finding.path else ""
    lines = [f"{finding.severity}: {where}{finding.message}", finding.todo, *finding.details]
    return "\n".join(printable(line) for line in lines if line)


def _not_run(item: NotRun) -> str:
    where = f"{item.path}: " if item.path else ""
    return printable(f"not checked: {where}{item.reason}")
