"""What the audit says of published wheels that use libtorch, and that the package carries torch's tables."""

from __future__ import annotations

import subprocess
import zipfile
from functools import cache
from pathlib import Path

import pytest

from tests.interpreters import uv
from tests.real.download import fetched
from wheelfuse.abi.torch import EXPORTS, SHIMS, versions
from wheelfuse.auditing.baseline import compare, count, parse, render
from wheelfuse.auditing.finding import Finding, NotRun, Severity
from wheelfuse.auditing.libtorch import all_needs, torch_versions
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.rules import entries
from wheelfuse.auditing.subject import Subject

pytestmark = pytest.mark.real

ALL = ("2.6", "2.7", "2.8", "2.9", "2.10", "2.11", "2.12", "2.13", "2.14", "2.15")
ROOT = Path(__file__).parents[2]


@cache
def subject(start: str) -> Subject:
    """The pinned wheel whose name begins so."""
    (path,) = (path for path in fetched("audit", "torch") if path.name.startswith(start))
    return read_subject(path)


def faults(start: str) -> list[tuple[str, Severity, str]]:
    """Errors and warnings about libtorch."""
    found: list[Finding | NotRun] = []
    for entry in entries():
        if entry.rule.code.startswith("WF4") and entry.check:
            found += entry.check(subject(start))
    assert not [item for item in found if isinstance(item, NotRun)]
    items = [item for item in found if isinstance(item, Finding) and item.severity > Severity.INFO]
    return [(item.code, item.severity, item.message) for item in items]


@pytest.mark.parametrize(
    ("start", "path", "unstable", "stable", "floor", "loads"),
    [
        ("torchvision-0.25", "torchvision/_C.so", 165, 0, "", ("2.10", "2.11")),
        ("torchvision-0.25", "torchvision/image.so", 79, 0, "", ("2.10", "2.11", "2.12")),
        ("torchvision-0.29.2", "torchvision/_C_stable.so", 0, 74, "2.13", ALL[7:]),
        ("torchvision-0.29.2", "torchvision/image_stable.so", 0, 79, "2.13", ALL[7:]),
        ("torchaudio-2.11", "torchaudio/lib/libtorchaudio.abi3.so", 0, 80, "2.11", ALL[5:]),
        ("torchaudio-2.11", "torchaudio/lib/_torchaudio.abi3.so", 0, 6, "2.10", ALL[4:]),
        ("torchrl-0.14.1", "torchrl/_torchrl.cpython-311-x86_64-linux-gnu.so", 88, 0, "", ALL[8:]),
        ("torchcodec-0.10", "torchcodec/libtorchcodec_core7.so", 45, 0, "", ("2.10",)),
    ],
)
def test_what_a_file_needs(
    start: str, path: str, unstable: int, stable: int, floor: str, loads: tuple[str, ...]
) -> None:
    item = all_needs(subject(start))[path]
    assert (len(item.unstable), len(item.stable), item.floor) == (unstable, stable, floor)
    assert (item.unknown, item.torch_python, item.missing) == ((), (), ())
    assert tuple(version for version in item.versions if version in ALL) == loads


@pytest.mark.parametrize(
    "start", ["torchvision-0.25", "torchvision-0.29.2", "torchaudio-2.11", "torchcodec-0.10"]
)
def test_wheels_that_require_what_loads_are_clean(start: str) -> None:
    assert faults(start) == []


def test_a_requirement_that_is_too_wide() -> None:
    assert faults("torchrl-0.14.1") == [
        (
            "WF402",
            Severity.WARNING,
            f"METADATA requires torch>=2.1.0, but only torch 2.14-{versions()[-1]} loads the files: not 2.6-2.13",
        )
    ]


def test_a_wheel_that_no_torch_of_today_loads() -> None:
    assert faults("torchtext-0.18") == [
        ("WF401", Severity.ERROR, f"needs 2 symbols that no torch 2.6-{versions()[-1]} exports")
    ]


def test_a_wheel_with_a_file_for_each_torch() -> None:
    assert torch_versions(subject("torch_c_dlpack_ext")) == ("2.6", "2.7", "2.8", "2.9")
    ((code, severity, message),) = faults("torch_c_dlpack_ext")
    assert (code, severity) == ("WF402", Severity.WARNING)
    assert "only torch 2.6-2.9 loads the files" in message


def test_a_baseline_of_a_real_wheel() -> None:
    found = count([subject("torchvision-0.25")])
    assert found == {"torchvision/_C": {"unstable": 165}, "torchvision/image": {"unstable": 79}}
    baseline = parse(render(found))
    assert compare(baseline, found) == ()
    assert len(compare(baseline, count([subject("torchvision-0.29.2")]))) == 2


def test_the_package_carries_the_tables(tmp_path: Path) -> None:
    subprocess.run(
        [uv(), "build", "-q", "--wheel", "-o", str(tmp_path), str(ROOT)], check=True, capture_output=True
    )
    (built,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        names = set(archive.namelist())
    for table in (EXPORTS, SHIMS, "SOURCES.toml", "cpython.txt"):
        assert f"wheelfuse/abi/data/{table}" in names
