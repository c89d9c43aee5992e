"""Runs abi3audit, auditwheel and torch-abi-audit beside ``wheelfuse audit`` on the same inputs.

``python -m bench.peers [INPUT…]`` prints, for each input and tool, the exit code, the seconds, and what it says in
the one question that it answers, beside the answer of wheelfuse; a line that begins with ``*`` is a difference.
docs/comparison.md explains them. The tools run as programs, in the versions below, in environments of their own that uv
makes; wheels are those of the section ``[audit.peers]`` of tests/real/pins.toml and a few that are made here. Times
are the best of ``--times`` runs (default 3), starting of the interpreter included.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interpreters import uv
from tests.native import module
from tests.real.download import fetched
from tests.wheels import PLATFORM, build_wheel, contents

VERSIONS = {"abi3audit": "0.0.26", "auditwheel": "6.8.2", "torch-abi-audit": "0.3.0"}

Says = Callable[[str], str]


@dataclass(frozen=True)
class Input:
    """A wheel to run the tools on; ``unpacked`` is the same as a directory, for tools that take no wheel."""

    name: str
    wheel: Path
    unpacked: Path


@dataclass(frozen=True)
class Peer:
    """A tool: its arguments for an input, what its output says, and what wheelfuse's report says in that question."""

    name: str
    arguments: Callable[[Input], list[str]]
    says: Says
    question: str
    wheelfuse_says: Callable[[dict[str, Any]], str]

    def command(self, given: Input) -> list[str]:
        return [uv(), "tool", "run", "--quiet", f"{self.name}@{VERSIONS[self.name]}", *self.arguments(given)]


@dataclass(frozen=True)
class Run:
    """How a tool ended, and what it printed. Seconds are the best of several runs."""

    exit_code: int
    seconds: float
    stdout: str
    stderr: str


def run(command: list[str], times: int) -> Run:
    """Run a command several times; the first is only there to fill caches."""
    best = float("inf")
    for _ in range(times + 1):
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        best = min(best, time.perf_counter() - start)
    return Run(done.returncode, best, done.stdout, done.stderr)


# --- what the tools say ---


def abi3audit_says(output: str) -> str:
    """Symbols outside the limited API, over all files; it skips those that it takes for no abi3 files."""
    if not output.strip():
        return "no answer"
    [spec] = json.loads(output)["specs"].values()
    results = [file["result"] for file in spec.get("wheel", ())]
    if not results:
        return "nothing to audit"
    count = sum(len(result["non_abi3_symbols"]) + len(result["future_abi3_objects"]) for result in results)
    return f"{count} outside the limited API"


def auditwheel_says(output: str) -> str:
    """The glibc that the versions of symbols ask for."""
    found = re.search(r'"sym_tag": "manylinux_(\d+)_(\d+)_', output)
    return f"glibc {found[1]}.{found[2]}" if found else "no answer"


def torch_abi_audit_says(output: str) -> str:
    """For each file that uses torch how many unstable symbols it has, or its lowest torch."""
    if not output.startswith("{"):
        return "no answer"
    says = []
    for package in json.loads(output)["packages"]:
        for file in (*package["extensions"], *package["bundled_libs"]):
            if file["error"]:
                says.append(f"{Path(file['path']).name} cannot be read")
            elif file["torch"]["uses_torch"]:
                count, lowest = len(file["torch"]["unstable_symbols"]), file["torch"]["min_torch_version"]
                says.append(_torch_line(file["path"], count, (lowest or "").removesuffix(".0")))
    return "; ".join(sorted(says)) or "no torch"


def _torch_line(path: str, unstable: int, lowest: str) -> str:
    return f"{Path(path).name}: " + (f"{unstable} unstable" if unstable else f"torch {lowest}")


def wheelfuse_on_abi3(report: dict[str, Any]) -> str:
    """The same about files that claim abi3, by the findings of WF304 (too new) and WF305 (fake)."""
    [subject] = report["subjects"]
    claimed = ".abi3" in " ".join(_files(report)) or "abi3" in subject["label"]
    if unreadable := [found for found in subject["findings"] if found["code"].startswith("WF0")]:
        return str(unreadable[0]["message"]).partition(":")[0]
    if not claimed:
        return "nothing to audit"
    count = sum(len(found["details"]) for found in subject["findings"] if found["code"] in ("WF304", "WF305"))
    return f"{count} outside the limited API"


def wheelfuse_on_glibc(report: dict[str, Any]) -> str:
    found = re.search(r"glibc \d+\.\d+", " ".join(report["subjects"][0]["loads_on"]["libc"]))
    return found[0] if found else "no answer"


def wheelfuse_on_torch(report: dict[str, Any]) -> str:
    says = []
    for road in report["roads"]:
        if road["goal"] == "libtorch stable ABI":
            count = sum(len(step["symbols"]) for step in road["steps"])
            lowest = re.search(r"orch (\d+\.\d+)", road["advice"][0])
            says += [_torch_line(path, count, lowest[1] if lowest else "") for path in road["files"]]
    says += [f"{Path(f['path']).name} cannot be read" for f in _findings(report) if f["code"] == "WF003"]
    return "; ".join(sorted(says)) or "no torch"


def _findings(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from report["subjects"][0]["findings"]


def _files(report: dict[str, Any]) -> Iterator[str]:
    yield from (path for road in report["roads"] for path in road["files"])


PEERS = (
    Peer(
        "abi3audit",
        lambda given: ["--report", "--summary", str(given.wheel)],
        abi3audit_says,
        "What do abi3 files use outside the limited API?",
        wheelfuse_on_abi3,
    ),
    Peer(
        "auditwheel",
        lambda given: ["show", "--json", str(given.wheel)],
        auditwheel_says,
        "Which glibc is needed?",
        wheelfuse_on_glibc,
    ),
    Peer(
        "torch-abi-audit",
        lambda given: ["--json", "--all", "--check", "both", "--site-packages", str(given.unpacked)],
        torch_abi_audit_says,
        "What of libtorch is used?",
        wheelfuse_on_torch,
    ),
)


# --- the inputs ---


def inputs(directory: Path) -> Iterator[Input]:
    """The pinned wheels, and those that are made of them or compiled."""
    pinned = fetched("audit", "peers")
    single = [path for path in pinned if path.name.startswith("markupsafe")]
    wheels = [(path.name.split("-manylinux")[0], path) for path in pinned if path not in single]
    wheels += [
        ("fused, py3-none", _fused(directory, single)),
        ("fake abi3", _fake_abi3(directory)),
        ("corrupt ELF file", _corrupt(directory, single[0])),
    ]
    for name, wheel in wheels:
        unpacked = directory / "unpacked" / wheel.stem
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
        yield Input(name, wheel, unpacked)


def _fused(directory: Path, wheels: Iterable[Path]) -> Path:
    """The files of several wheels in one that calls itself good for every Python, as some projects publish them."""
    files = {path: data for wheel in wheels for path, data in contents(wheel).items()}
    files = {path: data for path, data in files.items() if ".dist-info/" not in path}
    return build_wheel(directory / "fused", tag="py3-none", files=files, name="markupsafe", version="3.0.4")


def _fake_abi3(directory: Path) -> Path:
    """A module that was compiled against the full API and named abi3."""
    symbols = ("_PyObject_GetDictPtr", "_PyType_Lookup", "PyFrame_GetBack")
    files = {"pkg/__init__.py": b"", "pkg/_C.abi3.so": module("_C", "any", *symbols)}
    return build_wheel(directory / "fake", tag="cp39-abi3", files=files, platform=PLATFORM)


def _corrupt(directory: Path, wheel: Path) -> Path:
    """A wheel in order, but for an extension module that was cut in half before it was packed."""
    files = {path: data for path, data in contents(wheel).items() if ".dist-info/" not in path}
    files = {path: data[: len(data) // 2] if path.endswith(".so") else data for path, data in files.items()}
    return build_wheel(directory / "corrupt", tag="cp311-cp311", files=files, name="markupsafe")


# --- the comparison ---


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="INPUT", help="only inputs whose names hold one of these")
    parser.add_argument("--times", type=int, default=3, metavar="N")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        for given in inputs(Path(directory)):
            if not options.names or any(name in given.name for name in options.names):
                compare(given, options.times)


def compare(given: Input, times: int) -> None:
    """Print how the tools end on one input."""
    command = [
        sys.executable,
        "-m",
        "wheelfuse",
        "audit",
        "--format",
        "json",
        "--road-to-abi3",
        str(given.wheel),
    ]
    ours = run(command, times)
    if ours.exit_code not in (0, 1):
        sys.exit(f"{given.name}: wheelfuse failed\n{ours.stderr}")
    report = json.loads(ours.stdout)
    codes = sorted(
        {f"{found['code']} {found['severity']}" for found in _findings(report) if found["severity"] != "info"}
    )
    print(f"\n{given.name}")
    print(f"  wheelfuse: exit {ours.exit_code}, {ours.seconds:.2f} s; {', '.join(codes) or 'nothing found'}")
    for peer in PEERS:
        theirs = run(peer.command(given), times)
        answers = (peer.says(theirs.stdout), peer.wheelfuse_says(report))
        mark = " " if answers[0] == answers[1] and bool(theirs.exit_code) == bool(ours.exit_code) else "*"
        print(f"{mark} {peer.name}: exit {theirs.exit_code}, {theirs.seconds:.2f} s. {peer.question}")
        print(f"    {peer.name}: {answers[0]}\n    wheelfuse: {answers[1]}")


if __name__ == "__main__":
    main()
