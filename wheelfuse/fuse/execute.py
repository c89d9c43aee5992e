"""Carries a plan out: streams the members of the fused wheel into a new file. It decides nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from wheelfuse import __version__
from wheelfuse.content import Content, pieces, reading, spooled
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.fuse.contents import Archives, chunks_of
from wheelfuse.fuse.device_code import Part, Sharing
from wheelfuse.fuse.model import Fate, File, Original, Output, Stored
from wheelfuse.fuse.plan import Plan
from wheelfuse.fuse.provenance import FILE, Input, Placed, Provenance
from wheelfuse.fuse.reading import Progress
from wheelfuse.wheel.archive import DEFAULT_MODE
from wheelfuse.wheel.metadata import WheelFile, write_wheel_file
from wheelfuse.wheel.record import RecordEntry, encode_digest, format_record
from wheelfuse.wheel.trail import Trail
from wheelfuse.wheel.writer import Timestamp, ZipWriter, replacing

if TYPE_CHECKING:  # what edits ELF files takes long to load: `_write_edited` needs it
    from wheelfuse.elf.carrier import Carrier
    from wheelfuse.elf.patch import Undo
    from wheelfuse.elf.recipe import Recipe


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
    path: Path,
    stamp: Timestamp,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Written:
    """Write the fused wheel to *path*, whole or not at all.

    Raises:
        InvalidInput: an ELF file is of a form that cannot be edited.
        OSError: the disk is full, or the like.
    """
    with ExitStack() as stack:
        with replacing(path, overwrite=overwrite) as file:
            trail = stack.enter_context(Trail(file))
            with _carrier(plan.sharing, archives) as carrier:
                record, carrier_size = _write(
                    plan, archives, ZipWriter(file, stamp, trail), carrier, progress
                )
            size = file.tell()
        sha256 = trail.sha256()
    return Written(path, sha256, size, sum(max(entry.size, 0) for entry in record), carrier_size)


def _write(
    plan: Plan, archives: Archives, writer: ZipWriter, carrier: _Carrier | None, progress: Progress | None
) -> tuple[list[RecordEntry], int]:
    """Write all members; returns RECORD, and what the carrier takes in the wheel."""
    record: list[RecordEntry] = []
    edits: dict[str, Edits] = {}
    done, total = 0, sum(output.file.size for output in plan.outputs)
    for output in plan.outputs:
        entry, made = _write_output(writer, archives, output, carrier)
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


@dataclass(frozen=True)
class Edits:
    """How to take back what was done to a member."""

    undo: Undo | None = None
    recipe: Recipe | None = None


def _write_output(
    writer: ZipWriter, archives: Archives, output: Output, carrier: _Carrier | None
) -> tuple[RecordEntry, Edits | None]:
    if output.rename or output.outsourcing:
        return _write_edited(writer, archives, output, carrier)
    write_file(writer, archives, output.path, output.file)
    return RecordEntry(output.path, "sha256", output.file.digest, output.file.size), None


def write_file(writer: ZipWriter, archives: Archives, path: str, file: File) -> None:
    """Write a file as it is: compressed bytes copied where they lie in an input in this form.

    Raises:
        InvalidInput: the content is not what was verified before.
    """
    source = file.source
    if isinstance(source, Stored) and source.restoration is None and not source.stripped:
        writer.copy(path, file.mode, archives[source.archive], source.member)
        return
    digest, _ = writer.write(path, file.mode, chunks_of(archives, file), file.size)
    if encode_digest(digest) != file.digest:
        raise InvalidInput(Problem("changed while it was read", member=path, todo="Run again."))


def _write_edited(
    writer: ZipWriter, archives: Archives, output: Output, carrier: _Carrier | None
) -> tuple[RecordEntry, Edits]:
    """Write an ELF file with other names, and with its GPU code in the carrier, as far as is asked."""
    from wheelfuse.elf.edit import rename
    from wheelfuse.elf.outsource import outsource

    file, source = output.file, output.file.source
    undo, recipe = None, None
    with ExitStack() as stack:
        content = stack.enter_context(spooled(chunks_of(archives, file), file.size))
        try:
            if output.rename:
                patch = rename(content, soname=output.rename.soname, needed=dict(output.rename.needed))
                if patch is None:
                    what = "does not name the libraries that it was found to link"
                    raise InvalidInput(Problem(what, todo="Report this wheel."))
                undo = patch.reverse
                size = file.size + len(patch.tail)
                content = stack.enter_context(spooled(patch.apply_stream(pieces(content)), size))
            chunks, size = pieces(content), len(content)
            if (asked := output.outsourcing) and carrier:
                done = outsource(
                    content, asked.moves, symbol=asked.symbol, carrier=asked.soname, runpath=asked.runpath,
                    renamings=asked.renamings, held=carrier.section if asked.renamings else None,
                )  # fmt: skip
                recipe = done.undo.borrowing_from(carrier.form.section_offset)
                chunks, size = done.recipe.apply(reading(content)), done.recipe.size
        except InvalidInput as error:
            wheel = archives[source.archive].name if isinstance(source, Stored) else ""
            raise InvalidInput(
                Problem(p.what, wheel, output.origin, p.todo) for p in error.problems
            ) from error
        digest, size = writer.write(output.path, file.mode, chunks, size)
    return RecordEntry(output.path, "sha256", encode_digest(digest), size), Edits(undo, recipe)


@dataclass(frozen=True)
class _Carrier:
    """The carrier of GPU code, as it is to be written: its path in the wheel, its form and its content.

    *content* is None where no module needs to look into it; then it is made while it is written.
    """

    path: str
    form: Carrier
    chunks: Callable[[], Iterator[bytes]]
    content: Content | None

    def section(self, offset: int, size: int) -> bytes:
        """Bytes of its section of GPU code."""
        assert self.content is not None
        start = self.form.section_offset + offset
        return self.content[start : start + size]


@contextmanager
def _carrier(sharing: Sharing, archives: Archives) -> Iterator[_Carrier | None]:
    if (form := sharing.carrier) is None:
        yield None
        return

    def chunks() -> Iterator[bytes]:
        return form.write(_gathered(archives, sharing.parts))

    if not sharing.renamed:
        yield _Carrier(sharing.path, form, chunks, None)
        return
    with spooled(chunks(), form.size) as content:
        yield _Carrier(sharing.path, form, lambda: pieces(content), content)


def _write_carrier(writer: ZipWriter, carrier: _Carrier) -> RecordEntry:
    digest, size = writer.write(carrier.path, DEFAULT_MODE, carrier.chunks(), carrier.form.size)
    return RecordEntry(carrier.path, "sha256", encode_digest(digest), size)


def _gathered(archives: Archives, parts: Iterable[Part]) -> Iterator[Iterator[bytes]]:
    """The content of each part, in pieces; those of one file, which follow each other, with one reading of it."""
    for file, group in groupby(parts, key=lambda part: part.file):
        with spooled(chunks_of(archives, file), file.size) as content:
            for part in group:
                yield _verified(content, part)


def _verified(content: Content, part: Part) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in pieces(content, part.offset, part.offset + part.size):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != part.sha256:
        raise InvalidInput(Problem("GPU code changed while it was read", todo="Run again."))


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
    inputs = tuple(_input(plan, original) for original in plan.originals)
    return Provenance(__version__, inputs, tuple(placed), lossless, plan.resolve, plan.holes)


def _placed(output: Output, edits: Edits) -> Placed:
    moved = output.outsourcing if edits.recipe else None
    carrier, ids = (moved.carrier, moved.ids) if moved else ("", ())
    return Placed(output.path, output.owners, output.origin, edits.undo, edits.recipe, carrier, ids)


def _input(plan: Plan, original: Original) -> Input:
    modes = {
        output.origin: original.files[output.origin].mode
        for output in plan.outputs
        if original.label in output.owners
        and output.origin
        and original.files[output.origin].mode != output.file.mode
    }
    restore = plan.restored[original.label]
    modes |= {path: mode for path in restore if (mode := original.files[path].mode) != DEFAULT_MODE}
    losses = {loss.path: loss for loss in original.losses}
    losses |= {lost.loss.path: lost.loss for lost in plan.lost if lost.label == original.label}
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
        modes=modes,
        losses=tuple(loss for _, loss in sorted(losses.items())),
        guessed_from=original.guessed_from,
    )
