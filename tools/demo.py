"""``make demo`` and ``make demo-cuda``: from the sources of a package to a fused wheel that was tried."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wheelfuse.building.toolchain import find_nvcc

ROOT = Path(__file__).resolve().parent.parent
WHEELFUSE = Path(sys.executable).with_name("wheelfuse")
PREBUILT = "fixtures/wheels/wheelfuse_fixture_c-*.whl"
TORCH = "torch==2.13.0"


@dataclass(frozen=True)
class Demo:
    """What to build, for which CPythons, in which environment; and how to verify the result."""

    project: str
    directory: str
    pythons: tuple[str, ...]
    verify: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


C = Demo(
    "fixtures/wheelfuse-fixture-c",
    "demo",
    ("--free-threaded",),
    ("--jobs", "0", "--command", "fusec"),
)
CUDA = Demo(
    "fixtures/wheelfuse-reference",
    "demo/cuda",
    ("--exclude", "cp314,cp315"),
    # torch is what takes long to install, so the wheel is tried on the CPython of this environment alone.
    ("--python", f"{sys.version_info.major}.{sys.version_info.minor}", "--with", TORCH, "--with", "numpy", "--command",
     "cd {project} && python -m tests.reference.checks . cpu"),
    {"WHEELFUSE_REFERENCE_BINDING": "pybind11"},
)  # fmt: skip


class Steps:
    """Commands that are shown, run and timed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = {**os.environ, **environment}
        self.taken: list[tuple[str, float]] = []

    def run(self, command: str, *arguments: str) -> None:
        """Run a command of wheelfuse in the root of the repository; the demo ends if it fails."""
        print(f"\n$ wheelfuse {command} {' '.join(map(shown, arguments))}", flush=True)
        begun = time.monotonic()
        done = subprocess.run([WHEELFUSE, command, *arguments], cwd=ROOT, env=self.environment)
        self.taken.append((command, time.monotonic() - begun))
        if done.returncode:
            sys.exit(f"demo: wheelfuse {command} ended with exit status {done.returncode}")

    def table(self) -> str:
        """What each step cost."""
        return "\n".join(f"{command:8} {seconds:7.1f} s" for command, seconds in self.taken)


def shown(argument: str) -> str:
    return argument if "*" in argument else shlex.quote(argument)


def found(demo: Demo) -> tuple[list[str], list[str]]:
    """The CPythons of the project that are on this machine, and those that are not."""
    asked = [WHEELFUSE, "pythons", "--project", demo.project, *demo.pythons, "--format", "json"]
    answer = json.loads(subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    here = [row["target"] for row in answer["pythons"] if row["interpreter"]]
    return here, [row["target"] for row in answer["pythons"] if not row["interpreter"]]


def wheels(pattern: str) -> list[str]:
    """The files that a pattern matches, as the shell would name them."""
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern))


def play(demo: Demo) -> int:
    """Run all steps."""
    shutil.rmtree(ROOT / demo.directory, ignore_errors=True)
    steps = Steps(demo.environment)
    steps.run("pythons", "--project", demo.project, *demo.pythons)
    here, missing = found(demo)
    if len(here) < 2:
        print("\nFewer than two CPythons were found: name more in WHEELFUSE_PYTHONS.", flush=True)
    built = f"{demo.directory}/wheelhouse/*.whl"
    if demo is C and not shutil.which("cc"):
        print("\nThere is no C compiler, so the wheels that lie in fixtures/ are fused.", flush=True)
        built, here = PREBUILT, []
    else:
        excluded = ["--exclude", ",".join(missing)] if missing else []
        options = [*demo.pythons, *excluded, "-d", f"{demo.directory}/wheelhouse"]
        steps.run("build", demo.project, *options)
    expect = ["--expect", ",".join(here)] if here else []
    steps.run("merge", *wheels(built), "-o", f"{demo.directory}/dist", *expect)
    (fused,) = wheels(f"{demo.directory}/dist/*.whl")
    steps.run("audit", fused)
    steps.run("verify", fused, *demo.verify)
    print(f"\nWhat each step took:\n{steps.table()}\n\n{fused}")
    return 0


def main(arguments: list[str]) -> int:
    if arguments == ["cuda"]:
        if not find_nvcc():
            sys.exit("demo: there is no nvcc; `pip install '.[cuda]'` in .venv brings one")
        return play(CUDA)
    return play(C)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
