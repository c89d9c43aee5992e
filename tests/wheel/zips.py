"""Zip files and wheels put together byte by byte, so that every field of them can be wrong."""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.wheels import PLATFORM, digest, metadata

NAME = f"pkg-1.0-cp312-cp312-{PLATFORM}.whl"
INFO = "pkg-1.0.dist-info"
WHEEL_FILE = (
    f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: false\nTag: cp312-cp312-{PLATFORM}\n".encode()
)

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sBBHHHHHIIIHHHHHII")


@dataclass(frozen=True)
class Entry:
    """One member. *local* and *central* replace fields of that header, by name: flags, crc, size, ..."""

    name: str
    content: bytes = b""
    mode: int = stat.S_IFREG | 0o644
    deflated: bool = False
    descriptor: bytes | None = None
    """Data descriptor after the data (APPNOTE 4.3.9); the local header's checksum and sizes are 0 then."""
    local: Mapping[str, int | bytes] = field(default_factory=dict)
    central: Mapping[str, int | bytes] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        if not self.deflated:
            return self.content
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        return deflater.compress(self.content) + deflater.flush()

    @property
    def fields(self) -> dict[str, int | bytes]:
        try:
            name, flags = self.name.encode("ascii"), 0
        except UnicodeEncodeError:
            name, flags = self.name.encode(), 0x800
        return {
            "version": 20, "flags": flags, "method": 8 if self.deflated else 0, "time": 0, "date": 0x21,
            "crc": zlib.crc32(self.content), "compressed": len(self.data), "size": len(self.content),
            "name": name, "extra": b"",
        }  # fmt: skip

    def local_header(self) -> bytes:
        f = self.fields
        if self.descriptor is not None:
            f |= {"flags": f["flags"] | 8, "crc": 0, "compressed": 0, "size": 0}  # type: ignore[operator]
        f |= self.local
        name, extra = bytes(f["name"]), bytes(f["extra"])
        return (
            _LOCAL.pack(
                b"PK\3\4", f["version"], f["flags"], f["method"], f["time"], f["date"], f["crc"],
                f["compressed"], f["size"], len(name), len(extra),
            )
            + name
            + extra
        )  # fmt: skip

    def central_header(self, offset: int) -> bytes:
        f = self.fields | {"system": 3, "attributes": self.mode << 16, "offset": offset}
        if self.descriptor is not None:
            f["flags"] |= 8  # type: ignore[operator]
        f |= self.central
        name, extra = bytes(f["name"]), bytes(f["extra"])
        return (
            _CENTRAL.pack(
                b"PK\1\2", 20, f["system"], f["version"], f["flags"], f["method"], f["time"], f["date"],
                f["crc"], f["compressed"], f["size"], len(name), len(extra), 0, 0, 0, f["attributes"],
                f["offset"],
            )
            + name
            + extra
        )  # fmt: skip


def zip_bytes(
    entries: Iterable[Entry],
    *,
    prefix: bytes = b"",
    gap: bytes = b"",
    before_end: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    shift: int = 0,
) -> bytes:
    """A zip file. *prefix* comes before everything, *gap* before the directory, *before_end* after it.

    *shift* is added to all offsets, *count* replaces the number of members in the end record.
    """
    body, directory, number = bytearray(prefix), bytearray(), 0
    for entry in entries:
        directory += entry.central_header(len(body) + shift)
        body += entry.local_header() + entry.data + (entry.descriptor or b"")
        number += 1
    body += gap
    start = len(body) + shift
    count = number if count is None else count
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(directory), start, len(comment))
    return bytes(body + directory + before_end + end + comment)


def wheel_entries(
    *extra: Entry,
    record: str | None = None,
    files: Mapping[str, bytes] | None = None,
    without: Iterable[str] = (),
) -> list[Entry]:
    """The members of a small wheel for cp312 and *extra* ones, with a RECORD that fits.

    *files* replaces or adds files of ``.dist-info``; *without* leaves some out.
    """
    info = {"METADATA": metadata().encode(), "WHEEL": WHEEL_FILE} | dict(files or {})
    entries = [
        Entry("pkg/__init__.py", b"value = 1\n"),
        *extra,
        *(Entry(f"{INFO}/{name}", content) for name, content in info.items() if name not in without),
    ]
    if "RECORD" in without:
        return entries
    rows = record_rows(entry for entry in entries if not entry.name.endswith("/"))
    return [*entries, Entry(f"{INFO}/RECORD", (rows if record is None else record).encode())]


def record_rows(entries: Iterable[Entry]) -> str:
    rows = [f"{entry.name},{digest(entry.content)},{len(entry.content)}" for entry in entries]
    return "\n".join((*rows, f"{INFO}/RECORD,,", ""))


def write_wheel(directory: Path, entries: Iterable[Entry], name: str = NAME, **how: object) -> Path:
    """Write the members to a wheel file and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_bytes(zip_bytes(entries, **how))  # type: ignore[arg-type]
    return path
