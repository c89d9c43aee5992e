"""Writes what only debuggers read, and is cut out of a fused wheel, into files that debuggers find.

The files lie where debuggers look for them by build ID: ``.build-id/ab/cdef….debug`` in a directory of such files
(GDB manual, "Debugging Information in Separate Files"; ``set debug-file-directory``). What a directory holds of
other releases stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from wheelfuse.content import Content, spooled
from wheelfuse.elf.strip import Assembly, strip_debug
from wheelfuse.errors import Problem, UsageError
from wheelfuse.fuse.contents import Archives, as_built
from wheelfuse.fuse.model import Output, Stored
from wheelfuse.wheel.outputs import created, replacing


@contextmanager
def debug_files(
    outputs: Iterable[Output], archives: Archives, directory: Path, *, overwrite: bool
) -> Iterator[tuple[Path, ...]]:
    """Write a debug file for every file that loses its debug information; those that exist already stay.

    Each is written whole or not at all. Those that are new are removed if the block ends with an error.

    Raises:
        UsageError: there is another debug file for the same build, and *overwrite* is not given.
        OSError: the disk is full, or the like.
    """
    written: dict[Path, None] = {}
    with ExitStack() as new:
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
                if path in written:
                    continue
                written[path] = None
                if not path.exists():
                    new.enter_context(_withdrawn(path))
                _write(path, stripped.debug, content, overwrite=overwrite)
        yield tuple(written)


@contextmanager
def _withdrawn(path: Path) -> Iterator[None]:
    """After an error the file is gone, and so are the directories that were made for it."""
    with created(path.parent):
        try:
            yield
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise


def _write(path: Path, debug: Assembly, content: Content, *, overwrite: bool) -> None:
    if path.exists():
        if _equal(path, debug.chunks(content)):
            return
        if not overwrite:
            what = "there is another debug file for the same build"
            raise UsageError(Problem(what, str(path), todo="Choose another directory, or add --force."))
    with replacing(path, overwrite=True) as file:
        for chunk in debug.chunks(content):
            file.write(chunk)


def _equal(path: Path, chunks: Iterator[bytes]) -> bool:
    with path.open("rb") as file:
        return all(file.read(len(chunk)) == chunk for chunk in chunks) and not file.read(1)
