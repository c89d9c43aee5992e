"""What a machine can do as JSON: an API, described by ``schemas/doctor-1.json``."""

from __future__ import annotations

from typing import Any

from wheelfuse.doctor import Diagnosis, Python
from wheelfuse.report.document import dumped

DOCTOR = "wheelfuse/doctor/1"


def diagnosis_to_json(found: Diagnosis) -> str:
    """What ``wheelfuse doctor --json`` prints."""
    return dumped(
        {
            "schema": DOCTOR,
            "ok": found.exit_code == 0,
            "errors": [],
            "version": found.version,
            "python": {"path": str(found.python), "version": found.python_version},
            "system": found.system,
            "processors": found.processors,
            "memory": {"total": found.memory or None, "available": found.available or None},
            "commands": {
                one.command: {"works": not one.missing, "missing": list(one.missing)}
                for one in found.abilities
            },
            "pythons": [_python(one) for one in found.pythons],
            "tools": [
                {
                    "name": tool.name, "path": tool.path or None, "version": tool.version or None,
                    "serves": tool.serves, "install": tool.install or None,
                }
                for tool in found.tools
            ],
            "missing": [{"what": one.what, "serves": one.serves, "install": one.install} for one in found.lacks],
            "caches": [
                {"name": one.name, "path": str(one.path), "size": one.size, "counted": one.counted}
                for one in found.caches
            ],
            "directories": [
                {"name": one.name, "path": one.path, "free": one.free, "problem": one.problem or None}
                for one in found.rooms
            ],
        }
    )  # fmt: skip


def _python(one: Python) -> dict[str, Any]:
    interpreter = one.interpreter
    return {
        "target": str(interpreter.target),
        "version": interpreter.version,
        "path": str(interpreter.path),
        "include": str(interpreter.include) if interpreter.include else None,
        "torch": one.torch or None,
        "source": interpreter.source,
    }
