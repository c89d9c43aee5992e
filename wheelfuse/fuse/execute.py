"""Carries a plan out: streams the members of the fused wheel into a new file. It decides nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wheelfuse import __version__
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.fuse.carrying import CarrierFile, carrier_file
from wheelfuse.fuse.contents import Archives, require_unchanged
from wheelfuse.fuse.model import Fate, Loss, Original, Output, Stored
from wheelfuse.fuse.plan import Plan
from wheelfuse.fuse.preparing import Edits, preparing
from wheelfuse.fuse.provenance import FILE, Input, Placed, Provenance
from wheelfuse.fuse.reading import Progress, read_provenance
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.directory import DEFAULT_MODE
from wheelfuse.wheel.metadata import WheelFile, write_wheel_file
from wheelfuse.wheel.outputs import to_disk, writing
from wheelfuse.wheel.record import RecordEntry, encode_digest, format_record
from wheelfuse.wheel.trail import Trail
from wheelfuse.wheel.wheel import read_wheel
from wheelfuse.wheel.writer import Timestamp, ZipWriter


@dataclass(frozen=True)
class Written:
    """The fused wheel on disk: path, sha256 in hexadecimal, size in bytes, size when installed.

    *carrier_size* is what the carrier of GPU code takes in the wheel, compressed (0: there is none).
    """

    path: Path
    sha256: str
    size: int
    installed_size: int
    carrier_size: int = 0


def execute(
    plan: Plan,
    archives: Archives,
    file: BinaryIO,
    path: Path,
    stamp: Timestamp,
    progress: Progress | None = None,
) -> Written:
    """Write the fused wheel to *file*, which will be *path*.

    Raises:
        InvalidInput: an ELF file is of a form that cannot be edited, an input was changed meanwhile, or the
            provenance of one is not what wheelfuse wrote.
        WriteFailed: the disk is full, or the like.
    """
    with Trail(file) as trail:
        with carrier_file(plan.sharing, archives) as carrier:
            record, carrier_size = _write(plan, archives, ZipWriter(file, stamp, trail), carrier, progress)
        require_unchanged(archives)
        require_sound(file, path, plan.originals, archives)
        to_disk(file)  # while the trail still reads: nothing is left to wait for when it gets its name
        sha256 = trail.sha256()
    return Written(path, sha256, file.tell(), sum(max(entry.size, 0) for entry in record), carrier_size)


def _write(
    plan: Plan, archives: Archives, writer: ZipWriter, carrier: CarrierFile | None, progress: Progress | None
) -> tuple[list[RecordEntry], int]:
    """Write all members; returns RECORD, and what the carrier takes in the wheel."""
    record: list[RecordEntry] = []
    edits: dict[str, Edits] = {}
    done, total = 0, sum(output.file.size for output in plan.outputs)
    if progress:
        progress(0, total)
    for output, entry, made in write_outputs(writer, archives, plan.outputs, carrier):
        record.append(entry)
        if made:
            edits[output.path] = made
        done += output.file.size
        if progress:
            progress(done, total)
    before = writer.position
    if carrier:
        record.append(_write_carrier(writer, carrier))
    carrier_size = writer.position - before
    for name, content in (
        (FILE, provenance_of(plan, edits).to_bytes()),
        ("WHEEL", write_wheel_file(wheel_file(plan))),
    ):
        member = f"{plan.dist_info}/{name}"
        digest, size = writer.write(member, DEFAULT_MODE, [content])
        record.append(RecordEntry(member, "sha256", encode_digest(digest), size))
    record.append(RecordEntry(f"{plan.dist_info}/RECORD", "", "", -1))
    writer.write(record[-1].path, DEFAULT_MODE, [format_record(record)])
    writer.close()
    return record, carrier_size


def write_outputs(
    writer: ZipWriter, archives: Archives, outputs: Iterable[Output], carrier: CarrierFile | None = None
) -> Iterator[tuple[Output, RecordEntry, Edits | None]]:
    """Write the outputs: compressed bytes are copied where they lie in an input as they are to be.

    Raises:
        InvalidInput: an ELF file is of a form that cannot be edited, or an input is not what was verified before.
    """
    with preparing(archives, outputs, carrier) as prepared:
        for output, member in prepared:
            file = output.file
            if member is None:
                assert isinstance(file.source, Stored)
                writer.copy(output.path, file.mode, archives[file.source.archive], file.source.member)
                yield output, RecordEntry(output.path, "sha256", file.digest, file.size), None
                continue
            with closing(member):
                writer.put(output.path, file.mode, member.packed)
            digest = encode_digest(member.packed.sha256)
            yield output, RecordEntry(output.path, "sha256", digest, member.packed.size), member.edits


def require_sound(file: BinaryIO, path: Path, originals: Iterable[Original], archives: Archives) -> None:
    """See that a wheel that was written just now is one, if a provenance says what is in it: anybody may change that.

    Raises:
        InvalidInput: it is none, so that the provenance is not what wheelfuse wrote.
        WriteFailed: it cannot be read.
    """
    recorded = [original for original in originals if original.recorded]
    if not recorded:
        return
    file.flush()
    try:
        with writing(path), Archive(path, archives[0].limits, written=file) as archive:
            read_provenance(archive, read_wheel(archive))
    except InvalidInput as error:
        told = "; ".join(f"{p.member}: {p.what}" if p.member else p.what for p in error.problems)
        what = f"what comes of it, {path.name}, would be no sound wheel: {told}"
        member = f"{recorded[0].dist_info}/{FILE}"
        todo = "Take the wheel that wheelfuse wrote, unchanged."
        raise InvalidInput(Problem(what, recorded[0].where, member, todo)) from error


def _write_carrier(writer: ZipWriter, carrier: CarrierFile) -> RecordEntry:
    digest, size = writer.write(carrier.path, DEFAULT_MODE, carrier.chunks(), carrier.form.size)
    return RecordEntry(carrier.path, "sha256", encode_digest(digest), size)


def wheel_file(plan: Plan) -> WheelFile:
    """The WHEEL of the fused wheel: the full product of its compressed tag sets."""
    return WheelFile(
        wheel_version="1.0",
        generator=f"wheelfuse {__version__}",
        root_is_purelib=plan.originals[-1].root_is_purelib,
        build=plan.name.build,
        tags=plan.name.tags,
    )


def provenance_of(plan: Plan, edits: Mapping[str, Edits]) -> Provenance:
    """What the fused wheel tells about how it came to be."""
    everybody = tuple(original.label for original in plan.originals)
    placed = [
        _placed(output, edits.get(output.path, Edits()))
        for output in plan.outputs
        if output.owners != everybody or output.origin != output.path or output.path in edits
    ]
    if plan.sharing.carrier:
        placed.append(Placed(plan.sharing.path, (), ""))
    lossy = {lost.loss.path for lost in plan.lost}
    losses = [loss for original in plan.originals for loss in original.losses]
    lossy |= {loss.path for loss in losses if loss.fate is not Fate.STRIPPED}
    lossless = tuple(resolution for resolution in plan.resolutions if resolution.path not in lossy)
    modes = _modes(plan)
    lost: dict[str, list[Loss]] = defaultdict(list)
    for item in plan.lost:
        lost[item.label].append(item.loss)
    inputs = tuple(_input(plan, o, modes[o.label], lost[o.label]) for o in plan.originals)
    return Provenance(__version__, inputs, tuple(placed), lossless, plan.resolve, plan.holes)


def _placed(output: Output, edits: Edits) -> Placed:
    moved = output.outsourcing if edits.recipe else None
    carrier, ids = (moved.carrier, moved.ids) if moved else ("", ())
    return Placed(output.path, output.owners, output.origin, edits.undo, edits.recipe, carrier, ids)


def _modes(plan: Plan) -> dict[str, dict[str, int]]:
    """The modes that originals (by label) have otherwise than the fused wheel."""
    files = {original.label: original.files for original in plan.originals}
    found: dict[str, dict[str, int]] = {label: {} for label in files}
    for output in plan.outputs:
        for label in output.owners if output.origin else ():
            if (mode := files[label][output.origin].mode) != output.file.mode:
                found[label][output.origin] = mode
    return found


def _input(plan: Plan, original: Original, modes: Mapping[str, int], lost: Iterable[Loss]) -> Input:
    restore = plan.restored[original.label]
    kept = {path: mode for path in restore if (mode := original.files[path].mode) != DEFAULT_MODE}
    losses = {loss.path: loss for loss in (*original.losses, *lost)}
    return Input(
        name=str(original.name),
        sha256=original.sha256,
        size=original.size,
        label=original.label,
        targets=tuple(map(str, original.serves if original.target else ())),
        dist_info=original.dist_info,
        root_is_purelib=original.root_is_purelib,
        requires_python=original.requires_python,
        record=original.record,
        restore=restore,
        modes={**modes, **kept},
        losses=tuple(loss for _, loss in sorted(losses.items())),
        guessed_from=original.guessed_from,
    )
