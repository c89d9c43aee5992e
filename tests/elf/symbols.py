"""A shared object with a symbol table, written by hand in any class and byte order. It cannot be loaded."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class SymbolObject:
    """The encoding of an object: bits, byte order as :mod:`struct` writes it, e_machine."""

    bits: int
    order: str
    machine: int

    def build(
        self,
        *,
        exports: Sequence[str] = (),
        imports: Sequence[str] = (),
        soname: str = "",
        needed: Sequence[str] = (),
    ) -> bytes:
        """The file: header, PT_LOAD and PT_DYNAMIC, then string table, symbols, dynamic section, section headers."""
        wide = self.bits == 64
        word, (ehdr, phdr, sym, dyn) = ("Q", (64, 56, 24, 16)) if wide else ("I", (52, 32, 16, 8))
        strings = bytearray(b"\0")

        def string(text: str) -> int:
            strings.extend(text.encode() + b"\0")
            return len(strings) - len(text.encode()) - 1

        symbols = self.symbol(0, 0, 0)
        for shndx, names in ((0, imports), (1, exports)):
            symbols += b"".join(self.symbol(string(name), 0x12, shndx) for name in names)
        tags = [(1, string(name)) for name in needed] + ([(14, string(soname))] if soname else [])
        strings_at = ehdr + 2 * phdr
        strings += bytes(-len(strings) % 8)
        symbols_at = strings_at + len(strings)
        dynamic_at = symbols_at + len(symbols)
        tags += [(5, strings_at), (10, len(strings)), (6, symbols_at), (11, sym), (0, 0)]
        dynamic = b"".join(self.pack(f"2{word}", *tag) for tag in tags)
        titles = b"\0.dynstr\0.dynsym\0.dynamic\0.shstrtab\0"
        end = dynamic_at + len(dynamic)
        sections_at = end + len(titles) + -(end + len(titles)) % 8
        rows = [
            (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
            (1, 3, 2, strings_at, strings_at, len(strings), 0, 0, 1, 0),
            (9, 11, 2, symbols_at, symbols_at, len(symbols), 1, 1, 8, sym),
            (17, 6, 3, dynamic_at, dynamic_at, len(dynamic), 1, 0, 8, dyn),
            (26, 3, 0, 0, end, len(titles), 0, 0, 1, 0),
        ]
        header = self.pack(
            f"4s5B7x2HI3{word}I6H",
            *(
                b"\x7fELF",
                wide + 1,
                1 + (self.order == ">"),
                1,
                0,
                0,
                3,
                self.machine,
                1,
                0,
                ehdr,
                sections_at,
                0,
            ),
            *(ehdr, phdr, 2, 64 if wide else 40, len(rows), 4),
        )
        segments = self.segment(1, 0, end) + self.segment(2, dynamic_at, len(dynamic))
        body = header + segments + bytes(strings) + symbols + dynamic + titles
        body += bytes(sections_at - len(body))
        return body + b"".join(self.pack(f"2I4{word}2I2{word}", *row) for row in rows)

    def pack(self, layout: str, *values: object) -> bytes:
        return struct.pack(self.order + layout, *values)

    def symbol(self, name: int, info: int, shndx: int) -> bytes:
        if self.bits == 64:
            return self.pack("IBBH2Q", name, info, 0, shndx, 0, 0)
        return self.pack("3I2BH", name, 0, 0, info, 0, shndx)

    def segment(self, kind: int, offset: int, size: int) -> bytes:
        if self.bits == 64:
            return self.pack("2I6Q", kind, 6, offset, offset, offset, size, size, 8)
        return self.pack("8I", kind, offset, offset, offset, size, size, 6, 8)
