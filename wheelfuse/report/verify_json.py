"""A verification as JSON: an API, described by ``schemas/verify-1.json``."""

from __future__ import annotations

from typing import Any

from wheelfuse import __version__
from wheelfuse.report.document import dumped
from wheelfuse.verifying.results import Result, Trial, Verification, VerifiedWheel

VERIFY = "wheelfuse/verify/1"


def verification_to_json(verification: Verification) -> str:
    """What ``wheelfuse verify --json`` prints: every step on every CPython, with the end of its output."""
    return dumped(
        {
            "schema": VERIFY,
            "ok": not verification.failed,
            "tool": {"name": "wheelfuse", "version": __version__},
            "exit_code": verification.exit_code,
            "require_all": verification.require_all,
            "command": verification.command,
            "wheels": [_wheel(wheel) for wheel in verification.wheels],
            "warnings": list(verification.warnings),
            "errors": [],
        }
    )


def _wheel(wheel: VerifiedWheel) -> dict[str, Any]:
    return {
        "path": str(wheel.path),
        "name": wheel.path.name,
        "failed": wheel.failed,
        "trials": [_trial(trial) for trial in wheel.trials],
        "unasked": [str(target) for target in wheel.unasked],
        "unreleased": [str(target) for target in wheel.unreleased],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "target": str(trial.target),
        "python": trial.python,
        "version": trial.version,
        "failed": trial.failed,
        "installation": _result(trial.installation),
        "modules": [
            {"module": item.module, "path": item.path, **_result(item.result)} for item in trial.modules
        ],
        "command": _result(trial.command) if trial.command else None,
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "outcome": result.outcome.value,
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
        "output": result.output,
    }
