"""An audit for machines: each format is what its readers accept, whatever an input calls itself."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import fastjsonschema
import pytest

from tests.report.audits import CLEAN, FINDINGS, FULL, HOSTILE, NASTY, RULES, STALE, subject
from tests.report.sarif import sarif_validator
from tests.report.test_json import valid
from wheelfuse.auditing.report import Report
from wheelfuse.auditing.subject import Kind
from wheelfuse.report.audit_formats import FORMATS, audit_as
from wheelfuse.report.audit_github import audit_to_github, command
from wheelfuse.report.audit_json import audit_to_json
from wheelfuse.report.audit_junit import audit_to_junit
from wheelfuse.report.audit_markdown import audit_to_markdown, code, text
from wheelfuse.report.audit_sarif import audit_to_sarif

REPORTS = {"clean": CLEAN, "full": FULL, "nasty": NASTY, "empty": Report(())}


@pytest.fixture(params=REPORTS)
def report(request: pytest.FixtureRequest) -> Report:
    return REPORTS[request.param]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_utf8_that_ends_with_a_line_break_and_is_the_same_each_time(
    name: str, report: Report
) -> None:
    found = audit_as(name, report, RULES)
    assert found.endswith("\n")
    assert found.encode("utf-8").decode("utf-8") == found == audit_as(name, report, RULES)


def test_an_unknown_format_is_an_error() -> None:
    with pytest.raises(ValueError, match="no format is called yaml"):
        audit_as("yaml", CLEAN, RULES)


# JSON


def test_json_is_what_the_schema_says(report: Report) -> None:
    document = valid("audit", audit_to_json(report, RULES))
    assert document["schema"] == "wheelfuse/audit/1"
    assert (document["ok"], document["exit_code"]) == (not report.failed, report.exit_code)
    assert len(document["subjects"]) == len(report.subjects)


def test_json_holds_everything() -> None:
    document = valid("audit", audit_to_json(FULL, RULES))
    [first, second, _] = document["subjects"]
    assert document["counts"] == {"error": 9, "warning": 1, "info": 2}
    assert [len(first[key]) for key in ("findings", "suppressed", "not_run")] == [11, 1, 1]
    assert first["findings"][0] == {
        "code": "WF601",
        "severity": "error",
        "path": FINDINGS[0].path,
        "message": FINDINGS[0].message,
        "todo": FINDINGS[0].todo,
        "details": list(FINDINGS[0].details),
    }
    assert first["suppressed"][0]["by"] == {
        "code": "WF304", "path": "vllm/**", "reason": "until the move to nanobind",
    }  # fmt: skip
    answer = first["loads_on"]
    assert answer["torch"] == ["2.9", "2.10", "2.11", "2.13"]
    assert second["loads_on"]["torch"] is None
    cell = answer["modules"][0]["cells"][2]
    assert (cell["target"], cell["outcome"]) == ("cp312", "fails")
    assert answer["unreleased"] == ["cp316", "cp317"]
    assert [rule["code"] for rule in document["rules"]] == ["WF203", "WF304", "WF503", "WF601"]
    assert document["unused_ignores"] == [{"code": "WF7", "path": "x/*", "reason": "old"}]
    assert [(road["left"], len(road["steps"])) for road in document["roads"]] == [(1, 2), (0, 0)]


def test_json_keeps_names_as_they_are() -> None:
    [found] = valid("audit", audit_to_json(NASTY, RULES))["subjects"]
    assert found["label"] == f"{HOSTILE}.whl"
    assert [finding["path"] for finding in found["findings"]] == [HOSTILE, "pkg/\udcff.so"]


@pytest.mark.parametrize("damage", [
    lambda d: d.pop("schema"), lambda d: d.update(extra=1), lambda d: d.update(exit_code=3),
    lambda d: d["subjects"][0]["findings"][0].update(severity="fatal"),
    lambda d: d["subjects"][0]["loads_on"]["modules"][0]["cells"][0].update(outcome="maybe"),
])  # fmt: skip
def test_the_schema_refuses_what_it_does_not_say(damage: Any) -> None:
    document = json.loads(audit_to_json(FULL, RULES))
    damage(document)
    with pytest.raises(fastjsonschema.JsonSchemaException):
        valid("audit", json.dumps(document))


# SARIF


def sarif(report: Report) -> dict[str, Any]:
    """The run, after the document was held against the schema of OASIS."""
    document = json.loads(audit_to_sarif(report, RULES))
    sarif_validator()(document)
    [run] = document["runs"]
    assert isinstance(run, dict)
    return run


def test_sarif_is_what_the_standard_says(report: Report) -> None:
    run = sarif(report)
    codes = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert codes[result["ruleIndex"]] == result["ruleId"]
    assert run["invocations"][0]["exitCode"] == report.exit_code


def test_the_validator_of_sarif_can_fail() -> None:
    document = json.loads(audit_to_sarif(FULL, RULES))
    for path, value in ((("version",), "2.0.0"), (("runs", 0, "results", 0, "level"), "fatal")):
        wrong: Any = copy.deepcopy(document)
        inner = wrong
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        with pytest.raises(fastjsonschema.JsonSchemaException):
            sarif_validator()(wrong)


def test_sarif_has_what_code_scanning_asks_for() -> None:
    run = sarif(FULL)
    rule = run["tool"]["driver"]["rules"][0]
    assert rule["helpUri"] == "https://docs.python.org/3/c-api/stable.html"
    assert rule["defaultConfiguration"] == {"level": "error"}
    assert rule["properties"]["problem.severity"] == "error"
    assert rule["fullDescription"]["text"] and rule["help"]["text"] and rule["help"]["markdown"]
    [result] = [result for result in run["results"] if result["ruleId"] == "WF601"]
    [location] = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == (
        "vllm-0.31.0-cp310.cp311.cp312-cp310.cp311.cp312-manylinux_2_28_x86_64.whl"
        "/vllm/_C.cpython-312-x86_64-linux-gnu.so"
    )
    assert location["physicalLocation"]["region"]["startLine"] == 1
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "vllm/_C.cpython-312-x86_64-linux-gnu.so"
    assert FINDINGS[0].message in result["message"]["text"] and FINDINGS[0].todo in result["message"]["text"]


def test_sarif_levels_suppressions_and_notifications() -> None:
    run = sarif(FULL)
    assert {result["level"] for result in run["results"]} == {"error", "warning", "note"}
    [suppressed] = [result for result in run["results"] if result["suppressions"]]
    assert suppressed["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "until the move to nanobind"}
    ]
    [told] = run["invocations"][0]["toolExecutionNotifications"]
    assert told["associatedRule"]["id"] == "WF601"
    assert "no symbol table of cp315t is known" in told["message"]["text"]


def fingerprints(report: Report) -> list[str]:
    return [result["partialFingerprints"]["primaryLocationLineHash"] for result in sarif(report)["results"]]


def test_fingerprints_are_unique_and_survive_a_new_version() -> None:
    assert len(set(fingerprints(FULL))) == len(fingerprints(FULL))
    old, new, other = (
        Report((subject(f"{name}-cp310-cp310-any.whl", FINDINGS),)) for name in ("a-1.0", "a-1.1", "b-1.0")
    )
    assert fingerprints(old) == fingerprints(new)
    assert not set(fingerprints(old)) & set(fingerprints(other))


def test_a_uri_holds_any_name() -> None:
    result = sarif(NASTY)["results"][0]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert re.fullmatch(r"[A-Za-z0-9/~+,=@!$'()*;&._%-]+", uri)
    assert unquote(uri) == f"{HOSTILE}.whl/{HOSTILE}"
    assert ":" not in uri.split("/")[0]
    # Brackets would be links, and what cannot be seen is written out.
    assert r"\\x1b\[31m" in result["message"]["text"]


def test_a_shared_object_is_not_within_itself() -> None:
    report = Report((subject("build/_C.so", (STALE.finding("x", "_C.so"),), kind=Kind.FILE),))
    [result] = sarif(report)["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "build/_C.so"


# Markdown


@pytest.mark.parametrize("make", [text, code])
def test_markdown_has_no_markup_from_inputs(make: Any) -> None:
    import html

    made = make("<b>|`*_[x](y)~#1 @me\n\\ &amp; \x1b")
    inner = re.sub(r"</?span>", "", made.removeprefix("<code>").removesuffix("</code>"))
    assert not re.search(r"[\\`*_\[\]|~<>@\n]|&(?!#\d+;)|(?<!&)#", inner)
    assert html.unescape(inner) == "<b>|`*_[x](y)~#1 @me\\n\\ &amp; \\x1b"


def test_each_row_of_a_markdown_table_has_the_cells_of_its_head() -> None:
    for report in REPORTS.values():
        columns = 0
        for line in audit_to_markdown(report, RULES).splitlines():
            columns = columns if columns and line.startswith("|") else line.count("|")
            assert line.count("|") == columns if line.startswith("|") else "|" not in line


def test_markdown_begins_with_the_verdict_and_folds_findings() -> None:
    lines = audit_to_markdown(FULL, RULES).splitlines()
    assert lines[2].startswith("**FAILED: 9 errors, 1 warning")
    assert "<details open><summary>9 errors</summary>" in lines
    assert "<details><summary>1 warning</summary>" in lines
    joined = "\n".join(lines)
    assert joined.count("<details") == joined.count("</details>")
    assert "| <code>dist/tree</code> | passed | - | - | - | 3.10 to 3.14, 3.13t, 3.14t |" in lines
    assert "Ignores that match nothing: <code>WF7:x/&#42;</code>" in lines


def test_of_many_inputs_only_those_with_something_to_tell_have_a_section() -> None:
    clean = tuple(subject(f"a{number}.whl") for number in range(20))
    text = audit_to_markdown(Report((*clean, subject("b.whl", FINDINGS[:1]))), RULES)
    assert text.count("| <code>a") == 20
    assert re.findall(r"^### (.*)", text, re.M) == ["<code>b.whl</code>"]
    assert audit_to_markdown(Report(clean[:3]), RULES).count("### ") == 3


def test_the_table_of_inputs_tells_what_is_not_proved() -> None:
    line = next(
        line for line in audit_to_markdown(FULL, RULES).splitlines() if line.startswith("| <code>vllm")
    )
    assert line.endswith("| 3.10; not proved: 3.13, 3.14, 3.13t, 3.14t |")


# Workflow commands


def parsed(line: str) -> tuple[str, dict[str, str], str]:
    """A workflow command as the runner of GitHub reads it: name, properties, message."""
    match = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line)
    assert match, line
    properties = dict(part.split("=", 1) for part in match[2].split(","))
    decoded = {
        key: value.replace("%3A", ":").replace("%2C", ",").replace("%0A", "\n").replace("%25", "%")
        for key, value in properties.items()
    }
    return match[1], decoded, match[3].replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")


def test_annotations_are_one_line_each_the_worst_first() -> None:
    *lines, last = audit_to_github(FULL, RULES).splitlines()
    assert [parsed(line)[0] for line in lines] == ["error", "error", "error", "warning", "notice"]
    _, properties, message = parsed(lines[0])
    assert properties["file"].startswith("vllm-0.31.0-")
    assert properties["title"] == "WF601 A symbol that nobody defines"
    assert FINDINGS[0].message in message.split("\n")
    assert FINDINGS[0].todo in message.split("\n")
    assert last.startswith("FAILED: 9 errors")


def test_no_input_can_write_a_workflow_command() -> None:
    *lines, last = audit_to_github(NASTY, RULES).splitlines()
    assert len(lines) == 3 and last.startswith("FAILED")
    for line in lines:
        _, properties, message = parsed(line)
        assert properties.keys() == {"file", "title"}
        assert "%,:" in properties["file"] and "\x1b" not in message
    assert command("error", "a%b:c,d\r\n", "t", ["x\n::error::y"]) == (
        r"::error file=a%25b%3Ac%2Cd\r\n,title=t::x\n::error::y"
    )


def test_a_check_not_made_is_an_error_where_it_fails_the_run() -> None:
    strict = replace(FULL, strict=True)
    assert "::error file=" in audit_to_github(strict, RULES).splitlines()[-2]


# JUnit


def junit(report: Report) -> ElementTree.Element:
    root = ElementTree.fromstring(audit_to_junit(report, RULES))
    assert root.tag == "testsuites"
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases)
        for name, tag in (("failures", "failure"), ("skipped", "skipped")):
            assert int(suite.attrib[name]) == sum(case.find(tag) is not None for case in cases)
        # Many readers take the first child that says how a case went.
        assert all(len(case.findall("failure") + case.findall("skipped")) <= 1 for case in cases)
    for name in ("tests", "failures", "errors", "skipped"):
        assert int(root.attrib[name]) == sum(int(suite.attrib[name]) for suite in root)
    return root


def test_junit_has_a_suite_for_each_input_and_a_case_for_each_rule(report: Report) -> None:
    root = junit(report)
    assert len(root) == len(report.subjects)
    assert all(len(suite) == len(RULES) for suite in root)
    assert (int(root.attrib["failures"]) > 0) is report.failed


def cases(report: Report) -> dict[str, ElementTree.Element]:
    return {case.attrib["name"].split()[0]: case for case in junit(report)[0]}


def test_junit_fails_for_findings_that_count() -> None:
    found = cases(FULL)
    failure = found["WF203"].find("failure")
    assert failure is not None and failure.text
    assert failure.attrib["message"] == "8 findings, the first: no tag claims cp39"
    assert failure.text.count("Delete it before the wheel is packed") == 8
    assert found["WF304"].find("failure") is None
    assert found["WF304"].find("system-out") is not None
    assert cases(replace(FULL, strict=True))["WF304"].find("failure") is not None
    assert all(case.find("failure") is None for case in cases(replace(FULL, fail_on="never")).values())


def test_junit_skips_what_was_not_checked() -> None:
    report = Report((subject(not_run=(STALE.not_run("no table"),)),))
    skipped = cases(report)["WF203"].find("skipped")
    assert skipped is not None and skipped.attrib["message"] == "no table"
    strict = cases(replace(report, strict=True))["WF203"].find("failure")
    assert strict is not None and strict.attrib["message"] == "not checked: no table"


def test_xml_holds_any_name() -> None:
    [suite] = junit(NASTY)
    assert suite.attrib["name"].startswith(r"pkg/\x1b[31m\x07|`<b>&]]>%,:\r\n::error::")
