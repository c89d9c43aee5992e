"""The user's decisions about an audit, read from text and from pyproject.toml."""

from __future__ import annotations

import re
from typing import Any

import pytest

from wheelfuse.auditing.finding import Finding, Severity
from wheelfuse.auditing.options import AuditOptions, Ignore, checked_fail_on, parse_codes, parse_severity
from wheelfuse.errors import UsageError


def finding(code: str = "WF304", path: str = "pkg/sub/_x.so") -> Finding:
    return Finding(code, Severity.ERROR, "message", path)


@pytest.mark.parametrize(
    ("text", "ignore"),
    [
        ("WF304", Ignore("WF304")),
        ("WF3", Ignore("WF3")),
        ("WF304:pkg/*.so", Ignore("WF304", "pkg/*.so")),
        ("WF304=vendored = old", Ignore("WF304", "", "vendored = old")),
        ("WF304:pkg/*.so= vendored ", Ignore("WF304", "pkg/*.so", "vendored")),
    ],
)
def test_an_ignore_is_code_glob_and_reason(text: str, ignore: Ignore) -> None:
    assert Ignore.parse(text) == ignore


@pytest.mark.parametrize("text", ["", "304", "wf304", "WF3045", "WF304:", "E501"])
def test_an_ignore_that_is_not_of_the_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=re.escape("CODE[:GLOB][=REASON]")):
        Ignore.parse(text)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("WF304", True),
        ("WF3", True),
        ("WF305", False),
        ("WF304:pkg/**", True),
        ("WF304:pkg/*.so", False),
        ("WF304:**/_x.so", True),
    ],
)
def test_an_ignore_matches_code_and_path(text: str, matches: bool) -> None:
    assert Ignore.parse(text).matches(finding()) is matches


def test_a_glob_passes_over_findings_about_the_input_as_a_whole() -> None:
    assert not Ignore.parse("WF304:pkg/**").matches(finding(path=""))
    assert Ignore.parse("WF304").matches(finding(path=""))


def test_the_table_of_a_project_is_read() -> None:
    options = AuditOptions.from_table(
        {
            "select": ["WF3", "WF101"],
            "ignore": ["WF301", {"code": "WF302", "path": "a/**", "reason": "old"}],
            "severity": {"WF303": "info", "WF304": "off"},
            "fail-on": "warning",
            "strict": True,
        }
    )
    assert options == AuditOptions(
        ("WF3", "WF101"),
        (Ignore("WF301"), Ignore("WF302", "a/**", "old")),
        {"WF303": Severity.INFO, "WF304": None},
        "warning",
        True,
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"selct": []}, "unknown keys: selct"),
        ({"select": "WF3"}, "select is a list"),
        ({"select": ["E5"]}, "'E5' is no rule code"),
        ({"ignore": "WF3"}, "ignore is a list"),
        ({"ignore": [{"code": "WF3", "file": "x"}]}, "no table of code, path and reason"),
        ({"ignore": [{"path": "x"}]}, "no table of code, path and reason"),
        ({"severity": {"WF303": "fatal"}}, "not CODE=SEVERITY"),
        ({"severity": {"WF3": "info"}}, "not CODE=SEVERITY"),
        ({"severity": []}, "severity a table"),
        ({"fail-on": "errors"}, "there are error, warning, never"),
        ({"strict": "yes"}, "strict is true or false"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        AuditOptions.from_table(table)


def test_options_given_come_on_top_of_those_of_the_project() -> None:
    base = AuditOptions(("WF1",), (Ignore("WF301"),), {"WF303": Severity.INFO, "WF304": None}, "warning")
    given = AuditOptions((), (Ignore("WF302"),), {"WF304": Severity.ERROR}, strict=True)
    assert given.over(base) == AuditOptions(
        ("WF1",),
        (Ignore("WF302"), Ignore("WF301")),
        {"WF303": Severity.INFO, "WF304": Severity.ERROR},
        "warning",
        True,
    )


def test_an_explicit_error_overrides_the_fail_on_of_the_project() -> None:
    base = AuditOptions(fail_on="never")
    assert AuditOptions(fail_on="error").over(base).fail_on == "error"
    assert AuditOptions().over(base).fail_on == "never"


def test_texts_are_read_or_refused() -> None:
    assert parse_codes(["WF3,WF401", "WF1"]) == ("WF3", "WF401", "WF1")
    assert parse_severity("WF303=warning") == ("WF303", Severity.WARNING)
    assert checked_fail_on("never") == "never"
    for refused in (
        lambda: parse_codes(["X"]),
        lambda: parse_severity("WF303"),
        lambda: checked_fail_on("x"),
    ):
        with pytest.raises(UsageError):
            refused()
