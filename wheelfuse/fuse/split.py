"""The way back: the single-Python wheels out of a fused one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wheelfuse.errors import Problem, UsageError
from wheelfuse.fuse.execute import write_file
from wheelfuse.fuse.model import File, Inline, Loss, Original
from wheelfuse.fuse.modules import parse_module
from wheelfuse.fuse.originals import Source, digest_of, guessed, originals_of, write_record
from wheelfuse.fuse.provenance import Origin
from wheelfuse.fuse.survey import origin_field
from wheelfuse.target import Target
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.metadata import parse_wheel_file, write_wheel_file
from wheelfuse.wheel.writer import DEFAULT_MODE, Timestamp, ZipWriter, replacing


@dataclass(frozen=True)
class SplitWheel:
    """One wheel that came out: its path, its CPython, what could not be restored, and what had to be guessed."""

    path: Path
    label: str
    size: int
    losses: tuple[Loss, ...]
    notes: tuple[str, ...]


def originals_in(source: Source) -> tuple[Original, ...]:
    """The wheels that a fused one holds: as recorded, or as far as names tell in one that wheelfuse did not make.

    Raises:
        UsageError: the wheel is not fused.
    """
    originals = originals_of(source)
    if len(originals) == 1 and not source.provenance:
        targets = sorted(
            {module.target for path in originals[0].files if (module := parse_module(path)) and module.target}
        )
        if len(targets) < 2:
            raise UsageError(
                Problem(
                    "not a fused wheel: it has extension modules for one CPython at most",
                    str(originals[0].name),
                )
            )
        originals = tuple(guessed(originals[0], target) for target in targets)
    return tuple(_retagged(original, source) if original.guessed else original for original in originals)


def _retagged(original: Original, source: Source) -> Original:
    """WHEEL of a guessed original says what its file name says."""
    path = f"{original.dist_info}/WHEEL"
    content = write_wheel_file(replace(source.wheel.wheel_file, tags=original.name.tags, unread=()))
    parse_wheel_file(content)
    file = File(digest_of(content), len(content), original.files[path].mode, Inline(content))
    return replace(original, files={**original.files, path: file})


def chosen(originals: tuple[Original, ...], targets: Sequence[Target]) -> tuple[Original, ...]:
    """The originals for these targets; all if none is named.

    Raises:
        UsageError: a target is not in the wheel.
    """
    if not targets:
        return originals
    by_target = {original.target: original for original in originals}
    if missing := [str(target) for target in targets if target not in by_target]:
        there = ", ".join(original.label for original in originals)
        raise UsageError(f"no {', '.join(missing)} in this wheel; it holds {there}")
    return tuple(by_target[target] for target in targets)


def write_original(
    original: Original, archive: Archive, source: Source, path: Path, stamp: Timestamp
) -> SplitWheel:
    """Write one original as a wheel of its own, its members in the order of its RECORD."""
    record_path = f"{original.dist_info}/RECORD"
    record = write_record(original.record, record_path, original.files)
    if original.record.verbatim and not original.losses:
        record = original.record.verbatim.encode()
    origin = Origin(original.sha256, original.size, original.losses, digest_of(record))
    extra = b"" if original.guessed else origin_field(origin)
    archives = {source.number: archive}
    with replacing(path) as file:
        writer = ZipWriter(file, stamp)
        for member in sorted(original.files):
            write_file(writer, archives, member, original.files[member])  # type: ignore[arg-type]
        writer.write(record_path, DEFAULT_MODE, [record], extra=extra)
        writer.close()
    return SplitWheel(path, original.label, path.stat().st_size, original.losses, _notes(original))


def _notes(original: Original) -> tuple[str, ...]:
    if not original.guessed:
        return ()
    return (
        f"tags {original.name.label} and the files of other CPythons left out: guessed from the modules' suffixes",
        "METADATA, data and libraries: all of the fused wheel's, since nothing tells whose they are",
    )
