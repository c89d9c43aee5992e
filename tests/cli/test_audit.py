"""How ``wheelfuse audit`` and ``wheelfuse explain`` are called, what goes where, and how they end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.fuse.merging import command
from tests.report.audits import CLEAN, FULL
from tests.report.test_json import valid
from tests.wheels import build_wheel, compile_library, extension_source, wheelfuse
from wheelfuse.auditing.finding import Severity
from wheelfuse.auditing.options import AuditOptions, Ignore
from wheelfuse.auditing.report import Report
from wheelfuse.auditing.rules import entries
from wheelfuse.errors import UsageError
from wheelfuse.wheel.limits import Limits

FIRST = entries()[0].rule


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel in which there is nothing to find."""
    directory = tmp_path_factory.mktemp("clean")
    flags = ("-Wl,-z,relro,-z,now", "-Wl,-z,noexecstack")
    module = compile_library(directory / "m.so", extension_source("_m", "PyModuleDef_Init"), *flags)
    files: dict[str, str | bytes] = {"pkg/__init__.py": "", "pkg/_m.cpython-312-x86_64-linux-gnu.so": module}
    return build_wheel(directory, "cp312", files, requires_python=">=3.10")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that cannot be read."""
    path = tmp_path_factory.mktemp("broken") / "pkg-2.0-cp312-cp312-manylinux_2_17_x86_64.whl"
    path.write_bytes(b"no zip")
    return path


Called = dict[str, Any]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[Report], Called]:
    """Let the command report what a test made by hand; the test gets what the command asked for."""

    def use(report: Report) -> Called:
        called: Called = {}

        def audit(paths: list[str], options: AuditOptions, **given: Any) -> Report:
            called.update(given, paths=paths, options=options)
            return report

        monkeypatch.setattr("wheelfuse.cli.audit.audit", audit)
        return called

    return use


def test_a_clean_wheel(clean: Path) -> None:
    code, stdout, stderr = command("audit", clean)
    assert (code, stderr) == (0, ""), stdout
    lines = stdout.splitlines()
    assert lines[0] == clean.name
    assert any(re.fullmatch(r"loads on CPython +3\.12", line) for line in lines)
    assert any(re.fullmatch(r" +pkg\._m +yes", line) for line in lines)
    assert re.fullmatch(r"passed: .*\(\d+ rules on 1 input\)", lines[-1])


def test_one_damaged_input_hides_no_other_and_counts(clean: Path, broken: Path) -> None:
    code, stdout, _ = command("audit", clean, broken, "--format", "json")
    document = valid("audit", stdout)
    assert (code, document["exit_code"], document["ok"]) == (1, 1, False)
    assert [subject["ok"] for subject in document["subjects"]] == [True, False]
    assert any(finding["code"].startswith("WF0") for finding in document["subjects"][1]["findings"])


def test_an_input_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    code, stdout, _ = command("audit", tmp_path / "none.whl")
    assert code == 1
    assert "none.whl" in stdout


def test_inputs_from_standard_input_and_directories(clean: Path, broken: Path) -> None:
    done = wheelfuse("audit", "-", "-q", stdin=f"{clean}\n\n{broken}\n")
    assert done.returncode == 1
    assert [line.split()[-1] for line in done.stdout.splitlines()[1:]] == [clean.name, broken.name]
    code, stdout, _ = command("audit", clean.parent, "--format", "json")
    assert code == 0
    assert [subject["label"] for subject in json.loads(stdout)["subjects"]] == [clean.name]


def test_nothing_to_audit_is_a_usage_error() -> None:
    done = wheelfuse("audit", "-", stdin="")
    assert done.returncode == 2
    assert "nothing to audit" in done.stderr
    as_json = wheelfuse("audit", "-", "--format", "json", stdin="")
    assert (as_json.returncode, valid("audit", as_json.stdout)["ok"]) == (2, False)


def test_every_option_arrives(made: Callable[[Report], Called], tmp_path: Path) -> None:
    called = made(CLEAN)
    command(
        "audit", "a.whl", "--installed", "torch", "--installed", "numpy", "--python", "py", "--jobs", "3",
        "--select", "WF3,WF401", "--ignore", "WF304:pkg/*=vendored", "--severity", "WF203=warning",
        "--severity", "WF301=off", "--fail-on", "warning", "--strict", "--project", "p.toml",
        "--with", tmp_path, "--baseline", "b.json", "--road-to-abi3", "--max-member-size", "20GB",
        "--max-ratio", "9", "--max-members", "7",
    )  # fmt: skip
    assert called["options"] == AuditOptions(
        ("WF3", "WF401"), (Ignore("WF304", "pkg/*", "vendored"),),
        {"WF203": Severity.WARNING, "WF301": None}, "warning", True,
    )  # fmt: skip
    assert called["paths"] == ["a.whl"]
    assert {key: value for key, value in called.items() if key not in ("options", "paths", "progress")} == {
        "installed": ("torch", "numpy"), "python": "py", "with_": (str(tmp_path),), "project": "p.toml",
        "baseline": ("b.json",), "facts": False, "jobs": 3, "limits": Limits(20 * 10**9, 9, 7),
    }  # fmt: skip


def test_pyproject_of_the_working_directory_counts_and_options_come_first(
    made: Callable[[Report], Called], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = made(CLEAN)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.wheelfuse.audit]\nselect = ["WF1"]\nfail-on = "never"\nseverity = {WF203 = "info"}\n'
        'ignore = [{code = "WF3", path = "a/*", reason = "old"}]\n'
    )
    monkeypatch.chdir(tmp_path)
    command("audit", "x.whl")
    assert called["options"] == AuditOptions(
        ("WF1",), (Ignore("WF3", "a/*", "old"),), {"WF203": Severity.INFO}, "never"
    )
    command("audit", "x.whl", "--select", "WF2", "--fail-on", "error", "--severity", "WF203=error")
    assert (called["options"].select, called["options"].fail_on) == (("WF2",), "error")
    assert called["options"].severity == {"WF203": Severity.ERROR}


@pytest.mark.parametrize("text, message", [
    ("[tool.wheelfuse.audit]\nselct = []\n", "unknown keys: selct"), ("[tool", "pyproject.toml"),
    ("[tool.wheelfuse]\naudit = 1\n", "audit must be a table"),
])  # fmt: skip
def test_a_pyproject_that_makes_no_sense(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    code, _, stderr = command("audit", "x.whl", "--config", tmp_path / "pyproject.toml")
    assert code == 2
    assert message in stderr


@pytest.mark.parametrize("arguments, message", [
    (("--select", "E501"), "no rule code"), (("--ignore", "x"), "is not CODE"),
    (("--severity", "WF203=fatal"), "is not CODE=SEVERITY"), (("--fail-on", "info"), "fail-on"),
    (("--format", "yaml"), "there are text, json"), (("--format", "json="), "is not FORMAT[=FILE]"),
    (("--format", "json", "--format", "sarif"), "json and sarif cannot both go to one place"),
    (("--format", "json=a", "--format", "sarif=./a"), "two formats go to one file"),
    (("--format", "json=a", "--format", "sarif", "-o", "a"), "two formats go to one file"),
    (("--format", "json=x.whl"), "is an input"), (("-o", "x.whl"), "is an input"),
    (("--baseline", "b", "--format", "json=b"), "is an input"),
])  # fmt: skip
def test_calls_that_make_no_sense(
    arguments: tuple[str, ...], message: str, made: Callable[[Report], Called], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    called = made(CLEAN)
    monkeypatch.chdir(tmp_path)
    code, _, stderr = command("audit", "x.whl", *arguments)
    assert code == 2
    assert message in stderr
    assert not called and list(tmp_path.iterdir()) == []


def test_several_formats_at_once(made: Callable[[Report], Called], tmp_path: Path) -> None:
    made(FULL)
    names = ("json", "sarif", "markdown", "github", "junit")
    files = {name: tmp_path / "reports" / f"a.{name}" for name in names}
    code, stdout, _ = command("audit", "x", *(f"--format={name}={path}" for name, path in files.items()))
    assert code == 1
    assert stdout.splitlines()[-1].startswith("FAILED")
    assert valid("audit", files["json"].read_text())["exit_code"] == 1
    assert json.loads(files["sarif"].read_text())["version"] == "2.1.0"
    assert files["markdown"].read_text().startswith("## wheelfuse audit\n")
    assert files["github"].read_text().startswith("::error ")
    assert ElementTree.parse(files["junit"]).getroot().tag == "testsuites"
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == sorted(
        p.name for p in files.values()
    )


def test_one_format_on_stdout_and_one_in_a_file(made: Callable[[Report], Called], tmp_path: Path) -> None:
    made(FULL)
    code, stdout, _ = command("audit", "x", "--format", "json", "--format", f"sarif={tmp_path}/s")
    assert code == 1
    assert valid("audit", stdout)["counts"]["error"] == 9
    assert (tmp_path / "s").exists()


def test_output_is_for_the_format_without_a_file(made: Callable[[Report], Called], tmp_path: Path) -> None:
    made(FULL)
    for arguments in (("--format", "junit"), ()):
        code, stdout, _ = command("audit", "x", *arguments, "-o", tmp_path / "out")
        assert (code, stdout) == (1, "")
    assert (tmp_path / "out").read_text().splitlines()[-1].startswith("FAILED")
    assert "\x1b" not in (tmp_path / "out").read_text()


def test_files_are_written_whole_or_not_at_all(made: Callable[[Report], Called], tmp_path: Path) -> None:
    made(FULL)
    (tmp_path / "file").write_text("")
    (tmp_path / "old").write_text("old")
    code, _, stderr = command(
        "audit", "x", "--format", f"json={tmp_path}/old", "--format", f"sarif={tmp_path}/file/s"
    )
    assert code == 5
    assert "error: could not write" in stderr and "Traceback" not in stderr
    assert (tmp_path / "old").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "old"]


def test_a_file_that_is_none_is_written_to(made: Callable[[Report], Called]) -> None:
    made(FULL)
    code, stdout, _ = command("audit", "x", "-q", "--format", "json=/dev/null")
    assert (code, len(stdout.splitlines())) == (1, 4)
    assert Path("/dev/null").is_char_device()


def test_unused_ignores_are_told_on_stderr(made: Callable[[Report], Called]) -> None:
    made(FULL)
    _, _, stderr = command("audit", "x")
    assert stderr == "warning: --ignore WF7:x/* matched no finding\n    Remove it.\n"
    assert command("audit", "x", "-q")[2] == ""


def test_quiet_and_verbose(made: Callable[[Report], Called]) -> None:
    made(FULL)
    quiet, usual, verbose = (command("audit", "x", *more)[1] for more in (("-q",), (), ("-v",)))
    assert len(quiet.splitlines()) == 4 < len(usual.splitlines()) < len(verbose.splitlines())


def test_an_unstable_symbol_count_is_written_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called: list[tuple[tuple[object, ...], dict[str, object]]] = []

    def write(*given: object, **more: object) -> dict[str, dict[str, int]]:
        called.append((given, more))
        return {"pkg/_C": {"unstable": 2, "unknown": 1}}

    monkeypatch.setattr("wheelfuse.cli.audit.write_baseline", write)
    code, stdout, stderr = command("audit", "x.whl", "--write-baseline", tmp_path / "b", "--jobs", "1")
    assert (code, stdout, stderr) == (0, "", f"{tmp_path / 'b'}: 3 symbols in 1 file\n")
    more = {"installed": (), "python": None, "jobs": 1, "limits": Limits(), "progress": None}
    [(arguments, given)] = called
    assert (arguments, {**given, "progress": None}) == ((str(tmp_path / "b"), ["x.whl"]), more)


def test_a_refusal_is_json_where_json_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Report:
        raise UsageError("no such interpreter")

    monkeypatch.setattr("wheelfuse.cli.audit.audit", refuse)
    code, stdout, stderr = command("audit", "x", "--format", "json")
    assert code == 2
    assert valid("audit", stdout)["errors"][0]["what"] == "no such interpreter"
    assert stderr == "error: no such interpreter\n"


def test_a_terminal_that_knows_ascii_alone(clean: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "caf\u00e9.so"
    renamed.write_bytes(b"none")
    done = wheelfuse("audit", renamed, PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert r"caf\xe9.so" in done.stdout and "Traceback" not in done.stderr


def test_a_full_standard_output_is_told(clean: Path) -> None:
    with Path("/dev/full").open("w") as full:
        line = [sys.executable, "-m", "wheelfuse", "audit", str(clean)]
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (5, "error: No space left on device\n")


@pytest.mark.parametrize("columns", [60, 80])
def test_lines_fit_the_terminal(clean: Path, columns: int) -> None:
    done = wheelfuse("audit", clean, "-v", COLUMNS=str(columns))
    assert [line for line in done.stdout.splitlines() if len(line) > columns and " " in line.strip()] == []


def test_rules_are_listed() -> None:
    code, stdout, _ = command("audit", "--list-rules")
    assert code == 0
    listed = re.findall(r"^(WF\d{3})  (error|warning|info)", stdout, re.M)
    assert listed == [(entry.rule.code, str(entry.rule.severity)) for entry in entries()]


@pytest.mark.parametrize("given", [FIRST.code, FIRST.code.lower(), FIRST.name, FIRST.name.replace("-", "_")])
def test_a_rule_is_explained_by_code_or_name(given: str) -> None:
    code, stdout, stderr = command("explain", given)
    assert (code, stderr) == (0, "")
    assert stdout.startswith(f"{FIRST.code} {FIRST.name} ({FIRST.severity})\n{FIRST.title}\n\n")
    assert "\x1b" not in stdout


def test_each_rule_can_be_explained() -> None:
    code, stdout, _ = command("explain", *(entry.rule.code for entry in entries()))
    assert code == 0
    assert all(f"\n{entry.rule.code} {entry.rule.name} (" in f"\n{stdout}" for entry in entries())


@pytest.mark.parametrize("given, near", [
    ("WF00", FIRST.code), ("unreadable", "unreadable-input"), ("unreadable-imput", "unreadable-input"),
])  # fmt: skip
def test_an_unknown_rule_is_told_with_similar_ones(given: str, near: str) -> None:
    code, stdout, stderr = command("explain", given)
    assert (code, stdout) == (2, "")
    assert stderr.startswith(f"error: no rule is called {given}; did you mean ")
    assert near in stderr
    assert "--list-rules" in stderr


def test_what_resembles_no_rule() -> None:
    code, _, stderr = command("explain", "zzzzz")
    assert code == 2
    assert "did you mean" not in stderr


def test_help() -> None:
    shown = wheelfuse("--help").stdout
    assert "audit" in shown and "explain" in shown and "1 the audit found something" in shown
    assert "--road-to-abi3" in wheelfuse("audit", "--help").stdout
