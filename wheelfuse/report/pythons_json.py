"""The CPythons of a project on this machine as JSON: an API, described by ``schemas/pythons-1.json``."""

from __future__ import annotations

from typing import Any

from wheelfuse.interpreters.matrix import Pythons, Row
from wheelfuse.interpreters.probe import Interpreter, Unusable
from wheelfuse.report.document import dumped

PYTHONS = "wheelfuse/pythons/1"


def pythons_to_json(pythons: Pythons) -> str:
    """What ``wheelfuse pythons --format json`` prints."""
    return dumped(
        {
            "schema": PYTHONS,
            "ok": not pythons.missing,
            "errors": [],
            "requires_python": pythons.matrix.requires_python,
            "notes": list(pythons.matrix.notes),
            "pythons": [_row(row) for row in pythons.rows],
            "twins": [_interpreter(twin) for twin in pythons.twins],
            "passed_over": [_unusable(unusable) for unusable in pythons.others],
        }
    )


def _row(row: Row) -> dict[str, Any]:
    return {
        "target": str(row.target),
        "python_version": row.target.python_version,
        "free_threaded": row.target.free_threaded,
        "interpreter": _interpreter(row.interpreter) if row.interpreter else None,
        "passed_over": [_unusable(unusable) for unusable in row.passed_over],
    }


def _interpreter(interpreter: Interpreter) -> dict[str, Any]:
    platform = interpreter.platform
    return {
        "path": str(interpreter.path),
        "target": str(interpreter.target),
        "version": interpreter.version,
        "soabi": interpreter.soabi,
        "ext_suffix": interpreter.ext_suffix,
        "include": str(interpreter.include) if interpreter.include else None,
        "machine": platform.machine,
        "libc": platform.libc,
        "libc_version": ".".join(map(str, platform.version)) if any(platform.version) else None,
        "source": interpreter.source,
    }


def _unusable(unusable: Unusable) -> dict[str, Any]:
    return {
        "path": str(unusable.path),
        "target": str(unusable.target) if unusable.target else None,
        "reason": unusable.reason,
        "source": unusable.source,
    }
