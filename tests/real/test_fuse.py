"""Wheels from the package index are fused, split again, and looked at by the tools that others wrote."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from installer.sources import WheelFile

from tests.real.conftest import of_each
from tests.real.download import fetched, sha256
from tests.real.fusing import Fused, extension_modules, merge
from tests.real.projects import PROJECTS
from tests.wheels import wheelfuse

pytestmark = pytest.mark.real

_FINDING = re.compile(r": (?P<code>W\d+): ")
_SOABI = re.compile(r"\.cpython-3\d+t?-[\w-]+(?=\.so$)")
_OF_ONE = re.compile(r"-cp3\d+t?(?=\.so)")
_CARRIER = re.compile(r"\.libs/lib[^/]+-device-[0-9a-f]{16}\.so$")
_NOT_FOR_IMPORT = re.compile(r"-cp3\d+t?\.so[.\d]*$|(\.cp3\d+t?)+\.py$")
_NUMPY = [key for key in PROJECTS if key.startswith("numpy")]
_NOT_BULKY = [key for key, project in PROJECTS.items() if not project.bulky]


@pytest.mark.parametrize("fused", of_each(), indirect=True)
def test_one_wheel_holds_the_modules_of_all(
    fused: Fused, record_property: Callable[[str, object], None]
) -> None:
    record_property("fused", fused.summary)

    assert {e["label"] for e in fused.outcome["targets"]} == set(map(str, fused.project.targets))
    for target in fused.project.targets:
        expected = extension_modules(fused.original(target))
        assert expected
        assert set(fused.modules(target)) == expected
        with zipfile.ZipFile(fused.path) as archive:
            assert set(fused.modules(target).values()) <= set(archive.namelist())


@pytest.mark.parametrize("key", _NUMPY)
def test_what_only_old_cpythons_have_is_refused_as_one_group(key: str, tmp_path: Path) -> None:
    refused = wheelfuse("merge", *fetched("projects", key), "-o", tmp_path)

    assert refused.returncode == 4
    assert not list(tmp_path.iterdir())
    assert refused.stderr.count("only some wheels have it") == 1
    assert refused.stderr.count("error: ") == 1
    assert "numpy/distutils/**" in refused.stderr
    assert re.search(r"\n +12\d files: ", refused.stderr)
    assert re.search(r"\n +in (cp310, )?cp311\n +not in cp312, cp313", refused.stderr)
    for strategy in ("keep", "drop"):
        assert f"\n    --resolve 'numpy/distutils/**={strategy}'  " in refused.stderr


@pytest.mark.parametrize("fused", of_each(), indirect=True)
def test_split_gives_back_the_wheels_and_merging_these_the_same_bytes(fused: Fused, scratch: Path) -> None:
    done = wheelfuse("split", fused.path, "-d", scratch / "split")
    assert done.returncode == 0, done.stderr

    for target in fused.project.targets:
        original = fused.original(target)
        (again,) = (path for path in (scratch / "split").iterdir() if f"-{target}-manylinux" in path.name)
        assert again.name == original.name
        assert differing(members(original), members(again)) == fused.changed(target)

    if not fused.project.bulky:
        outcome = merge(sorted((scratch / "split").iterdir()), scratch / "fused", *fused.options)
        assert Path(outcome["output"]["path"]).name == fused.path.name
        assert outcome["output"]["sha256"] == fused.outcome["output"]["sha256"] == sha256(fused.path)


@pytest.mark.parametrize("fused", of_each(), indirect=True)
def test_the_losses_are_the_expected_ones(fused: Fused) -> None:
    paths = {entry["path"] for entry in fused.outcome["not_restorable"]}
    if fused.project.resolve == "drop":
        assert paths
        assert all(path.startswith("numpy/distutils/") for path in paths)
    elif fused.project.key == "pyarrow":
        # Built once per CPython: the library differs in the time of its build, the headers in their generator.
        headers = {"pyarrow/include/arrow/python/lib.h", "pyarrow/include/arrow/python/lib_api.h"}
        assert paths == {"pyarrow/libarrow.so.2500", *headers}
    else:
        assert not paths


@pytest.mark.parametrize("fused", of_each(), indirect=True)
def test_the_record_is_accepted_by_installer(fused: Fused) -> None:
    with WheelFile.open(fused.path) as wheel:
        wheel.validate_record(validate_contents=True)


@pytest.mark.parametrize("fused", of_each(), indirect=True)
def test_metadata_is_accepted_by_twine(fused: Fused) -> None:
    run_tool("twine", "check", fused.path)


@pytest.mark.parametrize("fused", of_each(), indirect=True)
def test_check_wheel_contents_finds_what_it_found_in_the_inputs(fused: Fused) -> None:
    known = {finding for original in fused.originals for finding in findings(original)}
    new = [finding for finding in findings(fused.path) if finding not in known]

    assert not [finding for finding in new if not is_meant(*finding, known)]


@pytest.mark.parametrize("fused", of_each(), indirect=True)
def test_auditwheel_sees_the_platform_of_the_name(fused: Fused) -> None:
    found = platform_by_auditwheel(fused.path)

    if found == "linux_x86_64":
        # It needs libraries of CUDA, which no manylinux platform has; so do the wheels that were published.
        assert platform_by_auditwheel(fused.originals[0]) == "linux_x86_64"
    else:
        assert glibc(found) <= min(map(glibc, fused.path.stem.split("-")[-1].split(".")))


@pytest.mark.parametrize("fused", of_each(*_NOT_BULKY), indirect=True)
def test_wheel_unpacks_it(fused: Fused, scratch: Path) -> None:
    run_tool("wheel", "unpack", "--dest", scratch, fused.path)

    name, version = fused.path.name.split("-")[:2]
    assert (scratch / f"{name}-{version}" / f"{name}-{version}.dist-info" / "RECORD").is_file()


def members(wheel: Path) -> dict[str, tuple[str, int]]:
    """The files in a wheel: path -> SHA-256 and mode."""
    found = {}
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as member:
                    digest = hashlib.sha256()
                    while block := member.read(1 << 20):
                        digest.update(block)
                mode = info.external_attr >> 16
                found[info.filename] = (digest.hexdigest(), mode)
    return found


def differing(some: dict[str, tuple[str, int]], others: dict[str, tuple[str, int]]) -> set[str]:
    """The paths at which two wheels do not have the same."""
    return {path for path in some.keys() | others.keys() if some.get(path) != others.get(path)}


def run_tool(module: str, *arguments: object) -> str:
    """What a command line tool printed, which must be content with what it was given."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def findings(wheel: Path) -> list[tuple[str, frozenset[str]]]:
    """What ``check-wheel-contents`` objects to: code and paths of each finding."""
    command = [sys.executable, "-m", "check_wheel_contents", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    found: list[tuple[str, list[str]]] = []
    for line in done.stdout.splitlines():
        if match := _FINDING.search(line):
            found.append((match["code"], []))
        elif line.startswith("  "):
            found[-1][1].append(line.strip())
        else:
            assert line.endswith(": OK"), line
    return [(code, frozenset(paths)) for code, paths in found]


def is_meant(code: str, paths: frozenset[str], known: set[tuple[str, frozenset[str]]]) -> bool:
    """Whether fusing wheels must lead to a finding that none of the wheels had."""
    before = frozenset().union(*(others for other, others in known if other == code))
    added = paths - before
    if code == "W002":
        # Equal files: a module that uses little of CPython is the same for two of them, but import wants two names.
        # A library that was there under several names is so for each CPython.
        alike = len({_SOABI.sub("", path) for path in paths}) == 1 and all(map(_SOABI.search, paths))
        return alike or (code, frozenset(_OF_ONE.sub("", path) for path in paths)) in known
    if code == "W004":
        # No module can have such a name. That is the point: the linker or the dispatching module finds these files.
        return all(_NOT_FOR_IMPORT.search(path) or _CARRIER.search(path) for path in added)
    if code == "W009":
        # A directory for the carrier of GPU code, as repair tools make one for libraries (numpy.libs).
        return all(path.endswith(".libs/") for path in added)
    return False


def platform_by_auditwheel(wheel: Path) -> str:
    """The platform tag that ``auditwheel show`` tells."""
    printed = " ".join(run_tool("auditwheel", "show", wheel).split())
    match = re.search(r'is consistent with the following platform tag: "(\w+)"', printed)
    assert match, printed
    return match[1]


def glibc(platform: str) -> int:
    """The minor version of glibc 2 that a manylinux platform tag stands for (PEP 600)."""
    old = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
    family, *version = platform.split("_")
    return old[family] if family in old else int(version[1])
