"""CUDA fat binaries: written by hand, made by nvcc and held against cuobjdump, and damaged."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.elf.fatbins import (
    DEBUG,
    FAMILY,
    LTO,
    LZ4,
    ONE_GPU,
    PTX,
    SASS,
    ZSTD,
    container,
    entry,
    image,
)
from tests.real.download import fetched
from wheelfuse.auditing.reading import read_subject
from wheelfuse.elf.fatbin import Container, DeviceCode, Entry, natural, read_device_code
from wheelfuse.elf.image import Image, read_image
from wheelfuse.errors import InvalidInput

FIXTURES = Path(__file__).parents[2] / "fixtures" / "cuda"
START = 128  # offset of the section in the file


def read(section: bytes, name: str = ".nv_fatbin") -> DeviceCode:
    return read_device_code(bytes(START) + section, image([(name, len(section), START)]))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (entry(SASS, 80), Entry("sass", "sm_80", 64, 64, False, False, (1, 8))),
        (entry(SASS, 90, ONE_GPU), Entry("sass", "sm_90a", 64, 64, False, False, (1, 8))),
        (entry(SASS, 100, FAMILY, header=112), Entry("sass", "sm_100f", 64, 64, False, False, (1, 8))),
        (entry(PTX, 90, version=(9, 0)), Entry("ptx", "compute_90", 64, 64, False, False, (9, 0))),
        (
            entry(PTX, 90, ZSTD | ONE_GPU, payload=256, compressed=251, uncompressed=393, version=(9, 0)),
            Entry("ptx", "compute_90a", 251, 393, True, False, (9, 0)),
        ),
        (
            entry(SASS, 70, LZ4, payload=48, compressed=45, uncompressed=900, version=(1, 7)),
            Entry("sass", "sm_70", 45, 900, True, False, (1, 7)),
        ),
        (entry(LTO, 90, version=(1, 65)), Entry("lto", "lto_90", 64, 64, False, False, (1, 65))),
        (entry(SASS, 86, DEBUG), Entry("sass", "sm_86", 64, 64, False, True, (1, 8))),
        (entry(64, 90), Entry("kind 64", "kind64_90", 64, 64, False, False, (1, 8))),
    ],
)
def test_reads_an_entry(written: bytes, expected: Entry) -> None:
    assert read(container(written)).entries == (expected,)


def test_containers_have_offsets_in_the_file_and_sizes_with_their_header() -> None:
    first, second = container(entry(SASS, 80)), container(entry(SASS, 80), entry(PTX, 80, payload=8))
    code = read(first + bytes(24) + second + bytes(5000))
    assert [(found.section, found.offset, found.size) for found in code.containers] == [
        (".nv_fatbin", START, len(first)),
        (".nv_fatbin", START + len(first) + 24, len(second)),
    ]
    assert code.size == len(first) + len(second)


def test_a_container_may_have_no_entries_and_a_longer_header() -> None:
    assert read(container() + container(header=24)).containers == (
        Container(".nv_fatbin", START, 16, ()),
        Container(".nv_fatbin", START + 16, 24, ()),
    )


def test_code_that_is_still_to_be_linked_counts_too() -> None:
    assert read(container(entry(LTO, 90)), "__nv_relfatbin").lto == ("lto_90",)
    assert not read(container(entry(LTO, 90)), ".rodata")


def test_architectures_are_sorted_by_generation() -> None:
    entries = [entry(PTX, 90), entry(SASS, 100), entry(SASS, 90, ONE_GPU), entry(SASS, 90), entry(LTO, 75)]
    code = read(container(*entries, entry(SASS, 90)))
    assert code.architectures == ("sm_90", "sm_90a", "sm_100", "compute_90", "lto_75")
    assert (code.sass, code.ptx, code.lto) == (("sm_90", "sm_90a", "sm_100"), ("compute_90",), ("lto_75",))
    assert sorted(["kind64_1", "lto_9", "compute_8", "sm_10", "sm_9"], key=natural) == [
        "sm_9",
        "sm_10",
        "compute_8",
        "lto_9",
        "kind64_1",
    ]


def test_zeros_alone_are_no_device_code() -> None:
    assert not read(bytes(1 << 20))
    assert read(bytes(1 << 20)) == DeviceCode()


def test_a_section_without_contents_in_the_file_is_passed_over() -> None:
    sections = image([(".nv_fatbin", 1 << 40, START)]).sections
    nobits = Image("EM_X86_64", 64, True, "ET_DYN", sections=(replace(sections[0], kind="SHT_NOBITS"),))
    assert read_device_code(b"", nobits) == DeviceCode()


GOOD = container(entry(SASS, 80), entry(PTX, 80, ZSTD, payload=64, compressed=60, uncompressed=99))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (GOOD + b"\1" * 16, "no container at 0x110, but 0x01010101"),
        (b"not padding!" + bytes(4) + GOOD, "no container at 0x0"),
        (GOOD[:-8], "container at 0x0 has 272 bytes, the section only 264 more"),
        (GOOD + GOOD[:8], "container at 0x110 is cut off"),
        (container(version=2), "is of version 2 with a header of 16 bytes"),
        (container(entry(SASS, 80)[:40]), "ends within the header of an entry"),
        (container(entry(SASS, 80)[:100]), "has an entry that reaches beyond it"),
        (container(entry(SASS, 80, entry_version=0x0201)), "an entry of version 0x201"),
        (container(entry(SASS, 80, header=32)), "with a header of 32 bytes"),
        (container(entry(SASS, 80, LZ4, compressed=65)), "has an entry that reaches beyond it"),
    ],
)
@pytest.mark.parametrize("name", [".nv_fatbin", "__nv_relfatbin"])
def test_damage_is_refused(section: bytes, message: str, name: str) -> None:
    with pytest.raises(InvalidInput, match=f"^unreadable GPU code: section {name}: .*{re.escape(message)}"):
        read(section, name)


def test_a_section_that_reaches_beyond_the_file_is_refused() -> None:
    with pytest.raises(InvalidInput, match="beyond the end of the file"):
        read_device_code(bytes(START) + GOOD, image([(".nv_fatbin", len(GOOD) + 8, START)]))


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_any_damaged_byte_gives_a_value_or_is_refused(place: int, byte: int) -> None:
    damaged = bytearray(GOOD)
    damaged[place] = byte
    try:
        code = read(bytes(damaged))
    except InvalidInput:
        return
    assert code.size <= len(GOOD)


KINDS = {"elf": ("sass", "sm"), "ptx": ("ptx", "compute"), "nvvm": ("lto", "lto")}


def test_agrees_with_cuobjdump() -> None:
    data = (FIXTURES / "libkernel.so").read_bytes()
    code = read_device_code(data, read_image(data))
    found = [(entry.kind, entry.arch, entry.version, entry.compressed, entry.debug) for entry in code.entries]
    assert found == told_by_cuobjdump((FIXTURES / "libkernel.txt").read_text(encoding="ascii"))
    assert code.architectures == ("sm_80", "sm_90a", "sm_100f", "compute_80", "compute_90", "lto_90")
    assert {container.section for container in code.containers} == {".nv_fatbin", "__nv_relfatbin"}
    assert all(data[c.offset : c.offset + 4] == b"\x50\xed\x55\xba" for c in code.containers)


def told_by_cuobjdump(text: str) -> list[tuple[str, str, tuple[int, int], bool, bool]]:
    """Kind, architecture, version, whether compressed and with debug information, of each piece."""
    told = []
    for block in text.split("\nFatbin ")[1:]:
        kind, prefix = KINDS[block.split()[0]]
        arch = re.search(r"^arch = sm_(\w+)$", block, re.MULTILINE)
        version = re.search(r"^code version = \[(\d+),(\d+)\]$", block, re.MULTILINE)
        assert arch and version
        compressed, debug = "\ncompressed" in block, "\nhas debug info" in block
        told.append((kind, f"{prefix}_{arch[1]}", (int(version[1]), int(version[2])), compressed, debug))
    return told


@pytest.mark.real
def test_of_real_projects() -> None:
    """As cuobjdump 13.5 lists them, with the number of pieces."""
    old = [f"sm_{n}" for n in (50, 52, 60, 61, 70, 75, 80, 86, 89, 90)]
    cupy = read_subject(fetched("projects", "cupy-cuda12x")[-1])
    code = {path: file.device_code for path, file in cupy.files.items() if file.device_code}
    assert sorted(path.split("/")[-1].split(".")[0] for path in code) == ["_generator_api", "cub", "thrust"]
    for found in code.values():
        assert found.architectures == (*old, "sm_100f", "sm_120f", "compute_100")
        assert len(found.entries) == 13
    faiss = read_subject(fetched("projects", "faiss-gpu-cu12")[-1])
    (library,) = (file.device_code for file in faiss.files.values() if file.device_code)
    assert Counter(entry.arch for entry in library.entries) == {"sm_70": 182, "sm_80": 182}
    assert library.size == 50_630_792
