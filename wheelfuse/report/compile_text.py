"""A compiled extension module for people."""

from __future__ import annotations

from wheelfuse.auditing.options import AuditOptions
from wheelfuse.auditing.runner import applied_rules
from wheelfuse.building.extension import CompiledExtension
from wheelfuse.report.audit_parts import count
from wheelfuse.report.audit_plain import audit_plain
from wheelfuse.report.audit_text import audit_report
from wheelfuse.sizes import human_size


def compiled_report(
    compiled: CompiledExtension,
    *,
    width: int = 80,
    color: bool = False,
    verbose: bool = False,
    plain: bool = False,
) -> str:
    """What was made, and what the audit says of it; *verbose*: the commands as well, and notes."""
    commands = "".join(f"{command}\n" for command in compiled.commands) if verbose else ""
    made = (
        f"compiled {count(len(compiled.commands) - 1, 'file')} for {compiled.target} in {compiled.seconds:.1f} s: "
        f"{human_size(compiled.size)}, sha256 {compiled.sha256}"
    )
    rules = applied_rules(AuditOptions())
    if plain:
        return f"{commands}{made}\n{audit_plain(compiled.report, rules, verbose=verbose)}"
    audited = audit_report(compiled.report, rules, width=width, color=color, verbose=verbose)
    return f"{commands}{made}\n\n{audited}"
