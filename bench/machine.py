"""The machine, the programs and their versions: what a figure depends on besides the code."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import wheelfuse
from bench.peers import VERSIONS
from bench.programs import ROOT


def session(directory: Path) -> dict[str, str]:
    """Date, machine and versions, as text; *directory* is where the bench writes, and stands for the disk."""
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "processor": _field("/proc/cpuinfo", r"model name\s*: (.*)") or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(_field('/proc/meminfo', r'MemTotal: +([0-9]+)') or 0) / 2**20:.0f} GiB",
        "disk": _disk(directory),
        "load": f"{os.getloadavg()[0]:.2f} in the minute before",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "wheelfuse": f"{wheelfuse.__version__} ({_commit()})",
        "inflate": f"isal {installed}" if (installed := _version("isal")) else "zlib",
        "peers": ", ".join(f"{name} {number}" for name, number in peers().items()),
    }


def peers() -> dict[str, str]:
    """The peers that cases run, with their versions."""
    return {
        "wheel": _version("wheel") or "none",
        **{name: VERSIONS[name] for name in ("abi3audit", "auditwheel")},
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _field(file: str, pattern: str) -> str | None:
    found = re.search(pattern, Path(file).read_text(encoding="utf-8"))
    return found[1].strip() if found else None


def _disk(directory: Path) -> str:
    """The kind of the file system that *directory* is on, and of the device below, by the name of its driver."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    real = str(directory.resolve())
    holding = [mount for mount in mounts if real == mount[1] or real.startswith(mount[1].rstrip("/") + "/")]
    device, _, kind, *_ = max(holding, key=lambda mount: len(mount[1]))
    return f"{kind} on {Path(device).name.rstrip('0123456789')}"


def _commit() -> str:
    """The commit of the measured code, with ``+`` if wheelfuse was changed since."""
    try:
        commit = _git("rev-parse", "--short=10", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--", "wheelfuse") else "")
    except (OSError, subprocess.CalledProcessError):
        return "no clone"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
