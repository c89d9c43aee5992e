"""Containers that differ in names alone are found, each name in the host code with them, and nothing else is."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO

import lz4.block
import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from tests.cuda import build_names
from tests.elf.device import code, containers_of, device_library
from tests.elf.fatbins import LTO, LZ4, PTX, container, entry
from tests.interpreters import available
from tests.native import compiled
from wheelfuse import Target
from wheelfuse.content import reading
from wheelfuse.elf.carrier import lay_out
from wheelfuse.elf.fatbin import Container
from wheelfuse.elf.image import read_image
from wheelfuse.elf.module_ids import Naming, _Content, module_ids, read_naming
from wheelfuse.elf.outsource import Move, outsource
from wheelfuse.elf.patch import Edit
from wheelfuse.errors import InvalidInput

ONE, TWO = "0a1b2c3d_4_k_cu", "d9e8f706_4_k_cu"
TARGET = next(target for target in map(Target, (10, 12, 13)) if target in available())


def kernel(id_: str, name: str = "hidden") -> str:
    return f"_ZN36_GLOBAL__N__{id_}_5916767c{len(name)}{name}EPf"


def ptx(*ids: str, more: str = "") -> bytes:
    """PTX with a kernel and a variable for each module id, large enough that names do not count."""
    names = "".join(f".visible .entry {kernel(id_)}()\n.global .u32 {kernel(id_, 'table')};\n" for id_ in ids)
    noise = random.Random(1).randbytes(10000).hex()
    text = f".version 9.0\n.target sm_90\n{names}{more}// {noise}\n".encode()
    return text + bytes(-len(text) % 8)


def ptx_entry(content: bytes, flags: int = 0, kind: int = PTX) -> bytes:
    if not flags:
        return entry(kind, 90, payload=len(content))[:64] + content
    stored = lz4.block.compress(content, store_size=False)
    size = len(stored) + -len(stored) % 8
    head = entry(kind, 90, flags, payload=size, compressed=len(stored), uncompressed=len(content))
    return head[:64] + stored + bytes(size - len(stored))


def strings(*texts: str) -> str:
    """C source with these strings among its constants, and nothing that refers to them but code."""
    return "".join(f'const char *text{n}(void) {{ return "{text}"; }}\n' for n, text in enumerate(texts))


def named(*ids: str, more: str | None = None, **settings: Sequence[str]) -> bytes:
    """A library with a container for each module id, whose names its host code has."""
    source = strings(*(kernel(id_, name) for id_ in ids for name in ("hidden", "table")))
    codes = [container(ptx_entry(ptx(id_))) for id_ in ids]
    return device_library(codes=codes, more=source + (more or ""), **settings)  # type: ignore[arg-type]


def only(data: bytes) -> Naming:
    (found,) = read_naming(data, containers_of(data)).containers.values()
    return found


def rodata(data: bytes) -> tuple[int, bytes]:
    section = ELFFile(BytesIO(data)).get_section_by_name(".rodata")
    return section["sh_offset"], section.data()


# Ids


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (kernel(ONE), [ONE]),
        (f"_ZN34_INTERNAL_{ONE}_5916767c{kernel(ONE)[3:]}", [ONE, ONE]),
        (f"__cudaRegisterLinkedBinary_{ONE}_5916767c", [ONE]),
        (f"_ZN34_INTERNAL_{ONE}__Z2goPi2ns5tableE", [ONE]),  # nvcc 13, with a function of the host
        (f"__nv_static_25__{ONE}__Z2goPi_counter", [ONE]),  # with -rdc=true
        ("00000000_9_my_k2_cuh_00000000", ["00000000_9_my_k2_cuh"]),
        ("0a1b2c3d_14_a_4_b_12345678_5916767c", ["0a1b2c3d_14_a_4_b_12345678"]),
        (f"{ONE}_{TWO}_", [ONE, TWO]),
        ("0a1b2c3d_5_k_cu5916767c", []),
        ("0a1b2c3d_4_k_cu", []),
        ("0A1B2C3D_4_k_cu_5916767c", []),
        ("a1b2c3d_4_k_cu_5916767c", []),
        ("0a1b2c3d_4_k.cu_5916767c", []),
        ("0a1b2c3d_9_k_cu_5916767c", []),
    ],
)
def test_ids_are_found_in_any_name(text: str, found: list[str]) -> None:
    data = text.encode()
    assert [id_.decode() for _, id_ in module_ids(data)] == found
    for offset, id_ in module_ids(b"\xff\0" + data + b"\0", 2):
        assert (b"\xff\0" + data)[offset : offset + len(id_)] == id_


def test_ids_are_found_between_bounds_only() -> None:
    data = kernel(ONE).encode()
    at = data.index(b"0a1b")
    assert len(list(module_ids(data, at, at + 16))) == 1
    assert list(module_ids(data, at + 1, at + 16)) == list(module_ids(data, at, at + 15)) == []


# Containers


def test_builds_in_two_directories_differ_in_names_alone() -> None:
    one, two = (only(build_names(TARGET, directory)) for directory in ("a", "b"))
    assert one.id != two.id
    assert one.id[8:] == two.id[8:] == "_8_names_cu"
    assert one.masked == two.masked != ""
    assert one.why == two.why == one.obstacle(two) == two.obstacle(one) == ""


def test_the_places_are_those_of_names_that_the_container_has() -> None:
    """Held against pyelftools; the name of a type in the anonymous namespace is in the host code alone."""
    data = build_names(TARGET, "a")
    found = only(data)
    start, content = rodata(data)
    (held,) = (c for c in containers_of(data) if c in read_naming(data, containers_of(data)).containers)
    blob = data[held.offset : held.offset + held.size]
    cubins = [ELFFile(BytesIO(blob[m.start() :])) for m in re.finditer(b"\x7fELF", blob)]
    symbols = {s.name for cubin in cubins for s in cubin.get_section_by_name(".symtab").iter_symbols()}
    expected, others = set(), set()
    for match in re.finditer(found.id.encode(), content):
        begin, end = content.rfind(b"\0", 0, match.start()) + 1, content.find(b"\0", match.start())
        name = content[begin:end].decode()
        (expected if name in symbols else others).add((match.start() + start, name))
    assert len(cubins) == 2
    assert found.places == tuple(sorted(place for place, _ in expected))
    assert len(expected) >= 4
    assert f"N40_GLOBAL__N__{found.id}" in {name[:34] for _, name in others}


@pytest.mark.parametrize("flags", [0, LZ4], ids=["plain", "LZ4"])
def test_fakes_are_alike(flags: int) -> None:
    one, two = (
        only(device_library(codes=[container(ptx_entry(ptx(id_), flags))], more=strings(kernel(id_))))
        for id_ in (ONE, TWO)
    )
    assert (one.id, two.id) == (ONE, TWO)
    assert one.masked == two.masked
    assert len(one.places) == len(two.places) == 1
    assert one.obstacle(two) == ""
    assert one.edits(two) == (Edit(one.places[0], b"0a1b2c3d", b"d9e8f706"),)


def test_code_without_ids_has_no_naming() -> None:
    data = device_library()
    found = read_naming(data, containers_of(data))
    assert (found.containers, found.ids) == ({}, frozenset())


def test_all_ids_of_a_file_are_known() -> None:
    other = "12345678_4_x_cu"
    data = named(ONE, more=f'char written[] = "{other}_87654321";')
    assert read_naming(data, containers_of(data)).ids == {ONE, other}


def changed(data: bytes, place: int, bits: int) -> bytes:
    return data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]


def content_of(data: bytes) -> _Content:
    return _Content.of(data, Container(".nv_fatbin", 0, len(data), ()))


@given(st.integers(16, 3000), st.integers(0, 255), st.sampled_from([0, LZ4]))
def test_any_other_difference_is_one(place: int, bits: int, flags: int) -> None:
    """Equal but for names is what is equal once one id is put for the other, and nothing else."""
    short = ptx(ONE)[:1000] + bytes(1000)
    one = container(*(ptx_entry(short, kind) for kind in (0, flags)))
    two = container(*(ptx_entry(short.replace(ONE.encode(), TWO.encode()), kind) for kind in (0, flags)))
    mutated = changed(two, min(place, len(two) - 1), bits)
    alike = content_of(mutated).masked == content_of(one).masked
    if not bits:
        assert alike
    if alike and not flags:
        assert mutated.replace(TWO.encode(), ONE.encode()) == one
    if alike and flags and place < 16 + 64 + 2000:
        assert mutated[: 16 + 64 + 2000].replace(TWO.encode(), ONE.encode()) == one[: 16 + 64 + 2000]


# What stands against it


def damaged_names(data: bytes) -> bytes:
    """A relocation of the library is made one of its first name."""
    place = only(data).places[0]
    elf = ELFFile(BytesIO(data))
    address = next(elf.address_offsets(0), None)
    assert address is not None
    load = next(s for s in elf.iter_segments("PT_LOAD") if 0 <= place - s["p_offset"] < s["p_filesz"])
    table = elf.get_section_by_name(".rela.dyn")
    (record,) = (s for s in elf.iter_sections() if s.name == ".nvFatBinSegment")
    taken = range(record["sh_addr"], record["sh_addr"] + record["sh_size"])
    free = [n for n, r in enumerate(table.iter_relocations()) if r["r_offset"] not in taken]
    offset = table["sh_offset"] + free[0] * 24
    target = struct.pack("<Q", place - load["p_offset"] + load["p_vaddr"] + 2)
    return data[:offset] + target + data[offset + 8 :]


def cut_strings(data: bytes) -> bytes:
    """The section header of the constants says that they end within the last name."""
    elf = ELFFile(BytesIO(data))
    index = elf.get_section_index(".rodata")
    offset = elf["e_shoff"] + index * elf["e_shentsize"] + 32
    last = only(data).places[-1]
    size = last + len(ONE) + 2 - elf.get_section(index)["sh_offset"]
    return data[:offset] + struct.pack("<Q", size) + data[offset + 8 :]


BROKEN = ptx_entry(ptx(ONE), LZ4)[:64] + b"\xff" * (len(ptx_entry(ptx(ONE), LZ4)) - 64)
REFUSALS: dict[str, Callable[[], bytes]] = {
    "has the names of several source files": lambda: device_library(
        codes=[container(ptx_entry(ptx(ONE, TWO)))]
    ),
    "was left to be linked (-rdc=true)": lambda: named(ONE, sections=["__nv_relfatbin"]),
    "has code of a kind whose names are not known (lto)": lambda: device_library(
        codes=[container(ptx_entry(ptx(ONE)), ptx_entry(ptx(ONE), kind=LTO))]
    ),
    "cannot be read: damaged GPU code": lambda: device_library(
        codes=[container(ptx_entry(ptx(ONE)), BROKEN)]
    ),
    "is beside GPU code in which names cannot be found": lambda: device_library(
        codes=[container(ptx_entry(ptx(ONE))), container(BROKEN)]
    ),
    "has names that other GPU code of the file has, too": lambda: device_library(
        codes=[
            container(ptx_entry(ptx(ONE))),
            container(ptx_entry(ptx(ONE, more=".version"))),
        ]
    ),
    "has names that are also elsewhere in the file than in .rodata": lambda: named(
        ONE, more=f'char written[] = "{kernel(ONE)}";'
    ),
    "than in .rodata": lambda: named(
        ONE, more=f"int __cudaRegisterLinkedBinary_{ONE}_5916767c(void) {{ return 1; }}"
    ),
    "has names that are parts of other strings": lambda: device_library(
        codes=[container(ptx_entry(ptx(ONE)))], more=strings(f"see {kernel(ONE)}")
    ),
    "has names that change when the file is loaded": lambda: damaged_names(named(ONE)),
    "has names in a string that has no end": lambda: cut_strings(named(ONE)),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_what_cannot_be_shown_is_left(why: str) -> None:
    data = REFUSALS[why]()
    found = read_naming(data, containers_of(data)).containers.values()
    assert found
    assert all(why in naming.why for naming in found)
    assert all(not naming.places for naming in found)
    assert all(naming.obstacle(only(named(TWO))) == naming.why for naming in found)


def test_machine_code_that_is_no_elf_file_is_left() -> None:
    data = device_library(codes=[container(entry(2, 90, payload=4096)[:64] + ptx(ONE)[:4096])])
    assert "cannot be read" in only(data).why


def test_strings_that_the_container_does_not_have_stay() -> None:
    data = named(ONE, more=f'const char *type(void) {{ return "N36_GLOBAL__N__{ONE}_5916767c5LocalE"; }}')
    assert (only(data).why, len(only(data).places)) == ("", 2)


def test_names_that_are_not_loaded_do_not_matter() -> None:
    data = named(ONE, more=f"static int __attribute__((used)) {kernel(ONE, 'stub')};")
    assert ONE.encode() in ELFFile(BytesIO(data)).get_section_by_name(".strtab").data()
    assert (only(data).why, len(only(data).places)) == ("", 2)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"size": 50001}, "has another size, compressed"),
        ({"blocks": bytes(4)}, "has another size, compressed"),
        ({"blocks": b"".join(struct.pack("<I", n) for n in range(100))}, "differs too much, as it is stored"),
        ({"blocks": struct.pack("<I", 1) + bytes(396)}, ""),
    ],
)
def test_differences_must_not_outweigh_the_gain(change: dict[str, object], why: str) -> None:
    """What it takes to get the original container back is kept in the fused wheel."""
    one = Naming(ONE, "same", 50000, 10, bytes(400))
    two = replace(Naming(TWO, "same", 50000, 10, bytes(400)), **change)  # type: ignore[arg-type]
    assert one.obstacle(two).startswith(why)
    assert bool(one.obstacle(two)) == bool(why)


def test_many_names_in_little_code_are_not_worth_it() -> None:
    assert "differs too much" in Naming(ONE, "same", 1000, 2).obstacle(Naming(TWO, "same", 1000, 2))


def test_a_file_that_cannot_be_edited_is_refused() -> None:
    data = compiled(strings(ONE), "-c")
    with pytest.raises(InvalidInput):
        read_naming(data, ())


# Edits


def moved(data: bytes, held: bytes, renamings: Sequence[Edit]) -> tuple[bytes, bytes]:
    """The library without its containers, and what it is restored to from those of *held*."""
    own, other = containers_of(data), containers_of(held)
    form = lay_out(read_image(data).machine, "libd.so", "device", [c.size for c in own])
    carrier = b"".join(form.write([[held[c.offset : c.offset + c.size]] for c in other]))
    moves = [Move(one, at) for one, at in zip(own, form.offsets, strict=True)]
    done = outsource(
        data, moves, symbol="device", carrier="libd.so", runpath="$ORIGIN", renamings=renamings,
        held=reading(carrier[form.section_offset :]),
    )  # fmt: skip
    new = b"".join(done.recipe.apply(reading(data)))
    undo = done.undo.borrowing_from(form.section_offset)
    assert sum(piece.size for piece in undo.pieces if type(piece).__name__ == "Literal") < 5000
    return new, b"".join(undo.apply(reading(new), reading(carrier)))


@pytest.mark.parametrize("flags", [(), ("-Wl,-z,noseparate-code",)], ids=["default", "few segments"])
def test_names_change_and_come_back(flags: tuple[str, ...]) -> None:
    one, two = (
        device_library(
            *flags,
            codes=[code(100_000, 1), container(ptx_entry(ptx(id_)))],
            more=strings(kernel(id_), f"N36_GLOBAL__N__{id_}_5916767c5LocalE"),
        )
        for id_ in (ONE, TWO)
    )
    edits = only(one).edits(only(two))
    new, back = moved(one, two, edits)
    assert back == one
    assert kernel(TWO).encode() in rodata(new)[1]
    assert kernel(ONE).encode() not in rodata(new)[1]
    assert rodata(new)[1] == rodata(one)[1].replace(kernel(ONE).encode(), kernel(TWO).encode())
    kept, _ = moved(one, one, ())
    assert len(kept) == len(new)
    assert [n for n in range(len(new)) if new[n] != kept[n]] == [
        n for n in range(rodata(new)[0], rodata(new)[0] + len(rodata(new)[1])) if new[n] != kept[n]
    ]


@pytest.mark.parametrize("section", [".text", ".data", ".dynstr", ".rela.dyn", ".nv_fatbin", ".dynamic"])
def test_nothing_but_constants_changes(section: str) -> None:
    data = named(ONE, more="int written[] = {1, 2, 3, 4, 5, 6, 7, 8};")
    place = ELFFile(BytesIO(data)).get_section_by_name(section)["sh_offset"] + 8
    edit = Edit(place, data[place : place + 8], b"99999999")
    with pytest.raises(InvalidInput):
        moved(data, named(TWO, more="int written[] = {1, 2, 3, 4, 5, 6, 7, 8};"), [edit])


def test_other_names_than_the_file_has_are_refused() -> None:
    data, other = named(ONE), named(TWO)
    edit = replace(only(data).edits(only(other))[0], old=b"12345678")
    with pytest.raises(InvalidInput):
        moved(data, other, [edit])


def test_a_name_that_is_relocated_is_refused() -> None:
    data = named(ONE)
    edits = only(data).edits(only(named(TWO)))
    with pytest.raises(InvalidInput):
        moved(damaged_names(data), named(TWO), edits)
