"""What becomes of originals whose files lose what only debuggers read, which the user must ask for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from wheelfuse.fuse.model import Fate, File, Loss, Original, Output, Stored
from wheelfuse.fuse.originals import Verified


def without_debug(originals: tuple[Original, ...], rests: Mapping[str, Verified]) -> tuple[Original, ...]:
    """The originals without what only debuggers read: *rests* has what is left of a file, by the file's digest."""
    return tuple(_without_debug(original, rests) for original in originals)


def _without_debug(original: Original, rests: Mapping[str, Verified]) -> Original:
    files, losses = dict(original.files), {loss.path: loss for loss in original.losses}
    for path, file in original.files.items():
        rest = rests.get(file.digest)
        if rest is None or not isinstance(file.source, Stored):
            continue
        files[path] = File(rest.digest, rest.size, file.mode, replace(file.source, stripped=True))
        # A file that another build's stands in for, or that was cut before, tells already what it once was.
        why = "debug information was cut out, as asked for"
        losses.setdefault(path, Loss(path, file.digest, file.size, file.mode, why, "", Fate.STRIPPED))
    return replace(original, files=files, losses=tuple(loss for _, loss in sorted(losses.items())))


@dataclass(frozen=True)
class Stripping:
    """What was cut out of the files of a fused wheel: how many of them, how many bytes, and where it stays and why."""

    files: int = 0
    removed: int = 0
    kept: tuple[tuple[str, str], ...] = ()
    """Path and reason."""


def stripping(outputs: Iterable[Output], unstripped: Mapping[str, str]) -> Stripping:
    """What becomes of these files; *unstripped* tells by digest why something stays."""
    outputs = tuple(outputs)
    cut = [
        source.size - output.file.size
        for output in outputs
        if isinstance(source := output.file.source, Stored) and source.stripped
    ]
    kept = tuple(
        (output.path, unstripped[output.file.digest])
        for output in outputs
        if output.file.digest in unstripped
    )
    return Stripping(len(cut), sum(cut), kept)
