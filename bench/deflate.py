"""The cost that nobody can avoid who changes members of a wheel: compressing them.

``python -m bench.deflate DIRECTORY`` compresses each file there as `wheelfuse merge` compresses what it changes: with
zlib's level 6, in blocks of 1 MiB, on all cores. Nothing is written. `changed` extracts such files.
"""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

BLOCK = 1 << 20
LEVEL = 6


def changed(fused: Path, inputs: list[Path], directory: Path) -> int:
    """Extract the members of *fused* whose content no input has, by CRC and size; returns their number of bytes."""
    known = {(info.CRC, info.file_size) for path in inputs for info in zipfile.ZipFile(path).infolist()}
    directory.mkdir()
    with zipfile.ZipFile(fused) as archive:
        new = [info for info in archive.infolist() if (info.CRC, info.file_size) not in known]
        for number, info in enumerate(new):
            with archive.open(info) as source, (directory / str(number)).open("wb") as target:
                shutil.copyfileobj(source, target)
    return sum(info.file_size for info in new)


def blocks(directory: Path) -> Iterator[bytes]:
    for path in sorted(directory.iterdir()):
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block


def main() -> None:
    threads = len(os.sched_getaffinity(0))
    waiting: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for block in blocks(Path(sys.argv[1])):
            waiting.append(pool.submit(zlib.compress, block, LEVEL))
            if len(waiting) > 2 * threads:
                waiting.popleft().result()


if __name__ == "__main__":
    main()
