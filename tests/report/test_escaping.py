"""Names made to break each format go through every report: it parses, nothing in it works, and the names are told."""

from __future__ import annotations

import html.parser
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import example, given, settings

import wheelfuse
from tests.fuse.merging import build_matrix, options
from tests.odd_names import ALL, TOKENS, deciphered, forbidden, names, orders
from tests.report.audits import NOWHERE, PRIVATE, PROVIDER, RULES, STALE, TARGETS, row, subject
from tests.report.sarif import sarif_validator
from tests.report.test_audit_formats import parsed
from tests.report.test_json import valid
from wheelfuse.auditing.options import Ignore
from wheelfuse.auditing.report import Answer, Report, Suppressed
from wheelfuse.auditing.road import Road, Step
from wheelfuse.auditing.subject import Kind
from wheelfuse.building.jobs import JobEvent, JobResult, Phase
from wheelfuse.elf.carrier import Carrier
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.escape import as_bytes, printable, printable_lines, without_orders
from wheelfuse.fuse.coverage import Cell, ModuleRow
from wheelfuse.fuse.device_code import ModuleShare, Sharing
from wheelfuse.fuse.model import Conflict, Fate, Group, Loss, Lost, Resolution
from wheelfuse.fuse.split import SplitWheel
from wheelfuse.fuse.stripping import Stripping
from wheelfuse.report.audit_formats import audit_as
from wheelfuse.report.audit_markdown import text as text_in_markdown
from wheelfuse.report.audit_text import audit_summary
from wheelfuse.report.build_live import JobTable
from wheelfuse.report.build_text import event_line
from wheelfuse.report.document import dumped, refusal_document
from wheelfuse.report.json import outcome_to_json, split_to_json
from wheelfuse.report.text import merge_report, split_report
from wheelfuse.report.verify_json import verification_to_json
from wheelfuse.report.verify_text import verification_report, verification_summary
from wheelfuse.target import Target
from wheelfuse.verifying.results import Imported, Outcome, Result, Trial, Verification, VerifiedWheel

STYLES = re.compile(r"\x1b\[[0-9;]*m")
few = settings(max_examples=60, deadline=None)


def tight(text: str) -> str:
    """Without the white space that wrapped lines have between the words of a name."""
    return re.sub(r"\s+", "", text)


def tells(text: str, *found: str) -> bool:
    return all(tight(printable(name)) in tight(text) for name in found)


def report_of(name: str, more: str) -> Report:
    """A report with these names wherever one can be."""
    finding = STALE.finding(f"message {name}", f"{more}/{name}", todo=f"todo {name}", details=(name, more))
    one = subject(
        f"{name}.whl",
        (finding, PRIVATE.finding(name, more), PROVIDER.finding(name, more), NOWHERE.finding("x", name)),
        answer=Answer(
            TARGETS,
            (row(name, "yyyyyN?", more), row(more, "y-sy?Ny", name)),
            libc=(name,), platforms=(more,), architectures=(name,), assumed=(name, more),
        ),
        suppressed=(Suppressed(finding, Ignore("WF203", name, more)),),
        not_run=(STALE.not_run(name, more), PRIVATE.not_run(more)),
    )  # fmt: skip
    steps = (Step(name, ((name, more), (more, ""))),)
    roads = (Road(name, more, "abi3", (name,), steps, (name, more)), Road(more, name, "abi3", (more,), ()))
    return Report(
        (one, subject(name, kind=Kind.FILE, findings=(finding,))),
        unused_ignores=(Ignore("WF7", name, more),), roads=roads, rules=4,
    )  # fmt: skip


def check_text(report: Report, name: str, more: str) -> None:
    for verbose in (False, True):
        text = audit_as("text", report, RULES, verbose=verbose, roads=True, width=120)
        assert forbidden(text) == [] and tells(text, name, more)
        coloured = audit_as("text", report, RULES, verbose=verbose, roads=True, width=120, color=True)
        assert forbidden(STYLES.sub("", coloured)) == []
    assert forbidden(audit_summary(report)) == [] and tells(audit_summary(report), name)


def check_json(report: Report, name: str, more: str) -> None:
    text = audit_as("json", report, RULES)
    assert text.isascii() and orders(text) == []
    document = valid("audit", text)
    finding = document["subjects"][0]["findings"][0]
    assert (finding["path"], finding["message"]) == (f"{more}/{name}", f"message {name}")  # as they are
    assert document["subjects"][0]["loads_on"]["assumed"] == [name, more]


def check_sarif(report: Report, name: str, more: str) -> None:
    text = audit_as("sarif", report, RULES)
    assert text.isascii() and orders(text) == []
    document = json.loads(text)
    sarif_validator()(document)
    result = document["runs"][0]["results"][0]
    shown = result["message"]["text"]
    assert re.search(r"(?<!\\)(?:\\\\)*[\[\]]", shown) is None  # would be a link
    assert forbidden(shown) == [] and tells(re.sub(r"\\([\[\]\\])", r"\1", shown), name, more)
    place = result["locations"][0]
    uri = place["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote_to_bytes(uri) == as_bytes(f"{name}.whl/{more}/{name}")
    assert deciphered(place["logicalLocations"][0]["fullyQualifiedName"]) == f"{more}/{name}"
    for value in strings(document):
        assert forbidden(value) == []


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.items() for text in strings(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def check_junit(report: Report, name: str, more: str) -> None:
    text = audit_as("junit", report, RULES)
    assert text.isascii() and orders(text) == [] and forbidden(text) == []
    root = ElementTree.fromstring(text)
    told = [part for element in root.iter() for part in (*element.attrib.values(), element.text or "")]
    assert all(forbidden(part) == [] for part in told)
    assert deciphered(root[0].attrib["name"]) == f"{name}.whl"
    assert tells("\n".join(told), name, more)
    assert [len(suite) for suite in root] == [len(RULES)] * 2


def check_github(report: Report, name: str, more: str) -> None:
    *lines, last = audit_as("github", report, RULES).splitlines()
    assert last.startswith("FAILED") and len(lines) == 6
    for line in lines:
        kind, properties, message = parsed(line)
        assert kind in ("error", "warning", "notice") and properties.keys() == {"file", "title"}
        assert forbidden(line) == forbidden(message) == []
        assert deciphered(properties["file"]) in (name, f"{name}.whl")
    assert tells("\n".join(parsed(line)[2] for line in lines), name, more)


class Elements(html.parser.HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[tuple[str, tuple[str, ...]]] = set()
        self.parts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_comment(self, data: str) -> None:
        self.found.add(("!--", ()))


OURS = {
    *("h2", "h3", "p", "strong", "ul", "li", "code", "span", "br", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


def check_markdown(report: Report, name: str, more: str) -> None:
    text = audit_as("markdown", report, RULES, roads=True)
    assert forbidden(text) == [] and orders(text) == []
    page = cmarkgfm.github_flavored_markdown_to_html(text, Options.CMARK_OPT_UNSAFE)
    found = Elements(page)
    assert {tag for tag, _ in found.found} <= OURS
    assert {attribute for _, attributes in found.found for attribute in attributes} <= {"open"}
    assert tells("".join(found.parts), name, more)
    # GitHub looks for these in the text between tags, code left out.
    between = re.sub(r"<code>.*?</code>", "", page, flags=re.DOTALL)
    for part in re.split(r"<[^>]*>", between):
        assert not re.search(r"@\w|#\d", html.unescape(part))


CHECKS = {
    "text": check_text, "json": check_json, "sarif": check_sarif, "junit": check_junit,
    "github": check_github, "markdown": check_markdown,
}  # fmt: skip


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@given(names, names)
@example(ALL, "x")
@example("x", ALL)
@settings(max_examples=100, deadline=None)
def test_an_audit(check: Callable[[Report, str, str], None], name: str, more: str) -> None:
    check(report_of(name, more), name, more)


@pytest.mark.parametrize("form", CHECKS)
@given(names, names)
@settings(max_examples=60, deadline=None)
def test_an_audit_of_different_names_differs(form: str, name: str, more: str) -> None:
    one, other = (
        audit_as(form, Report((subject(label, (STALE.finding("m", label),)),)), RULES, width=10**6)
        for label in (name, more)
    )
    assert (one == other) is (name == more)


@pytest.mark.parametrize("form", CHECKS)
@pytest.mark.parametrize("token", TOKENS)
def test_each_token_by_itself(form: str, token: str) -> None:
    CHECKS[form](report_of(f"a{token}b", f"c{token}"), f"a{token}b", f"c{token}")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> wheelfuse.MergeOutcome:
    """A merge of two wheels, of which parts are replaced."""
    directory = tmp_path_factory.mktemp("merge")
    files = {target: {"pkg/a.py": f"x = '{target}'\n"} for target in TARGETS[:2]}
    return wheelfuse.merge(build_matrix(directory / "in", files), directory / "out", options())


def with_names(outcome: wheelfuse.MergeOutcome, name: str, more: str) -> wheelfuse.MergeOutcome:
    """The outcome with these names wherever one can be."""
    [first, *others] = outcome.plan.originals
    loss = Loss(name, "A" * 43, 1, 0o644, more, "", Fate.STRIPPED)
    cells = tuple(
        Cell(original.label, path)
        for original, path in zip(outcome.plan.originals, (name, None), strict=True)
    )
    plan = replace(
        outcome.plan,
        originals=(replace(first, losses=(loss,)), *others),
        modules=(ModuleRow(name, cells), ModuleRow(more, cells)),
        resolutions=tuple(Resolution("united", path, ("cp310",), name) for path in (name, more, name, more, name)),
        lost=(Lost("cp310", replace(loss, why=name)),),
        conflicts=(),
        warnings=(Problem(name, more, name, more),),
        stripping=Stripping(1, 1, ((name, more), (more, name))),
        sharing=Sharing(
            name, Carrier(b"", (64,), b""), modules=(ModuleShare(name, 1, 1, 1, (more,), (name, more)),),
        ),
    )  # fmt: skip
    return replace(outcome, plan=plan)


@given(names, names)
@example(ALL, "x")
@few
def test_a_merge(outcome: wheelfuse.MergeOutcome, name: str, more: str) -> None:
    changed = with_names(outcome, name, more)
    text = merge_report(changed, width=10**6)
    assert forbidden(text) == [] and tells(text, more)
    assert f"\n{printable(name)}  " in text and f"\n    {printable(more)}: " in text  # a module, a resolution
    assert forbidden(STYLES.sub("", merge_report(changed, color=True))) == []
    written = outcome_to_json(changed)
    assert written.isascii() and orders(written) == []
    document = valid("merge", written)
    assert document["modules"][0]["module"] == document["not_restorable"][0]["path"] == name
    assert document["warnings"] == [{"wheel": more, "member": name, "what": name, "todo": more}]


@given(names.filter(lambda name: "\0" not in name), names)
@example(ALL.replace("\0", ""), "x")
@few
def test_a_split(name: str, more: str) -> None:
    loss = Loss(name, "A" * 43, 1, 0o644, more, "", Fate.DROPPED)
    wheels = (
        SplitWheel(Path("x") / name.strip("/"), "cp310", 1, (loss, replace(loss, path=more)), (name, more)),
    )
    assert forbidden(split_report(wheels)) == [] and tells(split_report(wheels), name, more)
    document = valid("split", split_to_json(wheels))
    assert document["wheels"][0]["guessed"] == list(dict.fromkeys((name, more))) or name == more


@given(names, names)
@example(ALL, "x")
@few
def test_a_verification(name: str, more: str) -> None:
    failed = Result(Outcome.FAILED, more, f"one\n{name}\n{more}")
    modules = (Imported(name, name, failed), Imported(more, more, Result(Outcome.OK, name)))
    trial = Trial(Target(10), name, more, Result(Outcome.OK), modules, failed)
    broken = Trial(Target(11), name, more, failed)
    path = Path("x") / f"{name}.whl"
    outcome = Verification(
        (VerifiedWheel(path, (trial,)), VerifiedWheel(path, (broken,))), name, warnings=(more,)
    )
    text = verification_report(outcome, width=10**6)
    assert forbidden(text) == [] and tells(text, name, more)
    assert forbidden(STYLES.sub("", verification_report(outcome, color=True))) == []
    assert forbidden(verification_summary(outcome)) == []
    assert (
        valid("verify", verification_to_json(outcome))["wheels"][0]["trials"][0]["modules"][0]["module"]
        == name
    )


@given(names, names)
@example(ALL, "x")
@few
def test_the_lines_of_a_build(name: str, more: str) -> None:
    table = JobTable([Target(12)])
    for result in (
        JobResult(Target(12), Phase.FAILED, 1.0, Path("x.log"), reason=name, tail=more),
        JobResult(
            Target(12),
            Phase.BUILT,
            1.0,
            Path("x.log"),
            wheel=Path("w") / f"x{name.replace('/', '')}.whl",
            size=1,
        ),
    ):
        line = event_line(JobEvent(Target(12), result.phase, result=result))
        assert forbidden(line) == [] and "\n" not in line
        table.take(JobEvent(Target(12), result.phase, name, result))
        for column in table.rendered().columns:
            assert all(forbidden(str(cell)) == [] and "\n" not in str(cell) for cell in column.cells)
    table.take(JobEvent(Target(12), Phase.BUILDING, more))
    assert all(forbidden(str(cell)) == [] for column in table.rendered().columns for cell in column.cells)


@given(names, names)
@example(ALL, "x")
@few
def test_a_refusal(name: str, more: str) -> None:
    written = dumped(
        refusal_document("merge", InvalidInput([Problem(name, more, name, more), Problem(more)]))
    )
    assert written.isascii() and orders(written) == []
    assert valid("merge", written)["errors"][0] == {"wheel": more, "member": name, "what": name, "todo": more}


@given(names, names)
@example("pkg/" + ALL, ALL)
@example("//x", "/")
@few
def test_conflicts(outcome: wheelfuse.MergeOutcome, name: str, more: str) -> None:
    groups = (Group(("cp310",)), Group(("cp311",), present=False))
    conflict = Conflict(name, more, groups, ("newest", "drop"), (name, more))
    error = replace(outcome.plan, conflicts=(conflict,)).error()
    assert error
    shown = str(error)
    assert forbidden(shown) == [] and orders(without_orders(shown)) == []
    assert tight(printable_lines(more)) in tight(shown)
    assert all(line.startswith("    ") for line in shown.split("\n")[1:])


@pytest.mark.parametrize("start", ["--", "- x", "+ x", "= x", "1. x", "12) x", "    x", "\t- x"])
def test_no_name_begins_a_block_of_markdown(start: str) -> None:
    page = cmarkgfm.github_flavored_markdown_to_html(f"- {text_in_markdown(start)}", Options.CMARK_OPT_UNSAFE)
    assert {tag for tag, _ in Elements(page).found} <= {"ul", "li", "span"}
