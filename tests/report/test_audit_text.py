"""The report of an audit for people: it answers first, stays readable, and no input can write into it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import wheelfuse
from tests.report.audits import (
    CLEAN,
    FINDINGS,
    FULL,
    NASTY,
    NOWHERE,
    PRIVATE,
    RULES,
    STALE,
    TARGETS,
    modules,
    row,
    subject,
)
from wheelfuse.auditing.finding import Severity
from wheelfuse.auditing.report import Answer, Report
from wheelfuse.auditing.subject import Kind
from wheelfuse.report.audit_parts import pythons, row_groups, verdict, versions
from wheelfuse.report.audit_text import audit_report, audit_summary
from wheelfuse.target import ALL_TARGETS, Target


def shown(report: Report, *, width: int = 80, verbose: bool = False, roads: bool = False) -> list[str]:
    return audit_report(report, RULES, width=width, verbose=verbose, roads=roads).splitlines()


def test_a_clean_wheel_is_told_in_one_screen() -> None:
    assert shown(CLEAN) == [
        "pkg-1.0-cp310-cp310-manylinux_2_17_x86_64.whl",
        "wheel of 16.2 MiB with 19 shared objects",
        "",
        "loads on CPython             3.10  3.11  3.12  3.13  3.13t  3.14  3.14t",
        "  numpy.core.* (17 modules)  yes   yes   yes   yes    yes   yes    yes",
        "",
        "C library glibc 2.17 at least; tagged manylinux_2_17_x86_64",
        "",
        "passed: no findings (45 rules on 1 input)",
    ]


def test_marks_and_their_legend_and_reasons() -> None:
    lines = shown(FULL)
    assert "  vllm._C                   yes   yes    NO   yes    yes   yes    yes" in lines
    assert "  vllm.cumem                yes    -     ?     ?      ?     ?      ?" in lines
    assert "  (NO fails to load, - has no file for it, ? not proved)" in lines
    assert "  NO  vllm._C on 3.12: nobody defines _ZN2at6Tensor0symbolEv and 7 others" in lines
    assert "  ?   2 modules on 3.12 to 3.14, 3.13t, 3.14t: libtorch.so comes from torch" in lines


def test_only_marks_that_are_used_have_a_legend() -> None:
    report = Report((subject(answer=Answer(TARGETS, (row("a", "yyNyyyy"),))),))
    assert "  (NO fails to load)" in shown(report)


def test_the_answer_comes_before_the_findings_and_the_verdict_last() -> None:
    lines = shown(FULL)
    assert lines.index("torch     2.9 to 2.11, 2.13") < next(
        number for number, line in enumerate(lines) if line.startswith("error WF")
    )
    assert "later     3.16, 3.17 would install it, too, once out" in lines
    assert "GPUs      sm_80, sm_90, compute_90" in lines
    assert lines[-1] == "FAILED: 9 errors, 1 warning, 2 notes, 1 suppressed, 1 check not made"


def test_no_torch_version_stands_out() -> None:
    report = Report((subject(answer=Answer(TARGETS, modules(1), torch=())),))
    assert "torch     no known version exports all that is needed" in shown(report)
    without = Report((subject(answer=Answer(TARGETS, modules(1), torch=None)),))
    assert not any(line.startswith("torch") for line in shown(without))


def test_findings_are_grouped_by_severity_then_rule() -> None:
    heads = [line for line in shown(FULL) if line.startswith(("error ", "warning ", "note "))]
    assert heads == [
        f"error WF203 {STALE.title}",
        f"error WF601 {NOWHERE.title}",
        f"warning WF304 {PRIVATE.title}",
    ]


def test_a_finding_has_its_file_reason_details_and_what_to_do() -> None:
    lines = shown(FULL)
    at = lines.index(f"error WF601 {NOWHERE.title}")
    assert lines[at + 1 : at + 5] == [
        "  vllm/_C.cpython-312-x86_64-linux-gnu.so",
        "    no library that it reaches defines 8 symbols that it needs, so that",
        "    importing it fails on every CPython",
        "      _ZN2at6Tensor0symbolEv",
    ]
    assert lines[at + 10 : at + 12] == [
        "      and 2 more; -v shows all",
        "    fix: Link the library that defines them, or add it to DT_NEEDED",
    ]


def test_equal_findings_of_many_files_are_one_and_what_to_do_is_said_once() -> None:
    lines = shown(FULL)
    at = lines.index(f"error WF203 {STALE.title}")
    section = lines[at : lines.index("", at)]
    assert section.count("    no tag claims cp39") == 1
    assert "  and 3 more files; -v shows all" in section
    assert [line for line in section if "fix:" in line] == ["  fix: Delete it before the wheel is packed"]


def test_verbose_cuts_nothing() -> None:
    lines = shown(FULL, verbose=True)
    assert not any("-v shows" in line for line in lines)
    for number in range(7):
        assert f"  vllm/_m{number}.cpython-39-x86_64-linux-gnu.so" in lines
    assert "      _ZN2at6Tensor7symbolEv" in lines
    assert any(line.startswith("note WF503") for line in lines)
    assert sum(line.startswith("  numpy.core._m") for line in lines) == 6 + 17


def test_notes_suppressions_and_checks_not_made_take_a_line_each() -> None:
    lines = shown(FULL)
    assert "1 note (WF503): A library must come from another distribution; -v shows more" in lines
    assert "suppressed: 1 finding by WF304:vllm/**: until the move to nanobind" in lines
    assert "not checked: WF601 vllm/_C.so: no symbol table of cp315t is known" in lines


def test_several_inputs_begin_with_a_table_and_clean_ones_are_short() -> None:
    lines = shown(FULL)
    assert lines[0] == "        errors  warnings  notes  input"
    assert lines[1].split()[:4] == ["FAILED", "9", "1", "1"]
    assert lines[3].split() == ["passed", "-", "-", "-", "dist/tree"]
    at = lines.index("=== dist/tree")
    assert lines[at + 1 : at + 4] == [
        "directory of 16.2 MiB with 19 shared objects",
        "CPython   3.10 to 3.14, 3.13t, 3.14t (17 extension modules)",
        "",
    ]


def test_the_road_shows_replacements() -> None:
    lines = shown(FULL, roads=True)
    assert "road to abi3: vllm._C" in lines
    assert "    _PyObject_GetDictPtr -> PyObject_GenericGetDict" in lines
    assert "      -> torch::stable::Tensor" in lines
    assert lines[-3] == "abi3: vllm.cumem is there already"


def test_the_road_is_one_line_until_it_is_asked_for() -> None:
    lines = shown(FULL, width=200)
    assert (
        "road to abi3: 1 module, 3 symbols in the way, 1 without a known replacement (--road-to-abi3)"
        in lines
    )
    assert not any("GenericGetDict" in line for line in lines)


def test_a_module_that_needs_libraries_from_elsewhere_is_a_yes_with_a_mark() -> None:
    report = Report((subject(answer=Answer(TARGETS, (row("a", "sssyyss"),), assumed=("libx.so.1 (x)",))),))
    lines = shown(report)
    assert "  a              yes*  yes*  yes*  yes    yes   yes*   yes*" in lines
    assert "  (yes* with the assumed libraries)" in lines
    assert "assumed   libx.so.1 (x)" in lines


# What is for copying is never broken: paths, symbols, names of inputs, and the table that ends with names.
FOR_COPYING = (
    "pkg", "vllm", "=== ", "  vllm/", "  pkg/", "      ", "    at::", "      at::", "FAILED  ", "passed  ", "    pkg/",
)  # fmt: skip


@pytest.mark.parametrize("report", [CLEAN, FULL, NASTY], ids=["clean", "full", "nasty"])
@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_lines_fit(report: Report, width: int) -> None:
    long = [
        line
        for line in shown(report, width=width)
        if len(line) > width and not line.startswith(FOR_COPYING) and " " in line.strip()
    ]
    assert [line for line in long if r"\x1b" not in line] == []


def test_a_wide_matrix_becomes_two() -> None:
    report = Report(
        (subject(answer=Answer(ALL_TARGETS, (row("a", "y" * len(ALL_TARGETS), targets=ALL_TARGETS),))),)
    )
    heads = [line.split()[3:] for line in shown(report, width=80) if line.startswith("loads on CPython")]
    assert sorted(name for head in heads for name in head) == sorted(
        f"{t.python_version}{'t' * t.free_threaded}" for t in ALL_TARGETS
    )
    assert len(heads) > 1
    assert all(len({name.endswith("t") for name in head}) == 1 for head in heads)


def test_many_modules_are_one_row_but_those_with_a_hole_are_named() -> None:
    rows = (*modules(17), row("numpy.core._bad", "yyNyyyy"), row("numpy.core._m99", "yyyyyyy"))
    labels = [group.label for group in row_groups(rows)]
    assert labels == ["numpy.core.* (18 modules)", "numpy.core._bad"]


def test_two_large_groups_of_one_package_are_told_apart() -> None:
    rows = (*modules(9), *(row(f"numpy.core._x{n}", "yyyyyy-") for n in range(5)))
    groups = row_groups(rows)
    assert [group.label for group in groups] == [
        "numpy.core.* (9 modules)", "numpy.core._x0", "numpy.core._x1", "numpy.core._x2", "and 2 more modules",
    ]  # fmt: skip
    assert sum(len(group.modules) for group in groups) == 14


def test_modules_without_a_common_package() -> None:
    rows = tuple(row(name, "yyyyyyy") for name in ("_a", "_b", "pkg._c", "other._d"))
    assert [group.label for group in row_groups(rows)] == ["4 modules"]


def test_no_input_can_steer_the_terminal() -> None:
    for verbose in (False, True):
        text = audit_report(NASTY, RULES, verbose=verbose)
        assert all(character == "\n" or character.isprintable() for character in text)
        assert "::error::" in text and "\n::error" not in text
        assert "caf\u00e9 \u6f22\u5b57" in text
    assert all(c == "\n" or c.isprintable() for c in audit_summary(NASTY))


def test_colour_only_where_it_is_asked_for_and_it_changes_no_word() -> None:
    import re

    plain, colored = (audit_report(FULL, RULES, color=color) for color in (False, True))
    assert "\x1b[" not in plain and "\x1b[" in colored
    unstyled = re.sub("\x1b\\[[0-9;]*m", "", colored)
    assert [line.rstrip() for line in unstyled.splitlines()] == plain.splitlines()


def test_plain_reports_are_ascii() -> None:
    assert audit_report(FULL, RULES).isascii()


def test_quiet_is_one_line_for_each_input() -> None:
    lines = audit_summary(FULL).splitlines()
    assert len(lines) == 1 + len(FULL.subjects)


@pytest.mark.parametrize("fail_on, strict, words", [
    ("error", False, "passed: 1 warning, 1 check not made"),
    ("warning", False, "FAILED: 1 warning"),
    ("error", True, "FAILED: 1 warning"),
    ("never", True, "passed: 1 warning"),
])  # fmt: skip
def test_the_verdict_is_that_of_the_exit_code(fail_on: str, strict: bool, words: str) -> None:
    report = Report(
        (subject(findings=(FINDINGS[-2],), not_run=(STALE.not_run("no"),)),), fail_on=fail_on, strict=strict
    )
    assert verdict(report).startswith(words)
    assert report.failed is words.startswith("FAILED")
    assert audit_summary(report).splitlines()[1].startswith("FAILED" if report.failed else "passed")


def test_of_several_inputs_those_that_fail_are_marked() -> None:
    bad = subject("b.whl", (replace(FINDINGS[-2], severity=Severity.WARNING),))
    report = Report((subject("a.whl"), bad), strict=True)
    assert [line.split()[0] for line in audit_summary(report).splitlines()[1:]] == ["passed", "FAILED"]


def test_kinds_have_words() -> None:
    for kind, words in {
        Kind.FILE: "shared object of",
        Kind.DISTRIBUTION: "installed distribution of",
    }.items():
        assert any(line.startswith(words) for line in shown(Report((subject(kind=kind),))))


def test_of_what_cannot_be_read_nothing_is_said_but_why(tmp_path: Path) -> None:
    archive = tmp_path / "dist.zip"
    archive.write_bytes(b"PK\3\4, and no more")
    lines = shown(wheelfuse.audit(archive))
    assert lines[1] == "file of 17 B"
    assert "  not a zip file that can be read" in lines
    assert not any("CPython" in line for line in lines)


@pytest.mark.parametrize("given, text", [
    ((), ""), (("2.9",), "2.9"), (("2.9", "2.10"), "2.9, 2.10"), (("2.8", "2.9", "2.10"), "2.8 to 2.10"),
    (("2.10", "2.9", "2.6", "2.11"), "2.6, 2.9 to 2.11"), (("1.13", "2.0"), "1.13, 2.0"),
])  # fmt: skip
def test_ranges_of_versions(given: tuple[str, ...], text: str) -> None:
    assert versions(given) == text


def test_ranges_of_cpythons() -> None:
    assert (
        pythons(map(Target.parse, ("cp314t", "cp39", "cp310", "cp311", "cp313t")))
        == "3.9 to 3.11, 3.13t, 3.14t"
    )
