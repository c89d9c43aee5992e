"""Writes what only debuggers read, and is cut out of a fused wheel, into files that debuggers find.

The files lie where debuggers look for them by build ID: ``.build-id/ab/cdef….debug`` in a directory of such files
(GDB manual, "Debugging Information in Separate Files"; ``set debug-file-directory``). What a directory holds of
other releases stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from wheelfuse.content import spooled
from wheelfuse.elf.strip import strip_debug
from wheelfuse.errors import Problem, UsageError
from wheelfuse.fuse.contents import Archives, as_built
from wheelfuse.fuse.model import Output, Stored
from wheelfuse.wheel.outputs import Add, writing


def write_debug_files(
    outputs: Iterable[Output], archives: Archives, directory: Path, add: Add, *, overwrite: bool
) -> tuple[Path, ...]:
    """Write a debug file for every file that loses its debug information; those that exist already stay.

    Each goes where *add* (:func:`wheelfuse.wheel.outputs.together`) puts it. Returns the paths of all.

    Raises:
        UsageError: there is another debug file for the same build, and *overwrite* is not given.
        WriteFailed: the disk is full, or the like.
    """
    written: dict[Path, None] = {}
    for output in outputs:
        source = output.file.source
        if not isinstance(source, Stored) or not source.stripped:
            continue
        with spooled(as_built(archives, source), source.size) as content:
            stripped = strip_debug(content)
            if stripped is None or stripped.debug_path is None:
                continue
            path = directory / stripped.debug_path
            # A build ID names a build: a second file of it in the wheel has the same debug information.
            if path not in written and not _is_there(path, stripped.debug.chunks(content), overwrite):
                # Should another merge be faster, it writes the same: that may be replaced.
                with add(path, overwrite=True) as file:
                    file.writelines(stripped.debug.chunks(content))
            written[path] = None
    return tuple(written)


def _is_there(path: Path, chunks: Iterator[bytes], overwrite: bool) -> bool:
    """Whether there is a file already that holds this, and not another one."""
    with writing(path):
        if not path.exists():
            return False
        with path.open("rb") as file:
            same = all(file.read(len(chunk)) == chunk for chunk in chunks) and not file.read(1)
    if not same and not overwrite:
        what = "there is another debug file for the same build"
        raise UsageError(Problem(what, str(path), todo="Choose another directory, or add --force."))
    return same
