"""RUNPATH (or RPATH) leads out of the wheel.

The loader searches these directories for needed libraries. One that is named absolutely is most often a
directory of the machine that built the file: it does not exist on the user's, or it holds something else,
or somebody else can put a library there that the process will then load. One that is relative, but not to
``$ORIGIN``, depends on the current directory. ``$ORIGIN/../../..`` can lead beyond site-packages, where
things lie differently in every environment.

Ways to other distributions (``$ORIGIN/../nvidia/cublas/lib``, ``$ORIGIN/../../torch/lib``) stay in
site-packages, and are no finding. A directory of the system such as ``/usr/local/cuda/lib64`` is merely
noted.

Strip it with ``patchelf --set-rpath '$ORIGIN/…'``, or with ``CMAKE_INSTALL_RPATH`` and ``install``.

- Reported: RUNPATH ``/home/ci/build/lib``.
- Not reported: RUNPATH ``$ORIGIN/../pkg.libs``.

Source: https://man7.org/linux/man-pages/man8/ld.so.8.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import dirname, normpath

from wheelfuse.abi.modules import installed_path
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.platform import are, below_origin, located, own_files
from wheelfuse.auditing.subject import Kind, Subject

RULE = Rule("WF506", "runpath-leaves-wheel", Severity.WARNING, "RUNPATH leads out of the wheel")

_OF_SYSTEM = ("/usr", "/lib", "/lib64", "/opt")
_TO_PREFIX = 3  # lib/python3.X/site-packages
_SHOWN = 3
_WIDTH = 60


@dataclass(frozen=True, order=True)
class _Way:
    """How a RUNPATH entry leads out of the wheel: in words, and whether it is harmless enough to be merely noted."""

    mild: bool
    words: str


_RELATIVE = _Way(False, "relative to the current directory of the process")
_ABSOLUTE = _Way(False, "a path of the machine that built it")
_SYSTEM = _Way(True, "a directory of the system")
_BEYOND = _Way(False, "outside of the environment")
_PREFIX = _Way(True, "in the environment, but not in site-packages")


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for each way of leading out, over all files."""
    found: dict[_Way, dict[str, list[str]]] = defaultdict(dict)
    for file in own_files(subject):
        for entry in file.image.runpath:
            if way := _way_out(subject.kind, file.path, entry):
                found[way].setdefault(file.path, []).append(entry)
    for way, entries in sorted(found.items(), key=lambda item: item[0]):
        paths = sorted(entries)
        distinct = sorted({_short(entry) for path in paths for entry in entries[path]})
        shown = ", ".join(distinct[:_SHOWN]) + (", …" if len(distinct) > _SHOWN else "")
        path, several = located(paths)
        yield RULE.finding(
            f"{are(paths, 'looks', 'look')} for libraries in {shown}: {way.words}",
            path,
            todo="Set RUNPATH to what is below $ORIGIN, or remove it (patchelf --set-rpath, --remove-rpath)",
            details=tuple(f"{name}: {', '.join(map(_short, entries[name]))}" for name in several),
            severity=Severity.INFO if way.mild else None,
        )


def _short(entry: str) -> str:
    """An entry as people read it; conda makes the paths of its build directories 255 characters long."""
    entry = entry.rstrip("/") or entry
    return entry if len(entry) <= _WIDTH else f"{entry[: _WIDTH - 1]}…"


def _way_out(kind: Kind, path: str, entry: str) -> _Way | None:
    below = below_origin(entry)
    if below is None:
        if not entry.startswith("/"):
            return _RELATIVE
        return (
            _SYSTEM if f"{normpath(entry)}/".startswith(tuple(f"{top}/" for top in _OF_SYSTEM)) else _ABSOLUTE
        )
    if kind not in (Kind.WHEEL, Kind.DISTRIBUTION) or ".data/" in installed_path(path):
        return None  # where the file will lie is not known
    reached = normpath(f"{dirname(installed_path(path)) or '.'}/{below}").split("/")
    up = reached.count("..")
    if not up or path.startswith("../"):
        return None
    return _PREFIX if up <= _TO_PREFIX else _BEYOND
