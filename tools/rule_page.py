"""The page of all rules of the audit, from the rules themselves: docs/reference/rules.md."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from wheelfuse.auditing.rules import Entry

FAMILIES = {
    "WF0": "Inputs",
    "WF1": "Package",
    "WF2": "Coverage",
    "WF3": "CPython symbols",
    "WF4": "libtorch",
    "WF5": "Platform",
    "WF6": "Loading",
    "WF7": "CUDA",
    "WF8": "Consistency",
}


def page(rules: Iterable[Entry]) -> str:
    """The page: a table of all rules, and for each a section with the anchor ``#wf203``."""
    rules = sorted(rules, key=lambda entry: entry.rule.code)
    parts = [
        "<!-- Written by `make docs` (tools/rule_page.py). Change the docstring of the rule instead. -->",
        "# The rules of `wheelfuse audit`",
        "`wheelfuse explain CODE` prints the same. Severities can be changed with `--severity CODE=LEVEL`, findings\n"
        "be left out with `--ignore CODE[:GLOB][=REASON]`, both also in `[tool.wheelfuse.audit]` of pyproject.toml.",
        _table(rules),
    ]
    for family, members in groupby(rules, key=lambda entry: entry.rule.code[:3]):
        parts.append(f"## {FAMILIES[family]}")
        parts += map(_section, members)
    return "\n\n".join(parts) + "\n"


def _table(rules: Iterable[Entry]) -> str:
    rows = [
        f"| [{rule.code}](#{rule.code.lower()}) | {rule.name} | {rule.severity} | {rule.title.replace('|', '&#124;')} |"
        for rule in (entry.rule for entry in rules)
    ]
    return "\n".join(("| code | name | severity | finds |", "| --- | --- | --- | --- |", *rows))


def _section(entry: Entry) -> str:
    rule = entry.rule
    head = f'<a id="{rule.code.lower()}"></a>\n### {rule.code} {rule.name} ({rule.severity})'
    return f"{head}\n\n**{rule.title}.**\n\n{entry.explanation}"
