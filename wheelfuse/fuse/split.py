"""The way back: the single-Python wheels out of a fused one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wheelfuse.abi.modules import parse_module
from wheelfuse.errors import Problem, UsageError
from wheelfuse.fuse.contents import Archives, require_unchanged
from wheelfuse.fuse.execute import require_sound, write_outputs
from wheelfuse.fuse.model import Loss, Original, Output
from wheelfuse.fuse.originals import Source, digest_of, guessed, originals_of, write_record
from wheelfuse.fuse.provenance import Origin
from wheelfuse.fuse.reading import Progress
from wheelfuse.target import Target
from wheelfuse.wheel.outputs import together
from wheelfuse.wheel.writer import Timestamp, ZipWriter


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
    if len(originals) > 1 or source.provenance:
        return originals
    modules = (parse_module(path) for path in originals[0].files)
    targets = sorted({module.target for module in modules if module and module.target})
    if len(targets) < 2:
        what = "not a fused wheel: it has extension modules for one CPython at most"
        raise UsageError(Problem(what, source.where))
    return tuple(guessed(source, target) for target in targets)


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


def write_originals(
    originals: Sequence[Original],
    archives: Archives,
    directory: Path,
    stamp: Timestamp,
    *,
    overwrite: bool,
    progress: Progress | None = None,
) -> tuple[SplitWheel, ...]:
    """Write each original as a wheel of its own, all of them or none (as :func:`wheelfuse.wheel.outputs.together`).

    Raises:
        InvalidInput: the content is not what was verified before, or the provenance is not what wheelfuse wrote.
        WriteFailed: the disk is full, or the like.
    """
    wheels = []
    total, done = sum(file.size for original in originals for file in original.files.values()), 0

    def written(size: int) -> None:
        nonlocal done
        done += size
        if progress:
            progress(done, total)

    with together() as add:
        for original in originals:
            path = directory / str(original.name)
            file = add(path, overwrite=overwrite)
            remembered = _write(original, archives, file, stamp, written)
            require_sound(file, path, [original], archives)
            notes = tuple(_notes(original, remembered))
            wheels.append(SplitWheel(path, original.label, file.tell(), original.losses, notes))
        require_unchanged(archives)
    return tuple(wheels)


def _write(
    original: Original, archives: Archives, file: BinaryIO, stamp: Timestamp, written: Callable[[int], None]
) -> bool:
    """Write one wheel; whether there was room for what it has to remember of its origin."""
    record = write_record(original)
    origin = Origin(original.sha256, original.size, original.record, digest_of(record), original.losses)
    extra = b"" if original.guessed_from else origin.to_field()
    writer = ZipWriter(file, stamp)
    files = sorted(original.files.items())
    written(0)
    for output, *_ in write_outputs(
        writer, archives, (Output(path, file, (original.label,), path) for path, file in files)
    ):
        written(output.file.size)
    writer.write(f"{original.dist_info}/RECORD", original.record.mode, [record], extra=extra)
    writer.close()
    return bool(extra or original.guessed_from)


def _notes(original: Original, remembered: bool) -> Iterable[str]:
    if original.guessed_from:
        yield (
            f"{original.guessed_from} was not fused by wheelfuse: the tags, and that each wheel has all but the "
            "modules of other CPythons, are guessed from the suffixes of the modules; METADATA, data and libraries "
            "are all of the fused wheel's, since nothing tells whose they are"
        )
    if not remembered:
        yield "too many files could not be restored for the wheels to remember them: merging them again forgets it"
