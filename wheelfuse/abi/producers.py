"""What made a file: binding generators, compilers and their flags, and what it opens by name.

Nothing declares this, but text constants that a tool puts into all its output give it away, and so does
``.comment``, where compilers sign. The sources: pybind11 (``detail/internals.h``, ``PYBIND11_INTERNALS_ID``),
nanobind (``nb_abi.h``, ``NB_ABI_TAG``), Cython (``ModuleSetupCode.c``, ``__PYX_ABI_MODULE_NAME``), SWIG
(``swigrun.swg``), numpy.f2py (``fortranobject.c``), cffi (``_cffi_include.h``), PyO3, mypyc (``emitmodule.py``).
What a tool left no mark of is not claimed: an empty field proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wheelfuse.content import Content
from wheelfuse.elf.image import Image, Section

DATA = Path(__file__).parent / "data"

_ALLOC, _EXECINSTR, _COMPRESSED = 0x2, 0x4, 0x800
_LONGEST = 1024  # bytes of a string constant that is looked at, on either side of what was sought in it


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
    constants = tuple(
        data[section.offset : section.offset + section.size]
        for section in image.sections
        if _holds_constants(section)
    )
    bindings = constants if any(s.name.startswith(("Py", "_Py")) for s in image.imports) else ()
    pybind11 = _ids(bindings, b"__pybind11_internals_v", rb"__pybind11_internals_v\d+(?:(?!__)\w)*__")
    nanobind = _nanobind_ids(bindings)
    tools = [f"pybind11 internals {_generation(found)}" for found in pybind11]
    tools += [f"nanobind {_generation(found)}" for found in nanobind]
    return Producers(
        pybind11,
        nanobind,
        tuple(sorted({*tools, *_marked(bindings)})),
        _compilers(data, image),
        _command_lines(data, image),
        tuple(name for name in _ids(constants, b".so", rb"lib[\w+.-]+\.so[\d.]*") if name != image.soname),
        _has_static_cudart(constants, image),
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


def _strings(constants: tuple[bytes, ...], part: bytes) -> Iterator[bytes]:
    """The zero-terminated strings that contain *part*; of very long ones what is near it."""
    for constant in constants:
        at = constant.find(part)
        while at >= 0:
            start = max(constant.rfind(b"\0", max(0, at - _LONGEST), at) + 1, at - _LONGEST, 0)
            end = constant.find(b"\0", at, at + _LONGEST)
            end = min(at + _LONGEST, len(constant)) if end < 0 else end
            yield constant[start:end]
            at = constant.find(part, end)


def _ids(constants: tuple[bytes, ...], part: bytes, pattern: bytes) -> tuple[str, ...]:
    """The strings that *pattern* matches as a whole, all of which contain *part*; sorted."""
    found = {string for string in _strings(constants, part) if re.fullmatch(pattern, string)}
    return tuple(sorted(string.decode() for string in found))


def _nanobind_ids(constants: tuple[bytes, ...]) -> tuple[str, ...]:
    """``nanobind_system_…_v22_stable``; before version 2.11 only ``v16_system_…``, which its marker vouches for."""
    found = _ids(constants, b"nanobind_", rb"nanobind_\w+_v\d+\w*")
    if not found and any(b"nb_internals" in constant for constant in constants):
        for library in (b"_libstdcpp", b"_libcpp"):
            found += _ids(constants, library, rb"v\d+_\w+")
    return found


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


def _marked(constants: tuple[bytes, ...]) -> Iterator[str]:
    versions: dict[str, set[str]] = {}
    for tool, part, pattern in _MARKS:
        for string in _strings(constants, part):
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
    for section in image.sections:
        if section.name == ".debug_str" and not section.flags & _COMPRESSED:
            text = data[section.offset : section.offset + section.size]
            for string in _strings((text,), b"GNU C"):
                if match := re.match(rb"GNU C(?:\+\+)?\d* [\d.]+ .*? (-.*)", string):
                    found.add(match[1].decode("utf-8", "replace"))
    return tuple(sorted(found))


def _texts(data: Content, image: Image, name: str) -> Iterator[str]:
    """The zero-terminated strings of a section."""
    for section in image.sections:
        if section.name == name and not section.flags & _COMPRESSED and section.kind != "SHT_NOBITS":
            text = data[section.offset : section.offset + section.size]
            yield from (part.decode("utf-8", "replace") for part in text.split(b"\0") if part)


def _has_static_cudart(constants: tuple[bytes, ...], image: Image) -> bool:
    """Whether the file holds what only the CUDA run-time library has, and is not that library itself."""
    marked = any(b"/cudart.shm." in c or b"cudaErrorCudartUnloading" in c for c in constants)
    named = image.soname.startswith("libcudart") or any(n.startswith("libcudart") for n in image.needed)
    return marked and not named
