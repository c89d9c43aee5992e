"""libtorch's symbols: what kind each is, since when a stable one is promised, and which torch exports what.

Stable are the C functions of the shim (``torch/csrc/stable/c/shim.h`` and the headers of AOTInductor): the
versions of torch keep them for two years at least (https://docs.pytorch.org/docs/stable/notes/libtorch_stable_abi.html).
All else that an extension takes from libtorch, C++ and torch_python, may change with every minor release.

Both tables under ``data/`` were read from real torch wheels (``SOURCES.toml`` says which) and are loaded on first
use. That a torch exports a name is necessary for loading a file, and not sufficient for its working.
"""

from __future__ import annotations

import enum
import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

from wheelfuse.abi.cpython import DATA, is_cpython_symbol

EXPORTS, SHIMS = "torch_exports.txt.xz", "torch_shims.txt"

NAMESPACES = ("at", "c10", "c10d", "torch", "caffe2")
"""The C++ namespaces of libtorch."""

LIBRARY = re.compile(r"lib(?:torch|c10)(?:_\w+)?\.so(?:\.\d+)*", re.ASCII)
"""The sonames of torch's own libraries."""

_SYSTEM = ("GLIBC_", "GLIBCXX_", "CXXABI_", "GCC_")
_TORCH_PYTHON = re.compile(r"THP|_Z\d+THP")
_CUDA = re.compile(
    r"(?:__)?cuda[A-Z]\w*|cu[A-Z]\w*|(?:p?nccl|cublas|cudnn|cufft|curand|nvrtc|nvJitLink)[A-Z]\w*", re.ASCII
)
_TEMPLATE = re.compile(rf"_ZN.*(?:{'|'.join(f'{len(name)}{name}' for name in NAMESPACES)})(?=[\dA-Z])")

# What a mangled name is about, before its first component: a table or typeinfo (TV, TI), a thunk (Thn16_), a
# guard (GV), a local entity (Z). https://itanium-cxx-abi.github.io/cxx-abi/abi.html#mangling
_SPECIAL = r"_Z(?:T[hv]n?\d+_(?:n?\d+_)?|T[A-Z][PRKOFv]*|G[VR])?Z*"
_NESTED = re.compile(rf"{_SPECIAL}N[rVK]*[RO]?(?=\d)")
_STD = re.compile(rf"{_SPECIAL}(?:N[rVK]*[RO]?)?S[tabsiod]")

_ATOMS = re.compile(
    r"(?P<literal>L[a-z]n?\d+E)|(?P<parameter>[ST][0-9A-Z]*_)|(?P<length>\d+)|(?P<string>Ss)|S[a-z]|(?P<tag>B5)|."
)


_DIGITS = 18  # of a length, which beyond that is longer than any name


class Kind(enum.Enum):
    """What an undefined symbol is, by its name alone."""

    SYSTEM = "system"
    CPYTHON = "CPython"
    STABLE = "stable"
    UNKNOWN = "unknown"
    TORCH_PYTHON = "torch_python"
    UNSTABLE = "unstable"
    PYBIND11 = "pybind11"
    STD = "std"
    CUDA = "CUDA"
    OTHER = "other"


class StringABI(enum.Enum):
    """Which ``std::string`` a C++ name mentions; torch's wheels are built with the new one since 2.7."""

    NONE = "none"
    OLD = "old"
    NEW = "new"


@dataclass(frozen=True)
class Exports:
    """The table of exports: ``lines`` are ``NAME MASK``, sorted; bit *i* of the mask stands for ``versions[i]``."""

    versions: tuple[str, ...]
    lines: tuple[str, ...]

    def mask(self, name: str) -> int:
        """The versions that export *name*, as bits; 0 for a name that none does."""
        # A search among sorted lines spares the dict, whose making would take longer than all lookups.
        prefix = f"{name} "
        place = bisect_left(self.lines, prefix)
        found = place < len(self.lines) and self.lines[place].startswith(prefix)
        return int(self.lines[place][len(prefix) :], 16) if found else 0

    def of_mask(self, mask: int) -> tuple[str, ...]:
        """The versions whose bits are set."""
        return tuple(version for bit, version in enumerate(self.versions) if mask >> bit & 1)


def parse_exports(text: str) -> Exports:
    """The table of a text: comments, a line ``versions 2.6 2.7 …``, and then ``NAME MASK``, sorted by name.

    Raises:
        ValueError: it is of another form.
    """
    start = text.find("versions ")
    header, _, body = text[start:].partition("\n")
    versions = tuple(header.split(" ")[1:])
    if start < 0 or list(versions) != sorted(set(versions), key=version_key):
        raise ValueError("a table of torch's exports begins with its versions, sorted")
    return Exports(versions, tuple(body.splitlines()))


@cache
def exports() -> Exports:
    """The committed table of torch's exports; read once."""
    import lzma  # here, since some builds of CPython lack it, and most wheels have nothing to do with torch

    return parse_exports(lzma.decompress((DATA / EXPORTS).read_bytes()).decode("ascii"))


@cache
def shims() -> dict[str, str]:
    """The functions of the stable shim, each with the version that promises it first; read once."""
    lines = (DATA / SHIMS).read_text(encoding="ascii").splitlines()
    return dict(line.split(" ") for line in lines if not line.startswith("#"))


def version_key(version: str) -> tuple[int, ...]:
    """What versions (``2.6``, ``2.10``) are sorted by."""
    return tuple(map(int, version.split(".")))


def versions() -> tuple[str, ...]:
    """The minor versions of torch that the table knows, the oldest first."""
    return exports().versions


def shim_version(name: str) -> str:
    """The version of torch that first promises a function of the stable shim; empty if it is none."""
    return shims().get(name, "")


def exported_in(name: str) -> tuple[str, ...]:
    """The versions of torch that export *name*.

    Shim functions of GPUs other than CUDA's, which the table's builds lack, count from their first version on.
    """
    if mask := exports().mask(name):
        return exports().of_mask(mask)
    first = shim_version(name)
    return tuple(v for v in versions() if first and version_key(v) >= version_key(first))


def loading(names: Iterable[str]) -> tuple[str, ...]:
    """The versions of torch that export all of *names*; all there are, if there are no names."""
    left = versions()
    for name in names:
        having = exported_in(name)
        left = tuple(version for version in left if version in having)
    return left


@lru_cache(maxsize=1 << 16)
def classify(name: str, version: str = "") -> Kind:
    """What an undefined symbol is; *version* is the symbol version that it asks for, if any."""
    if version.startswith(_SYSTEM):
        return Kind.SYSTEM
    if not name.startswith("_Z"):
        return _classify_c(name)
    if _TORCH_PYTHON.match(name):
        return Kind.TORCH_PYTHON
    first = namespace(name)
    if first in NAMESPACES:
        return Kind.UNSTABLE
    return {"pybind11": Kind.PYBIND11, "std": Kind.STD}.get(first, Kind.OTHER)


def _classify_c(name: str) -> Kind:
    if is_cpython_symbol(name):
        return Kind.CPYTHON
    if name.startswith(("aoti_", "torch_")):
        if name in shims():
            return Kind.STABLE
        return Kind.UNKNOWN if name.startswith(("aoti_torch_", "torch_")) else Kind.OTHER
    if _TORCH_PYTHON.match(name):
        return Kind.TORCH_PYTHON
    return Kind.CUDA if _CUDA.fullmatch(name) else Kind.OTHER


def mentions_torch(name: str) -> bool:
    """Whether a C++ name of another namespace is about torch's types: ``pybind11::…::type_caster<at::Tensor>``.

    Torch exports some of these itself, and then they are as unstable as the rest.
    """
    return _TEMPLATE.match(name) is not None


def namespace(name: str) -> str:
    """The outermost namespace of a mangled C++ name; empty for a name without one, or one that is not C++."""
    if match := _NESTED.match(name):
        return _identifier(name, match.end())[0]
    return "std" if _STD.match(name) else ""


def _identifier(name: str, at: int) -> tuple[str, int]:
    """The length-prefixed identifier at a place of a mangled name, and the place after it."""
    digits = re.compile(r"\d+").match(name, at)
    if not digits:
        return "", len(name)
    end = min(digits.end() + int(digits[0][:_DIGITS]), len(name))
    return name[digits.end() : end], end


def string_abi(name: str) -> StringABI:
    """Which ``std::string`` a mangled C++ name mentions (``_GLIBCXX_USE_CXX11_ABI`` 0 or 1), if any.

    https://gcc.gnu.org/onlinedocs/libstdc++/manual/using_dual_abi.html
    """
    at, old = 2, False
    while name.startswith("_Z") and (atom := _ATOMS.match(name, at)):
        at = atom.end()
        if atom["length"] or atom["tag"]:
            start = atom.start() + bool(atom["tag"])
            identifier, at = _identifier(name, start)
            if identifier in ("__cxx11", "cxx11"):
                return StringABI.NEW
        old = old or bool(atom["string"])
    return StringABI.OLD if old else StringABI.NONE
