"""A shared object written by hand, in classes and byte orders for which there may be no compiler.

It has what a loader and pyelftools want to see of names: a dynamic section, a string table, needed versions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Minimal:
    """What the object is to say, and in which encoding; *needed* maps libraries to versions of them."""

    bits: int = 64
    order: str = "<"
    soname: str | None = "libsubject.so.1"
    needed: Mapping[str, str | None] = field(
        default_factory=lambda: {"libbound.so.1": "B_1", "libc.so.6": None}
    )
    runpath: str = "$ORIGIN/../subject.libs"
    page: int = 0x1000
    bss: int = 0x12345
    has_phdr: bool = False
    has_sections: bool = True
    filler: int = 0
    null_segments: int = 0
    machine: int | None = None  # e_machine, if it is not the usual one of this class and byte order

    def build(self) -> bytes:
        """The file."""
        return _Builder(self).build()


_MACHINES = {(64, "<"): 62, (64, ">"): 22, (32, "<"): 40, (32, ">"): 20}


class _Builder:
    def __init__(self, spec: Minimal) -> None:
        self.spec = spec
        self.word = "Q" if spec.bits == 64 else "I"
        self.strings = bytearray(b"\0")

    def build(self) -> bytes:
        spec, wide = self.spec, self.spec.bits == 64
        ehdr_size, phdr_size, dyn_size = (64, 56, 16) if wide else (52, 32, 8)
        phdr_count = 3 + spec.has_phdr + spec.null_segments
        soname = self.string(spec.soname) if spec.soname else None
        runpath = self.string(spec.runpath)
        needed = {self.string(name): version for name, version in spec.needed.items()}
        needs_size = 32 * sum(version is not None for version in needed.values())
        version_names = {name: self.string(version) for name, version in needed.items() if version}
        self.strings += bytes(spec.filler) + b"end\0"

        strings_at = ehdr_size + phdr_size * phdr_count
        needs_at = _round_up(strings_at + len(self.strings), 8)
        dynamic_at = needs_at + needs_size
        tags = [(1, name) for name in needed]
        tags += [(14, soname)] if soname else []
        tags += [(29, runpath), (5, strings_at), (10, len(self.strings))]
        tags += [(0x6FFFFFFE, needs_at), (0x6FFFFFFF, len(version_names))] if version_names else []
        tags += [(0, 0), (0, 0)]
        # The data segment is mapped one page above its place in the file, so that addresses are not offsets.
        end = dynamic_at + dyn_size * len(tags)
        data = dynamic_at + spec.page
        phdrs = [
            (6, 4, ehdr_size, ehdr_size, phdr_size * phdr_count, phdr_size * phdr_count, 8)
        ] * spec.has_phdr
        phdrs += [
            (1, 4, 0, 0, dynamic_at, dynamic_at, spec.page),
            (1, 6, dynamic_at, data, end - dynamic_at, end - dynamic_at + spec.bss, spec.page),
            (2, 6, dynamic_at, data, end - dynamic_at, end - dynamic_at, 8),
        ]
        phdrs += [(0, 0, 0, 0, 0, 0, 0)] * spec.null_segments
        names = b"\0.dynstr\0.gnu.version_r\0.dynamic\0.bss\0.shstrtab\0"
        sections = [
            (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
            (1, 3, 2, strings_at, strings_at, len(self.strings), 0, 0, 1, 0),
            (9, 0x6FFFFFFE, 2, needs_at, needs_at, needs_size, 1, len(version_names), 8, 0),
            (24, 6, 3, data, dynamic_at, end - dynamic_at, 1, 0, 8, dyn_size),
            (33, 8, 3, data + end - dynamic_at, end, spec.bss, 0, 0, 8, 0),
            (38, 3, 0, 0, end, len(names), 0, 0, 1, 0),
        ]
        sections_at = _round_up(end + len(names), 8)
        header = self.pack(
            f"4s5B7x2HI3{self.word}I6H",
            *(b"\x7fELF", wide + 1, 1 + (spec.order == ">"), 1, 0, 0, 3, self.machine, 1),
            *(0, ehdr_size, sections_at if spec.has_sections else 0, 0, ehdr_size, phdr_size, phdr_count),
            *((64 if wide else 40), *((len(sections), 5) if spec.has_sections else (0, 0))),
        )
        parts = {
            0: header,
            ehdr_size: b"".join(self.phdr(*phdr) for phdr in phdrs),
            strings_at: bytes(self.strings),
            needs_at: self.needs(version_names),
            dynamic_at: b"".join(self.pack(f"2{self.word}", *tag) for tag in tags),
        }
        if spec.has_sections:
            shdr = f"2I4{self.word}2I2{self.word}"
            parts |= {end: names, sections_at: b"".join(self.pack(shdr, *section) for section in sections)}
        file = bytearray(max(offset + len(part) for offset, part in parts.items()))
        for offset, part in parts.items():
            file[offset : offset + len(part)] = part
        return bytes(file)

    @property
    def machine(self) -> int:
        usual = _MACHINES[self.spec.bits, self.spec.order]
        return usual if self.spec.machine is None else self.spec.machine

    def pack(self, layout: str, *values: object) -> bytes:
        return struct.pack(self.spec.order + layout, *values)

    def string(self, text: str) -> int:
        offset = len(self.strings)
        self.strings += text.encode() + b"\0"
        return offset

    def phdr(
        self, kind: int, flags: int, offset: int, address: int, filesz: int, memsz: int, align: int
    ) -> bytes:
        if self.spec.bits == 64:
            return self.pack("2I6Q", kind, flags, offset, address, address, filesz, memsz, align)
        return self.pack("8I", kind, offset, address, address, filesz, memsz, flags, align)

    def needs(self, version_names: Mapping[int, int]) -> bytes:
        entries = b""
        for count, (file, version) in enumerate(version_names.items(), start=1):
            entries += self.pack("2H3I", 1, 1, file, 16, 0 if count == len(version_names) else 32)
            entries += self.pack("I2H2I", 0x1234, 0, 2, version, 0)
        return entries


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


def damaged(subject: bytes, damage: Iterable[tuple[int, bytes]]) -> bytes:
    """*subject* with other bytes at some places; a place beyond the end counts from the start again."""
    data = bytearray(subject)
    for place, value in damage:
        start = place % len(subject)
        stop = min(start + len(value), len(subject))
        data[start:stop] = value[: stop - start]
    return bytes(data)
