"""The digest of a file that is being written is that of the file in the end."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest

from wheelfuse.wheel.outputs import replacing
from wheelfuse.wheel.trail import Trail
from wheelfuse.wheel.writer import DEFAULT_MODE, ZipWriter, timestamp


def test_it_is_that_of_the_file_whatever_was_written_over(tmp_path: Path) -> None:
    """The writer goes back to the header of each member, which is not settled before."""
    path, data = tmp_path / "x.whl", random.Random(1)
    with replacing(path, overwrite=False) as file, Trail(file) as trail:
        writer = ZipWriter(file, timestamp({}), trail)
        for number, size in enumerate((0, 9 << 20, 5, 20 << 20, 100_000)):
            writer.write(f"member{number}", DEFAULT_MODE, [data.randbytes(size)])
        writer.close()
        digest = trail.sha256()
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_is_still_taken_when_the_file_is_closed_and_renamed(tmp_path: Path) -> None:
    path, renamed = tmp_path / "file", tmp_path / "renamed"
    with path.open("w+b") as file:
        trail = Trail(file)
        for number in range(40):
            file.write(bytes([number]) * (1 << 20))
            trail.settled(file.tell(), last=number == 39)
    path.rename(renamed)
    with trail:
        assert trail.sha256() == hashlib.sha256(renamed.read_bytes()).hexdigest()


def test_a_file_that_somebody_cuts_is_told_of(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+b") as file, Trail(file) as trail:
        file.write(bytes(1 << 20))
        file.flush()
        os.truncate(file.name, 100)
        trail.settled(1 << 20, last=True)
        with pytest.raises(OSError, match="became shorter"):
            trail.sha256()
