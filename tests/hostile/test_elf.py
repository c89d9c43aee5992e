"""ELF files whose headers lie: no table is walked further, and nothing is read more often, than the file has bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from tests.elf.symbols import SymbolObject
from tests.hostile.judged import Watched, assert_refused, assert_taken, hostile
from tests.native import library, soabi
from tests.test_growth import steps
from tests.wheel.zips import Entry
from wheelfuse.elf.image import read_image
from wheelfuse.elf.layout import read_layout
from wheelfuse.errors import InvalidInput
from wheelfuse.target import Target

PATH = f"pkg/{soabi('_x', Target(12))}"
_SHDR = struct.Struct("<2I4Q2I2Q")
_FIELDS = ("name", "type", "flags", "addr", "offset", "size", "link", "info", "addralign", "entsize")


@cache
def subject() -> bytes:
    """A library that needs and defines versions."""
    given = library("int given(void) { return 1; }", "libgiven.so.1", "-Wl,--version-script=v",
                    beside={"v": b"G_1 { given; };"})  # fmt: skip
    source = "extern int given(void); int one(void) { return given(); } int two(void) { return 2; }"
    script = b"ONE { one; }; TWO { two; } ONE;"
    return library(source, "libx.so", "-Wl,--version-script=w", beside={"libgiven.so.1": given, "w": script})


def at(name: str) -> tuple[int, int]:
    """Offset and size of a section of the subject."""
    (found,) = (section for section in read_image(subject()).sections if section.name == name)
    return found.offset, found.size


def header_of(name: str) -> int:
    """Where the subject has the header of a section."""
    names = [section.name for section in read_image(subject()).sections]
    return int(struct.unpack_from("<Q", subject(), 40)[0]) + _SHDR.size * names.index(name)


def changed(offset: int, layout: str, *values: int) -> bytes:
    data = bytearray(subject())
    struct.pack_into(f"<{layout}", data, offset, *values)
    return bytes(data)


def section(title: str, **fields: int) -> bytes:
    """The subject with other fields in the header of a section."""
    place = header_of(title)
    known = dict(zip(_FIELDS, _SHDR.unpack_from(subject(), place), strict=True)) | fields
    return changed(place, "2I4Q2I2Q", *known.values())


def field(name: str, offset: int, layout: str, value: int) -> bytes:
    """The subject with another value in the content of a section."""
    return changed(at(name)[0] + offset, layout, value)


def with_sections(count: int, size: int) -> bytes:
    """The subject with more section headers, each for all of the file."""
    extra = _SHDR.pack(0, 1, 0x6, 0, 0, size, 0, 0, 1, 0) * count
    old, number = struct.unpack_from("<Q", subject(), 40)[0], struct.unpack_from("<H", subject(), 60)[0]
    table = subject()[old : old + number * _SHDR.size]
    data = bytearray(subject() + table + extra)
    struct.pack_into("<Q", data, 40, len(subject()))
    struct.pack_into("<H", data, 60, number + count)
    return bytes(data)


def without_dynamic_end() -> bytes:
    offset, size = at(".dynamic")
    data = bytearray(subject())
    data[offset : offset + size] = struct.pack("<QQ", 1, 1) * (size // 16)
    return bytes(data)


@cache
def long_names(symbols: int, letters: int) -> bytes:
    """Symbols that all have the same very long name."""
    data = bytearray(SymbolObject(64, "<", 62).build(exports=["n" * letters] + ["x"] * symbols))
    table, strings = (section for section in read_image(bytes(data)).sections[1:3][::-1])
    for index in range(symbols + 1):
        struct.pack_into("<I", data, table.offset + 24 * (index + 1), 1)
    assert strings.name == ".dynstr"
    return bytes(data)


CASES: list[tuple[str, Callable[[], bytes], str]] = [
    ("e_shnum beyond the file", lambda: changed(60, "H", 0xFF00), "the section headers reach beyond the end"),
    ("e_shoff beyond the file", lambda: changed(40, "Q", 1 << 62), "the section headers reach beyond the end"),
    ("e_phoff beyond the file", lambda: changed(32, "Q", 1 << 62), "the program headers reach beyond the end"),
    ("e_phnum beyond the file", lambda: changed(56, "H", 0xFFF0), "the program headers reach beyond the end"),
    ("e_shstrndx beyond the sections", lambda: changed(62, "H", 0xFE00), "section 65024 should have the names"),
    ("sh_size beyond the file", lambda: section(".text", size=1 << 62), "reach beyond the end of the file"),
    ("sh_offset beyond the file", lambda: section(".text", offset=1 << 62), "reaches beyond the end of the file"),
    ("sh_name beyond the names", lambda: section(".text", name=1 << 31), "a name at offset 2147483648 of a string"),
    ("sh_link beyond the sections", lambda: section(".dynsym", link=1 << 31), "not linked to a string table"),
    ("st_name beyond the strings", lambda: field(".dynsym", 24, "I", 1 << 31), "a name at offset 2147483648"),
    ("a thousand sections of everything", lambda: with_sections(1000, len(subject())), "sections overlap"),
    ("symbols with one endless name", lambda: long_names(500, 5000), "names overlap"),
    ("no end of the dynamic section", without_dynamic_end, "the dynamic section has no end"),
    ("DT_STRTAB outside", lambda: _tag(5, 1 << 62), "the string table is outside of the segments"),
    ("DT_STRSZ beyond the segment", lambda: _tag(10, 1 << 62), "the string table is outside of the segments"),
    ("DT_NEEDED beyond the strings", lambda: _tag(1, 1 << 31), "a name at offset 2147483648"),
    ("a cycle of needed versions", lambda: section_and_field(".gnu.version_r", 2, 12, 0), "runs in circles"),
    ("steps of a byte", lambda: section_and_field(".gnu.version_r", 2, 12, 1), "runs in circles"),
    ("billions of needed versions", lambda: section(".gnu.version_r", info=(1 << 32) - 1), "versions"),
    ("versions of one need without end", lambda: field(".gnu.version_r", 2, "H", 0xFFFF), "no room for all"),
    ("a need whose versions lie elsewhere", lambda: field(".gnu.version_r", 8, "I", 1 << 30), "unreadable ELF file"),
    ("a cycle of definitions", lambda: field(".gnu.version_d", 16, "I", 0), "runs in circles"),
    ("billions of definitions", lambda: section(".gnu.version_d", info=(1 << 32) - 1), "versions"),
    ("names of versions elsewhere", lambda: section(".gnu.version_d", link=1 << 30), "has its names nowhere"),
    ("too few versions of symbols", lambda: section(".gnu.version", size=2), "not one version for each dynamic symbol"),
]  # fmt: skip


def _tag(tag: int, value: int) -> bytes:
    offset, size = at(".dynamic")
    for place in range(offset, offset + size, 16):
        if struct.unpack_from("<Q", subject(), place)[0] == tag:
            return changed(place + 8, "Q", value)
    raise AssertionError(f"no tag {tag}")


def section_and_field(name: str, info: int, offset: int, value: int) -> bytes:
    """The subject with another number of entries, and another value in the first of them."""
    data = bytearray(section(name, info=info))
    struct.pack_into("<I", data, at(name)[0] + offset, value)
    return bytes(data)


@pytest.mark.parametrize("make, text", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_header_that_lies_is_refused(tmp_path: Path, make: Callable[[], bytes], text: str) -> None:
    path = hostile(tmp_path, Entry(PATH, make(), deflated=True))
    assert_refused(path, "unreadable ELF file", text, member=PATH)


def test_the_same_file_without_a_lie_is_taken(tmp_path: Path) -> None:
    assert_taken(hostile(tmp_path, Entry("pkg/libx.so", subject(), deflated=True)))


@pytest.mark.parametrize("make", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_no_lie_makes_reading_longer_than_the_file_is(make: Callable[[], bytes]) -> None:
    """Counted in bytes that are asked for, and in lines that run."""
    content = Watched(make())

    def read() -> None:
        with suppress(InvalidInput):
            read_image(content, deep=True)  # type: ignore[arg-type]
        with suppress(InvalidInput):
            read_layout(lambda offset, size: content[offset : offset + size], len(content))

    lines = steps(read)
    assert content.read <= 8 * len(content) + 8192
    assert lines <= 4 * len(content)


def test_what_names_share_is_read_for_each_but_not_without_end() -> None:
    few, many = (Watched(long_names(count, 4000)) for count in (1, 2000))
    assert len(read_image(few).exports) == 1  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="names overlap"):
        read_image(many)  # type: ignore[arg-type]
    assert steps(lambda: _refused(many)) <= 60 * 2 * len(many) // 4000 + 5000


def _refused(content: Watched) -> None:
    with suppress(InvalidInput):
        read_image(content)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "what, most", [("_MOST_SEGMENTS", 2), ("_MOST_SECTIONS", 4), ("_MOST_TAGS", 3), ("_MOST_SYMBOLS", 1)]
)
def test_more_than_any_linker_writes_is_refused(
    monkeypatch: pytest.MonkeyPatch, what: str, most: int
) -> None:
    assert read_image(subject()).exports
    monkeypatch.setattr(f"wheelfuse.elf.image.{what}", most)
    with pytest.raises(InvalidInput, match=r"headers|no end|dynamic symbols of"):
        read_image(subject())
