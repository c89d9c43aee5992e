"""The questions about wheels of the index, read by the survey; answered apart with nm and zipfile."""

from __future__ import annotations

import subprocess
import zipfile
from collections import defaultdict
from pathlib import Path

import pytest

from tests.real.download import brought, pins
from wheelfuse.abi import cpython
from wheelfuse.surveying.api import survey
from wheelfuse.surveying.asking import ask
from wheelfuse.target import Target
from wheelfuse.wheel.name import WheelName

pytestmark = pytest.mark.real

PROJECTS = ("cffi", "markupsafe", "msgpack")
NEWEST = ("cp310", "cp312", "cp313")


@pytest.fixture(scope="module")
def wheels() -> list[Path]:
    """Three of each project, none for a CPython after 3.13."""
    chosen = [pin for project in PROJECTS for pin in pins("projects", project) if pin.tags[1] in NEWEST]
    assert len(chosen) == 9
    return brought(*chosen)


@pytest.fixture(scope="module")
def index(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = tmp_path_factory.mktemp("survey") / "index"
    report = survey(list(map(str, wheels)), index, workers=1)
    assert (report.read, report.failed) == (len(wheels), 0)
    return index


@pytest.fixture(scope="module")
def asked(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What each wheel asks for, and cannot do without, as nm says."""
    found = defaultdict(set)
    for wheel in wheels:
        directory = tmp_path_factory.mktemp("unpacked")
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(".so") or ".so." in name:
                    path = archive.extract(name, directory)
                    lines = subprocess.run(
                        ["nm", "-D", "--undefined-only", path], check=True, capture_output=True, text=True
                    ).stdout.splitlines()
                    kinds = (line.split() for line in lines)
                    found[wheel.name] |= {words[1].partition("@")[0] for words in kinds if words[0] == "U"}
    return found


def test_what_breaks(index: Path, asked: dict[str, set[str]]) -> None:
    """On 3.13 the wheels for it, of which none should; on 3.15 those are what has to change."""
    for target, verdict in (("cp313", "yes"), ("cp315", "no")):
        lacked = {
            wheel: symbols
            for wheel, names in asked.items()
            if WheelName.parse(wheel).target == Target(13)
            and (
                symbols := {name for name in names if cpython.is_cpython_symbol(name)}
                - cpython.exports(Target.parse(target))
            )
        }
        [table, _] = ask(index, "breaks-on", target).tables
        told = zip(table.values("file"), table.values("installs"), table.values("symbols"), strict=True)
        assert {
            file: (installs, set(found)) for file, installs, found in told if isinstance(found, tuple)
        } == {wheel: (verdict, symbols) for wheel, symbols in lacked.items()}


@pytest.mark.parametrize("symbol", ["PyLong_AsLong", "memcpy", "_PyUnicode_Ready", "PyUnicode_AsUTF8AndSize"])
def test_who_uses(index: Path, asked: dict[str, set[str]], symbol: str) -> None:
    expected = {wheel for wheel, names in asked.items() if symbol in names}
    assert set(ask(index, "uses", symbol).tables[0].values("file")) == expected


def test_what_could_be_fused(index: Path, wheels: list[Path]) -> None:
    [table] = ask(index, "fuse-candidates").tables
    assert set(table.values("project")) == set(PROJECTS)
    for project, now, number in zip(*map(table.values, ("project", "size", "wheels")), strict=True):
        sizes = [wheel.stat().st_size for wheel in wheels if wheel.name.startswith(f"{project}-")]
        assert (now, number) == (sum(sizes), len(sizes))
