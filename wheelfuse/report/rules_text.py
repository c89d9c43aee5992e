"""The rules of the audit for people: a table of all, and the explanation of one."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from rich.text import Text

from wheelfuse.auditing.finding import Severity
from wheelfuse.auditing.rules import Entry
from wheelfuse.report.lines import rendered

_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_ITEM = re.compile(r"(?:[-*]|\d+\.) ")


def rules_table(rules: Iterable[Entry], *, width: int = 80, color: bool = False) -> str:
    """One line for each rule: code, severity, name, title."""
    rules = tuple(rules)
    wide = max((len(entry.rule.name) for entry in rules), default=0) + 2
    lines = []
    for entry in rules:
        rule = entry.rule
        lead = f"{rule.code}  {rule.severity!s:<9}{rule.name:<{wide}}"
        if len(lead) > width // 2:  # a narrow terminal: the title below
            lead = f"{lead.rstrip()}\n    "
        head, _, last = lead.rpartition("\n")
        title = textwrap.wrap(rule.title, width, initial_indent=last, subsequent_indent=" " * len(last))
        line = Text("\n".join(filter(None, (head, *title))))
        line.stylize(_STYLES[rule.severity], len(rule.code) + 2, len(rule.code) + 2 + len(str(rule.severity)))
        lines.append(line)
    return rendered(lines, color)


def rules_plain(rules: Iterable[Entry]) -> str:
    """The same in words alone, a rule in a line."""
    lines = (
        f"{entry.rule.code}, {entry.rule.severity}, {entry.rule.name}: {entry.rule.title}" for entry in rules
    )
    return "\n".join((*lines, ""))


def explanation(entry: Entry, *, width: int = 80, color: bool = False) -> str:
    """Code, name, severity and title of a rule, and its explanation, wrapped."""
    rule = entry.rule
    head = Text(f"{rule.code} {rule.name} ({rule.severity})", style=f"bold {_STYLES[rule.severity]}")
    lines = [head, *(Text(line, style="bold") for line in textwrap.wrap(rule.title, width)), Text()]
    lines += (Text(line) for line in wrapped(entry.explanation, min(width, 100)))
    return rendered(lines, color)


def wrapped(text: str, width: int) -> Iterator[str]:
    """Paragraphs and lists of *text* anew for this width; what is indented stays as it is, and so do links."""
    for number, paragraph in enumerate(text.replace("``", "`").split("\n\n")):
        if number:
            yield ""
        if paragraph.startswith(" "):
            yield from paragraph.splitlines()
            continue
        for block in blocks(paragraph):
            item = _ITEM.match(block)
            yield from textwrap.wrap(
                block, width, subsequent_indent=" " * len(item[0]) if item else "", break_long_words=False,
                break_on_hyphens=False,
            )  # fmt: skip


def blocks(paragraph: str) -> Iterator[str]:
    """The items of a list, or the paragraph as it is, each in one line."""
    block: list[str] = []
    for line in paragraph.splitlines():
        if _ITEM.match(line) and block:
            yield " ".join(block)
            block = []
        block.append(line.strip())
    yield " ".join(block)
