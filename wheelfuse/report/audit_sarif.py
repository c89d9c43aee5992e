"""An audit as SARIF 2.1.0 (docs.oasis-open.org/sarif/sarif/v2.1.0), with what GitHub code scanning asks for."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from wheelfuse import __version__
from wheelfuse.auditing.finding import Finding, NotRun, Severity
from wheelfuse.auditing.report import Report, SubjectReport, Suppressed
from wheelfuse.auditing.rules import Entry
from wheelfuse.auditing.subject import Kind
from wheelfuse.escape import as_bytes, printable
from wheelfuse.report.audit_parts import verdict
from wheelfuse.report.document import dumped

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_GITHUB_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "recommendation"}
_MOST_DETAILS = 50


def audit_to_sarif(report: Report, rules: Sequence[Entry]) -> str:
    """One run with all results. A place is a URI of the input and, within it, of the member: ``a.whl/pkg/_C.so``."""
    numbers = {entry.rule.code: number for number, entry in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "wheelfuse",
                "semanticVersion": __version__,
                "rules": [_rule(entry) for entry in rules],
            }
        },
        "automationDetails": {"id": "wheelfuse/audit/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": True,
                "exitCode": report.exit_code,
                "exitCodeDescription": verdict(report),
                "toolExecutionNotifications": [
                    _notification(subject, item, numbers)
                    for subject in report.subjects
                    for item in subject.not_run
                ],
            }
        ],
        "results": _results(report, numbers),
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return dumped(document)


def _rule(entry: Entry) -> dict[str, Any]:
    rule = entry.rule
    link = re.search(r"https://[^\s<>()`\"]+[^\s<>()`\".,;:]", entry.explanation)
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": entry.explanation.split("\n\n")[0].replace("\n", " ")},
        "help": {"text": entry.explanation, "markdown": entry.explanation},
        **({"helpUri": link[0]} if link else {}),
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["packaging"], "problem.severity": _GITHUB_LEVELS[rule.severity]},
    }


def _results(report: Report, numbers: dict[str, int]) -> list[dict[str, Any]]:
    seen: Counter[str] = Counter()
    found: list[dict[str, Any]] = []
    for subject in report.subjects:
        everything = (*((finding, None) for finding in subject.findings),
                      *((item.finding, item) for item in subject.suppressed))  # fmt: skip
        for finding, suppressed in everything:
            found.append(_result(subject, finding, suppressed, numbers, seen))
    return found


def _result(
    subject: SubjectReport,
    finding: Finding,
    suppressed: Suppressed | None,
    numbers: dict[str, int],
    seen: Counter[str],
) -> dict[str, Any]:
    fingerprint = _fingerprint(subject, finding)
    seen[fingerprint] += 1
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity],
        "message": {"text": _message(finding)},
        "locations": [_location(subject, finding.path)],
        # This name is the one that GitHub tells results of different runs by.
        "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint}:{seen[fingerprint]}"},
        "suppressions": [],
    }
    if finding.code in numbers:
        result["ruleIndex"] = numbers[finding.code]
    if suppressed:
        why = suppressed.by.reason or f"ignored by {suppressed.by}"
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": printable(why)}]
    return result


def _message(finding: Finding) -> str:
    """Reason, what to do, and details, in plain text: brackets would be read as links."""
    details = finding.details[:_MOST_DETAILS]
    more = len(finding.details) - len(details)
    lines = [
        f"{finding.path}: {finding.message}" if finding.path else finding.message,
        *([finding.todo] if finding.todo else []),
        *details,
        *([f"and {more} more"] if more else []),
    ]
    return "\n".join(re.sub(r"([\[\]\\])", r"\\\1", printable(line)) for line in lines)


def _location(subject: SubjectReport, path: str) -> dict[str, Any]:
    """A member. The region means nothing in a binary file, but GitHub drops results without one."""
    place = f"{subject.label}/{path}" if path and subject.kind is not Kind.FILE else subject.label
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(place)},
            "region": {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1},
        }
    }
    if path:
        name = printable(path)
        location["logicalLocations"] = [
            {"name": name.rpartition("/")[2], "fullyQualifiedName": name, "kind": "member"}
        ]
    return location


def _uri(place: str) -> str:
    return quote(as_bytes(place), safe="/~+,=@!$'()*;&")


def _fingerprint(subject: SubjectReport, finding: Finding) -> str:
    """Equal for the same finding in the next version of the same wheel."""
    identity = (
        re.sub(r"^([^-]+)-[^-]+-", r"\1-", subject.label) if subject.kind is Kind.WHEEL else subject.label
    )
    text = "\0".join((finding.code, identity, finding.path))
    return hashlib.sha256(as_bytes(text)).hexdigest()[:32]


def _notification(subject: SubjectReport, item: NotRun, numbers: dict[str, int]) -> dict[str, Any]:
    rule = {"id": item.code, **({"index": numbers[item.code]} if item.code in numbers else {})}
    return {
        "level": "warning",
        "message": {"text": printable(f"{item.code} was not checked: {item.reason}")},
        "associatedRule": rule,
        "locations": [_location(subject, item.path)],
    }
