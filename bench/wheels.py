"""Wheels of any size, the same on every machine.

A wheel is written in two steps: its payload, which several wheels share, is compressed once; each wheel is a copy of
that file to which its own members and its ``.dist-info`` are appended. Copies keep the holes of sparse files.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from tests.wheels import PLATFORM, digest, metadata

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
ZEROS = bytes(MIB)
DIST_INFO = "pkg-1.0.dist-info"


@dataclass(frozen=True)
class Member:
    """A file to put into a wheel, as blocks of bytes."""

    path: str
    blocks: Iterable[bytes]


@dataclass(frozen=True)
class Payload:
    """A zip file with members, and the rows of RECORD for them."""

    path: Path
    rows: tuple[str, ...]


class _Sparse(FileIO):
    """A file in which blocks of zeros take no room on disk."""

    def write(self, data: object) -> int:
        if data is ZEROS:
            self.seek(len(ZEROS), 1)
            return len(ZEROS)
        return super().write(data)  # type: ignore[arg-type]


def payload(path: Path, members: Iterable[Member], *, stored: bool = False) -> Payload:
    """Write members to a zip file."""
    kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with _Sparse(path, "w+") as file, zipfile.ZipFile(file, "w", kind, compresslevel=1) as archive:
        return Payload(path, tuple(_write(archive, member) for member in members))


def _write(archive: zipfile.ZipFile, member: Member) -> str:
    """Write one member; returns its row of RECORD."""
    sha256, size = hashlib.sha256(), 0
    with archive.open(member.path, "w", force_zip64=True) as file:
        for block in member.blocks:
            sha256.update(block)
            size += len(block)
            file.write(block)
    return f"{member.path},sha256={urlsafe_b64encode(sha256.digest()).rstrip(b'=').decode()},{size}"


def wheel(directory: Path, tag: str, shared: Payload, own: Mapping[str, bytes]) -> Path:
    """A wheel of *tag* (``cp312-cp312``) that has the members of *shared*, and *own* ones."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"pkg-1.0-{tag}-{PLATFORM}.whl"
    subprocess.run(["cp", "--sparse=auto", str(shared.path), str(path)], check=True)
    about = f"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: false\nTag: {tag}-{PLATFORM}\n"
    files = {
        **own,
        f"{DIST_INFO}/METADATA": metadata(requires_python=">=3.8").encode(),
        f"{DIST_INFO}/WHEEL": about.encode(),
    }
    rows = [*shared.rows, *(f"{name},{digest(content)},{len(content)}" for name, content in files.items())]
    files[f"{DIST_INFO}/RECORD"] = "\n".join((*rows, f"{DIST_INFO}/RECORD,,", "")).encode()
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


# --- contents ---


def words(size: int, seed: int) -> Iterator[bytes]:
    """Blocks of *size* bytes in all, multiples of 1 MiB, that deflate as compiled code does: to about a third."""
    chance = random.Random(seed)
    vocabulary = [chance.randbytes(chance.randint(2, 8)) for _ in range(2048)]
    base = b"".join(chance.choices(vocabulary, k=MIB // 2))[: MIB - 8]
    for number in range(size // MIB):
        yield number.to_bytes(8, "big") + base


def repetition(size: int) -> Iterator[bytes]:
    """Blocks of *size* bytes in all, multiples of 1 MiB, that deflate to less than a hundredth."""
    base = random.Random(0).randbytes(16 * KIB) * 64
    for number in range(size // MIB):
        yield number.to_bytes(8, "big") + base[8:]


def zeros(size: int) -> Iterator[bytes]:
    """Blocks of zeros, *size* bytes in all, multiples of 1 MiB."""
    for _ in range(size // MIB):
        yield ZEROS


def small_files(count: int) -> Iterator[Member]:
    """Files of about 100 bytes, a thousand in a directory."""
    for number in range(count):
        yield Member(f"pkg/data/{number // 1000:03}/{number:06}.txt", [b"%06d\n" % number * 14])


def regrouped(source: Path, directory: Path, *, whole: bool) -> tuple[Path, int]:
    """A copy of a real wheel without its shared objects, and how many members of it were taken.

    With *whole*, the same bytes are in one member.
    """
    with zipfile.ZipFile(source) as archive:
        infos = [i for i in archive.infolist() if ".so" not in i.filename and ".dist-info/" not in i.filename]
        contents = [(info.filename, archive.read(info)) for info in infos if not info.is_dir()]
    tag = "-".join(source.stem.split("-")[2:4])
    if whole:
        members = [Member("pkg/all.bin", [content for _, content in contents])]
    else:
        members = [Member(path, [content]) for path, content in contents]
    directory.mkdir(parents=True, exist_ok=True)
    shared = payload(directory / "payload.zip", members)
    made = wheel(directory, tag, shared, {})
    shared.path.unlink()
    return made, len(contents)
