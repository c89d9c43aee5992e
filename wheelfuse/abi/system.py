"""What the libraries of a Linux system export, for symbols that ask for no version.

A file that was linked to a system library asks it for symbols by version (``sqrt@GLIBC_2.2.5``), and
:mod:`wheelfuse.abi.platform` says which tag promises that version. Many files were not: modules that use ``sqrt``
or ``dlopen`` without linking libm or libdl find them all the same, since every CPython has these loaded. Such a name
is in the table ``data/system.txt``, or nobody defines it.

libstdc++ is not in the table: nothing but C++ names can come from it. The libraries of desktops (libX11) are not,
either, so what they export is not known.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_DATA = Path(__file__).parent / "data"
_LOADER = "ld-linux-x86-64.so.2"
_LOADERS = re.compile(r"ld-linux[\w-]*\.so\.\d+|ld64\.so\.\d+")
_MUSL = re.compile(r"libc\.so|libc\.musl-\w+\.so\.1|ld-musl-\w+\.so\.1")
_CXX = re.compile(
    r"__cxa_|__gxx_|__cxxabi|__dynamic_cast|__once_proxy|(?:__)?atomic_flag_|_Z[nd][wla]|_ZT[IS][PK]*[a-zD]"
    r"|_Z(?:T[VTIShvcn0-9_]*|G[VR]|GTt)?(?:N[VKRO]*)?(?:S[tabdiosN]|9__gnu_cxx|10__cxxabiv1|11__gnu_debug|10__gnu_norm|14__gnu_parallel)"
)
_LOADED = (_LOADER, "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1")


@cache
def tables() -> dict[str, frozenset[str]]:
    """Soname -> what the library exports to those who ask for no version; read once."""
    found: dict[str, set[str]] = {}
    names: set[str] = set()
    for line in (_DATA / "system.txt").read_text(encoding="ascii").splitlines():
        if line.startswith("["):
            names = found.setdefault(line.strip("[]"), set())
        elif line and not line.startswith("#"):
            names.add(line)
    return {soname: frozenset(names) for soname, names in found.items()}


def system_exports(soname: str, symbol: str) -> bool | None:
    """Whether a system library exports *symbol*; None if that is not known."""
    if _MUSL.fullmatch(soname):
        return symbol in tables()["libc.so"]
    if soname in tables() or _LOADERS.fullmatch(soname):
        return symbol in tables()[soname if soname in tables() else _LOADER]
    if soname == "libstdc++.so.6":
        return None if _CXX.match(symbol) else False
    return None


@cache
def loaded_exports(libc: str) -> frozenset[str]:
    """What every CPython has loaded, on systems with this C library (``musl``; anything else means glibc)."""
    sonames = ("libc.so",) if libc == "musl" else _LOADED
    return frozenset().union(*(tables()[soname] for soname in sonames))


_BUNDLED = re.compile(r"-[0-9a-f]{8}\b")


def is_bundled_name(soname: str) -> bool:
    """Whether a library is called as auditwheel calls its copies (``libgfortran-040039e1.so.5``): no system has it."""
    return _BUNDLED.search(soname) is not None


@cache
def _of_machines() -> tuple[str, ...]:
    text = (_DATA / "machine_libraries.txt").read_text(encoding="ascii")
    return tuple(name for line in text.splitlines() if not line.startswith("#") for name in line.split())


def may_be_installed(soname: str) -> bool:
    """Whether wheels leave this library to the machine, though no tag promises it: drivers, desktops, clusters."""
    return any(soname.startswith((f"{name}.so", f"{name}-")) for name in _of_machines())
