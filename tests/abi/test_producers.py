"""What made a file: marks in hand-made libraries, real compilers, real wheels, and what brings a symbol in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pybind11
import pytest

from tests.native import library
from tests.real.download import fetched
from wheelfuse.abi import producers as module
from wheelfuse.abi.cpython import history
from wheelfuse.abi.producers import FREE_THREADED, Producers, brings, read_producers
from wheelfuse.auditing.reading import read_subject
from wheelfuse.content import PIECE
from wheelfuse.elf.image import Image, Section, read_image
from wheelfuse.elf.symbols import Import

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOURCES = tomllib.loads((module.DATA / "SOURCES.toml").read_text(encoding="utf-8"))["producers.txt"]
PYBIND11 = "__pybind11_internals_v11_system_libstdcpp_gxx_abi_1xxx_use_cxx11_abi_1__"


def made(*constants: str, flags: tuple[str, ...] = (), imports: str = "PyList_New", **of: str) -> Producers:
    """The producers of a library with these string constants, which needs a symbol of CPython."""
    texts = ", ".join(f'"{constant}"' for constant in constants)
    needs = f"extern char {imports}; void *used = &{imports};" if imports else ""
    data = library(f"const char *texts[] = {{ {texts} }}; {needs}", of.get("soname", ""), *flags)
    return read_producers(data, read_image(data))


def test_nothing_is_claimed_without_evidence() -> None:
    found = made("hello", "a pybind11 and Cython lookalike", "nanobind_ x", flags=("-Wl,-s",))
    assert (found.pybind11, found.nanobind, found.tools, found.opens) == ((), (), (), ())
    assert not found.static_cudart
    assert Producers() == Producers((), (), (), (), (), (), False)


@pytest.mark.parametrize(
    ("constants", "tools"),
    [
        ([PYBIND11], ["pybind11 internals v11"]),
        (["__pybind11_internals_v4_gcc_libstdcpp_cxxabi1017__"], ["pybind11 internals v4"]),
        (["nanobind_system_libstdcpp_gxx_abi_1xxx_use_cxx11_abi_1_a1_v22_stable"], ["nanobind v22"]),
        (["v16_system_libstdcpp_gxx_abi_1xxx", "__nb_internals_%s_%s__"], ["nanobind v16"]),
        (["v16_system_libstdcpp_gxx_abi_1xxx"], []),
        (["_cython_3_2_9.cython_function_or_method", "cython_runtime"], ["Cython 3.2.9"]),
        (["_cython_0_29_37", "_cython_0_29_37.generator"], ["Cython 0.29.37"]),
        (["_cython_3_0_0a10"], ["Cython 3.0.0a10"]),
        (["cython_runtime"], ["Cython"]),
        (["swig_runtime_data4"], ["SWIG"]),
        (["see swig_runtime_data4 in the manual"], []),
        (["_cffi_backend"], ["cffi"]),
        (["wants _cffi_backend to be there"], []),
        (["fortranobject.c: fortran_doc: len(p)=%zd>%zd=size"], ["f2py"]),
        (["/registry/src/index-19/pyo3-0.29.2/src/panic.rs/registry/src/libc-1"], ["PyO3 0.29.2"]),
        (["pyo3_runtime.PanicException"], ["PyO3"]),
        (["pkg__mypyc.init_pkg___part"], ["mypyc"]),
        ([PYBIND11, "_cython_3_1_4"], ["Cython 3.1.4", "pybind11 internals v11"]),
    ],
)
def test_marks_of_tools(constants: list[str], tools: list[str]) -> None:
    assert list(made(*constants).tools) == tools


def test_ids_are_told_in_full() -> None:
    other = "nanobind_system_libstdcpp_gxx_abi_1xxx_use_cxx11_abi_1_a1_v22"
    found = made(PYBIND11, PYBIND11.replace("internals", "module_local"), other)
    assert (found.pybind11, found.nanobind) == ((PYBIND11,), (other,))
    assert found.uses("pybind11") and found.uses("nanobind") and not found.uses("Cython")


def test_keys_that_begin_with_an_id_are_none() -> None:
    """pybind11 3 keeps other things beside its registry of types, under keys made of the id and a name."""
    keys = (f"{PYBIND11}_call_once_storage__", f"{PYBIND11}_call_onl_once_storage__")
    found = made(PYBIND11, *keys)
    assert (found.pybind11, found.tools) == ((PYBIND11,), ("pybind11 internals v11",))


def test_a_library_without_symbols_of_cpython_holds_no_bindings() -> None:
    """Its constants may speak of them all the same, as those of an editor do."""
    assert made(PYBIND11, "_cython_3_2_9", imports="").tools == ()


def test_libraries_opened_by_name() -> None:
    found = made(
        "libnvrtc.so.12", "libcuda.so.1", "not liba.so", "libb.so is here", "libnvrtc.so.%d", imports=""
    )
    assert found.opens == ("libcuda.so.1", "libnvrtc.so.12")
    assert made("libself.so.1", imports="", soname="libself.so.1").opens == ()


def test_a_static_cudart() -> None:
    assert made("/cudart.shm.%x.%x.%llx", imports="").static_cudart
    assert not made("/cudart.shm.%x.%x.%llx", imports="", soname="libcudart.so.12").static_cudart


def test_compilers_sign() -> None:
    version = subprocess.run(["cc", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout
    assert f"GCC {version.strip()}" in made("x").compilers


COMMENT = b"""GCC: (GNU) 4.8.5 20150623 (Red Hat 4.8.5-44)\0GCC: (Debian 12.2.0-14+deb12u1) 12.2.0\0\0\
rustc version 1.101.0-nightly (21b707e3f 2026-09-30)\0Linker: LLD 22.1.8 (/checkout/llvm 52ed14f)\0\
Ubuntu clang version 18.1.8 (++20240731025011)\0clang version 21.1.8 ( 21.1.8-1.module)\0something else 1.0\0"""


def test_signatures_of_many_compilers() -> None:
    image = Image(
        "EM_X86_64", 64, True, "ET_DYN", sections=(Section(".comment", "SHT_PROGBITS", 0x30, len(COMMENT)),)
    )
    assert read_producers(COMMENT, image).compilers == (
        "GCC 12.2.0",
        "GCC 4.8.5",
        "LLD 22.1.8",
        "clang 18.1.8",
        "clang 21.1.8",
        "rustc 1.101.0-nightly",
    )


@pytest.mark.parametrize("recording", ["-frecord-gcc-switches", "-g"])
def test_flags_that_compilers_record(recording: str) -> None:
    (line,) = made("x", flags=(recording, "-O2", "-gz=none")).flags
    assert "-O2" in line
    assert made("x", flags=("-O2",)).flags == ()


def test_device_code_is_never_looked_at() -> None:
    """It is hundreds of megabytes large in some files, and may hold anything."""
    text = PYBIND11.encode() + b"\0libnvrtc.so.12\0"
    sections = (Section(".nv_fatbin", "SHT_PROGBITS", 0x2, len(text)),)
    image = Image(
        "EM_X86_64", 64, True, "ET_DYN", imports=(Import("PyList_New", "", False),), sections=sections
    )
    assert read_producers(text, image) == Producers()
    (section,) = sections
    as_rodata = Image(
        *("EM_X86_64", 64, True, "ET_DYN"),
        imports=image.imports,
        sections=(Section(".rodata", section.kind, section.flags, section.size),),
    )
    assert read_producers(text, as_rodata).pybind11 == (PYBIND11,)


def test_a_very_long_constant_is_looked_at_near_the_mark() -> None:
    text = b"x" * 5000 + b"/pyo3-0.29.2/src/lib.rs" + b"y" * 5000
    sections = (Section(".rodata", "SHT_PROGBITS", 0x2, len(text)),)
    image = Image(
        "EM_X86_64", 64, True, "ET_DYN", imports=(Import("PyList_New", "", False),), sections=sections
    )
    assert read_producers(text, image).tools == ("PyO3 0.29.2",)


@pytest.mark.parametrize("place", [PIECE - 40, PIECE - 8, PIECE - 1, PIECE, 3 * PIECE - 3])
def test_marks_are_found_wherever_the_reading_of_large_constants_is_cut(place: int) -> None:
    mark = b"\0" + PYBIND11.encode() + b"\0"
    text = b"\0" * 16 + (b"x" * (place - 20) + mark).ljust(4 * PIECE, b"y")
    sections = (Section(".rodata", "SHT_PROGBITS", 0x2, len(text) - 16, 16),)
    image = Image(
        "EM_X86_64", 64, True, "ET_DYN", imports=(Import("PyList_New", "", False),), sections=sections
    )
    assert read_producers(text, image).pybind11 == (PYBIND11,)


def test_pybind11_of_today(tmp_path: Path) -> None:
    source = '#include <pybind11/pybind11.h>\nPYBIND11_MODULE(m, m) { pybind11::class_<int>(m, "I"); }'
    headers = subprocess.run(
        [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('include'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    command = ["g++", "-x", "c++", "-", "-std=c++17", "-O1", "-fvisibility=hidden", "-shared", "-fPIC"]
    command += [f"-I{headers}", f"-I{pybind11.get_include()}", "-o", str(tmp_path / "m.so")]
    subprocess.run(command, input=source, text=True, check=True)
    data = (tmp_path / "m.so").read_bytes()
    image = read_image(data)
    found = read_producers(data, image)
    (identity,) = found.pybind11
    assert identity.startswith("__pybind11_internals_v12_system_libstdcpp_") and identity.endswith("__")
    assert found.tools == ("pybind11 internals v12",)
    for symbol in ("_PyObject_GetDictPtr", "_PyType_Lookup"):
        assert symbol in image.imported
        assert brings(symbol, found) == "pybind11"


@pytest.mark.parametrize(
    ("symbol", "tools", "cause"),
    [
        ("_PyType_Lookup", ["pybind11 internals v4"], "pybind11"),
        ("_PyType_Lookup", ["Cython 3.2.9"], "Cython"),
        ("_PyType_Lookup", ["cffi"], ""),
        ("_PyType_Lookup", [], ""),
        ("_PyDict_NewPresized", ["pybind11 internals v4"], ""),
        ("_PyDict_NewPresized", ["Cython"], "Cython"),
        ("PyFrame_GetBack", ["nanobind v22"], "nanobind"),
        ("PyInstanceMethod_New", ["pybind11 internals v12"], "pybind11"),
        ("_Py_DecRefShared", [], FREE_THREADED),
        ("_Py_MergeZeroLocalRefcount", ["Cython"], FREE_THREADED),
        ("PyList_New", ["Cython", "pybind11 internals v4"], ""),
        ("_PyNope", ["Cython"], ""),
    ],
)
def test_what_brings_a_symbol_in(symbol: str, tools: list[str], cause: str) -> None:
    assert brings(symbol, Producers(tools=tuple(tools))) == cause


def test_the_table_of_symbols_is_sound_and_never_shrinks() -> None:
    rows = module._brought()
    assert len(rows) >= SOURCES["counts"]["symbols"] >= 139
    for tool in ("Cython", "nanobind", "pybind11"):
        assert sum(tool in tools for tools in rows.values()) >= SOURCES["counts"][tool]
    for symbol, tools in rows.items():
        known = history(symbol)
        assert known, f"{symbol} is of no CPython"
        assert known.limited_api is None or known.limited_api > (3, 8), f"{symbol} is in every limited API"
        assert set(tools) <= {"Cython", "nanobind", "pybind11", FREE_THREADED} and tools


@pytest.mark.real
@pytest.mark.parametrize(
    ("pins", "path", "tools"),
    [
        (("audit", "producers"), "contourpy/_contourpy", ("pybind11 internals v11",)),
        (("audit", "producers"), "pikepdf/_core", ("nanobind v22",)),
        (("audit", "producers"), "libcst/native", ("PyO3 0.29.0",)),
        (("projects", "numpy-2.3.5"), "numpy/random/mtrand", ("Cython 3.2.1",)),
        (("projects", "numpy-2.3.5"), "numpy/_core/_multiarray_umath", ()),
        (("projects", "msgpack"), "msgpack/_cmsgpack", ("Cython 3.3.0",)),
        (("projects", "cffi"), "_cffi_backend", ("cffi",)),
        (("stable-abi", "cryptography"), "cryptography/hazmat/bindings/_rust", ("PyO3 0.29.2", "cffi")),
        (("projects", "kiwisolver"), "kiwisolver/_cext", ()),
        (("projects", "orjson"), "orjson/orjson", ()),
    ],
)
def test_of_real_wheels(pins: tuple[str, ...], path: str, tools: tuple[str, ...]) -> None:
    seen = set()
    for wheel in fetched(*pins):
        for file in read_subject(wheel).files.values():
            if file.module and file.module.key == path:
                seen.add(file.producers.tools)
    assert seen == {tools}
