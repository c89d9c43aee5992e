"""Shared objects for tests, compiled from a few lines of C without the headers of any CPython.

The modules are real ones: import runs them. What they need of CPython they declare themselves, so that any
combination of symbols can be made on a machine that has not all those CPythons.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from wheelfuse.target import Target

_MODULE = """
struct slot { int id; void *value; };
struct definition {  /* PyModuleDef of Include/moduleobject.h */
    unsigned char head[%(head)d];
    void *init; long index; void *copy;
    const char *name, *doc;
    long size;
    void *methods;
    struct slot *slots;
    void *traverse, *clear, *free;
};
extern void *PyModuleDef_Init(void *);
extern int PyModule_AddStringConstant(void *, const char *, const char *);
%(declarations)s
void *used_%(name)s[] = { %(uses)s 0 };
static int execute(void *module) {
    if (PyModule_AddStringConstant(module, "built_for", "%(built_for)s")) return -1;
    %(body)s
    return 0;
}
static struct slot slots[] = { { 2, execute }, %(more)s { 0, 0 } };
static struct definition definition = { .head = { %(immortal)s }, .name = "%(name)s", .slots = slots };
void *PyInit_%(name)s(void) { return PyModuleDef_Init(&definition); }
"""
_OBJECT_HEAD = {
    False: 16,
    True: 32,
}  # bytes of a PyObject (Include/object.h), by whether the build is free-threaded
# 3.15t insists on ob_flags with _Py_STATICALLY_ALLOCATED_FLAG
_IMMORTAL = {False: "1", True: "[8] = 4, [12] = 255, 255, 255, 255"}
_GIL_NOT_USED = "{ 4, (void *)1 },"  # Py_mod_gil, or else import turns the GIL on and warns


@cache
def _compiled(source: str, flags: tuple[str, ...], beside: tuple[tuple[str, bytes], ...]) -> bytes:
    with TemporaryDirectory() as name:
        directory = Path(name)
        for file, content in beside:
            (directory / file).write_bytes(content)
        command = ["cc", "-x", "c", "-", "-x", "none", "-fPIC", "-O1", "-o", "result", *flags]
        if "-c" not in flags:
            command += [
                "-shared",
                "-Wl,--no-as-needed",
                *(f"./{file}" for file, _ in beside if ".so" in file),
            ]
        done = subprocess.run(command, cwd=directory, input=source, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        return (directory / "result").read_bytes()


def compiled(source: str, *flags: str, beside: Mapping[str, bytes] | None = None) -> bytes:
    """A shared object from C source, or an object file with the flag ``-c``.

    Files *beside* are there while it is made; the libraries of them are linked.
    """
    return _compiled(source, flags, tuple((beside or {}).items()))


def library(
    source: str,
    soname: str = "",
    *flags: str,
    runpath: str = "",
    beside: Mapping[str, bytes] | None = None,
) -> bytes:
    """A shared object with a soname and a RUNPATH."""
    names = [f"-Wl,-soname,{soname}"] if soname else []
    names += ["-Wl,--enable-new-dtags", f"-Wl,-rpath,{runpath}"] if runpath else []
    return compiled(source, *names, *flags, beside=beside)


def module(
    name: str,
    built_for: Target | str,
    *symbols: str,
    body: str = "",
    declare: str = "",
    flags: tuple[str, ...] = (),
    runpath: str = "$ORIGIN",
    beside: Mapping[str, bytes] | None = None,
) -> bytes:
    """An extension module that tells in ``built_for`` whose it is, and that uses *symbols* of CPython.

    *body* are statements of its initialisation, *declare* what they need declared. A string for *built_for*
    makes a module for CPythons with the GIL.
    """
    free_threaded = isinstance(built_for, Target) and built_for.free_threaded
    source = _MODULE % {
        "head": _OBJECT_HEAD[free_threaded],
        "immortal": _IMMORTAL[free_threaded],
        "more": _GIL_NOT_USED if free_threaded else "",
        "name": name,
        "built_for": built_for,
        "declarations": "\n".join(f"extern char {symbol};" for symbol in symbols) + f"\n{declare}",
        "uses": "".join(f"&{symbol}, " for symbol in symbols),
        "body": body,
    }
    return library(source, "", *flags, runpath=runpath if beside else "", beside=beside)


def soabi(stem: str, target: Target | str, multiarch: str = "x86_64-linux-gnu") -> str:
    """The file name of an extension module that one CPython alone imports."""
    target = Target.parse(target) if isinstance(target, str) else target
    return f"{stem}.{target.soabi_tag}-{multiarch}.so"
