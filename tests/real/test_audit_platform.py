"""The rules about the platform on wheels as they are published, and beside auditwheel."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.real.download import download, fetched, pins, sets
from wheelfuse.abi.platform import covering_policy
from wheelfuse.auditing.finding import Finding
from wheelfuse.auditing.platform import needs
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.rules import entries
from wheelfuse.auditing.subject import Subject

pytestmark = pytest.mark.real


@cache
def subject(project: str) -> Subject:
    (path,) = (path for path in fetched("audit", "platform") if path.name.startswith(f"{project}-"))
    return read_subject(path)


def findings(audited: Subject) -> list[Finding]:
    """What the rules about the platform find."""
    rules = [entry for entry in entries() if entry.rule.code.startswith("WF5") and entry.check]
    items = [item for entry in rules if entry.check for item in entry.check(audited)]
    assert all(isinstance(item, Finding) for item in items), items
    return [item for item in items if isinstance(item, Finding)]


@pytest.mark.parametrize(
    ("project", "found"),
    [
        ("bcrypt", {}),
        ("rmm_cu12", {}),
        ("torchaudio", {"WF502": "info"}),
        ("torchao", {"WF504": "warning"}),
        ("mpi4py", {"WF504": "warning"}),
        ("lightgbm", {"WF503": "warning"}),
        ("torchtext", {"WF501": "error"}),
        ("tbb4py", {"WF501": "error", "WF506": "info"}),
        ("dpctl", {"WF501": "error", "WF506": "warning"}),
        ("mkl_service", {"WF502": "info", "WF506": "warning"}),
    ],
)
def test_what_is_found_in_a_published_wheel(project: str, found: dict[str, str]) -> None:
    worst: dict[str, str] = {}
    for item in sorted(findings(subject(project)), key=lambda item: item.severity):
        worst[item.code] = str(item.severity)
    assert worst == found


@pytest.mark.parametrize(
    ("project", "code", "words"),
    [
        (
            "tbb4py",
            "WF501",
            "needs GLIBCXX_3.4.30 of libstdc++.so.6, which manylinux tags allow from 2_35 on",
        ),
        ("dpctl", "WF501", "needs GLIBCXX_3.4.29 of libstdc++.so.6, which manylinux tags allow from 2_34 on"),
        ("torchtext", "WF501", "but the tag is manylinux1_x86_64; 1 more file needs too much"),
        ("lightgbm", "WF503", "needs libgomp.so.1, found in neither the wheel nor any platform policy"),
        ("torchao", "WF504", "needs libraries of nvidia-cuda-runtime, torch, but METADATA requires none"),
        ("mkl_service", "WF502", "keep manylinux_2_17_x86_64: the most is GLIBC_2.14 of libc.so.6"),
    ],
)
def test_how_it_is_said(project: str, code: str, words: str) -> None:
    (item,) = (item for item in findings(subject(project)) if item.code == code)
    assert words in item.message


def test_the_libraries_that_come_from_elsewhere() -> None:
    assumed = needs(subject("torchaudio")).assumed
    assert {"libtorch.so (torch)", "libcudart.so.12 (nvidia-cuda-runtime-cu12)"} < set(assumed)
    assert needs(subject("dpctl")).assumed == (
        "libintlc.so.5 (intel-cmplr-lib-rt)",
        "libsycl.so.9 (intel-sycl-rt)",
    )


def auditwheel(path: Path, empty: Path) -> dict[str, Any]:
    """What ``auditwheel show`` says of a wheel, when it finds no libraries on the machine that it runs on.

    It would else count what those need too: libgomp of Debian 12 makes lightgbm manylinux_2_34.
    """
    empty.mkdir()
    command = [sys.executable, "-m", "auditwheel", "show", "--json", "--ldpaths", str(empty), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize(
    "path",
    [pins("machines", machine)[0].path for machine in sets("machines")]
    + [pin.path for pin in pins("audit", "platform")],
    ids=lambda path: path.name.split("-")[0] + path.stem[-10:],
)
def test_floor_and_libraries_are_those_that_auditwheel_gives(path: Path, tmp_path: Path) -> None:
    download()
    answer, audited = auditwheel(path, tmp_path / "empty"), read_subject(path)
    needed = needs(audited)
    if "musllinux" in path.name:
        assert needed.deciding == () and [text.split()[0] for text in needed.libc] == ["musl"]
        return
    (deciding,) = needed.deciding
    assert deciding.floor.version
    major, minor = covering_policy(deciding.floor.version)
    assert f"manylinux_{major}_{minor}_{deciding.machine}" == answer["sym_tag"]
    # auditwheel takes a library in the wheel that no RUNPATH leads to for an external one, and looks no further.
    inside = {
        name for name in answer["external_libs"] if any(path.endswith(f"/{name}") for path in audited.files)
    }
    assert set(answer["external_libs"]) - inside <= {item.soname for item in needed.externals}
    assert bool(answer["external_libs"]) == bool(needed.externals)
