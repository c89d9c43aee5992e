"""What the rules about package, coverage and CPython say of published wheels, and whether import agrees."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.interpreters import CommandFailed, available, run_python
from tests.real.download import fetched, pins, sets
from tests.wheels import build_wheel, contents
from wheelfuse.auditing.coverage import matrix
from wheelfuse.auditing.finding import Finding, NotRun, Severity
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.rules import entries
from wheelfuse.auditing.rules.cpython import missing_symbols
from wheelfuse.auditing.subject import Subject
from wheelfuse.target import Target

pytestmark = pytest.mark.real

FAMILIES = ("WF0", "WF1", "WF2", "WF3")


def judged(subject: Subject) -> list[Finding | NotRun]:
    """All that the rules of these families say."""
    found: list[Finding | NotRun] = []
    for entry in entries():
        if entry.rule.code.startswith(FAMILIES):
            found += entry.check(subject) if entry.check else entry.check_release((subject,))  # type: ignore[misc]
    return found


def faults(subject: Subject) -> list[Finding | NotRun]:
    """Errors, warnings, and checks that could not be made."""
    return [item for item in judged(subject) if isinstance(item, NotRun) or item.severity > Severity.INFO]


def wheel(section: tuple[str, ...], start: str) -> Path:
    """The pinned wheel whose name begins so."""
    (path,) = (path for path in fetched(*section) if path.name.startswith(start))
    return path


@pytest.mark.parametrize("file", [pin.file for pin in pins("audit", "verdicts")])
def test_a_sound_wheel_is_clean(file: str) -> None:
    subject = read_subject(wheel(("audit", "verdicts"), file))
    assert faults(subject) == []
    assert subject.modules


@pytest.mark.parametrize("machine", sets("machines"))
def test_wheels_for_other_machines_are_clean(machine: str) -> None:
    for path in fetched("machines", machine):
        assert faults(read_subject(path)) == []


def test_a_py3_none_wheel_with_a_file_for_everyone_has_no_holes() -> None:
    subject = read_subject(wheel(("audit", "verdicts"), "nvidia_nvimgcodec_cu12"))
    (row,) = matrix(subject)
    assert row.name == "nvidia.nvimgcodec.nvimgcodec_impl"
    assert {str(t) for t in row.present} == {
        "cp39", "cp310", "cp311", "cp312", "cp313", "cp313t", "cp314", "cp314t",
    }  # fmt: skip
    assert row.missing == row.needs_gil == ()


@pytest.mark.parametrize("free_threaded", ["313t", "314t"])
def test_the_same_wheel_without_the_file_for_one_build_names_it(free_threaded: str, tmp_path: Path) -> None:
    original = read_subject(wheel(("audit", "verdicts"), "nvidia_nvimgcodec_cu12"))
    gone = f"cpython-{free_threaded}-"
    files = {path: file for path, file in original.files.items() if gone not in path}
    (item,) = faults(replace(original, files=files, sizes=dict.fromkeys(files, 1)))
    assert isinstance(item, Finding) and item.code == "WF108"
    assert item.message.startswith(f"cp{free_threaded} would install it (py3-none, Requires-Python")


def test_a_module_for_312_renamed_to_313_and_what_import_says(tmp_path: Path) -> None:
    original = wheel(("audit", "verdicts"), "pyyaml-6.0.3-cp312-")
    files = {
        path.replace("cpython-312-", "cpython-313-"): content
        for path, content in contents(original).items()
        if ".dist-info/" not in path
    }
    subject = read_subject(build_wheel(tmp_path, "cp313", files))
    (item,) = faults(subject)
    assert isinstance(item, Finding) and item.code == missing_symbols.RULE.code
    assert item.severity is Severity.ERROR
    missing = re.findall(r"`(\w+)`", " ".join(item.details))
    assert "_PyThreadState_UncheckedGet" in missing
    assert item.details[0].startswith("all it imports is in") and "cp312" in item.details[0]

    if Target(13) not in available():
        pytest.skip("no CPython for cp313 on this machine")
    for path, content in files.items():
        (tmp_path / "site" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / path).write_bytes(content)
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); import yaml._yaml"
    with pytest.raises(CommandFailed, match="undefined symbol: ") as caught:
        run_python(available()[Target(13)], code)
    undefined = re.search(r"undefined symbol: (\w+)", str(caught.value))
    assert undefined and undefined[1] in missing


@pytest.mark.parametrize("start", ["cryptography-50.0.2-cp39-abi3", "cryptography-50.0.2-cp311-abi3"])
def test_cryptography_under_an_older_tag_than_its_own(start: str, tmp_path: Path) -> None:
    """The lowest tag that is true is the one that it has, or an older one."""
    original = wheel(("audit", "verdicts"), start)
    files = {path: content for path, content in contents(original).items() if ".dist-info/" not in path}
    subject = read_subject(build_wheel(tmp_path, tag="cp32-abi3", files=files, requires_python=">=3.2"))
    (item,) = (item for item in judged(subject) if isinstance(item, Finding) and item.code == "WF304")
    tag = re.search(r"cp3(\d+)-abi3", item.todo)
    own = re.search(r"cp3(\d+)-abi3", start)
    assert tag and own and int(tag[1]) <= int(own[1])
