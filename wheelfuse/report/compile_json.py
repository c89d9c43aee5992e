"""A compiled extension module as JSON: an API, described by ``schemas/compile-1.json``."""

from __future__ import annotations

from wheelfuse import __version__
from wheelfuse.building.extension import CompiledExtension
from wheelfuse.report.document import dumped

COMPILE = "wheelfuse/compile/1"


def compiled_to_json(compiled: CompiledExtension) -> str:
    """What ``wheelfuse compile --json`` prints."""
    return dumped(
        {
            "schema": COMPILE,
            "ok": True,
            "tool": {"name": "wheelfuse", "version": __version__},
            "path": str(compiled.path),
            "target": str(compiled.target),
            "size": compiled.size,
            "sha256": compiled.sha256,
            "seconds": round(compiled.seconds, 3),
            "commands": list(compiled.commands),
            "findings": [
                {
                    "code": each.code,
                    "severity": str(each.severity),
                    "message": each.message,
                    "todo": each.todo,
                }
                for each in compiled.report.findings
            ],
            "errors": [],
        }
    )
