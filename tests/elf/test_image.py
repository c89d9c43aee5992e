"""What is read of a shared object, and that damage to it is told."""

from __future__ import annotations

import io
import os
import struct
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.elf.minimal import Minimal
from tests.elf.symbols import SymbolObject
from tests.native import compiled, library, module
from wheelfuse.elf.image import interchangeable, masked_exports, read_image
from wheelfuse.elf.symbols import Import
from wheelfuse.errors import InvalidInput
from wheelfuse.target import Target

VERSIONED = library(
    "int given(void) { return 1; }",
    "libgiven.so.1",
    "-Wl,--version-script=v",
    beside={"v": b"G_1 { given; };"},
)


def example(*flags: str, body: str = "") -> bytes:
    return library(
        f"""
        extern int given(void);
        extern int perhaps(void) __attribute__((weak));
        int shown(void) {{ return given() + (perhaps ? perhaps() : 0); }}
        int data_too = 1;
        __attribute__((visibility("hidden"))) int hidden(void) {{ return 2; }}
        __attribute__((visibility("protected"))) int protected(void) {{ return 3; }}
        static int local(void) {{ return 4; }}
        int (*use)(void) = local;
        __attribute__((weak)) int overridable(void) {{ return 5; }}
        {body}
        """,
        "libexample.so.2",
        *flags,
        runpath="$ORIGIN/../libs:/opt/lib",
        beside={"libgiven.so.1": VERSIONED},
    )


def test_facts_of_a_shared_object() -> None:
    image = read_image(example())
    assert (image.machine, image.bits, image.little_endian, image.kind) == ("EM_X86_64", 64, True, "ET_DYN")
    assert image.soname == "libexample.so.2"
    assert image.needed[0] == "libgiven.so.1"
    assert image.runpath == ("$ORIGIN/../libs", "/opt/lib")
    assert Import("given", "G_1", weak=False) in image.imports
    assert Import("perhaps", "", weak=True) in image.imports
    assert "given" in image.imported
    assert "perhaps" not in image.imported


def test_exports_are_what_others_can_link() -> None:
    exports = read_image(example()).exports
    assert {"shown", "data_too", "protected", "overridable", "use"} <= exports
    assert not {"hidden", "local", "given", "perhaps"} & exports


def test_the_symbols_are_those_that_readelf_sees(tmp_path: Path) -> None:
    content = example()
    path = tmp_path / "example.so"
    path.write_bytes(content)
    listed = subprocess.run(
        ["readelf", "--dyn-syms", "--wide", str(path)], check=True, capture_output=True, text=True
    ).stdout
    rows = [line.split() for line in listed.splitlines() if line.strip()[:1].isdigit()]
    named = [row for row in rows if len(row) > 7]
    image = read_image(content)
    assert {symbol.name for symbol in image.imports} == {
        row[7].partition("@")[0] for row in named if row[6] == "UND"
    }
    assert image.exports == {row[7].partition("@")[0] for row in named if row[6] != "UND"}


def test_rpath_counts_only_without_runpath() -> None:
    old = library("int x;", "libx.so", "-Wl,--disable-new-dtags", "-Wl,-rpath,/old")
    assert read_image(old).runpath == ("/old",)


@pytest.mark.parametrize(
    ("name", "function"), [("_x", "PyInit__x"), ("a-b", "PyInit_a_b"), ("café", "PyInitU_caf_dma")]
)
def test_the_init_function_makes_a_module(name: str, function: str) -> None:
    image = read_image(library(f"void *{function}(void) {{ return 0; }}"))
    assert image.initialises(name)
    assert not image.initialises("other")


def test_an_export_function_of_pep_793_makes_a_module() -> None:
    assert read_image(library("void *PyModExport__x(void) { return 0; }")).initialises("_x")


def test_a_hidden_init_function_makes_none() -> None:
    source = '__attribute__((visibility("hidden"))) void *PyInit__x(void) { return 0; }'
    assert not read_image(library(source)).initialises("_x")


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_class_and_byte_order_is_read(bits: int, order: str) -> None:
    content = SymbolObject(bits, order, 22).build(
        exports=["PyInit__x", "other"], imports=["PyList_New"], soname="libx.so", needed=["libc.so.6"]
    )
    image = read_image(content)
    assert (image.machine, image.bits, image.little_endian) == ("EM_S390", bits, order == "<")
    assert (image.soname, image.needed) == ("libx.so", ("libc.so.6",))
    assert image.imports == (Import("PyList_New", "", weak=False),)
    assert image.exports == {"PyInit__x", "other"}


def test_an_object_file_has_no_names() -> None:
    image = read_image(compiled("int x;", "-c"))
    assert image.kind == "ET_REL"
    assert (image.sections, image.exports) == ((), frozenset())


def test_debug_sections_are_counted() -> None:
    plain, debug, stripped = (read_image(example(*flags)) for flags in ((), ("-g",), ("-s",)))
    assert debug.size_of_debug > plain.size_of_debug > 0
    assert stripped.size_of_debug == 0


@pytest.mark.parametrize("content", [example(), module("_x", Target(12)), VERSIONED], ids=["0", "1", "2"])
def test_a_file_that_is_cut_anywhere_is_refused(content: bytes) -> None:
    for size in (*range(4, 128, 4), *range(128, len(content), 97), len(content) - 1):
        with pytest.raises(InvalidInput, match="unreadable ELF file"):
            read_image(content[:size], deep=True)


@pytest.mark.parametrize(
    ("what", "offset", "change"),
    [
        ("an unknown class", 4, b"\x03"),
        ("an unknown byte order", 5, b"\x03"),
        ("an unknown type", 16, b"\x34\x12"),
        ("section headers far away", 40, b"\xff" * 7),
        ("section headers of another size", 58, b"\x20\x00"),
        ("more sections than the file has", 60, b"\xff\xff"),
        ("program headers far away", 32, b"\xff" * 7),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(what: str, offset: int, change: bytes) -> None:
    content = example()
    with pytest.raises(InvalidInput):
        read_image(content[:offset] + change + content[offset + len(change) :])


def test_an_object_without_sections_for_its_symbols_is_refused() -> None:
    with pytest.raises(InvalidInput, match="SHT_DYNSYM"):
        read_image(Minimal(has_sections=False).build())


@settings(
    max_examples=150,
    derandomize=True,
    deadline=4000,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.sampled_from([example(), SymbolObject(32, ">", 8).build(exports=["x"], imports=["y"], needed=["z"])]),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
)
def test_damage_never_ends_in_another_error(content: bytes, changes: list[tuple[int, bytes]]) -> None:
    damaged = bytearray(content)
    for offset, change in changes:
        at = offset % len(damaged)
        damaged[at : at + len(change)] = change
    try:
        read_image(bytes(damaged), deep=True)
    except InvalidInput as error:
        assert "unreadable ELF file" in str(error)


def test_sections_that_nobody_needs_are_not_looked_into() -> None:
    """Neither do loaders: they find what they need by the dynamic section."""
    content = bytearray(example())
    (table,) = (s for s in read_image(bytes(content)).sections if s.name == ".gnu.hash")
    content[table.offset : table.offset + table.size] = b"\xff" * table.size
    assert read_image(bytes(content)) == read_image(example())


@pytest.mark.parametrize("content", [example(), VERSIONED], ids=["example", "versioned"])
def test_the_sections_are_those_that_pyelftools_sees(content: bytes) -> None:
    seen = ELFFile(io.BytesIO(content)).iter_sections()
    fields = [(s.name, s["sh_type"], s["sh_flags"], s["sh_size"], s["sh_offset"]) for s in seen]
    assert [(s.name, s.kind, s.flags, s.size, s.offset) for s in read_image(content).sections] == fields


# Comparison


def digest(*flags: str, body: str = "") -> str:
    return read_image(example(*flags, body=body), deep=True).loaded_digest


@pytest.mark.parametrize("flags", [("-g",), ("-s",), ("-Wl,--build-id=0x12",), ("-Wl,--build-id=0x34",)])
def test_bytes_that_are_not_loaded_are_not_in_the_digest(flags: tuple[str, ...]) -> None:
    plain = ("-Wl,--build-id=0x56",) if "build-id" in flags[0] else ()
    assert example(*flags) != example(*plain)
    assert digest(*flags) == digest(*plain)


@pytest.mark.parametrize(
    ("flags", "body"),
    [
        ((), "int one_more;"),
        ((), 'const char *text = "a";'),
        (
            ("-O2",),
            "int twice(int x) { return x + x; } int loops(int n) { int s = 0; while (n--) s += n; return s; }",
        ),
        (("-Wl,-z,execstack",), ""),
        (("-Wl,-z,now",), ""),
        ((), "__thread int local_to_thread = 7;"),
    ],
)
def test_what_is_loaded_is_in_the_digest(flags: tuple[str, ...], body: str) -> None:
    assert digest(*flags, body=body) != digest()


def test_without_deep_there_is_no_digest() -> None:
    assert read_image(example()).loaded_digest == ""


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("__nv_0a1b2c3d_12_x", "__nv_#_x"),
        ("_INTERNAL_deadbeef_4_file_cu_0123abcd_7", "_INTERNAL_#_file_cu_#"),
        ("plain", "plain"),
        ("short_abc123", "short_abc123"),
        ("UPPER_DEADBEEF", "UPPER_DEADBEEF"),
    ],
)
def test_hash_suffixes_are_masked(name: str, masked: str) -> None:
    assert masked_exports(read_image(library(f"int {name};"))) == {masked}


def test_names_that_are_no_text_stay_different() -> None:
    plain = library("int odd_QQ(void) { return 1; }", "libodd.so")
    one, other = (
        read_image(plain.replace(b"odd_QQ", b"odd_" + 2 * byte), deep=True) for byte in (b"\xff", b"\xfe")
    )
    assert os.fsdecode(b"odd_\xff\xff") in one.exports
    assert "exported symbols differ" in interchangeable([one, other])


def test_the_order_of_needed_libraries_does_not_count() -> None:
    libs = {name: library("int x;", name) for name in ("liba.so", "libb.so")}
    first, second = (
        read_image(library("int f(void) { return 1; }", "libc.so", beside=dict(order)))
        for order in (libs.items(), reversed(libs.items()))
    )
    assert first.needed != second.needed
    assert interchangeable([first, second]) == ""


def test_machines_are_never_interchangeable() -> None:
    first, second = (read_image(SymbolObject(64, "<", machine).build(exports=["x"])) for machine in (62, 183))
    assert interchangeable([first, second]) == "machines differ"


def test_a_weak_reference_is_not_the_same_as_a_strong_one() -> None:
    def using(attribute: str) -> bytes:
        return library(f"extern int given {attribute}; int *used = &given;", "libx.so")

    first, second = read_image(using("")), read_image(using("__attribute__((weak))"))
    assert interchangeable([first, second]).startswith("undefined symbols differ")


def test_a_few_bytes_of_padding_are_no_difference_and_more_are() -> None:
    def text(size: int) -> bytes:
        return library(f'const char *text(void) {{ return "{size * "x"}"; }}', "libx.so")

    images = {size: read_image(text(size)) for size in (100, 150, 200)}
    assert interchangeable([images[100], images[150]]) == ""
    assert interchangeable([images[150], images[200]]) == ""
    # nor do several small steps make a large one
    for sizes in ((100, 200), (100, 150, 200), (150, 100, 200)):
        why = interchangeable([images[size] for size in sizes])
        assert why.startswith("section .rodata differs")


def test_code_of_another_size_is_a_difference() -> None:
    def code(more: str) -> bytes:
        return library(f"int f(int x) {{ return x * 3 {more}; }}", "libx.so")

    why = interchangeable([read_image(code("")), read_image(code("+ (x ^ 12345) * (x / 7)"))])
    assert why.startswith("section .text differs")


@pytest.mark.parametrize(("flag", "executable"), [("noexecstack", False), ("execstack", True)])
def test_the_stack_is_as_the_linker_was_told(flag: str, executable: bool) -> None:
    assert read_image(library("int x;", "", f"-Wl,-z,{flag}")).hardening.executable_stack is executable


@pytest.mark.parametrize(("machine", "executable"), [(62, True), (183, True), (243, False)])
def test_without_the_header_the_stack_is_as_the_machine_has_it(machine: int, executable: bool) -> None:
    content = bytearray(library("int x;", "", "-Wl,-z,noexecstack"))
    start, size, count = struct.unpack_from("<Q", content, 0x20)[0], *struct.unpack_from("<HH", content, 0x36)
    for at in range(start, start + size * count, size):
        if struct.unpack_from("<I", content, at)[0] == 0x6474E551:  # PT_GNU_STACK
            struct.pack_into("<I", content, at, 0)
    struct.pack_into("<H", content, 0x12, machine)
    assert read_image(bytes(content)).hardening.executable_stack is executable


@pytest.mark.parametrize(
    ("flags", "relro"),
    [
        (("-Wl,-z,norelro",), "none"),
        (("-Wl,-z,relro,-z,lazy",), "partial"),
        (("-Wl,-z,relro,-z,now",), "full"),
    ],
)
def test_relro_is_none_partial_or_full(flags: tuple[str, ...], relro: str) -> None:
    assert read_image(library("int x;", "", *flags)).hardening.relro == relro


def test_versions_that_are_needed_and_defined_are_told_with_their_libraries() -> None:
    script = "ONE { global: one; local: *; }; TWO { global: two; } ONE;"
    versioned = library(
        "int one(void) { return 1; } int two(void) { return 2; }", "libv.so", "-Wl,--version-script=v.map",
        beside={"v.map": script.encode()},
    )  # fmt: skip
    assert read_image(versioned).version_definitions == {"ONE", "TWO"}
    user = library("extern int two(void); int three(void) { return two(); }", beside={"libv.so": versioned})
    needs = {need.library: need.versions for need in read_image(user).version_needs}
    assert needs["libv.so"] == ("TWO",)


def test_an_rpath_is_told_from_a_runpath() -> None:
    old = library("int x;", "", "-Wl,--disable-new-dtags", "-Wl,-rpath,/old")
    assert read_image(old).has_rpath
    assert not read_image(library("int x;", "", runpath="/new")).has_rpath


def test_sections_are_where_they_say() -> None:
    content = library('const char text[] = "find me";')
    (rodata,) = [section for section in read_image(content).sections if section.name == ".rodata"]
    assert b"find me" in content[rodata.offset : rodata.offset + rodata.size]
