"""What a shared object imports, held against the CPythons that will load it, before anything is written."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.elf.symbols import SymbolObject
from tests.fuse.merging import Files, build_matrix, fuse, fuse_matrix, options, refused
from tests.native import compiled, library, module, soabi
from tests.wheels import build_wheel
from wheelfuse.target import Target

CP312, CP313 = Target(12), Target(13)
GONE = "_PyThreadState_UncheckedGet"
"""Exported by CPython 3.8 to 3.12 with the GIL, and by no later one."""


def single(
    directory: Path, target: str, files: Files, *, tag: str = "", platform: str = "linux_x86_64"
) -> Path:
    """A wheel, to be merged alone."""
    requires_python = ">=3.9" if tag else f"=={Target.parse(target).python_version}.*"
    return build_wheel(
        directory / "in", target, files, tag=tag, platform=platform, requires_python=requires_python
    )


def with_symbols(target: str, *symbols: str) -> dict[str, bytes]:
    return {f"pkg/{soabi('_x', target)}": module("_x", Target.parse(target), *symbols)}


@pytest.mark.parametrize(
    ("target", "symbol"),
    [
        ("cp312", GONE),
        ("cp313", "PyThreadState_GetUnchecked"),
        ("cp314t", "_Py_DecRefShared"),
        ("cp310", "_PyUnicode_Ready"),
    ],
)
def test_a_symbol_that_the_cpython_of_the_suffix_exports_is_fine(
    tmp_path: Path, target: str, symbol: str
) -> None:
    wheel = single(tmp_path, target, with_symbols(target, symbol))
    fused = fuse([wheel], tmp_path / "out", options(expect=[target]))
    assert fused.plan.broken == ()
    assert symbol not in fused.warnings


@pytest.mark.parametrize(
    ("target", "symbol", "fate"),
    [
        ("cp313", GONE, "is not exported by CPython 3.13: gone since 3.13"),
        ("cp314t", GONE, "is not exported by CPython 3.14t: gone since 3.13t"),
        ("cp312", "PyThreadState_GetUnchecked", "is not exported by CPython 3.12: new in 3.13"),
        ("cp313", "_Py_DecRefShared", "is not exported by CPython 3.13: only 3.13t"),
        ("cp315t", "_PyOptimizer_Optimize", "is not exported by CPython 3.15t: only 3.14"),
        ("cp311", "PyNonsense_New", "is exported by no known CPython"),
    ],
)
def test_a_symbol_that_it_does_not_export_is_refused(
    tmp_path: Path, target: str, symbol: str, fate: str
) -> None:
    files = with_symbols(target, symbol)
    wheel = single(tmp_path, target, files)
    code, message = refused([wheel], "--expect", target)
    assert code == 3
    (path,) = files
    assert f"{wheel.name}: {path}: `{symbol}` {fate}" in message
    assert "Build this file again for the CPython" in message


def test_an_unknown_private_symbol_is_a_warning(tmp_path: Path) -> None:
    # micro releases add some
    wheel = single(tmp_path, "cp311", with_symbols("cp311", "_Py_Nonsense"))
    assert "`_Py_Nonsense` is exported by no known CPython" in fuse([wheel], tmp_path / "out").warnings


def test_the_message_names_the_replacement(tmp_path: Path) -> None:
    _, message = refused([single(tmp_path, "cp313", with_symbols("cp313", GONE))])
    assert "3.13 has PyThreadState_GetUnchecked" in message


def test_every_broken_file_is_named_in_one_run(tmp_path: Path) -> None:
    files = {
        CP312: with_symbols("cp312", "PyThreadState_GetUnchecked"),
        CP313: with_symbols("cp313", GONE, "PyNonsense_New"),
    }
    _, message = refused(build_matrix(tmp_path / "in", files))
    for symbol in ("PyThreadState_GetUnchecked", GONE, "PyNonsense_New"):
        assert f"`{symbol}`" in message


def test_a_weak_symbol_may_stay_undefined(tmp_path: Path) -> None:
    weak = module(
        "_x",
        CP313,
        declare=f"extern char {GONE} __attribute__((weak)); void *maybe = &{GONE};",
    )
    fuse_matrix(tmp_path, {CP313: {f"pkg/{soabi('_x', CP313)}": weak}})


def test_a_shared_module_is_held_against_every_cpython_that_loads_it(tmp_path: Path) -> None:
    files = {"pkg/_x.so": module("_x", "all", GONE)}
    code, message = refused(build_matrix(tmp_path / "in", {CP312: files, CP313: files}))
    assert code == 3
    assert f"pkg/_x.so: `{GONE}` is not exported by CPython 3.13" in message
    assert "CPython 3.12" not in message


def test_a_library_that_becomes_one_per_cpython_is_held_against_its_own(tmp_path: Path) -> None:
    files = {}
    for target in (CP312, CP313):
        lib = library(
            f'extern char {GONE}; void *used = &{GONE}; const char *whoami(void) {{ return "{target}"; }}',
            "libbound.so",
        )
        files[target] = {
            "pkg/libbound.so": lib,
            f"pkg/{soabi('_m', target)}": module("_m", target, beside={"libbound.so": lib}),
        }
    code, message = refused(build_matrix(tmp_path / "in", files))
    assert code == 3
    assert f"pkg/libbound.so: `{GONE}` is not exported by CPython 3.13" in message
    assert "CPython 3.12" not in message


# Symbols that something else may define


def test_a_symbol_that_a_sibling_library_defines_is_not_cpythons(tmp_path: Path) -> None:
    lib = library("int PyNonsense_New;", "libnonsense.so")
    files = {
        f"pkg/{soabi('_x', CP313)}": module("_x", CP313, "PyNonsense_New", beside={"libnonsense.so": lib}),
        "pkg/libnonsense.so": lib,
    }
    fused = fuse_matrix(tmp_path, {CP313: files})
    assert "PyNonsense_New" not in fused.warnings
    assert fused.run("import pkg._x\npkg._x.built_for", [CP313])[CP313] == "cp313"


def test_a_symbol_that_an_absent_library_may_define_is_a_warning(tmp_path: Path) -> None:
    lib = library("int PyNonsense_New;", "libelsewhere.so")
    files = {
        f"pkg/{soabi('_x', CP313)}": module("_x", CP313, "PyNonsense_New", beside={"libelsewhere.so": lib})
    }
    assert (
        "`PyNonsense_New` is exported by no known CPython" in fuse_matrix(tmp_path, {CP313: files}).warnings
    )


def test_a_known_symbol_is_proof_whatever_library_is_absent(tmp_path: Path) -> None:
    lib = library("int anything;", "libelsewhere.so")
    files = {f"pkg/{soabi('_x', CP313)}": module("_x", CP313, GONE, beside={"libelsewhere.so": lib})}
    code, message = refused(build_matrix(tmp_path / "in", {CP313: files}))
    assert code == 3
    assert GONE in message


# The stable ABI


@pytest.mark.parametrize(
    ("tag", "symbol", "reason"),
    [
        ("cp39-abi3", "PyObject_GetBuffer", "is in the limited API only since 3.11, not in that of 3.9"),
        ("cp39-abi3", "PyDict_SetDefault", "is not in the limited API of any CPython"),
        ("cp39-abi3", GONE, "is not in the limited API of any CPython"),
        (
            "cp311.cp38-abi3",
            "PyObject_GetBuffer",
            "is in the limited API only since 3.11, not in that of 3.8",
        ),
    ],
)
def test_an_abi3_file_keeps_to_the_limited_api_of_its_tag(
    tmp_path: Path, tag: str, symbol: str, reason: str
) -> None:
    wheel = single(tmp_path, "cp312", {"pkg/_x.abi3.so": module("_x", "abi3", symbol)}, tag=tag)
    code, message = refused([wheel])
    assert code == 3
    assert f"{wheel.name}: pkg/_x.abi3.so: `{symbol}` {reason}" in message


@pytest.mark.parametrize(
    ("tag", "symbol"),
    [("cp311-abi3", "PyObject_GetBuffer"), ("cp39-abi3", "_Py_Dealloc"), ("cp39-abi3", "PyList_New")],
)
def test_an_abi3_file_within_it_is_fine(tmp_path: Path, tag: str, symbol: str) -> None:
    minor = tag[3:].partition("-")[0]
    wheel = build_wheel(
        tmp_path / "in",
        tag=tag,
        files={"pkg/_x.abi3.so": module("_x", "abi3", symbol)},
        requires_python=f">=3.{minor}",
    )
    assert fuse([wheel], tmp_path / "out").plan.broken == ()


def test_an_abi3_file_that_stands_in_for_that_of_older_cpythons_keeps_to_theirs(tmp_path: Path) -> None:
    given = [
        build_wheel(
            tmp_path / "in",
            tag=tag,
            files={"pkg/_x.abi3.so": module("_x", tag, symbol)},
            requires_python=">=3.9",
        )
        for tag, symbol in (("cp39-abi3", "PyList_New"), ("cp311-abi3", "PyObject_GetBuffer"))
    ]
    code, message = refused(given, "--resolve", "pkg/_x.abi3.so=newest")
    assert code == 3
    assert "`PyObject_GetBuffer` is in the limited API only since 3.11, not in that of 3.9" in message


@pytest.mark.parametrize(
    ("symbol", "reason"),
    [("PyDict_SetDefault", "is not in the limited API of any CPython"), ("PyList_GetItemRef", "")],
)
def test_an_abi3t_file_keeps_to_it_too(tmp_path: Path, symbol: str, reason: str) -> None:
    source = f"extern char {symbol}; void *used = &{symbol}; void *PyModExport__x(void) {{ return 0; }}"
    wheel = build_wheel(
        tmp_path / "in",
        tag="cp315-abi3.abi3t",
        files={"pkg/_x.abi3t.so": library(source)},
        requires_python=">=3.15",
    )
    if not reason:
        assert fuse([wheel], tmp_path / "out").plan.broken == ()
        return
    code, message = refused([wheel])
    assert code == 3
    assert f"pkg/_x.abi3t.so: `{symbol}` {reason}" in message


# The machine


AARCH64 = 183


def patched(content: bytes, machine: int) -> bytes:
    """The same file with another e_machine."""
    return content[:18] + machine.to_bytes(2, "little") + content[20:]


@pytest.mark.parametrize(
    ("platform", "machine"),
    [("manylinux_2_17_x86_64", AARCH64), ("manylinux_2_17_aarch64", 62), ("musllinux_1_2_armv7l", 40)],
)
def test_a_module_for_another_machine_is_refused(tmp_path: Path, platform: str, machine: int) -> None:
    files = {f"pkg/{soabi('_x', CP312)}": patched(module("_x", CP312), machine)}
    wheel = single(tmp_path, "cp312", files, platform=platform)
    code, message = refused([wheel])
    assert code == 3
    name = platform.split("_", 3)[3]
    assert f"but the wheel is for {name}" in message
    assert f"pkg/{soabi('_x', CP312)}" in message


@pytest.mark.parametrize(
    ("platform", "multiarch", "subject"),
    [
        ("manylinux_2_17_s390x", "s390x-linux-gnu", SymbolObject(64, ">", 22)),
        ("manylinux_2_17_i686", "i386-linux-gnu", SymbolObject(32, "<", 3)),
        ("manylinux_2_17_ppc64", "powerpc64-linux-gnu", SymbolObject(64, ">", 21)),
        ("manylinux_2_31_armv7l", "arm-linux-gnueabihf", SymbolObject(32, "<", 40)),
        ("musllinux_1_2_armv7l", "arm-linux-musleabihf", SymbolObject(32, "<", 40)),
        ("manylinux_2_17_aarch64", "aarch64-linux-gnu", SymbolObject(64, "<", 183)),
        ("musllinux_1_2_aarch64", "aarch64-linux-musl", SymbolObject(64, "<", 183)),
        ("manylinux_2_17_ppc64le", "powerpc64le-linux-gnu", SymbolObject(64, "<", 21)),
    ],
)
def test_modules_of_every_machine_are_read_and_held_against_their_cpython(
    tmp_path: Path, platform: str, multiarch: str, subject: SymbolObject
) -> None:
    suffix = f".cpython-313-{multiarch}.so"
    good = subject.build(exports=["PyInit__x"], imports=["PyList_New"])
    wheel = single(tmp_path, "cp313", {f"pkg/_x{suffix}": good}, platform=platform)
    assert fuse([wheel], tmp_path / "out").plan.warnings == ()
    bad = subject.build(exports=["PyInit__x"], imports=["PyList_New", GONE])
    code, message = refused([single(tmp_path / "bad", "cp313", {f"pkg/_x{suffix}": bad}, platform=platform)])
    assert code == 3
    assert GONE in message


@pytest.mark.parametrize(
    ("platform", "subject", "found"),
    [
        ("manylinux_2_17_s390x", SymbolObject(64, "<", 22), "a 64-bit little-endian file for EM_S390"),
        ("manylinux_2_17_ppc64le", SymbolObject(64, ">", 21), "a 64-bit big-endian file for EM_PPC64"),
        ("manylinux_2_17_x86_64", SymbolObject(32, "<", 62), "a 32-bit little-endian file for EM_X86_64"),
    ],
)
def test_class_and_byte_order_count_too(
    tmp_path: Path, platform: str, subject: SymbolObject, found: str
) -> None:
    files = {"pkg/_x.cpython-313-any-linux-gnu.so": subject.build(exports=["PyInit__x"], imports=[])}
    code, message = refused([single(tmp_path, "cp313", files, platform=platform)])
    assert code == 3
    assert found in message


# Files that cannot be read or are none


@pytest.mark.parametrize(
    "content", [b"", b"no ELF file", compiled("int x;", "-c")], ids=["empty", "text", "object"]
)
def test_a_file_named_as_a_module_must_be_one(tmp_path: Path, content: bytes) -> None:
    wheel = single(tmp_path, "cp312", {f"pkg/{soabi('_x', CP312)}": content})
    code, message = refused([wheel])
    assert code == 3
    assert f"{wheel.name}: pkg/{soabi('_x', CP312)}: named as an extension module" in message


def test_a_linker_script_is_data(tmp_path: Path) -> None:
    fuse([single(tmp_path, "cp312", {"pkg/libx.so": "INPUT(libx.so.1)"})], tmp_path / "out")


def damaged() -> dict[str, bytes]:
    content = module("_x", CP312)
    noise = random.Random(1).randbytes(4096)
    return {
        "magic alone": content[:4],
        "header cut": content[:40],
        "cut in the middle": content[: len(content) // 2],
        "one byte short": content[:-1],
        "noise after the magic": content[:4] + noise,
        "noise after the identification": content[:16] + noise,
        "section headers stripped": content[:40] + bytes(8) + content[48:58] + bytes(6) + content[64:],
    }


@pytest.mark.parametrize("path", [f"pkg/{soabi('_x', CP312)}", "pkg/libx.so.1", "pkg/data.bin"])
@pytest.mark.parametrize("damage", damaged())
def test_an_unreadable_elf_file_is_refused(tmp_path: Path, damage: str, path: str) -> None:
    wheel = single(tmp_path, "cp312", {path: damaged()[damage]})
    code, message = refused([wheel])
    assert code == 3
    assert f"{wheel.name}: {path}: unreadable ELF file" in message
