"""One interpreter, asked what it is: nothing is concluded from the name of a file or the place it lies in."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from packaging.version import Version

from wheelfuse.processes import environment, run
from wheelfuse.target import Target
from wheelfuse.wheel.name import Platform

OLDEST = Target(8)
"""The oldest CPython that wheels are built for: of those before, SOABI was made up in another way."""

TIMEOUT = 20.0
"""Seconds in which an interpreter must have answered."""

_MARK = "wheelfuse asks: "
_SCRIPT = f"""\
import importlib.machinery, json, os, sys, sysconfig
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION")
except (AttributeError, OSError, ValueError):
    libc = None
print("\\n{_MARK}" + json.dumps({{
    "implementation": sys.implementation.name,
    "version": list(sys.version_info),
    "debug": "d" in sys.abiflags,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "soabi": sysconfig.get_config_var("SOABI") or "",
    "suffix": sysconfig.get_config_var("EXT_SUFFIX") or "",
    "imports": importlib.machinery.EXTENSION_SUFFIXES,
    "include": [sysconfig.get_config_var("INCLUDEPY") or "", sysconfig.get_path("include") or ""],
    "platform": sysconfig.get_platform(),
    "triplet": sysconfig.get_config_var("HOST_GNU_TYPE") or "",
    "bits": 64 if sys.maxsize > 1 << 32 else 32,
    "libc": libc or "",
}}))
"""
# sysconfig reads these even in isolated mode; cross compilers set them.
_MISLEADING = dict.fromkeys(("_PYTHON_HOST_PLATFORM", "_PYTHON_PROJECT_BASE", "_PYTHON_SYSCONFIGDATA_NAME"))
_LEVELS = {"alpha": "a", "beta": "b", "candidate": "rc"}
_IN_32_BITS = {"x86_64": "i686", "aarch64": "armv7l"}
_MINOR = re.compile(r"^\s*#\s*define\s+PY_MINOR_VERSION\s+(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Interpreter:
    """A CPython that was run and told what it is.

    *version* is spelt as PEP 440 does (``3.15.0rc1``). *soabi* and *ext_suffix* are those of its extension modules
    (``cpython-313-x86_64-linux-gnu``, ``.cpython-313-x86_64-linux-gnu.so``). *platform* is its machine and C
    library, with the version of glibc that it runs on (0.0 for musl, which does not tell). *include* is the
    directory with its Python.h; None if extension modules cannot be compiled for it, and *no_headers* says why.
    *source* tells where it was found.
    """

    path: Path
    target: Target
    version: str
    soabi: str
    ext_suffix: str
    platform: Platform
    include: Path | None
    no_headers: str = ""
    source: str = ""

    @property
    def release(self) -> Version:
        """The version, to be compared."""
        return Version(self.version)


@dataclass(frozen=True)
class Unusable:
    """A file that might have been an interpreter to use, and is not; *target* is known only if it answered."""

    path: Path
    reason: str
    source: str = ""
    target: Target | None = None


def probe(
    path: Path, source: str = "", *, timeout: float = TIMEOUT, stop: Event | None = None
) -> Interpreter | Unusable:
    """Run *path* and let it say what it is, within *timeout* seconds and until *stop* is set.

    An interpreter without headers is no reason to refuse: it can verify what others build.
    """
    if reason := _not_a_program(path):
        return Unusable(path, reason, source)
    try:
        done = run(
            [path, "-I", "-c", _SCRIPT], cwd="/", env=environment(_MISLEADING), timeout=timeout, stop=stop
        )
    except FileNotFoundError:  # although the file is there
        return Unusable(
            path,
            "cannot be run: the loader that it names, or the program of its first line, is missing",
            source,
        )
    except OSError as error:  # a program for another machine, above all
        return Unusable(path, f"cannot be run: {error.strerror or error}", source)
    _, mark, answer = done.output.partition(_MARK)
    if not done.ok or not mark:
        said = done.tail(1).strip()[:200]
        why = "did not answer as a Python 3 does" if done.ok else done.why()
        return Unusable(path, f"does not run: it {why}" + (f": {said}" if said else ""), source)
    try:
        return _read(path, source, json.JSONDecoder().raw_decode(answer)[0])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return Unusable(path, f"did not answer as a Python 3 does: {answer[:200].strip()}", source)


def _not_a_program(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return f"is a broken symbolic link to {path.readlink()}"
    if not path.exists():
        return "does not exist"
    if not path.is_file():
        return "is a directory, not an interpreter" if path.is_dir() else "is not a file"
    return "" if os.access(path, os.X_OK) else "is not executable"


def _read(path: Path, source: str, answer: dict[str, Any]) -> Interpreter | Unusable:
    """What the answer says; errors of lookup and type are those of an answer that no CPython gives."""
    target = Target(answer["version"][1], answer["free_threaded"])
    if reason := _not_for_us(answer, target):
        return Unusable(path, reason, source, target)
    include, no_headers = _headers([Path(name) for name in answer["include"] if name], target)
    return Interpreter(
        path, target, _version(answer["version"]), answer["soabi"], answer["suffix"], _platform(answer),
        include, no_headers, source,
    )  # fmt: skip


def _not_for_us(answer: dict[str, Any], target: Target) -> str:
    """Why this program is no CPython to build for; empty if it is."""
    implementation, suffix, version = answer["implementation"], answer["suffix"], _version(answer["version"])
    if implementation != "cpython":
        return f"is {implementation}, not CPython"
    if answer["version"][0] != 3 or target < OLDEST:
        return f"is CPython {version}, older than {OLDEST.python_version}"
    if answer["debug"]:
        return f"is a debug build of {target}, whose modules ({suffix}) no release build imports"
    if not answer["imports"]:
        return f"is {target}, but imports no extension modules at all: it is linked statically"
    if suffix not in answer["imports"]:
        return f"is {target}, but imports {answer['imports'][0]}, and not its EXT_SUFFIX {suffix or '(none)'}"
    if Target.of_extension_suffix(suffix) != target:
        return f"is {target}, but its modules are named {suffix}: a foreign or a broken build"
    if not answer["platform"].startswith("linux-"):
        return f"is for {answer['platform']}, not for Linux"
    return ""


def _version(info: list[Any]) -> str:
    major, minor, micro, level, serial = info
    pre = "" if level == "final" else f"{_LEVELS[level]}{serial}"
    return f"{major}.{minor}.{micro}{pre}"


def _platform(answer: dict[str, Any]) -> Platform:
    machine = answer["platform"].removeprefix("linux-")
    if answer["bits"] == 32:  # of a 64-bit kernel, which is what sysconfig names
        machine = _IN_32_BITS.get(machine, machine)
    if match := re.fullmatch(r"glibc (\d+)\.(\d+).*", answer["libc"]):
        return Platform(machine, "glibc", (int(match[1]), int(match[2])))
    musl = "musl" in answer["triplet"] or "musl" in answer["soabi"]
    return Platform(machine, "musl" if musl else "unknown", (0, 0))


def _headers(candidates: list[Path], target: Target) -> tuple[Path | None, str]:
    """The first directory with the headers of *target*, or why there is none."""
    why = ""
    for directory in dict.fromkeys(candidates):
        reason = _incomplete(directory, target)
        if not reason:
            return directory, ""
        why = why or reason
    version = target.python_version
    return (
        None,
        f"is {target}, but {why or 'names no directory of headers'} (python{version}-dev or the like has them)",
    )


def _incomplete(directory: Path, target: Target) -> str:
    for name in ("Python.h", "pyconfig.h", "patchlevel.h"):
        if not (directory / name).is_file():
            return f"there is no {name} in {directory}"
    stated = _MINOR.search((directory / "patchlevel.h").read_text(encoding="utf-8", errors="replace"))
    if stated and int(stated[1]) != target.minor:
        return f"the headers in {directory} are those of Python 3.{stated[1]}"
    return ""
