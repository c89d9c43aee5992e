"""Prepares the members that are written anew, edited or not, by several threads, ahead of the one that writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelfuse.content import Content, pieces, reading, spooled
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.fuse.carrying import CarrierFile
from wheelfuse.fuse.contents import AGAIN, CHANGED, Archives, chunks_of, content_of
from wheelfuse.fuse.model import Output, Stored
from wheelfuse.wheel.deflate import Packed, packed
from wheelfuse.wheel.record import encode_digest, hex_digest
from wheelfuse.workers import threads

if TYPE_CHECKING:  # what edits ELF files takes long to load: `_edited` needs it
    from wheelfuse.elf.patch import Undo
    from wheelfuse.elf.recipe import Recipe


@dataclass(frozen=True)
class Edits:
    """How to take back what was done to a member."""

    undo: Undo | None = None
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Prepared:
    """A member, compressed, and what was done to it (None: nothing).

    It has to be closed, which gives back what it takes on disk.
    """

    packed: Packed
    edits: Edits | None
    _held: ExitStack

    def close(self) -> None:
        self._held.close()


def is_copied(output: Output) -> bool:
    """Whether the compressed bytes of an output lie in an input as they are to be."""
    source = output.file.source
    edited = output.rename or output.outsourcing
    return isinstance(source, Stored) and source.as_it_lies and not edited


@contextmanager
def preparing(
    archives: Archives, outputs: Iterable[Output], carrier: CarrierFile | None
) -> Iterator[Iterator[tuple[Output, Prepared | None]]]:
    """The outputs in their order, each with what was prepared for it; with None where it is copied.

    Raises:
        InvalidInput: an ELF file is of a form that cannot be edited, or an input is not what was verified before.
    """
    waiting: deque[tuple[Output, Future[Prepared] | None]] = deque()

    def ahead() -> Iterator[tuple[Output, Prepared | None]]:
        begun = 0
        for output in outputs:
            future = None if is_copied(output) else pool.submit(_prepare, archives, output, carrier)
            waiting.append((output, future))
            begun += future is not None
            while waiting and (waiting[0][1] is None or begun > 2 * threads()):
                begun -= waiting[0][1] is not None
                yield _next(waiting)
        while waiting:
            yield _next(waiting)

    with ThreadPoolExecutor(threads(), thread_name_prefix="prepare") as pool:
        try:
            yield ahead()
        finally:
            for _, future in waiting:
                if future and not future.cancel() and not future.exception():
                    future.result().close()


def _next(waiting: deque[tuple[Output, Future[Prepared] | None]]) -> tuple[Output, Prepared | None]:
    output, future = waiting.popleft()
    return output, future.result() if future else None


def _prepare(archives: Archives, output: Output, carrier: CarrierFile | None) -> Prepared:
    with ExitStack() as held:
        if output.rename or output.outsourcing:
            with ExitStack() as stack:
                chunks, size, edits = _edited(archives, output, carrier, stack)
                return Prepared(held.enter_context(packed(chunks, size)), edits, held.pop_all())
        member = held.enter_context(packed(chunks_of(archives, output.file), output.file.size))
        if encode_digest(member.sha256) != output.file.digest:
            source = output.file.source
            wheel = archives[source.archive].name if isinstance(source, Stored) else ""
            raise InvalidInput(Problem(CHANGED, wheel, output.path, AGAIN))
        return Prepared(member, None, held.pop_all())


def _edited(
    archives: Archives, output: Output, carrier: CarrierFile | None, stack: ExitStack
) -> tuple[Iterator[bytes], int, Edits]:
    """An ELF file with other names, and with its GPU code in the carrier, as far as is asked: chunks and size."""
    from wheelfuse.elf.edit import rename
    from wheelfuse.elf.outsource import outsource

    file, source = output.file, output.file.source
    undo, recipe = None, None
    content: Content = stack.enter_context(content_of(archives, file))
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
                sha256="" if output.rename else hex_digest(file.digest),
            )  # fmt: skip
            recipe = done.undo.borrowing_from(carrier.form.section_offset)
            chunks, size = done.recipe.apply(reading(content)), done.recipe.size
    except InvalidInput as error:
        wheel = archives[source.archive].name if isinstance(source, Stored) else ""
        raise InvalidInput(Problem(p.what, wheel, output.origin, p.todo) for p in error.problems) from error
    return chunks, size, Edits(undo, recipe)
