"""``python -m fuzz.seeds``: compiles the shared objects that inputs are made from, into ``fixtures/fuzz/seeds``.

They are committed, since an input is told by its seed and number alone: another compiler would make another input.
"""

from __future__ import annotations

import struct
import sys
from io import BytesIO
from pathlib import Path

import lz4.block
from elftools.elf.elffile import ELFFile

from fuzz.breaking import Field, Seed, fields
from tests.elf.device import code, device_library
from tests.elf.fatbins import LZ4, PTX, SASS, ZSTD, container, entry
from tests.elf.minimal import Minimal
from tests.native import library, module

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FIXTURES = Path(__file__).parents[1] / "fixtures" / "fuzz"
SEEDS = FIXTURES / "seeds"

_TEXT = b".target sm_90\n" * 10
_LZ4_TEXT = lz4.block.compress(_TEXT, store_size=False)
_ZSTD_TEXT = zstd.compress(_TEXT)
_SMALL = ("-Wl,-z,noseparate-code", "-Wl,-z,max-page-size=0x1000")
_BOUND = (
    "int other(void); int bound(void) { return other() + 1; } __thread int calls; static char zeros[9000];"
)
_TABLES = {6: "qQ", 11: "IBBHQQ", 4: "QIIq", 0x6FFFFFFE: "HHIII", 0x6FFFFFFD: "HHHHII", 5: "I", 0x6FFFFFF6: "I",
           0x6FFFFFFF: "H", 7: "I", 2: "IBBHQQ"}  # fmt: skip
"""By sh_type: the records of a section."""


def compiled() -> dict[str, bytes]:
    """The files by name."""
    other = library("int other(void) { return 41; }", "libother.so.1", *_SMALL)
    beside = {"libother.so.1": other}
    codes = (code(20_000, 1), code(4_096, 2), code(160, 3))
    return {
        "module.so": module("_native", "cp312", "PyLong_FromLong", "PyExc_ValueError", flags=(*_SMALL, "-s")),
        "library.so": library(_BOUND, "libbound.so.1", "-g", *_SMALL, runpath="$ORIGIN", beside=beside),
        "both-hashes.so": library(
            _BOUND,
            "libbound.so.1",
            *_SMALL,
            "-Wl,--hash-style=both",
            runpath="$ORIGIN/../pkg.libs",
            beside=beside,
        ),
        "device.so": device_library(*_SMALL, "-s", "-Wl,-z,now", codes=codes),
        "device-old-hash.so": device_library(*_SMALL, "-Wl,--hash-style=sysv", codes=codes[1:]),
    }


def shared_objects() -> list[Seed]:
    """The compiled files, and ones written by hand in every encoding."""
    found = [elf_seed(path.read_bytes()) for path in sorted(SEEDS.glob("*.so")) if "device" not in path.name]
    for bits in (64, 32):
        for order in "<>":
            found.append(elf_seed(Minimal(bits, order, has_phdr=bits == 32).build()))
    return [*found, elf_seed(Minimal(machine=183, page=0x10000).build())]


def device_objects() -> list[Seed]:
    """The compiled files with GPU code."""
    return [elf_seed(path.read_bytes()) for path in sorted(SEEDS.glob("device*.so"))]


def fat_binaries() -> list[Seed]:
    """Containers of GPU code without a file around them."""
    plain = container(entry(SASS, 90, version=(1, 8)), entry(PTX, 90, payload=48, version=(9, 0)))
    packed = container(_packed(PTX, LZ4), _packed(SASS, ZSTD), entry(8, 90, payload=8), entry(64, 1))
    return [_fat_seed(data) for data in (plain, packed, plain + bytes(24) + packed)]


def _packed(kind: int, flag: int) -> bytes:
    """An entry whose payload is compressed."""
    stored = {LZ4: _LZ4_TEXT, ZSTD: _ZSTD_TEXT}[flag]
    head = entry(kind, 90, flag, payload=len(stored) + 4, compressed=len(stored), uncompressed=len(_TEXT))
    return b"".join((head[:64], stored, bytes(4)))


def elf_seed(data: bytes) -> Seed:
    """A shared object with the fields of its headers and tables."""
    wide, order = data[4] == 2, "<>"[data[5] - 1]
    elf = ELFFile(BytesIO(data))
    found = [*fields(4, "BBBB"), *fields(16, "HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH")]
    found += fields(elf["e_phoff"], "IIQQQQQQ" if wide else "IIIIIIII", elf["e_phnum"])
    found += fields(elf["e_shoff"], "IIQQQQIIQQ" if wide else "I" * 10, elf["e_shnum"])
    for header in struct.iter_unpack(
        order + ("IIQQQQIIQQ" if wide else "10I"),
        data[elf["e_shoff"] : elf["e_shoff"] + elf["e_shnum"] * elf["e_shentsize"]],
    ):
        layout = _TABLES.get(header[1], "")
        layout = layout if wide else layout.replace("q", "i").replace("Q", "I")
        if layout:
            found += fields(header[4], layout, header[5] // struct.calcsize("=" + layout))
    dynamic = next(elf.iter_segments("PT_DYNAMIC"))
    if not elf["e_shnum"]:
        found += fields(
            dynamic["p_offset"], "qQ" if wide else "iI", dynamic["p_filesz"] // (16 if wide else 8)
        )
    return Seed(data, (*found, *_containers(data)), order)


def _fat_seed(data: bytes) -> Seed:
    return Seed(data, tuple(_containers(data)))


def _containers(data: bytes) -> list[Field]:
    """The fields of containers, found by their magic number, and of their entries."""
    found: list[Field] = []
    at = data.find(b"\x50\xed\x55\xba")
    while at >= 0 and at + 16 <= len(data):
        found += fields(at, "IHHQ")
        (size,) = struct.unpack_from("<Q", data, at + 8)
        position, end = at + 16, min(at + 16 + size, len(data) - 64)
        while position <= end - 64 or (position == at + 16 and position <= len(data) - 64):
            found += fields(position, "HHIQIIHHIQQQQ")
            _, _, header, payload = struct.unpack_from("<HHIQ", data, position)
            position += max(header + payload, 64)
        at = data.find(b"\x50\xed\x55\xba", at + 4)
    return found


if __name__ == "__main__":
    SEEDS.mkdir(parents=True, exist_ok=True)
    for name, content in compiled().items():
        (SEEDS / name).write_bytes(content)
