"""What the entries of a container of GPU code hold, decompressed: by LZ4 (block format) or zstd, as nvcc does it.

The libraries that do it are those of the extra ``names``, since only what that is named for needs them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wheelfuse.content import Content
from wheelfuse.elf.fatbin import LZ4, ZSTD, Container, EntryHeader, headers_of, kind_of
from wheelfuse.errors import InvalidInput, Problem, UsageError

READABLE = ("sass", "ptx")
"""The kinds of GPU code whose form is known well enough to find names in it."""
_SIZES = slice(8, 20)  # in the header of an entry: sizes of the payload, with padding and without
_MOST_RATIO = 255  # what LZ4 can pack at best; GPU code packs to a third or so
_MOST = 1 << 29  # bytes of one entry; the largest known have a tenth of it
_MISSING = Problem(
    "GPU code that differs in names can be compared only with libraries for LZ4 and zstd, and there are none here",
    todo="pip install 'wheelfuse[names]'",
)

Decompress = Callable[[bytes, int], bytes]
"""Gets a payload, and how many bytes it has decompressed."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One entry: its *kind* (see `wheelfuse.elf.fatbin.Entry`), header and content.

    *header* has zeros for the compressed sizes. *stored* is what the file has, without padding; *content* the same,
    decompressed if it is machine code or PTX. (What link-time optimisation starts from is encrypted.)
    """

    kind: str
    header: bytes
    stored: bytes
    content: bytes
    compressed: bool


def payloads(data: Content, container: Container) -> Iterator[Payload]:
    """The entries of a container that was read from *data*, one in memory at a time.

    Raises:
        InvalidInput: an entry is damaged, claims an absurd size, or is compressed in a way that is not known.
        UsageError: a library that decompresses is missing.
    """
    for offset, entry in headers_of(data, container):
        start = offset + entry.header
        header = bytearray(data[offset:start])
        kind, packed = kind_of(entry), bool(entry.flags & (LZ4 | ZSTD))
        if packed:
            header[_SIZES] = bytes(12)
        stored = data[start : start + (entry.compressed_size if packed else entry.size)]
        content = _decompressed(entry, stored) if packed and kind in READABLE else stored
        yield Payload(kind, bytes(header), stored, content, packed)


def require_libraries() -> None:
    """Make sure that all that `payloads` may need can be imported.

    Raises:
        UsageError: it cannot.
    """
    _lz4(), _zstd()


def _decompressed(entry: EntryHeader, stored: bytes) -> bytes:
    size = entry.uncompressed_size
    if size > min(_MOST, _MOST_RATIO * len(stored)):
        raise InvalidInput(f"GPU code of {len(stored)} bytes is said to have {size} decompressed")
    if entry.flags & LZ4 and entry.flags & ZSTD:
        raise InvalidInput("GPU code is said to be compressed by LZ4 and by zstd")
    content = (_lz4() if entry.flags & LZ4 else _zstd())(stored, size)
    if len(content) != size:
        raise InvalidInput(f"GPU code has {len(content)} bytes decompressed, and is said to have {size}")
    return content


def _lz4() -> Decompress:
    try:
        from lz4 import block
    except ImportError as error:
        raise UsageError(_MISSING) from error

    def decompress(stored: bytes, size: int) -> bytes:
        try:
            content: bytes = block.decompress(stored, uncompressed_size=size)
        except (block.LZ4BlockError, ValueError) as error:
            raise InvalidInput(f"damaged GPU code: {error}") from error
        return content

    return decompress


def _zstd() -> Decompress:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        raise UsageError(_MISSING) from error

    def decompress(stored: bytes, size: int) -> bytes:
        decompressor = zstd.ZstdDecompressor()
        try:
            content = decompressor.decompress(stored, max_length=size + 1)
        except zstd.ZstdError as error:
            raise InvalidInput(f"damaged GPU code: {error}") from error
        if not decompressor.eof or decompressor.unused_data:
            raise InvalidInput("GPU code that is compressed by zstd does not end where it should")
        return content

    return decompress
