"""Modules and libraries that say for which CPython they were made, and what a CPython loaded of them."""

from __future__ import annotations

from tests.fuse.merging import TARGETS, Fused
from tests.native import library, module
from wheelfuse.target import Target

CP310, CP311, CP312, CP313 = (Target(minor) for minor in (10, 11, 12, 13))
GIL = tuple(target for target in TARGETS if not target.free_threaded)
PAIR = (CP312, CP313)
OWN = {target: str(target) for target in TARGETS}
"""What each CPython must say where it loaded the file that was made for it."""

MAPPED = "sorted({line.rpartition('/')[2].strip() for line in open('/proc/self/maps') if TREE in line})"


def own(answers: dict[Target, object]) -> dict[Target, object]:
    """What the CPythons that answered must have said."""
    return {target: OWN[target] for target in answers}


def mapped(fused: Fused, name: str, targets: tuple[Target, ...] = TARGETS) -> dict[Target, list[str]]:
    """The files of the fused wheel that are in memory after importing a module, by their names."""
    return fused.run(f"TREE = {str(fused.unpack())!r}\nimport {name}\n{MAPPED}", targets)


def bound(
    target: Target | str,
    soname: str = "libbound.so.1",
    symbol: str = "PyLong_FromLong",
    *flags: str,
    beside: dict[str, bytes] | None = None,
) -> bytes:
    """A plain library that imports a symbol of CPython, and says in ``whoami`` whose it is."""
    source = f"""
        extern char {symbol};
        void *used_by_library = &{symbol};
        const char *whoami(void) {{ return "{target}"; }}
    """
    return library(source, soname, *flags, runpath="$ORIGIN", beside=beside)


def linked(
    name: str,
    target: Target | str,
    beside: dict[str, bytes],
    runpath: str = "$ORIGIN",
    function: str = "whoami",
) -> bytes:
    """A module that says in ``linked`` what the library that it links says."""
    return module(
        name,
        target,
        declare=f"extern const char *{function}(void);",
        body=f'if (PyModule_AddStringConstant(module, "linked", {function}())) return -1;',
        runpath=runpath,
        beside=beside,
    )
