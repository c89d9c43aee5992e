"""Fat binaries whose sizes lie: no container and no entry reaches beyond its section, and each byte is passed once."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from tests.elf.fatbins import LZ4, SASS, container, entry, image
from tests.hostile.judged import Watched, audited, hostile, merged
from tests.native import library, soabi
from tests.test_growth import steps
from tests.wheel.zips import NAME, Entry
from wheelfuse.elf.fatbin import read_device_code
from wheelfuse.elf.image import read_image
from wheelfuse.errors import InvalidInput
from wheelfuse.target import Target

PATH = f"pkg/{soabi('_x', Target(12))}"
HUGE = (1 << 64) - 64
ROOM = 4096


def sized(size: int) -> bytes:
    """A container that says so of what follows its header."""
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, size) + entry(SASS, 80)


def entry_sized(size: int, compressed: int = 0, flags: int = 0) -> bytes:
    """A container with an entry that says so of its payload."""
    data = bytearray(container(entry(SASS, 80, flags, compressed=compressed)))
    struct.pack_into("<Q", data, 16 + 8, size)
    return bytes(data)


CASES = [
    ("a container beyond the section", sized(HUGE), "the section only"),
    ("an entry beyond its container", entry_sized(HUGE), "an entry that reaches beyond it"),
    (
        "a payload beyond its entry",
        entry_sized(64, compressed=(1 << 32) - 1, flags=LZ4),
        "that reaches beyond it",
    ),
    ("an entry without a header", container(entry(SASS, 80, header=0)), "with a header of 0 bytes"),
    ("a container without a header", struct.pack("<IHHQ", 0xBA55ED50, 1, 0, 0), "with a header of 0 bytes"),
    ("something else", b"\1" * 64, "no container at 0x0"),
    ("another version", container(version=2), "is of version 2"),
]


def carrying(section: bytes, *flags: str) -> bytes:
    """A library with these bytes in the section of fat binaries."""
    source = f'__attribute__((section(".nv_fatbin"), aligned(8))) const char code[{ROOM}] = {{1}}; int x = sizeof code;'
    data = bytearray(library(source, "libx.so", *flags))
    (found,) = (section for section in read_image(bytes(data)).sections if section.name == ".nv_fatbin")
    data[found.offset : found.offset + found.size] = section[:ROOM].ljust(found.size, b"\0")
    return bytes(data)


@pytest.mark.parametrize("section, text", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_size_that_lies_is_told_by_audit_and_leaves_a_merge_the_file_as_it_is(
    tmp_path: Path, section: bytes, text: str
) -> None:
    """Loaders do not look at GPU code, so that a merge has no reason to; it just does not share what it cannot read,
    and says so."""
    path = hostile(tmp_path, Entry("pkg/libx.so", carrying(section), deflated=True))
    merge, audit = merged(path), audited(path)
    assert merge.code == 0, merge
    assert audit.code == 1
    for expected in (NAME, "pkg/libx.so", "unreadable GPU code: section .nv_fatbin", text):
        assert expected in audit.text
        assert expected in merge.text
    assert "warning: " in merge.text


def test_code_that_cannot_be_read_hides_nothing_else_of_the_file(tmp_path: Path) -> None:
    """A newer nvcc may write what is not known here: the file is judged as without its GPU code."""
    found = {}
    for name, section in (("sound", container(entry(SASS, 80))), ("damaged", b"\1" * 64)):
        (tmp_path / name).mkdir()
        data = carrying(section, "-Wl,-z,execstack")
        path = hostile(tmp_path / name, Entry(PATH, data, deflated=True))
        found[name] = audited(path, "--format", "json")
    findings = {
        name: {(f["code"], f["path"]) for f in json.loads(answer.text)["subjects"][0]["findings"]}
        for name, answer in found.items()
    }
    assert findings["damaged"] - findings["sound"] == {("WF003", PATH)}
    assert ("WF507", PATH) in findings["damaged"]


@pytest.mark.parametrize("section", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_each_byte_is_passed_once(section: bytes) -> None:
    content = Watched(section)

    def read() -> None:
        with suppress(InvalidInput):
            read_device_code(content, image([(".nv_fatbin", len(section), 0)]))  # type: ignore[arg-type]

    assert steps(read) <= 100 + len(section)
    assert content.read <= 3 * len(section) + 4096


def test_more_pieces_than_any_compiler_makes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wheelfuse.elf.fatbin._MOST", 5)
    for pieces, fits in (
        (container() * 5, True),
        (container() * 6, False),
        (container(*[entry(SASS, 80)] * 5), False),
    ):
        sections = image([(".nv_fatbin", len(pieces), 0)])
        if fits:
            assert len(read_device_code(pieces, sections).containers) == 5
        else:
            with pytest.raises(InvalidInput, match="more than 5 pieces"):
                read_device_code(pieces, sections)
