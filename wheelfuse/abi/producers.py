"""What made a file: binding generators, compilers and their flags, and what it opens by name.

Nothing declares this, but text constants that a tool puts into all its output give it away, and so does
``.comment``, where compilers sign. The sources: pybind11 (``detail/internals.h``, ``PYBIND11_INTERNALS_ID``),
nanobind (``nb_abi.h``, ``NB_ABI_TAG``), Cython (``ModuleSetupCode.c``, ``__PYX_ABI_MODULE_NAME``), SWIG
(``swigrun.swg``), numpy.f2py (``fortranobject.c``), cffi (``_cffi_include.h``), PyO3, mypyc (``emitmodule.py``).
What a tool left no mark of is not claimed: an empty field proves nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wheelfuse.content import Content, windows
from wheelfuse.elf.image import Image, Section

DATA = Path(__file__).parent / "data"

_ALLOC, _EXECINSTR, _COMPRESSED = 0x2, 0x4, 0x800
_LONGEST = 1024  # bytes of a string constant that is looked at, on either side of what was sought in it
_MOST_HITS, _MOST_STRINGS, _MOST_BYTES = 1 << 15, 10_000, 4 << 20
"""How often something is found in the constants of a file, and how many strings are kept of one kind, with how many
bytes in all; what is beyond is not looked at. Real files have some hundreds."""


@dataclass(frozen=True)
class Producers:
    """What a file tells of the tools that made it.

    ``pybind11`` and ``nanobind`` are the full ids under which modules share types with each other
    (``__pybind11_internals_v11_system_libstdcpp_gxx_abi_1xxx_use_cxx11_abi_1__``). ``tools`` are what made the
    bindings, with a version where the file tells it (``Cython 3.2.9``, ``pybind11 internals v11``, ``SWIG``);
    ``compilers`` what signed ``.comment`` (``GCC 14.2.1``), of which some made only what was linked in;
    ``flags`` the command lines that compilers recorded, if they were asked to. ``opens`` are file names of
    libraries that stand in the file as text, as dlopen takes them. ``static_cudart``: it holds a copy of the
    CUDA run-time library.
    """

    pybind11: tuple[str, ...] = ()
    nanobind: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    compilers: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    opens: tuple[str, ...] = ()
    static_cudart: bool = False

    def uses(self, tool: str) -> bool:
        """Whether *tool* (``Cython``, ``pybind11``, ``PyO3``) had a part in this file."""
        return any(found.split()[0] == tool for found in self.tools)


def read_producers(data: Content, image: Image) -> Producers:
    """Read what made the ELF file *data*; only its constants, comments and recorded command lines are looked at."""
    constants = tuple(filter(_holds_constants, image.sections))
    has_bindings = any(symbol.name.startswith(("Py", "_Py")) for symbol in image.imports)
    sought = (_LIBRARY, *_OF_CUDART, *(_OF_BINDINGS if has_bindings else ()))
    found = defaultdict(frozenset, _strings(data, constants, sought))
    pybind11 = _ids(found[_PYBIND11], rb"__pybind11_internals_v\d+(?:(?!__)\w)*__")
    nanobind = _ids(found[_NANOBIND], rb"nanobind_\w+_v\d+\w*")
    if found[_OLD_NANOBIND] and not nanobind:
        nanobind = _old_nanobind_ids(_strings(data, constants, _CXX_LIBRARIES))
    libraries = _ids(found[_LIBRARY], rb"lib[\w+.-]+\.so[\d.]*")
    tools = [f"pybind11 internals {_generation(identity)}" for identity in pybind11]
    tools += [f"nanobind {_generation(identity)}" for identity in nanobind]
    return Producers(
        pybind11,
        nanobind,
        tuple(sorted({*tools, *_marked(found)})),
        _compilers(data, image),
        _command_lines(data, image),
        tuple(name for name in libraries if name != image.soname),
        any(found[part] for part in _OF_CUDART) and not _is_or_links_cudart(image),
    )


def brings(symbol: str, producers: Producers) -> str:
    """What brings a symbol of CPython that is not in the limited API into a file: a tool that is known to, and
    that left its mark in the file (``pybind11``, ``Cython``), or ``free-threaded builds``; empty if not known."""
    known = _brought().get(symbol, ())
    return next((tool for tool in known if tool == FREE_THREADED or producers.uses(tool)), "")


FREE_THREADED = "free-threaded builds"
"""The cause of symbols that the inline functions of CPython's own headers need."""


@cache
def _brought() -> dict[str, tuple[str, ...]]:
    """Symbol -> the tools that bring it in."""
    text = (DATA / "producers.txt").read_text(encoding="ascii")
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {row[0]: tuple(tool.replace("_", " ") for tool in row[1:]) for row in rows}


def _holds_constants(section: Section) -> bool:
    return (
        bool(section.flags & _ALLOC)
        and not section.flags & _EXECINSTR
        and section.kind == "SHT_PROGBITS"
        and section.name.startswith((".rodata", ".data", ".lrodata", ".ldata"))
    )


def _strings(
    data: Content, sections: Sequence[Section], parts: Collection[bytes]
) -> dict[bytes, frozenset[bytes]]:
    """The zero-terminated strings in *sections* that contain each of *parts*; of very long ones what is near it."""
    found = {part: _Strings() for part in parts}
    for section in sections:
        start, end = section.offset, section.offset + section.size
        searched = dict.fromkeys(parts, start)
        for base, own, window in windows(data, start, end, max(map(len, parts))):
            for part, strings in found.items():
                while (
                    not strings.full
                    and 0 <= (place := window.find(part, max(searched[part] - base, 0))) < own
                ):
                    string, searched[part] = _string_at(data, start, base + place, end)
                    strings.add(string)
    return {part: frozenset(strings.kept) for part, strings in found.items()}


class _Strings:
    """Different strings of one kind, up to the bounds."""

    def __init__(self) -> None:
        self.kept: set[bytes] = set()
        self._hits = self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether no more are wanted."""
        return self._hits >= _MOST_HITS or len(self.kept) >= _MOST_STRINGS or self._bytes >= _MOST_BYTES

    def add(self, string: bytes) -> None:
        self._hits += 1
        if string not in self.kept:
            self.kept.add(string)
            self._bytes += len(string)


def _string_at(data: Content, start: int, place: int, end: int) -> tuple[bytes, int]:
    """The string around a place between *start* and *end*, as far as it is looked at, and where it ends."""
    before, after = data[max(place - _LONGEST, start) : place], data[place : min(place + _LONGEST, end)]
    rest = after.partition(b"\0")[0]
    return before.rpartition(b"\0")[2] + rest, place + len(rest)


def _ids(strings: Collection[bytes], pattern: bytes) -> tuple[str, ...]:
    """The strings that *pattern* matches as a whole, sorted."""
    return tuple(sorted(string.decode() for string in strings if re.fullmatch(pattern, string)))


def _old_nanobind_ids(strings: Mapping[bytes, Collection[bytes]]) -> tuple[str, ...]:
    """Before nanobind 2.11 they were only ``v16_system_…``, which its marker vouches for."""
    return tuple(identity for part in _CXX_LIBRARIES for identity in _ids(strings[part], rb"v\d+_\w+"))


def _generation(identity: str) -> str:
    """``v12``, from the id of pybind11's or nanobind's internals."""
    match = re.search(r"(?:^|_)(v\d+)(?=_|$)", identity)
    return match[1] if match else ""


_MARKS = (
    ("Cython", b"_cython_", rb"_cython_(\d+_\d+(?:_\d+)?(?:(?:a|b|rc|dev)\d*)?)"),
    ("Cython", b"cython_runtime", rb"()cython_runtime"),
    ("PyO3", b"/pyo3-", rb"/pyo3-(\d[\w.+-]*)/src/"),
    ("PyO3", b"pyo3_runtime.PanicException", rb"()pyo3_runtime"),
    ("SWIG", b"swig_runtime_data", rb"^()swig_runtime_data\d+$"),
    ("cffi", b"_cffi_backend", rb"^()_cffi_backend$"),
    ("f2py", b"fortran_doc: len(p)", rb"()fortran_doc"),
    ("mypyc", b"__mypyc.", rb"\w()__mypyc\.\w"),
)
"""Tool, what stands in what it makes, and the form of such a string, with the version of the tool in the group."""

_PYBIND11, _NANOBIND, _OLD_NANOBIND = b"__pybind11_internals_v", b"nanobind_", b"nb_internals"
_CXX_LIBRARIES = (b"_libstdcpp", b"_libcpp")
_OF_BINDINGS = (_PYBIND11, _NANOBIND, _OLD_NANOBIND, *(part for _, part, _ in _MARKS))
_OF_CUDART = (b"/cudart.shm.", b"cudaErrorCudartUnloading")
"""What only the CUDA run-time library has."""
_LIBRARY = b".so"


def _marked(strings: Mapping[bytes, Collection[bytes]]) -> Iterator[str]:
    versions: dict[str, set[str]] = {}
    for tool, part, pattern in _MARKS:
        for string in strings[part]:
            matches = [match[1].decode().replace("_", ".") for match in re.finditer(pattern, string)]
            if matches:
                versions.setdefault(tool, set()).update(matches)
    for tool, found in versions.items():
        known = found - {""}
        yield from (f"{tool} {version}" for version in known) if known else (tool,)


_SIGNATURES = (
    ("GCC", re.compile(r"GCC: \(.*\) (\d[\d.]*)")),
    ("clang", re.compile(r".*\bclang version (\d[\d.]*)")),
    ("rustc", re.compile(r"rustc version (\S+)")),
    ("LLD", re.compile(r"Linker: LLD (\d[\d.]*)")),
)


_SIGNED = b"GNU C"


def _compilers(data: Content, image: Image) -> tuple[str, ...]:
    """The compilers that signed ``.comment``, sorted; signatures of an unknown form are passed over."""
    found = set()
    for text in _texts(data, image, ".comment"):
        for name, pattern in _SIGNATURES:
            if match := pattern.match(text):
                found.add(f"{name} {match[1]}")
                break
    return tuple(sorted(found))


def _command_lines(data: Content, image: Image) -> tuple[str, ...]:
    """What ``-frecord-gcc-switches`` recorded, and the flags that ``-grecord-gcc-switches`` put into debug info."""
    found = set(_texts(data, image, ".GCC.command.line"))
    texts = [s for s in image.sections if s.name == ".debug_str" and not s.flags & _COMPRESSED]
    for string in _strings(data, texts, (_SIGNED,))[_SIGNED]:
        if match := re.match(rb"GNU C(?:\+\+)?\d* [\d.]+ .*? (-.*)", string):
            found.add(match[1].decode("utf-8", "replace"))
    return tuple(sorted(found))


def _texts(data: Content, image: Image, name: str) -> Iterator[str]:
    """The different zero-terminated strings of the sections with this name, up to the bounds."""
    left, seen = _MOST_BYTES, {b""}
    for section in image.sections:
        if section.name == name and not section.flags & _COMPRESSED and section.kind != "SHT_NOBITS":
            text = data[section.offset : section.offset + min(section.size, left)]
            left -= len(text)
            for part in text.split(b"\0"):
                if part not in seen and len(seen) <= _MOST_STRINGS:
                    seen.add(part)
                    yield part.decode("utf-8", "replace")


def _is_or_links_cudart(image: Image) -> bool:
    """Whether a file is the CUDA run-time library, or takes it from elsewhere."""
    return any(name.startswith("libcudart") for name in (image.soname, *image.needed))
