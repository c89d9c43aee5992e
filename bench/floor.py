"""What verifying wheels takes at least: each byte of each member inflated and hashed, and each byte of each wheel.

``python -m bench.floor WHEEL…`` does that with the libraries that wheelfuse uses and as many threads as there are
processors, the longest members first. Nothing is compared, looked at, or written.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from isal import isal_zlib

CHUNK = 1 << 17


def member(path: str, offset: int, size: int, *, deflated: bool) -> None:
    """Inflate *size* bytes at *offset* of the file, and hash them."""
    inflater = isal_zlib.decompressobj(-15)
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123, as lean as it can be
        while size and (chunk := os.pread(file.fileno(), min(CHUNK, size), offset)):
            offset, size = offset + len(chunk), size - len(chunk)
            digest.update(inflater.decompress(chunk) if deflated else chunk)


def whole(path: str) -> None:
    """Hash the file."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        while chunk := file.read(CHUNK):
            digest.update(chunk)


def main() -> None:
    tasks = []
    for path in sys.argv[1:]:
        tasks.append((os.path.getsize(path) // 3, partial(whole, path)))  # noqa: PTH202
        with zipfile.ZipFile(path) as archive, open(path, "rb", buffering=0) as file:  # noqa: PTH123
            for info in archive.infolist():
                lengths = struct.unpack("<HH", os.pread(file.fileno(), 4, info.header_offset + 26))
                offset = info.header_offset + 30 + sum(lengths)
                deflated = info.compress_type == zipfile.ZIP_DEFLATED
                work = partial(member, path, offset, info.compress_size, deflated=deflated)
                tasks.append((info.file_size, work))
    tasks.sort(key=lambda task: -task[0])
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for done in [pool.submit(work) for _, work in tasks]:
            done.result()


if __name__ == "__main__":
    main()
