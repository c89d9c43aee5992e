"""``wheelfuse.audit`` as a function of paths, with all that it can be told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import wheelfuse
from tests.native import library, module, soabi
from tests.wheels import build_wheel, metadata
from wheelfuse import AuditOptions, Ignore, Outcome, Severity, Target
from wheelfuse.auditing.reading import read_subject

CP311, CP312 = Target(11), Target(12)
UNSTABLE = "_ZN2at6Tensor3addEv"


def wheel(directory: Path, target: Target = CP312, version: str = "1.0") -> Path:
    files = {f"pkg/{soabi('_x', target)}": module("_x", target)}
    return build_wheel(directory, str(target), files, version=version)


def codes(report: wheelfuse.Report) -> set[str]:
    return {finding.code for finding in report.findings}


def torch_module(*symbols: str) -> bytes:
    declare = "".join(f"extern void {symbol}(void);" for symbol in symbols)
    body = " ".join(f"sink = (void *){symbol};" for symbol in symbols)
    torch = library("".join(f"void {symbol}(void) {{}}" for symbol in symbols), "libtorch.so")
    return module(
        "_x", CP312, declare=f"{declare} void *volatile sink;", body=body, beside={"libtorch.so": torch}
    )


def test_one_path_or_many(tmp_path: Path) -> None:
    path = wheel(tmp_path)
    assert wheelfuse.audit(path) == wheelfuse.audit([path]) == wheelfuse.audit(str(tmp_path))


def test_the_answer_says_where_it_loads(tmp_path: Path) -> None:
    (subject,) = wheelfuse.audit(wheel(tmp_path)).subjects
    assert subject.answer.targets == (CP312,)
    (row,) = subject.answer.modules
    assert row.module == "pkg._x"
    assert [cell.outcome for cell in row.cells] == [Outcome.LOADS]
    assert subject.answer.platforms == ("manylinux_2_17_x86_64",)


def test_one_failed_input_does_not_hide_the_others(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged-1.0-cp312-cp312-linux_x86_64.whl"
    damaged.write_bytes(wheel(tmp_path / "in").read_bytes()[:500])
    report = wheelfuse.audit([tmp_path / "absent.so", damaged, wheel(tmp_path)])
    failed = [any(f.severity is Severity.ERROR for f in subject.findings) for subject in report.subjects]
    assert failed == [True, True, False]
    assert report.subjects[2].answer.modules
    assert report.exit_code == 1


def test_options_count(tmp_path: Path) -> None:
    path = build_wheel(
        tmp_path, "cp312", {f"pkg/{soabi('_x', CP312)}": module("_x", CP312, "PyNothing_Ever")}
    )
    assert wheelfuse.audit(path).exit_code == 1
    assert wheelfuse.audit(path, AuditOptions(fail_on="never")).exit_code == 0
    ignored = wheelfuse.audit(path, AuditOptions(ignore=(Ignore("WF3", "pkg/**", "known"),)))
    assert ignored.exit_code == 0
    assert ignored.subjects[0].suppressed


def test_a_project_is_held_against_its_wheels(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nname = "pkg"\nversion = "1.0"\nrequires-python = ">=3.11,<3.13"\n')
    wheels = [wheel(tmp_path, CP311), wheel(tmp_path, CP312)]
    assert "WF203" not in codes(wheelfuse.audit(wheels, project=project))
    alone = wheelfuse.audit(wheels[:1], project=project)
    assert {"WF203"} & codes(alone)
    assert "3.12" in next(f.message for f in alone.findings if f.code == "WF203") or "cp312" in str(
        alone.findings
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no project.requires-python"),
        ("[project]\nrequires-python = 3", "no project.requires-python"),
        ('[project]\nrequires-python = "three"', "requires-python"),
        ("[project", "pyproject.toml"),
        ("x = " + "[" * 20_000, "nested too deeply"),
        ("project = 1", "project must be a table"),
    ],
)
def test_a_project_that_asks_for_nothing_is_refused(tmp_path: Path, text: str, what: str) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text(text)
    with pytest.raises(wheelfuse.UsageError, match=what):
        wheelfuse.audit(wheel(tmp_path), project=project)


def test_libraries_from_elsewhere_are_looked_up_for_real(tmp_path: Path) -> None:
    code, soname = "int spam(void) { return 1; }", "libspam.so.1"
    elsewhere = tmp_path / "venv" / "lib"
    elsewhere.mkdir(parents=True)
    extension = module(
        "_x", CP312, declare="extern int spam(void);", body="spam();", beside={soname: library(code, soname)}
    )
    path = build_wheel(tmp_path, "cp312", {f"pkg/{soabi('_x', CP312)}": extension})

    def outcome() -> Outcome:
        (subject,) = wheelfuse.audit(path, with_=[tmp_path / "venv"]).subjects
        return subject.answer.modules[0].cells[0].outcome

    assert outcome() is Outcome.FAILS
    (elsewhere / soname).write_bytes(library("int eggs(void) { return 1; }", soname))
    assert outcome() is Outcome.FAILS
    (elsewhere / soname).write_bytes(library(code, soname))
    assert outcome() is Outcome.LOADS


def test_a_place_for_libraries_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(wheelfuse.UsageError, match="no such directory"):
        wheelfuse.audit(wheel(tmp_path), with_=[tmp_path / "absent"])


def test_a_baseline_lets_counts_only_shrink(tmp_path: Path) -> None:
    def built(*symbols: str) -> Path:
        files = {f"pkg/{soabi('_x', CP312)}": torch_module(*symbols)}
        return build_wheel(tmp_path, "cp312", files, metadata_extra="Requires-Dist: torch")

    baseline = tmp_path / "baseline.json"
    path = built(UNSTABLE, UNSTABLE.replace("add", "sub"))
    assert wheelfuse.write_baseline(baseline, path) == {"pkg/_x": {"unstable": 2}}
    assert "WF407" not in codes(wheelfuse.audit(path, baseline=baseline))
    more = built(UNSTABLE, UNSTABLE.replace("add", "sub"), UNSTABLE.replace("add", "mul"))
    assert "WF407" in codes(wheelfuse.audit(more, baseline=baseline))
    fewer = built(UNSTABLE)
    assert "WF407" in codes(wheelfuse.audit(fewer, baseline=baseline))
    wheelfuse.write_baseline(baseline, fewer)
    assert "WF407" not in codes(wheelfuse.audit(fewer, baseline=baseline))


def test_no_baseline_is_written_of_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(wheelfuse.InvalidInput):
        wheelfuse.write_baseline(tmp_path / "baseline.json", [wheel(tmp_path), tmp_path / "absent.whl"])
    assert not (tmp_path / "baseline.json").exists()


def test_a_baseline_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(wheelfuse.UsageError, match="cannot be read"):
        wheelfuse.audit(wheel(tmp_path), baseline=tmp_path / "absent.json")


def test_roads_come_with_every_report(tmp_path: Path) -> None:
    path = build_wheel(
        tmp_path, "cp312", {f"pkg/{soabi('_x', CP312)}": module("_x", CP312, "_PyType_Lookup")}
    )
    (road,) = wheelfuse.audit(path).roads
    assert (road.module, road.goal, road.count) == ("pkg._x", "abi3", 1)


def test_several_at_a_time_give_the_same_report(tmp_path: Path) -> None:
    for version in ("1.0", "2.0", "3.0"):
        wheel(tmp_path, version=version)
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, wheelfuse\n"
        "if __name__ == '__main__':\n"
        "    one, many = (wheelfuse.audit(sys.argv[1], jobs=jobs) for jobs in (1, 2))\n"
        "    assert one == many and len(one.subjects) == 3\n"
    )
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)


def test_a_requirement_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    text = metadata(extra="Requires-Dist: spam ; nonsense\nRequires-Dist: torch")
    path = build_wheel(tmp_path, "cp312", {"pkg/a.py": ""}, dist_info={"METADATA": text}, purelib=True)
    assert [requirement.name for requirement in read_subject(path).requirements] == ["torch"]
    assert wheelfuse.audit(path).subjects
