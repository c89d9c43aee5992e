"""Carries a plan out: streams the members of the fused wheel into a new file. It decides nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wheelfuse import __version__
from wheelfuse.elf.edit import rename
from wheelfuse.elf.patch import Undo
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.fuse.model import File, Inline, Original, Output, Stored
from wheelfuse.fuse.plan import Plan
from wheelfuse.fuse.provenance import FILE, Input, Placed, Provenance
from wheelfuse.fuse.survey import Progress
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.metadata import WheelFile, write_wheel_file
from wheelfuse.wheel.record import RecordEntry, encode_digest, format_record
from wheelfuse.wheel.writer import DEFAULT_MODE, Timestamp, ZipWriter, replacing


@dataclass(frozen=True)
class Written:
    """The fused wheel on disk: path, sha256 in hexadecimal, size in bytes, size when installed."""

    path: Path
    sha256: str
    size: int
    installed_size: int


def execute(
    plan: Plan, archives: Sequence[Archive], path: Path, stamp: Timestamp, progress: Progress | None = None
) -> Written:
    """Write the fused wheel to *path*, whole or not at all.

    Raises:
        InvalidInput: an ELF file is of a form that cannot be edited.
        OSError: the disk is full, or the like.
    """
    record: list[RecordEntry] = []
    undos: dict[str, Undo] = {}
    done, total = 0, sum(output.file.size for output in plan.outputs)
    with replacing(path) as file:
        writer = ZipWriter(file, stamp)
        for output in plan.outputs:
            digest, size, undo = _write_output(writer, archives, output)
            record.append(RecordEntry(output.path, "sha256", digest, size))
            if undo:
                undos[output.path] = undo
            done += output.file.size
            if progress:
                progress(done, total)
        for name, content in (
            (FILE, provenance_of(plan, undos).to_bytes()),
            ("WHEEL", write_wheel_file(wheel_file(plan))),
        ):
            member = f"{plan.dist_info}/{name}"
            written, size = writer.write(member, DEFAULT_MODE, [content])
            record.append(RecordEntry(member, "sha256", encode_digest(written), size))
        record.append(RecordEntry(f"{plan.dist_info}/RECORD", "", "", -1))
        writer.write(record[-1].path, DEFAULT_MODE, [format_record(record)])
        writer.close()
    return Written(path, _sha256(path), path.stat().st_size, sum(max(entry.size, 0) for entry in record))


def _write_output(
    writer: ZipWriter, archives: Sequence[Archive], output: Output
) -> tuple[str, int, Undo | None]:
    file = output.file
    if output.rename:
        return _write_renamed(writer, archives, output)
    write_file(writer, archives, output.path, file)
    return file.digest, file.size, None


def write_file(writer: ZipWriter, archives: Sequence[Archive], path: str, file: File) -> None:
    """Write a file as it is: compressed bytes copied where they lie in an input in this form.

    Raises:
        InvalidInput: the content is not what was verified before.
    """
    source = file.source
    if isinstance(source, Stored) and source.undo is None:
        writer.copy(path, file.mode, archives[source.archive], source.member)
        return
    digest, _ = writer.write(path, file.mode, _chunks(archives, file), file.size)
    if encode_digest(digest) != file.digest:
        raise InvalidInput(Problem("changed while it was read", member=path, todo="Run again."))


def _chunks(archives: Sequence[Archive], file: File) -> Iterable[bytes]:
    if isinstance(file.source, Inline):
        return [file.source.content]
    chunks = archives[file.source.archive].chunks(file.source.member)
    return file.source.undo.apply_stream(chunks) if file.source.undo else chunks


def _write_renamed(
    writer: ZipWriter, archives: Sequence[Archive], output: Output
) -> tuple[str, int, Undo | None]:
    assert output.rename
    with _view(archives, output.file) as data:
        try:
            patch = rename(data, soname=output.rename.soname, needed=dict(output.rename.needed))
        except InvalidInput as error:
            raise InvalidInput(Problem(p.what, "", output.origin, p.todo) for p in error.problems) from error
        assert patch, "a rename that changes nothing is not planned"
        chunks = patch.apply_stream(data[at : at + (1 << 20)] for at in range(0, len(data), 1 << 20))
        digest, size = writer.write(output.path, output.file.mode, chunks, output.file.size + len(patch.tail))
    return encode_digest(digest), size, patch.reverse


@contextmanager
def _view(archives: Sequence[Archive], file: File) -> Iterator[bytes]:
    source = file.source
    if isinstance(source, Stored) and source.undo is None:
        with archives[source.archive].view(source.member) as data:
            yield data  # type: ignore[misc]  # an mmap slices like bytes
    else:
        yield b"".join(_chunks(archives, file))


def wheel_file(plan: Plan) -> WheelFile:
    """The WHEEL of the fused wheel: the full product of its compressed tag sets."""
    return WheelFile(
        wheel_version="1.0",
        generator=f"wheelfuse {__version__}",
        root_is_purelib=plan.originals[-1].root_is_purelib,
        build=plan.name.build,
        tags=plan.name.tags,
    )


def provenance_of(plan: Plan, undos: Mapping[str, Undo]) -> Provenance:
    """What the fused wheel tells about how it came to be."""
    everybody = tuple(original.label for original in plan.originals)
    placed = tuple(
        Placed(output.path, output.owners, output.origin, undos.get(output.path))
        for output in plan.outputs
        if output.owners != everybody or output.origin != output.path or output.path in undos
    )
    lossy = {lost.loss.path for lost in plan.lost}
    lossless = tuple(resolution for resolution in plan.resolutions if resolution.path not in lossy)
    rules = tuple(str(rule) for rule in plan.rules)
    inputs = tuple(_input(plan, original) for original in plan.originals)
    return Provenance(__version__, inputs, placed, lossless, rules, plan.holes)


def _input(plan: Plan, original: Original) -> Input:
    modes = {
        output.origin: original.files[output.origin].mode
        for output in plan.outputs
        if original.label in output.owners
        and output.origin
        and original.files[output.origin].mode != output.file.mode
    }
    restore = dict(dict(plan.restored)[original.label])
    modes |= {path: mode for path in restore if (mode := original.files[path].mode) != DEFAULT_MODE}
    losses = {loss.path: loss for loss in original.losses}
    losses |= {lost.loss.path: lost.loss for lost in plan.lost if lost.label == original.label}
    return Input(
        str(original.name),
        original.sha256,
        original.size,
        original.label,
        tuple(map(str, original.serves if original.target else ())),
        original.dist_info,
        original.root_is_purelib,
        original.requires_python,
        original.record,
        restore,
        modes,
        tuple(loss for _, loss in sorted(losses.items())),
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
