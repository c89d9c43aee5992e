"""Fuse the wheels of a build matrix, one per CPython, into one wheel that works on all of them.

>>> import wheelfuse
>>> outcome = wheelfuse.merge(["wheelhouse"], "dist", wheelfuse.MergeOptions())  # doctest: +SKIP
>>> outcome.written.path, outcome.written.sha256  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from wheelfuse.auditing.api import audit, write_baseline
    from wheelfuse.auditing.finding import Finding, NotRun, Severity
    from wheelfuse.auditing.options import AuditOptions, Ignore
    from wheelfuse.auditing.report import Answer, Outcome, Report, SubjectReport
    from wheelfuse.building.api import BuildOutcome, build
    from wheelfuse.building.commands import ExtensionOptions
    from wheelfuse.building.extension import CompiledExtension, compile_extension
    from wheelfuse.building.options import BuildOptions
    from wheelfuse.errors import ConflictError, InvalidInput, JobFailed, Problem, UsageError, WheelfuseError
    from wheelfuse.fuse.api import MergeOutcome, merge, plan, split
    from wheelfuse.fuse.options import MergeOptions, Rule
    from wheelfuse.fuse.plan import Plan
    from wheelfuse.fuse.split import SplitWheel
    from wheelfuse.interpreters.api import pythons
    from wheelfuse.interpreters.matrix import MatrixOptions, Pythons
    from wheelfuse.report.page.fused import report_to
    from wheelfuse.surveying.answer import SurveyAnswer
    from wheelfuse.surveying.api import survey
    from wheelfuse.surveying.asking import ask
    from wheelfuse.surveying.report import SurveyReport
    from wheelfuse.target import Target
    from wheelfuse.verifying.api import verify
    from wheelfuse.verifying.options import VerifyOptions
    from wheelfuse.verifying.results import Verification
    from wheelfuse.wheel.limits import Limits

_HOMES = {
    "auditing.api": ("audit", "write_baseline"),
    "auditing.finding": ("Finding", "NotRun", "Severity"),
    "auditing.options": ("AuditOptions", "Ignore"),
    "auditing.report": ("Answer", "Outcome", "Report", "SubjectReport"),
    "building.commands": ("ExtensionOptions",),
    "building.extension": ("CompiledExtension", "compile_extension"),
    "building.api": ("BuildOutcome", "build"),
    "building.options": ("BuildOptions",),
    "errors": ("ConflictError", "InvalidInput", "JobFailed", "Problem", "UsageError", "WheelfuseError"),
    "fuse.api": ("MergeOutcome", "merge", "plan", "split"),
    "fuse.options": ("MergeOptions", "Rule"),
    "fuse.plan": ("Plan",),
    "fuse.split": ("SplitWheel",),
    "interpreters.api": ("pythons",),
    "interpreters.matrix": ("MatrixOptions", "Pythons"),
    "report.page.fused": ("report_to",),
    "surveying.api": ("survey",),
    "surveying.asking": ("ask",),
    "surveying.answer": ("SurveyAnswer",),
    "surveying.report": ("SurveyReport",),
    "target": ("Target",),
    "verifying.api": ("verify",),
    "verifying.options": ("VerifyOptions",),
    "verifying.results": ("Verification",),
    "wheel.limits": ("Limits",),
}

__all__ = [
    "Answer",
    "AuditOptions",
    "BuildOptions",
    "BuildOutcome",
    "CompiledExtension",
    "ConflictError",
    "ExtensionOptions",
    "Finding",
    "Ignore",
    "InvalidInput",
    "JobFailed",
    "Limits",
    "MatrixOptions",
    "MergeOptions",
    "MergeOutcome",
    "NotRun",
    "Outcome",
    "Plan",
    "Problem",
    "Pythons",
    "Report",
    "Rule",
    "Severity",
    "SplitWheel",
    "SubjectReport",
    "SurveyAnswer",
    "SurveyReport",
    "Target",
    "UsageError",
    "Verification",
    "VerifyOptions",
    "WheelfuseError",
    "__version__",
    "ask",
    "audit",
    "build",
    "compile_extension",
    "merge",
    "plan",
    "pythons",
    "report_to",
    "split",
    "survey",
    "verify",
    "write_baseline",
]


def __getattr__(name: str) -> Any:
    """Load a part of the API when it is first used: ``wheelfuse --version`` needs none of it."""
    import importlib

    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"wheelfuse.{module}"), name)
    raise AttributeError(f"module 'wheelfuse' has no attribute {name!r}")
