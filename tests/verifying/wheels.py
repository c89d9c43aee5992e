"""Wheels to be verified: what their modules do when they are imported is known."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.native import library, module, soabi
from tests.wheels import build_wheel
from wheelfuse.target import Target

RUNNING = Target(sys.version_info.minor, "t" in sys.abiflags)
"""The CPython that runs the tests, which is there on every machine."""

Files = Mapping[str, str | bytes]

BODIES = {
    "crash": ("*(volatile int *)0 = 1;", ""),
    "hang": ("for (;;) pause();", "extern int pause(void);"),
    "abort_at_exit": ("atexit(abort);", "extern int atexit(void (*)(void)); extern void abort(void);"),
    "leave": ("_exit(0);", "extern void _exit(int);"),
    "gil": (  # as one that was built without Py_mod_gil
        "",
        "static struct slot slots[3]; __attribute__((constructor)) static void f(void) { slots[1].id = 0; }",
    ),
    "fail": (
        'PyErr_SetString(PyExc_ValueError, "no luck"); return -1;',
        "extern void *PyExc_ValueError; extern void PyErr_SetString(void *, const char *);",
    ),
}
"""What a module of this name does when it is imported: statements, and what they need declared."""


def extension(path: str, *targets: Target, name: str = "", **how: object) -> dict[str, str | bytes]:
    """An extension module at *path* (without its suffix) for each target. One that is called like an entry of `BODIES`
    does what that says."""
    short = name or path.rpartition("/")[2]
    body, declare = BODIES.get(short.strip("_"), ("", ""))
    return {
        soabi(path, target): module(short, target, body=body, declare=declare, **how)  # type: ignore[arg-type]
        for target in targets or (RUNNING,)
    }


def wheel(directory: Path, files: Files, targets: Iterable[Target] = (RUNNING,), **how: object) -> Path:
    """A wheel with these files that claims these CPythons."""
    targets = sorted(targets)
    pythons = ".".join(dict.fromkeys(target.python_tag for target in targets))
    tag = f"{pythons}-{'.'.join(map(str, targets))}"
    return build_wheel(directory, files=files, **{"tag": tag, **how})  # type: ignore[arg-type]


def linked(path: str, soname: str, *, runpath: str = "/nonexistent") -> dict[str, str | bytes]:
    """An extension module that links a library, which *runpath* may lead to."""
    beside = {soname: library("int answer(void) { return 42; }", soname)}
    return extension(path, runpath=runpath, beside=beside)
