"""The page of all rules, and how rules are told on the terminal."""

from __future__ import annotations

import pytest

from tests.report.audits import EXPLANATION, RULES
from tools.rule_page import page
from wheelfuse.auditing.rules import Entry, entries
from wheelfuse.report.rules_text import explanation, rules_table, wrapped


def test_each_rule_has_one_anchor_and_a_row() -> None:
    text = page(RULES)
    for entry in RULES:
        code = entry.rule.code
        assert text.count(f'<a id="{code.lower()}"></a>') == 1
        assert f"| [{code}](#{code.lower()}) | {entry.rule.name} | {entry.rule.severity} |" in text
        assert text.count(f"**{entry.rule.title}.**") == 1
    assert text.count(EXPLANATION) == len(RULES)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Coverage", "## CPython symbols", "## Platform", "## Loading",
    ]  # fmt: skip


def test_the_order_of_the_rules_does_not_matter() -> None:
    assert page(RULES) == page(RULES[::-1])


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.rule.code)
def test_each_explanation_is_one(entry: Entry) -> None:
    assert not entry.rule.title.endswith(".")
    assert len(entry.explanation.split()) >= 15, "too short to help anybody"
    assert entry.rule.code.startswith("WF0") or "https://" in entry.explanation, "names no source"
    for example in ("\n\n- Reported: ", "\n- Not reported: "):
        assert entry.explanation.count(example) == 1, (
            f"lacks the line {example.strip()!r}, which is an example"
        )


def test_a_table_of_rules_at_two_widths() -> None:
    wide = rules_table(RULES, width=120).splitlines()
    assert wide[0] == "WF203  error    stale-module       Extension module whose suffix no tag claims"
    narrow = rules_table(RULES, width=60).splitlines()
    assert narrow[:2] == ["WF203  error    stale-module", "    Extension module whose suffix no tag claims"]
    assert max(map(len, narrow)) <= 60


def test_an_explanation_keeps_lists_and_links() -> None:
    lines = explanation(RULES[0], width=40).splitlines()
    assert lines[:2] == ["WF203 stale-module (error)", "Extension module whose suffix no tag"]
    assert "- one `literal`" in lines and "- two" in lines
    assert any("https://docs.python.org/3/c-api/stable.html" in line for line in lines)


def test_wrapping() -> None:
    text = "one\ntwo\n\n- a long item that\n  goes on\n- b\n\n    kept   as  it is"
    assert list(wrapped(text, 12)) == [
        "one two", "", "- a long", "  item that", "  goes on", "- b", "", "    kept   as  it is",
    ]  # fmt: skip
