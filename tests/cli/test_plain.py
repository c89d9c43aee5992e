"""``--plain``: the facts of the reports in words and in ASCII, each in a line of its own; and reports of any width."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.report.test_json import valid
from tests.wheels import wheelfuse
from wheelfuse.auditing.rules import entries

ROOT = Path(__file__).parents[2]
WHEELS = sorted((ROOT / "fixtures" / "wheels").glob("wheelfuse_fixture_c-*.whl"))
TARGETS = ("cp310", "cp311", "cp312", "cp313", "cp314", "cp314t", "cp315", "cp315t")
COPIED = re.compile(r".*\.whl\b|sha256 |in     |.*\S*/\S*$|.*(?:uv|pip|apt-get|dnf) .*install|https?:")
"""Lines that are never broken: names, paths and commands."""


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, ...]]:
    """A call for each report."""
    out = tmp_path_factory.mktemp("out")
    done = wheelfuse("merge", *WHEELS, "-o", out, "-q")
    assert done.returncode == 0, done.stderr
    fused = done.stdout.strip()
    return {
        "merge": ("merge", *WHEELS, "-o", out, "--dry-run"),
        "split": ("split", fused, "-d", out / "split", "--force"),
        "audit": ("audit", fused),
        "audits": ("audit", *WHEELS[:2], "-v"),
        "verify": ("verify", fused, "--offline"),
        "pythons": ("pythons", "--project", ROOT / "fixtures" / "wheelfuse-fixture-c", "-v"),
        "doctor": ("doctor",),
        "explain": ("explain", "WF203", "WF506"),
        "rules": ("audit", "--list-rules"),
    }


NAMES = ("merge", "split", "audit", "audits", "verify", "pythons", "doctor", "explain", "rules")


@pytest.mark.parametrize("name", NAMES)
def test_plain_words_are_ascii_and_no_table(calls: dict[str, tuple[object, ...]], name: str) -> None:
    before, after = wheelfuse("--plain", *calls[name]), wheelfuse(*calls[name], WHEELFUSE_PLAIN="1")
    assert (before.returncode, after.returncode) == (0, 0), before.stderr
    assert before.stdout.isascii()
    if name not in ("doctor", "split"):  # what is free changes; a second split replaces the first
        assert before.stdout == after.stdout
    if name != "explain":  # prose, with its lists and its examples
        lines = before.stdout.splitlines()
        assert [line for line in lines if not line.strip() or re.search(r"\S {2,}\S", line)] == []


def test_plain_words_of_a_merge_have_the_facts(calls: dict[str, tuple[object, ...]]) -> None:
    shown = wheelfuse(*calls["merge"], "--plain").stdout
    assert f"module fusec._native: its own file for {', '.join(TARGETS)}\n" in shown
    assert re.search(r"^inputs: .* in 8 wheels", shown, re.MULTILINE)
    assert re.search(r"^wheel: wheelfuse_fixture_c-1\.0-\S+\.whl$", shown, re.MULTILINE)


def test_plain_words_of_an_audit_have_the_facts(calls: dict[str, tuple[object, ...]]) -> None:
    document = valid("audit", wheelfuse(*calls["audits"], "--format", "json").stdout)
    shown = wheelfuse(*calls["audits"], "--plain").stdout
    findings = [finding for item in document["subjects"] for finding in item["findings"]]
    assert findings
    assert all(finding["code"] in shown and finding["message"] in shown for finding in findings)
    assert shown.count("module fusec._native: loads on 3.1") == 2
    assert (
        shown.count("platform: tagged manylinux2014_x86_64") + shown.count("platform: tagged manylinux_2_17")
        == 2
    )
    assert shown.splitlines()[-1].startswith("passed: ")


def test_plain_words_of_a_verification_have_the_facts(calls: dict[str, tuple[object, ...]]) -> None:
    shown = wheelfuse(*calls["verify"], "--plain").stdout
    assert re.search(r"^installation: works on 3\.", shown, re.MULTILINE)
    assert re.search(r"^module fusec\._native: works on 3\.", shown, re.MULTILINE)


def test_plain_rules_are_all_there(calls: dict[str, tuple[object, ...]]) -> None:
    shown = wheelfuse(*calls["rules"], "--plain").stdout
    rules = [entry.rule for entry in entries()]
    told = [f"{rule.code}, {rule.severity}, {rule.name}: {rule.title}" for rule in rules]
    assert shown.splitlines() == [line.replace("\u2026", "...") for line in told]


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
@pytest.mark.parametrize("name", NAMES)
def test_reports_fit(calls: dict[str, tuple[object, ...]], name: str, columns: int) -> None:
    shown = wheelfuse(*calls[name], COLUMNS=str(columns)).stdout
    assert [line for line in shown.splitlines() if len(line) > columns and not COPIED.match(line)] == []


def test_doctor_as_json_and_in_words(calls: dict[str, tuple[object, ...]]) -> None:
    document = valid("doctor", wheelfuse("doctor", "--json").stdout)
    shown = wheelfuse("doctor", "--plain").stdout
    assert document["ok"] is True
    assert document["pythons"]
    for python in document["pythons"]:
        assert f"{python['target']}: {python['version']}" in shown
        assert python["path"] in shown
    for tool in document["tools"]:
        assert (tool["path"] or f"missing: {tool['name']}") in shown
        assert tool["path"] or tool["install"] is None or tool["install"] in shown


def test_doctor_fails_where_nothing_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    from tests.fuse.merging import command

    def none() -> str:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.chdir(tmp_path)
    code, stdout, _ = command("doctor")
    assert code == 5
    assert (
        stdout.count("temporary files have no directory that can be written to: set TMPDIR") >= 6
        or "no:" in stdout
    )


def test_doctor_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With nothing on PATH but a package manager."""
    manager = tmp_path / "apt-get"
    manager.write_text("#!/bin/sh\n")
    manager.chmod(0o755)
    document = valid(
        "doctor", wheelfuse("doctor", "--json", PATH=str(tmp_path), CUDACXX="none", CXX="").stdout
    )
    tools = {tool["name"]: tool for tool in document["tools"]}
    assert tools["C++ compiler"]["path"] is None
    assert tools["C++ compiler"]["install"].endswith("apt-get install g++")
    assert tools["nvcc"]["install"].endswith("'wheelfuse[cuda]'")
    assert document["commands"]["compile"] == {"works": False, "missing": ["there is no C++ compiler"]}
    assert document["commands"]["merge"]["works"] is True
