"""Targets: ELF files, the GPU code in them, and the edits of both."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

from fuzz import seeds
from fuzz.breaking import broken
from fuzz.target import Target, accepting, expect
from tests.elf import test_edit, test_outsource, test_strip
from wheelfuse.abi.producers import read_producers
from wheelfuse.content import opened
from wheelfuse.elf.edit import Undo, rename
from wheelfuse.elf.fatbin import SECTIONS, read_device_code
from wheelfuse.elf.front import More, read_front
from wheelfuse.elf.image import Image, Section, read_image
from wheelfuse.elf.module_ids import read_naming
from wheelfuse.elf.payloads import payloads
from wheelfuse.errors import InvalidInput

LARGEST_CODE = 1 << 20
"""More GPU code than this is in no seed: an input that claims more is refused, or the claim was believed."""


def objects() -> st.SearchStrategy[bytes]:
    """Shared objects, with GPU code or without."""
    return broken([*seeds.shared_objects(), *seeds.device_objects()])


def check_image(data: bytes, place: Path) -> None:
    """It is read the same in memory and on disk, and what it says lies within the file."""
    image = read_image(data, deep=True)
    for section in image.sections:
        inside = section.kind == "SHT_NOBITS" or section.offset + section.size <= len(data)
        expect(inside, f"section {section.name} reaches beyond the file")
    read_producers(data, image)
    path = place / "image.so"
    path.write_bytes(data)
    with opened(path) as content:
        expect(read_image(content, deep=True) == image, "another image from disk")
    read_device_code(data, image)


def check_front(data: bytes, place: Path) -> None:
    """However much of a file is there, its front tells, wants more that the file has, or does not tell."""
    for length in (len(data) // 3, len(data)):
        found = read_front(data[:length], len(data), "image.so")
        if isinstance(found, More):
            expect(
                length < found.size <= len(data),
                f"{found.size} bytes wanted of {len(data)}, {length} are there",
            )
    if found is None:
        raise InvalidInput("the front does not tell")


def fat_binaries() -> st.SearchStrategy[bytes]:
    """Containers of GPU code one after another."""
    return broken(seeds.fat_binaries(), 6)


def check_fat_binary(data: bytes, place: Path) -> None:
    """Containers lie apart from each other and within the file, and so do their entries."""
    section = Section(SECTIONS[0], "SHT_PROGBITS", 2, len(data))
    code = read_device_code(data, Image("EM_X86_64", 64, True, "ET_DYN", sections=(section,)))
    end = 0
    for container in code.containers:
        expect(
            end <= container.offset and container.offset + container.size <= len(data), "outside of the file"
        )
        end = container.offset + container.size
        expect(
            sum(entry.size for entry in container.entries) <= container.size, "more than the container has"
        )
    expect((code.architectures, code.sass, code.ptx, code.lto) is not None, "no architectures")
    for container in code.containers:
        for payload in payloads(data, container):
            expect(len(payload.content) <= LARGEST_CODE, "a claim about a size was believed")


def check_edits(data: bytes, place: Path) -> None:
    """Renamed, stripped or relieved of its GPU code, it is the same to a loader, and can be had back.

    The checks are those of the tests of these edits, which read files as loaders do.
    """
    test_edit.check_damaged(data)
    test_strip.check_damaged(data)
    image = read_image(data)
    if code := read_device_code(data, image):
        read_naming(data, code.containers)
        test_outsource.check_damaged(data, code.containers)
    patch = rename(data, soname="new.so", needed={"libother.so.1": "libother-cp312-0123abcd.so.1"})
    if patch:
        new = patch.apply(data)
        with accepting("an edit cannot be taken back"):
            undo = Undo.from_json(json.loads(json.dumps(patch.reverse.to_json())))
            expect(undo.apply(new) == data, "another file comes back")
        try:
            expect(read_image(new).needed is not None, "")
        except InvalidInput as error:
            expect(False, f"the edited file cannot be read: {error}")


TARGETS = (
    Target("image", "ELF image", objects, check_image, 120, guided=True),
    Target("front", "ELF image by its front", objects, check_front, 40, guided=True),
    Target("fat-binary", "fat binary", fat_binaries, check_fat_binary, 120, guided=True),
    Target("edits", "ELF edits: rename, strip, outsource", objects, check_edits, 80, guided=True),
)
