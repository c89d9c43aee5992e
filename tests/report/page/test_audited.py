"""The page of an audit: its first sentence, its bars, and what of a report comes into it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

import wheelfuse
from tests.auditing.test_api import UNSTABLE, torch_module
from tests.fuse.merging import command
from tests.native import compiled, library, module, soabi
from tests.real.download import fetched
from tests.report.audits import CLEAN, FULL, NASTY, RULES
from tests.report.page.pages import DRAWN, audited, drawn
from tests.wheels import build_wheel
from wheelfuse.auditing.options import AuditOptions
from wheelfuse.auditing.runner import applied_rules
from wheelfuse.report.audit_formats import audit_as
from wheelfuse.report.page.audited import page_of_audit
from wheelfuse.report.page.model import Decline, State
from wheelfuse.target import Target

CP311, CP312, CP313 = Target(11), Target(12), Target(13)


def wheel(directory: Path, target: Target, *symbols: str, **settings: str) -> Path:
    files = {"pkg/__init__.py": "", f"pkg/{soabi('_x', target)}": module("_x", target, *symbols)}
    return build_wheel(directory, str(target), files, **settings)


# --- the verdict ---


def test_what_loads_everywhere_is_said_to(tmp_path: Path) -> None:
    page = audited(*(wheel(tmp_path, target) for target in (CP311, CP312, CP313)))
    assert page.verdict.sentence.startswith("3 inputs load on CPython 3.11 to 3.13; ")
    assert page.title == "3 inputs"
    assert not any(shown.failed for shown in page.inputs)


def test_what_fails_somewhere_is_said_to_and_what_to_do(tmp_path: Path) -> None:
    good, bad = wheel(tmp_path, CP311), wheel(tmp_path, CP312, "spam_that_nobody_has")
    page = audited(good, bad)
    assert page.verdict.state is State.BAD
    assert page.verdict.sentence.startswith("2 inputs load on CPython 3.11, fail on 3.12; 1 error")
    (code,) = {finding.code for _, finding in page.findings if finding.severity.value == "error"}
    assert page.verdict.next_step.startswith(f"{code}: ")
    assert [shown.failed for shown in page.inputs] == [False, True]


def test_one_wheel_alone_is_spoken_of_as_one(tmp_path: Path) -> None:
    page = audited(wheel(tmp_path, CP312))
    assert page.verdict.sentence.startswith("Loads on CPython 3.12; ")
    assert page.title == wheel(tmp_path, CP312).name


def test_python_alone_has_nothing_to_load(tmp_path: Path) -> None:
    page = audited(build_wheel(tmp_path, "py3", {"pkg/__init__.py": ""}, tag="py3-none", platform="any"))
    assert page.verdict.sentence.startswith("No extension modules; ")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip"], ids=["empty", "cut off"])
def test_what_cannot_be_read_is_said_first(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pkg-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"
    path.write_bytes(content)
    page = audited(path)
    assert page.verdict.state is State.BAD
    assert page.verdict.sentence.startswith("Cannot be read; ")
    page = audited(path, wheel(tmp_path / "good", CP312))
    assert page.verdict.sentence.startswith("2 inputs load on CPython 3.12, 1 cannot be read; ")


def test_a_hole_in_the_matrix_is_named(tmp_path: Path) -> None:
    files = {f"pkg/{soabi('_x', CP312)}": module("_x", CP312)}
    page = audited(build_wheel(tmp_path, files=files, tag="cp312.cp313-cp312.cp313"))
    assert page.verdict.sentence.startswith("Loads on CPython 3.12, lacks modules on 3.13; ")


# --- bars ---


def bars(path: Path) -> dict[str, tuple[dict[str, State], str]]:
    (shown,) = audited(path).inputs
    return {bar.title: (dict(bar.steps), bar.note) for bar in shown.bars}


def test_glibc_begins_where_symbol_versions_say(tmp_path: Path) -> None:
    content = compiled("int dlclose(void *); int f(void) { return dlclose(0); }")  # GLIBC_2.34
    files: dict[str, str | bytes] = {f"pkg/{soabi('_x', CP312)}": module("_x", CP312), "pkg/lib.so": content}
    steps, note = bars(build_wheel(tmp_path, "cp312", files))["glibc"]
    assert steps["2.28"] is State.BAD
    assert steps["2.34"] is steps["2.39"] is State.GOOD
    assert note == "glibc 2.34 x86_64 at least, tagged manylinux_2_17_x86_64"


def test_torch_has_a_bar_where_it_is_needed(tmp_path: Path) -> None:
    assert "torch" not in bars(wheel(tmp_path / "without", CP312))
    shim = "aoti_torch_get_data_ptr"
    files = {f"pkg/{soabi('_x', CP312)}": torch_module(shim)}
    steps, note = bars(build_wheel(tmp_path, "cp312", files, metadata_extra="Requires-Dist: torch"))["torch"]
    assert next(iter(steps)) == "2.6"
    assert set(steps.values()) == {State.GOOD}
    assert note.startswith("2.6 to 2.")
    files = {f"pkg/{soabi('_x', CP312)}": torch_module(UNSTABLE)}
    steps, note = bars(build_wheel(tmp_path, "cp312", files, metadata_extra="Requires-Dist: torch"))["torch"]
    assert set(steps.values()) == {State.BAD}
    assert note.startswith("no known release")


# --- the report in the page ---


def test_findings_come_with_their_inputs_and_explanations() -> None:
    page = page_of_audit(FULL, RULES)
    assert sorted(map(repr, page.findings)) == sorted(
        repr((subject.label, finding)) for subject in FULL.subjects for finding in subject.findings
    )
    ranks = [finding.severity.rank for _, finding in page.findings]
    assert ranks == sorted(ranks, reverse=True)
    assert set(page.rules) == {finding.code for finding in FULL.findings}
    assert page.rules["WF203"].explanation.startswith("What it finds: a thing.\n\nA second paragraph")
    assert page.roads == FULL.roads
    assert page.inputs[0].not_run == ("WF601: vllm/_C.so: no symbol table of cp315t is known",)
    assert page_of_audit(CLEAN, RULES).verdict.state is State.GOOD


def test_names_come_through_as_they_are() -> None:
    page = page_of_audit(NASTY, RULES)
    (subject,) = NASTY.subjects
    (shown,) = page.inputs
    assert shown.label == subject.label
    assert shown.answer is subject.answer
    assert {finding for _, finding in page.findings} == set(subject.findings)


def test_names_of_real_files_come_through_as_they_are(tmp_path: Path) -> None:
    names = [
        "<img src=x onerror=alert(1)>.py",
        "a&b\"'`.txt",
        "caf\u00e9 \u6f22.md",
        "\u202egnp.exe",
        "{{7*7}}.j2",
    ]
    tree = tmp_path / "<b>tree"
    tree.mkdir()
    for name in names:
        (tree / name).write_text("x")
    page = audited(tree)
    assert page.inputs[0].contents.name == page.inputs[0].label == page.title == str(tree)
    assert {part.name for part in page.inputs[0].contents.parts} == set(names)


def test_a_report_without_facts_has_a_page_all_the_same(tmp_path: Path) -> None:
    path = wheel(tmp_path, CP312)
    report = wheelfuse.audit(path)
    assert report.subjects[0].facts is None
    page = page_of_audit(report, applied_rules(AuditOptions()))
    assert (page.inputs[0].contents.size, page.inputs[0].tables) == (path.stat().st_size, ())
    assert page.verdict == audited(path).verdict


def test_facts_change_nothing_of_what_a_report_says(tmp_path: Path) -> None:
    path = wheel(tmp_path, CP312, "spam_that_nobody_has")
    without, with_facts = wheelfuse.audit(path), wheelfuse.audit(path, facts=True)
    assert with_facts == without
    assert with_facts.subjects[0].facts is not None
    assert pickle.loads(pickle.dumps(with_facts)) == without
    for name in ("text", "json", "sarif", "markdown", "github", "junit"):
        rules = applied_rules(AuditOptions())
        assert audit_as(name, with_facts, rules) == audit_as(name, without, rules)


def test_jobs_make_the_same_page(tmp_path: Path) -> None:
    paths = [wheel(tmp_path, target) for target in (CP311, CP312, CP313)]
    assert audited(*paths, jobs=2) == audited(*paths)


# --- baselines ---


def torch_wheel(directory: Path, *symbols: str) -> Path:
    files = {f"pkg/{soabi('_x', CP312)}": torch_module(*symbols)}
    return build_wheel(directory, "cp312", files, metadata_extra="Requires-Dist: torch")


def test_baselines_make_a_line_of_which_the_last_counts(tmp_path: Path) -> None:
    symbols = [UNSTABLE.replace("add", name) for name in ("add", "sub", "mul")]
    files = []
    for count in (3, 2, 1):
        files.append(tmp_path / f"{count}.json")
        wheelfuse.write_baseline(files[-1], torch_wheel(tmp_path / str(count), *symbols[:count]))
    now = torch_wheel(tmp_path, symbols[0])
    page = audited(now, baseline=files)
    names = list(map(str, files))
    assert page.decline == Decline(((names[0], 3), (names[1], 2), (names[2], 1), ("now", 1)))
    assert "WF407" not in {finding.code for _, finding in page.findings}
    page = audited(now, baseline=files[:2])
    assert page.decline and [count for _, count in page.decline.points] == [3, 2, 1]
    assert "WF407" in {finding.code for _, finding in page.findings}
    assert audited(now, baseline=files[2]).decline == Decline(((names[2], 1), ("now", 1)))
    assert audited(now).decline is None


def test_several_baselines_on_the_command_line(tmp_path: Path) -> None:
    path = torch_wheel(tmp_path, UNSTABLE)
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    wheelfuse.write_baseline(old, torch_wheel(tmp_path / "old", UNSTABLE, UNSTABLE.replace("add", "sub")))
    wheelfuse.write_baseline(new, path)
    counting = ("audit", path, "--select", "WF407", "-q")
    assert command(*counting, "--baseline", old, "--baseline", new)[0] == 0
    assert command(*counting, "--baseline", new, "--baseline", old)[0] == 1
    with drawn() as pages:
        arguments = ("--baseline", old, "--baseline", new, "--format", f"html={old}")
        code, _, told = command(*counting, *arguments)
    assert (code, pages) == (2, [])
    assert "is an input, and cannot be the output" in told


# --- the format ---


def test_the_format_goes_to_a_file_beside_others(tmp_path: Path) -> None:
    path, out = wheel(tmp_path, CP312), tmp_path / "out"
    with drawn() as pages:
        code, _, _ = command(
            "audit", path, "--format", f"html={out / 'a.html'}", "--format", f"json={out / 'a.json'}", "-q"
        )
    assert code == 0
    assert (out / "a.html").read_text() == DRAWN
    assert json.loads((out / "a.json").read_text())["ok"] is True
    assert pages == [audited(path)]


def test_the_format_goes_to_standard_output(tmp_path: Path) -> None:
    with drawn() as pages:
        _, text, _ = command("audit", wheel(tmp_path, CP312), "--format", "html")
    assert text == DRAWN
    assert pages[0].inputs[0].tables


def test_other_formats_keep_no_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = wheelfuse.audit

    def audit(*arguments: object, **named: object) -> wheelfuse.Report:
        asked.append(named["facts"])
        return original(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("wheelfuse.cli.audit.audit", audit)
    command("audit", wheel(tmp_path, CP312), "--format", "json")
    with drawn():
        command("audit", wheel(tmp_path, CP312), "--format", "html")
    assert asked == [False, True]


@pytest.mark.real
def test_a_real_release(tmp_path: Path) -> None:
    paths = [path for path in fetched("projects", "markupsafe") if "cp315" not in path.name]
    page = audited(*paths)
    assert page.verdict.sentence.startswith(f"{len(paths)} inputs load on CPython 3.")
    assert "fail" not in page.verdict.sentence
    assert {shown.label for shown in page.inputs} == {path.name for path in paths}
    assert all(shown.size == path.stat().st_size for shown, path in zip(page.inputs, paths, strict=True))


def test_libraries_alone_are_audited_too(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(library("int x;"))
    page = audited(tmp_path / "lib.so")
    assert [table.path for table in page.inputs[0].tables] == ["lib.so"]
