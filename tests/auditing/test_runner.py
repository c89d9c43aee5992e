"""How rules are applied, and what the user's options make of what they find."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wheelfuse.auditing import runner
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.options import AuditOptions, Ignore
from wheelfuse.auditing.report import Report
from wheelfuse.auditing.rules import Entry, entries
from wheelfuse.auditing.subject import Kind, Subject
from wheelfuse.wheel.name import WheelName

BAD = Rule("WF901", "bad", Severity.ERROR, "Bad")
DOUBTFUL = Rule("WF902", "doubtful", Severity.WARNING, "Doubtful")
UNKNOWN = Rule("WF903", "unknown", Severity.INFO, "Unknown")
UNREADABLE = Rule("WF001", "unreadable", Severity.ERROR, "Unreadable")


def bad(subject: Subject) -> Iterator[Finding | NotRun]:
    yield BAD.finding("bad", "pkg/_x.so")


def doubtful(subjects: tuple[Subject, ...]) -> Iterator[Finding | NotRun]:
    names = ", ".join(subject.label for subject in subjects)
    yield DOUBTFUL.finding(f"doubtful in {names}", "pkg/_y.so", subject=subjects[-1].label)


def unknown(subject: Subject) -> Iterator[Finding | NotRun]:
    yield UNKNOWN.not_run("no table")
    yield UNKNOWN.finding("a fact")


def unreadable(subject: Subject) -> Iterator[Finding | NotRun]:
    for problem in subject.unreadable:
        yield UNREADABLE.finding(problem.what)


RULES = (
    Entry(UNREADABLE, "", unreadable, None),
    Entry(BAD, "", bad, None),
    Entry(DOUBTFUL, "", None, doubtful),
    Entry(UNKNOWN, "", unknown, None),
)


def subject(target: str, version: str = "1.0") -> Subject:
    name = WheelName.parse(f"pkg-{version}-{target}-{target}-linux_x86_64.whl")
    return Subject(str(name), Kind.WHEEL, name=name)


def test_what_was_judged_in_advance_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(subject: Subject) -> Iterator[Finding | NotRun]:
        asked.append(subject.label)
        yield BAD.finding("bad", "pkg/_x.so")

    monkeypatch.setattr(runner, "entries", lambda: (Entry(BAD, "", counted, None),))
    early, late = subject("cp311"), subject("cp312")
    runner.judge(early, AuditOptions())
    report = runner.run((early, late), AuditOptions())
    assert asked == [early.label, late.label]
    assert [finding.subject for finding in report.findings] == asked


def run(*subjects: Subject, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Report:
    monkeypatch.setattr(runner, "entries", lambda: RULES)
    return runner.run(subjects or (subject("cp312"),), AuditOptions(**options))


def codes(report: Report, number: int = 0) -> list[str]:
    return [finding.code for finding in report.subjects[number].findings]


def test_the_worst_comes_first_and_names_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    report = run(monkeypatch=monkeypatch)
    assert codes(report) == ["WF901", "WF902", "WF903"]
    assert {finding.subject for finding in report.findings} == {report.subjects[0].label}
    assert report.exit_code == 1
    assert report.rules == 4


def test_a_rule_about_a_release_sees_its_wheels_together(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, other = subject("cp311"), subject("cp312"), subject("cp312", "2.0")
    report = run(first, second, other, monkeypatch=monkeypatch)
    assert [codes(report, number).count("WF902") for number in range(3)] == [0, 1, 1]
    (finding,) = [finding for finding in report.subjects[1].findings if finding.code == "WF902"]
    assert finding.message == f"doubtful in {first.label}, {second.label}"


def test_only_what_is_selected_is_applied_but_what_cannot_be_read_always(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from wheelfuse.errors import Problem

    broken = Subject("x.whl", Kind.WHEEL, unreadable=(Problem("damaged"),))
    report = run(broken, monkeypatch=monkeypatch, select=("WF903",))
    assert codes(report) == ["WF001", "WF903"]
    assert report.exit_code == 1


def test_a_severity_can_be_set_and_a_rule_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    report = run(monkeypatch=monkeypatch, severity={"WF901": Severity.INFO, "WF902": None})
    assert [(finding.code, finding.severity) for finding in report.findings] == [
        ("WF901", Severity.INFO),
        ("WF903", Severity.INFO),
    ]
    assert report.exit_code == 0


def test_what_is_ignored_is_kept_apart_and_an_ignore_without_use_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used, unused = Ignore("WF901", "pkg/*", "known"), Ignore("WF902", "other/*")
    report = run(monkeypatch=monkeypatch, ignore=(used, unused))
    assert codes(report) == ["WF902", "WF903"]
    assert [(item.finding.code, item.by) for item in report.subjects[0].suppressed] == [("WF901", used)]
    assert report.unused_ignores == (unused,)


@pytest.mark.parametrize(
    ("options", "exit_code"),
    [
        ({}, 1),
        ({"fail_on": "never"}, 0),
        ({"ignore": (Ignore("WF901"),)}, 0),
        ({"ignore": (Ignore("WF901"),), "fail_on": "warning"}, 1),
        ({"ignore": (Ignore("WF901"),), "strict": True}, 1),
        ({"ignore": (Ignore("WF901"), Ignore("WF902")), "fail_on": "warning"}, 0),
        ({"ignore": (Ignore("WF901"), Ignore("WF902")), "strict": True}, 1),  # a check could not be made
    ],
)
def test_the_exit_code_goes_by_severity(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], exit_code: int
) -> None:
    assert run(monkeypatch=monkeypatch, **options).exit_code == exit_code


def test_what_could_not_be_checked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    (not_run,) = run(monkeypatch=monkeypatch).subjects[0].not_run
    assert (not_run.code, not_run.reason) == ("WF903", "no table")
    assert not_run.subject


def test_every_rule_has_a_code_a_name_a_severity_and_an_explanation() -> None:
    for entry in entries():
        assert entry.rule.title, entry.rule.code
        assert not entry.rule.title.endswith("."), entry.rule.code
        assert len(entry.explanation) > 200, entry.rule.code
        assert "https://" in entry.explanation, entry.rule.code


@pytest.mark.parametrize(("code", "name"), [("WF1", "x"), ("XX101", "x"), ("WF101", "Not Kebab")])
def test_a_rule_that_is_not_called_as_rules_are_is_refused(code: str, name: str) -> None:
    with pytest.raises(ValueError, match="a rule is called"):
        Rule(code, name, Severity.ERROR, "title")


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.rule.code)
def test_every_rule_has_tests_of_its_own(entry: Entry) -> None:
    module = (entry.check or entry.check_release).__module__.rpartition(".")[2]  # type: ignore[union-attr]
    texts = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    assert any(entry.rule.code in text or re.search(rf"\b{module}\b", text) for text in texts)
