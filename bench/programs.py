"""The programs that are measured: wheelfuse, and what does the same job without it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import wheelfuse as package
from bench.measure import Command
from bench.peers import VERSIONS
from tests.interpreters import uv

ROOT = Path(package.__file__).parents[1]
"""Where the measured wheelfuse lies; what is imported here is measured, whatever else is installed."""

SHELL = "/bin/sh"


def wheelfuse(
    name: str, *arguments: str | Path, output: Path | None = None, codes: tuple[int, ...] = (0,)
) -> Command:
    """``python -m wheelfuse`` with the running Python."""
    return python(name, "-m", "wheelfuse", *arguments, output=output, codes=codes)


def merge(
    name: str, wheels: list[Path], directory: Path, *options: str, before: tuple[str, ...] = ()
) -> Command:
    """``wheelfuse merge`` into a directory of its own; *before* are options of Python."""
    output = directory / "merged"
    arguments = ("-m", "wheelfuse", "merge", "--quiet", "-o", str(output), *options)
    return python(name, *before, *arguments, *wheels, output=output)


def audit(name: str, wheels: list[Path], *options: str) -> Command:
    """``wheelfuse audit``, which may find something."""
    return wheelfuse(name, "audit", *options, *wheels, codes=(0, 1))


def python(
    name: str, *arguments: str | Path, output: Path | None = None, codes: tuple[int, ...] = (0,)
) -> Command:
    """The running Python, which imports wheelfuse and the bench from here, and finds them compiled as installed."""
    environment = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
    return Command(name, (sys.executable, *map(str, arguments)), codes, output, environment)


def cat(wheels: list[Path], directory: Path, *, synced: bool = False) -> Command:
    """``cat INPUTS > FILE``: what reading and writing the inputs alone takes. *synced*: until it is on the disk."""
    output = directory / "cat"
    script = f"cat {_words(*wheels)} > {_words(output)}"
    if synced:
        script += f" && sync {_words(output)}"
    return Command("cat && sync" if synced else "cat", (SHELL, "-c", script), output=output)


def floor(wheels: list[Path]) -> Command:
    """All that verifying cannot do without: inflating and hashing all members, hashing the files."""
    return python("floor", "-m", "bench.floor", *wheels)


def repack(wheels: list[Path], directory: Path) -> Command:
    """``wheel unpack`` for each wheel, a copy of all trees into one, ``wheel pack`` of that."""
    work = directory / "repacked"
    wheel = [sys.executable, "-m", "wheel"]
    unpack = [_words(*wheel, "unpack", "--dest", work / str(n), path) for n, path in enumerate(wheels)]
    copies = [f"cp -R {_words(work / str(n))}/*/. {_words(work / '0')}/*/" for n in range(1, len(wheels))]
    steps = [f"mkdir {_words(work)}", *unpack, *copies]
    steps += [f"{_words(*wheel)} pack --dest-dir {_words(work)} {_words(work / '0')}/*/"]
    return Command("unpack, copy, pack", (SHELL, "-c", " && ".join(steps)), output=work)


def tool(
    name: str, directory: Path, *arguments: str | Path, codes: tuple[int, ...] = (0,), label: str = ""
) -> Command:
    """A peer, as a program in an environment of its own that uv makes."""
    environment = directory / "environments" / name
    program = environment / "bin" / name
    if not program.exists():
        make = [uv(), "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)]
        subprocess.run(make, check=True)
        install = [uv(), "pip", "install", "--quiet", "--python", str(environment / "bin" / "python")]
        subprocess.run([*install, f"{name}=={VERSIONS[name]}"], check=True)
    return Command(label or name, (str(program), *map(str, arguments)), codes)


def _words(*words: str | Path) -> str:
    return shlex.join(map(str, words))
