"""The digest of a file that is being written, taken while that goes on."""

from __future__ import annotations

import errno
import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from wheelfuse.wheel.archive import CHUNK
from wheelfuse.wheel.outputs import writing

_STEP = 8 << 20  # bytes; less is not worth waking a thread for


class Trail:
    """Follows the writer of *file* with a thread that reads what will not change any more.

    The file has to be open for reading, too. It may be closed and renamed before the digest is asked for, so that it
    gets to the disk meanwhile.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._descriptor = os.dup(file.fileno())
        self._digest = hashlib.sha256()
        self._read, self._settled = 0, 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="trail")
        self._steps: list[Future[None]] = []

    def __enter__(self) -> Trail:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        os.close(self._descriptor)

    def settled(self, position: int, *, last: bool = False) -> None:
        """What was written before *position* stays as it is; it was the *last* if nothing follows."""
        if last or position - self._settled >= _STEP:
            self._file.flush()
            self._settled = position
            self._steps.append(self._pool.submit(self._take, position))

    def sha256(self) -> str:
        """The digest of all that was settled, in hexadecimal.

        Raises:
            WriteFailed: the file could not be read.
        """
        for step in self._steps:
            step.result()
        return self._digest.hexdigest()

    def _take(self, end: int) -> None:
        while self._read < end:
            with writing(self._file.name):
                piece = os.pread(self._descriptor, min(CHUNK, end - self._read), self._read)
                if not piece:
                    raise OSError(errno.EIO, "it became shorter while it was written")
            self._digest.update(piece)
            self._read += len(piece)
