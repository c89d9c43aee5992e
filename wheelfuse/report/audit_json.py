"""An audit as JSON: an API, described by ``schemas/audit-1.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wheelfuse import __version__
from wheelfuse.auditing.finding import Finding, NotRun, Severity
from wheelfuse.auditing.options import Ignore
from wheelfuse.auditing.report import Answer, Report, SubjectReport
from wheelfuse.auditing.road import Road
from wheelfuse.auditing.rules import Entry
from wheelfuse.report.audit_parts import fails
from wheelfuse.report.document import dumped

AUDIT = "wheelfuse/audit/1"


def audit_to_json(report: Report, rules: Sequence[Entry]) -> str:
    """All that was found, with the *rules* that were applied. Paths are as they are in the input."""
    return dumped(audit_document(report, rules))


def audit_document(report: Report, rules: Sequence[Entry]) -> dict[str, Any]:
    """The same as a value."""
    return {
        "schema": AUDIT,
        "ok": not report.failed,
        "tool": {"name": "wheelfuse", "version": __version__},
        "exit_code": report.exit_code,
        "fail_on": report.fail_on,
        "strict": report.strict,
        "counts": {str(severity): report.count(severity) for severity in reversed(Severity)},
        "subjects": [_subject(report, subject) for subject in report.subjects],
        "unused_ignores": [_ignore(ignore) for ignore in report.unused_ignores],
        "roads": [_road(road) for road in report.roads],
        "rules": [
            {
                "code": entry.rule.code,
                "name": entry.rule.name,
                "severity": str(entry.rule.severity),
                "title": entry.rule.title,
                "explanation": entry.explanation,
            }
            for entry in rules
        ],
        "errors": [],
    }


def _subject(report: Report, subject: SubjectReport) -> dict[str, Any]:
    return {
        "label": subject.label,
        "kind": subject.kind.value,
        "size": subject.size,
        "shared_objects": subject.shared_objects,
        "ok": not fails(report, subject),
        "loads_on": _answer(subject.answer),
        "findings": [_finding(finding) for finding in subject.findings],
        "suppressed": [
            {"finding": _finding(item.finding), "by": _ignore(item.by)} for item in subject.suppressed
        ],
        "not_run": [_not_run(item) for item in subject.not_run],
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "targets": [str(target) for target in answer.targets],
        "unreleased": [str(target) for target in answer.unreleased],
        "modules": [
            {
                "module": row.module,
                "cells": [
                    {
                        "target": str(cell.target),
                        "outcome": cell.outcome.value,
                        "path": cell.path,
                        "reasons": list(cell.reasons),
                    }
                    for cell in row.cells
                ],
            }
            for row in answer.modules
        ],
        "torch": None if answer.torch is None else list(answer.torch),
        "libc": list(answer.libc),
        "platforms": list(answer.platforms),
        "architectures": list(answer.architectures),
        "assumed": list(answer.assumed),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": str(finding.severity),
        "path": finding.path,
        "message": finding.message,
        "todo": finding.todo,
        "details": list(finding.details),
    }


def _not_run(item: NotRun) -> dict[str, str]:
    return {"code": item.code, "path": item.path, "reason": item.reason}


def _ignore(ignore: Ignore) -> dict[str, str]:
    return {"code": ignore.code, "path": ignore.glob, "reason": ignore.reason}


def _road(road: Road) -> dict[str, Any]:
    return {
        "subject": road.subject,
        "module": road.module,
        "goal": road.goal,
        "files": list(road.files),
        "steps": [
            {
                "cause": step.cause,
                "symbols": [
                    {"symbol": symbol, "replacement": replacement} for symbol, replacement in step.symbols
                ],
            }
            for step in road.steps
        ],
        "left": road.left,
        "advice": list(road.advice),
    }
