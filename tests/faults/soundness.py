"""What must hold whatever happened: an output is the old one or a whole new one, and nothing else is there."""

from __future__ import annotations

import zipfile
from pathlib import Path

from installer.sources import WheelFile


def require_installable(wheel: Path) -> None:
    """Every checksum of the zip file is right, and RECORD is right about every member, as an installer reads it."""
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None, wheel
    with WheelFile.open(wheel) as source:
        source.validate_record(validate_contents=True)


def hidden(directory: Path) -> list[Path]:
    """The temporary files that are left in a directory, or below it."""
    return sorted(directory.rglob(".*.partial"))


def snapshot(directory: Path) -> dict[str, bytes]:
    """Every file below a directory: path -> content."""
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
