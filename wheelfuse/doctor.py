"""What this machine can do: its CPythons, tools, caches and room, which commands work with them, and how to install
what is missing. Nothing is changed, and nothing is asked of a network.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from wheelfuse.abi.cpython import has_table
from wheelfuse.building.toolchain import find_cache, find_cuda, find_cxx
from wheelfuse.building.torch import VARIABLE as TORCH_VARIABLE
from wheelfuse.errors import JobFailed
from wheelfuse.escape import shell_line
from wheelfuse.interpreters.environments import uv
from wheelfuse.interpreters.probe import Interpreter
from wheelfuse.interpreters.search import find
from wheelfuse.processes import environment, run
from wheelfuse.target import ALL_TARGETS, OLDEST_MAINTAINED, Target
from wheelfuse.workers import processors

Progress = Callable[[int, int], None]
"""Called with the questions answered so far, and those to ask in all."""

COMMANDS = ("merge", "split", "audit", "build", "compile", "verify")
"""The commands that need something of the machine."""

_TIMEOUT = 20.0  # seconds, for each program that is asked
_WALK = 1.5  # seconds in which the size of a cache must be known
_MARK = "wheelfuse-torch:"
_ASK_TORCH = f"""
import importlib.metadata as m
try: print({_MARK!r} + m.version("torch"))
except m.PackageNotFoundError: print({_MARK!r})
"""
_VERSION = re.compile(r"\d+(?:\.\d+)+")
_MANAGERS = {
    "apt-get": ("install", {"c++": "g++", "headers": "python{version}-dev"}),
    "dnf": ("install", {"c++": "gcc-c++", "headers": "python{version}-devel"}),
    "zypper": ("install", {"c++": "gcc-c++", "headers": "python3-devel"}),
    "apk": ("add", {"c++": "g++", "headers": "python3-dev"}),
    "pacman": ("-S", {"c++": "gcc", "headers": "python"}),
}
"""Package managers of Linux distributions: how each installs, and what a package is called there if not as the
program in it."""


@dataclass(frozen=True)
class Python:
    """A CPython of this machine; *torch* is the version that is installed in it, empty if none is."""

    interpreter: Interpreter
    torch: str = ""


@dataclass(frozen=True)
class Tool:
    """A program or a library: where it is (empty: it is missing), its version, and what it is for.

    Without it the commands in *needed_by* do not work. *install* is the line for a shell that installs it.
    """

    name: str
    serves: str
    path: str = ""
    version: str = ""
    needed_by: tuple[str, ...] = ()
    install: str = ""


@dataclass(frozen=True)
class Lack:
    """CPythons, or headers of one, that are missing: what they would serve, and the line that installs them."""

    what: str
    serves: str
    install: str


@dataclass(frozen=True)
class Cache:
    """A cache and its size in bytes, which is at least that if it is not *counted* to the end."""

    name: str
    path: Path
    size: int
    counted: bool = True


@dataclass(frozen=True)
class Room:
    """A directory that is written to, what is free there in bytes, and why it cannot be written to."""

    name: str
    path: str
    free: int
    problem: str = ""


@dataclass(frozen=True)
class Ability:
    """A command, and why it does not work here; nothing if it does."""

    command: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """What this machine can do. Memory is in bytes: what there is, and what is available now; 0 if unknown."""

    version: str
    python: Path
    python_version: str
    system: str
    processors: int
    memory: int
    available: int
    pythons: tuple[Python, ...]
    tools: tuple[Tool, ...]
    lacks: tuple[Lack, ...]
    caches: tuple[Cache, ...]
    rooms: tuple[Room, ...]

    @property
    def missing_tools(self) -> tuple[Tool, ...]:
        """Those that could be installed."""
        return tuple(tool for tool in self.tools if not tool.path)

    @property
    def abilities(self) -> tuple[Ability, ...]:
        """What works, and what is in the way of the rest."""
        return tuple(Ability(command, tuple(self._in_the_way(command))) for command in COMMANDS)

    @property
    def exit_code(self) -> int:
        """0, unless nothing works at all."""
        return JobFailed.exit_code if all(ability.missing for ability in self.abilities) else 0

    def _in_the_way(self, command: str) -> Iterator[str]:
        yield from (
            f"{room.path or room.name} {room.problem}"
            for room in self.rooms
            if room.problem and room.name == TEMPORARY
        )
        yield from (f"there is no {tool.name}" for tool in self.missing_tools if command in tool.needed_by)
        if command == "verify" and not self.pythons:
            yield "there is no CPython to install wheels with"
        if command in ("build", "compile") and not any(one.interpreter.include for one in self.pythons):
            yield "there is no CPython with headers"


TEMPORARY = "temporary files"
"""What the room is called that every command needs."""


def diagnosis(version: str, progress: Progress | None = None) -> Diagnosis:
    """Look at this machine. *version* is that of wheelfuse."""
    tell = progress or (lambda _, __: None)
    tell(0, 1)
    found = find(headers=False)
    pythons = _with_torch(found.interpreters, tell)
    tools = tuple(_tools(pythons))
    memory, available = _memory()
    return Diagnosis(
        version, Path(sys.executable), platform.python_version(), _system(), processors(), memory, available,
        pythons, tools, tuple(_lacks(found.interpreters)), tuple(_caches()), tuple(_rooms()),
    )  # fmt: skip


def _with_torch(interpreters: tuple[Interpreter, ...], tell: Progress) -> tuple[Python, ...]:
    with ThreadPoolExecutor(2 * processors()) as pool:
        answers = []
        for done, answer in enumerate(pool.map(lambda one: _torch_of(one.path), interpreters), 1):
            answers.append(answer)
            tell(done, len(interpreters))
    return tuple(Python(one, torch) for one, torch in zip(interpreters, answers, strict=True))


def _torch_of(python: Path) -> str:
    return _asked(python, "-c", _ASK_TORCH).rpartition(_MARK)[2].strip()


def _asked(*command: str | Path) -> str:
    """What a program prints; empty if it cannot be run, or fails."""
    try:
        done = run(command, cwd=Path("/"), env=environment(), timeout=_TIMEOUT)
    except OSError:
        return ""
    return done.output if done.ok else ""


def _version_of(program: str) -> str:
    found = _VERSION.search(_asked(program, "--version"))
    return found[0] if found else ""


def _tools(pythons: tuple[Python, ...]) -> Iterator[Tool]:
    yield _uv()
    yield _package("build", "build", needed_by=("build",), install="wheelfuse[build]")
    yield _cxx()
    yield _nvcc()
    yield _torch(pythons)
    cache = find_cache()
    yield _program("ccache", "build and compile, which then compile nothing twice", cache)
    yield _program(
        "git", "build, which then takes the files that git knows, and no others", shutil.which("git")
    )
    extra = "merge --share-device-code=names"
    yield _package("lz4", extra, install="wheelfuse[names]")
    if sys.version_info < (3, 14):
        yield _package("backports.zstd", extra, install="wheelfuse[names]")
    if sys.implementation.name == "cpython" and sys.version_info < (3, 15):
        yield _package(
            "isal", "merge, split and audit, which are about twice as fast with it", install="isal"
        )


def _uv() -> Tool:
    serves = "build and verify (fast environments), build --provision (CPythons)"
    needed = () if find_spec("pip") else ("build", "verify")
    path = uv()
    return Tool(
        "uv", serves, path, _version_of(path) if path else "", needed, "" if path else _pip_line("uv")
    )


def _cxx() -> Tool:
    serves = "compile, and build of projects with C or C++"
    try:
        path = find_cxx()[0]
    except JobFailed:
        return Tool("C++ compiler", serves, needed_by=("compile",), install=_system_line("c++"))
    return Tool("C++ compiler", serves, path, _version_of(path), ("compile",))


def _nvcc() -> Tool:
    serves = "compile of .cu files, and build of projects with CUDA"
    try:
        cuda = find_cuda()
    except JobFailed:
        return Tool("nvcc", serves, install=_pip_line("wheelfuse[cuda]"))
    return Tool("nvcc", serves, str(cuda.nvcc), cuda.version)


def _torch(pythons: tuple[Python, ...]) -> Tool:
    """The torch that is compiled against: of the interpreter that is named, or else of the running one."""
    serves = "compile --torch, and build of projects against torch"
    if named := os.environ.get(TORCH_VARIABLE):
        if version := _torch_of(Path(named).absolute()):
            return Tool("torch", serves, named, version)
        return Tool("torch", serves, install=_pip_line("torch", python=named))
    try:
        return Tool("torch", serves, sys.executable, metadata.version("torch"))
    except metadata.PackageNotFoundError:
        pass
    if with_torch := next((one for one in pythons if one.torch), None):
        line = f"export {TORCH_VARIABLE}={shell_line([str(with_torch.interpreter.path)])}"
        return Tool("torch", serves, install=line)
    return Tool("torch", serves, install=_pip_line("torch"))


def _program(name: str, serves: str, path: str | Path | None) -> Tool:
    if not path:
        return Tool(name, serves, install=_system_line(name))
    return Tool(Path(path).name, serves, str(path), _version_of(str(path)))


def _package(name: str, serves: str, *, install: str, needed_by: tuple[str, ...] = ()) -> Tool:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return Tool(name, serves, needed_by=needed_by, install=_pip_line(install))
    return Tool(name, serves, str(found.locate_file("")), found.version, needed_by)


def _pip_line(requirement: str, *, python: str = sys.executable) -> str:
    """The line that installs a package beside wheelfuse, or into the environment of *python*."""
    if tool := uv():
        return shell_line([tool, "pip", "install", "--python", python, requirement])
    return shell_line([python, "-m", "pip", "install", requirement])


def _system_line(what: str, version: str = "") -> str:
    for manager, (install, names) in _MANAGERS.items():
        if shutil.which(manager):
            package = names.get(what, what).format(version=version)
            return shell_line([*(["sudo"] if os.geteuid() else []), manager, install, package])
    return ""


def _lacks(interpreters: tuple[Interpreter, ...]) -> Iterator[Lack]:
    there = {one.target for one in interpreters}
    wanted = [target for target in ALL_TARGETS if has_table(target) and target >= OLDEST_MAINTAINED]
    if missing := [target for target in wanted if target not in there]:
        serves = "build, compile and verify for them"
        yield Lack(f"CPython {', '.join(one.python_name for one in missing)}", serves, _python_line(missing))
    for one in interpreters:
        if one.include is None:
            line = _system_line("headers", one.target.python_version)
            yield Lack(
                f"headers of {one.path}",
                f"build and compile for {one.target}",
                line or _python_line([one.target]),
            )


def _python_line(targets: list[Target]) -> str:
    line = shell_line([uv() or "uv", "python", "install", *(target.python_name for target in targets)])
    return line if uv() else f"{_pip_line('uv')} && {line}"


def _caches() -> Iterator[Cache]:
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wheelfuse"
    places = {"wheelfuse": str(own)}
    if tool := uv():
        places["uv"] = _asked(tool, "cache", "dir", "--color", "never").strip()
    if (cache := find_cache()) and cache.name == "ccache":
        places["ccache"] = _asked(cache, "--get-config", "cache_dir").strip()
    for name, place in places.items():
        if place and Path(place).is_dir():
            yield Cache(name, Path(place), *_size(Path(place)))


def _size(directory: Path) -> tuple[int, bool]:
    """The bytes of the files below a directory, and whether there was time to count them all."""
    until, size = time.monotonic() + _WALK, 0
    for where, _, names in os.walk(directory):
        if time.monotonic() > until:
            return size, False
        for name in names:
            try:
                size += os.lstat(os.path.join(where, name)).st_size  # noqa: PTH118 (a cache has many)
            except OSError:  # another program has just removed it
                continue
    return size, True


def _rooms() -> Iterator[Room]:
    try:
        place = tempfile.gettempdir()
    except FileNotFoundError:
        yield Room(TEMPORARY, "", 0, "have no directory that can be written to: set TMPDIR")
    else:
        yield _room(TEMPORARY, place)
    yield _room("this directory", str(Path.cwd()))


def _room(name: str, place: str) -> Room:
    try:
        free = shutil.disk_usage(place).free
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        return Room(name, place, 0, f"cannot be written to: {error.strerror}")
    return Room(name, place, free)


def _memory() -> tuple[int, int]:
    """What /proc/meminfo says (proc_meminfo(5)), within the limit of a control group (cgroups(7), version 2)."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0, 0
    stated = {line.partition(":")[0]: int(line.split()[1]) << 10 for line in lines if line.endswith(" kB")}
    total, available = stated.get("MemTotal", 0), stated.get("MemAvailable", 0)
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no limit ("max"), or no such file
        return total, available
    return min(total, limit), min(available, limit)


def _system() -> str:
    libc = " ".join(platform.libc_ver())
    return ", ".join(filter(None, (f"{platform.system()} {platform.machine()}", libc.strip())))
