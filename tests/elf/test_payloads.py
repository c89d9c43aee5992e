"""Entries of GPU code are decompressed as they were compressed, and no size that they claim is believed."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import lz4.block
import pytest

from tests.elf.fatbins import LZ4, PTX, SASS, ZSTD, container, entry
from wheelfuse.elf.fatbin import Container, read_device_code
from wheelfuse.elf.image import read_image
from wheelfuse.elf.payloads import Payload, payloads, require_libraries
from wheelfuse.errors import InvalidInput, UsageError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FIXTURE = Path(__file__).parents[2] / "fixtures" / "cuda" / "libkernel.so"
TEXT = b".version 9.0\n.target sm_90\n" * 100
COMPRESS = {LZ4: lambda data: lz4.block.compress(data, store_size=False), ZSTD: zstd.compress}


def packed(kind: int, flags: int, stored: bytes, uncompressed: int, padding: int = 5) -> bytes:
    """An entry with this payload."""
    size = len(stored) + padding
    head = entry(kind, 90, flags, payload=size, compressed=len(stored), uncompressed=uncompressed)[:64]
    return head + stored + bytes(padding)


def read(*entries: bytes) -> list[Payload]:
    data = container(*entries)
    return list(payloads(data, Container(".nv_fatbin", 0, len(data), ())))


@pytest.mark.parametrize("flag", [LZ4, ZSTD], ids=["LZ4", "zstd"])
def test_what_was_compressed_comes_back(flag: int) -> None:
    stored = COMPRESS[flag](TEXT)
    (found,) = read(packed(PTX, flag, stored, len(TEXT)))
    assert (found.kind, found.content, found.stored, found.compressed) == ("ptx", TEXT, stored, True)


def test_what_is_not_compressed_is_as_it_is() -> None:
    one = entry(SASS, 90, payload=72)
    (found,) = read(one)
    assert (found.kind, found.content, found.header, found.compressed) == ("sass", one[64:], one[:64], False)


def test_compressed_sizes_are_no_part_of_the_header() -> None:
    """The same code under other names may be compressed to another size."""
    one, two = (packed(PTX, LZ4, COMPRESS[LZ4](TEXT), len(TEXT), padding) for padding in (1, 9))
    assert read(one)[0].header == read(two)[0].header
    assert one[:64] != two[:64]


@pytest.mark.parametrize(
    ("flag", "stored", "size", "message"),
    [
        (LZ4, COMPRESS[LZ4](TEXT), len(TEXT) + 1, "2700 bytes decompressed, and is said to have 2701"),
        (LZ4, COMPRESS[LZ4](TEXT), len(TEXT) - 1, "damaged"),
        (LZ4, COMPRESS[LZ4](TEXT)[:-1], len(TEXT), "damaged"),
        (LZ4, b"", 0, "damaged"),
        (LZ4, COMPRESS[LZ4](TEXT), 1 << 40, "is said to have 1099511627776"),
        (LZ4, bytes(5 << 20), 1 << 30, "is said to have 1073741824"),
        (ZSTD, COMPRESS[ZSTD](TEXT), len(TEXT) + 1, "2700 bytes decompressed, and is said to have 2701"),
        (ZSTD, COMPRESS[ZSTD](TEXT), 10, "does not end"),
        (ZSTD, COMPRESS[ZSTD](bytes(1 << 24)), 1 << 10, "does not end"),
        (ZSTD, COMPRESS[ZSTD](TEXT)[:-1], len(TEXT), "does not end"),
        (ZSTD, COMPRESS[ZSTD](TEXT) + b"x", len(TEXT), "does not end"),
        (ZSTD, TEXT, len(TEXT), "damaged"),
        (LZ4 | ZSTD, COMPRESS[LZ4](TEXT), len(TEXT), "by LZ4 and by zstd"),
    ],
)
def test_lies_are_refused(flag: int, stored: bytes, size: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(packed(PTX, flag, stored, size))


def test_what_nvcc_compressed_is_read() -> None:
    """Machine code is ELF for CUDA (e_machine 190), PTX is text."""
    data = FIXTURE.read_bytes()
    containers = read_device_code(data, read_image(data)).containers
    found = [payload for one in containers for payload in payloads(data, one)]
    assert any(payload.compressed for payload in found)
    for payload in found:
        if payload.kind == "sass":
            assert payload.content[:4] == b"\x7fELF"
            assert struct.unpack_from("<H", payload.content, 18) == (190,)
        elif payload.kind == "ptx":
            assert b".version " in payload.content
    assert {payload.kind for payload in found} >= {"sass", "ptx"}


@pytest.mark.parametrize("name", ["lz4", "compression" if sys.version_info >= (3, 14) else "backports"])
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for module in [name, *(found for found in sys.modules if found.startswith(f"{name}."))]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match="LZ4 and zstd") as error:
        require_libraries()
    assert error.value.problems[0].todo == "pip install 'wheelfuse[names]'"
