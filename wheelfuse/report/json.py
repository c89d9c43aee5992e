"""The outcome of a command as JSON: an API, described by the schemas beside this file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wheelfuse.fuse.api import MergeOutcome
from wheelfuse.fuse.model import Conflict, Fate, Loss, Lost
from wheelfuse.fuse.plan import Plan
from wheelfuse.fuse.split import SplitWheel
from wheelfuse.report.document import dumped, problems_document
from wheelfuse.wheel.record import hex_digest

SCHEMAS = Path(__file__).parent / "schemas"
MERGE = "wheelfuse/merge/1"
SPLIT = "wheelfuse/split/1"


def outcome_to_json(outcome: MergeOutcome) -> str:
    """What ``wheelfuse merge --json`` prints: the plan, and the wheel if one was written."""
    return dumped(outcome_document(outcome))


def outcome_document(outcome: MergeOutcome) -> dict[str, Any]:
    """The same as a value."""
    plan, error = outcome.plan, outcome.plan.error()
    written = outcome.written
    return {
        "schema": MERGE,
        "ok": error is None,
        "inputs": [{"name": name, "size": size} for name, size in outcome.inputs],
        "name": str(plan.name),
        "targets": [
            {
                "label": original.label,
                "wheel": str(original.name),
                "sha256": original.sha256,
                "serves": [str(target) for target in original.serves],
            }
            for original in plan.originals
        ],
        "modules": [
            {"module": row.module, "files": {cell.label: cell.path for cell in row.cells}}
            for row in plan.modules
        ],
        "resolutions": [
            {"rule": r.rule, "path": r.path, "targets": list(r.labels), "outcome": r.outcome}
            for r in plan.resolutions
        ],
        "not_restorable": [
            {"target": lost.label, **_loss(lost.loss)} for lost in (*plan.lost, *_stripped(plan))
        ],
        "conflicts": [_conflict(conflict) for conflict in plan.conflicts],
        "errors": problems_document(error.problems if error else ()),
        "warnings": problems_document(outcome.warnings),
        "debug_bytes": plan.debug_bytes,
        "stripped": {
            "files": plan.stripping.files,
            "bytes": plan.stripping.removed,
            "kept": [{"path": path, "why": why} for path, why in plan.stripping.kept],
            "debug_files": [str(path) for path in outcome.debug_files],
        },
        "device_code": _device_code(outcome),
        "output": None
        if written is None
        else {
            "path": str(written.path),
            "sha256": written.sha256,
            "size": written.size,
            "installed_size": written.installed_size,
            "sum_of_inputs": sum(size for _, size in outcome.inputs),
            "largest_input": max(size for _, size in outcome.inputs),
        },
    }


def _stripped(plan: Plan) -> Iterator[Lost]:
    """What lost its debug information, and is there otherwise."""
    for original in plan.originals:
        for loss in original.losses:
            if loss.fate is Fate.STRIPPED:
                yield Lost(original.label, loss)


def _device_code(outcome: MergeOutcome) -> dict[str, Any]:
    sharing = outcome.plan.sharing
    return {
        "carrier": sharing.path or None,
        "saved_on_disk": sharing.saved,
        "saved_in_wheel": outcome.saved_in_wheel,
        "possible": sharing.possible,
        "files": [
            {
                "path": row.path,
                "containers": row.containers,
                "shared_bytes": row.shared_bytes,
                "left_bytes": row.left_bytes,
                "architectures": list(row.architectures),
                "why_left": list(row.why_left),
                "renamed_bytes": row.renamed_bytes,
                "module_ids": dict(row.ids),
            }
            for row in sharing.modules
        ],
    }


def split_to_json(wheels: Iterable[SplitWheel]) -> str:
    """What ``wheelfuse split --json`` prints."""
    return dumped(
        {
            "schema": SPLIT,
            "ok": True,
            "errors": [],
            "wheels": [
                {
                    "path": str(wheel.path),
                    "target": wheel.label,
                    "size": wheel.size,
                    "not_restorable": [_loss(loss) for loss in wheel.losses],
                    "guessed": list(wheel.notes),
                }
                for wheel in wheels
            ],
        }
    )


def _loss(loss: Loss) -> dict[str, Any]:
    return {
        "path": loss.path,
        "sha256": hex_digest(loss.digest),
        "size": loss.size,
        "why": loss.why,
        "fate": loss.fate.value,
    }


def _conflict(conflict: Conflict) -> dict[str, Any]:
    return {
        "path": conflict.path,
        "reason": conflict.reason,
        "groups": [{"targets": list(group.labels), "present": group.present} for group in conflict.groups],
        "strategies": list(conflict.strategies),
        "details": list(conflict.details),
    }
