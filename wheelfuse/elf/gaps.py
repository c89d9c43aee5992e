"""Cut pages out of the file of a shared object, without a change of any address.

A gap divides the segment that it lies in. What comes after it lies earlier in the file, by whole pages: the file
offset of a byte and its address are still congruent modulo the page, as loaders want it, but maybe not modulo
p_align, which linkers set to 2 MiB for huge pages; then p_align falls to the page. The first segment keeps its own,
and loaders align the whole object by the largest. They reserve what all segments span, and a gap in it is mapped
without access (glibc: elf/dl-map-segments.h) or not used (musl). A part of a segment in which sections have no code
is not executable any more: linkers used to put code and constants into one segment, and no longer do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from wheelfuse.content import Read
from wheelfuse.elf.layout import PT_LOAD, Phdr, round_up

PF_X, _PF_W = 1, 2
_SMALLEST_PAGE = 0x1000
_CHUNK = 1 << 16
_WORTH_IT = 0x4000  # bytes; a gap costs an entry of the program headers, and two mappings in each process


class Range(NamedTuple):
    """Bytes of a file, from *start* to before *end*."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start

    def overlaps(self, start: int, end: int) -> bool:
        return max(self.start, start) < min(self.end, end)


class Gaps:
    """What is cut out of a file: ranges of it that ascend.

    Args:
        loads: the segments that are mapped.
        ranges: bytes that are not needed; of each the whole pages are cut that are mapped by one read-only segment.
        largest_page: that the machine may have, in bytes.
        code: where sections with machine code lie.
    """

    def __init__(
        self, loads: Sequence[Phdr], ranges: Iterable[Range], largest_page: int, code: Iterable[Range]
    ) -> None:
        self.code = tuple(code)
        self.page = max(_SMALLEST_PAGE, min(largest_page, *(load.align for load in loads)))
        self.ranges = tuple(gap for unused in ranges for gap in self._within(loads, unused))

    @property
    def size(self) -> int:
        """Bytes that are cut out."""
        return sum(gap.size for gap in self.ranges)

    def moved(self, offset: int) -> int:
        """Where what lies at an offset will be; what is in a gap comes to lie at its place."""
        return offset - sum(min(gap.end, offset) - gap.start for gap in self.ranges if gap.start < offset)

    def left(self, whole: Range) -> Iterator[Range]:
        """What the gaps leave of a range."""
        start = whole.start
        for gap in self.ranges:
            if gap.overlaps(*whole):
                if start < gap.start:
                    yield Range(start, gap.start)
                start = gap.end
        if start < whole.end:
            yield Range(start, whole.end)

    def segments(self, segments: Iterable[Phdr]) -> Iterator[Phdr]:
        """The program headers of the file with the gaps."""
        for segment in segments:
            if segment.type == PT_LOAD and segment.filesz:
                yield from self._divided(segment)
            else:
                yield segment._replace(offset=self.moved(segment.offset))

    def _divided(self, load: Phdr) -> Iterator[Phdr]:
        end = load.offset + load.filesz
        whole = Range(load.offset, end)
        for part in self.left(whole):
            skip, offset = part.start - load.offset, self.moved(part.start)
            vaddr = load.vaddr + skip
            congruent = (vaddr - offset) % max(load.align, 1) == 0
            is_code = part == whole or any(code.overlaps(*part) for code in self.code)
            yield load._replace(
                flags=load.flags if is_code else load.flags & ~PF_X,
                offset=offset,
                vaddr=vaddr,
                paddr=load.paddr + skip,
                filesz=part.size,
                memsz=load.memsz - skip if part.end == end else part.size,
                align=load.align if congruent else self.page,
            )

    def _within(self, loads: Iterable[Phdr], unused: Range) -> Iterator[Range]:
        """The pages of a range that can be cut out: at most one piece."""
        for load in loads:
            delta = load.vaddr - load.offset
            if load.flags & _PF_W or unused.start < load.offset or unused.end > load.offset + load.filesz:
                continue
            start = round_up(unused.start + delta, self.page) - delta
            end = (unused.end + delta) // self.page * self.page - delta
            if end - start >= max(self.page, _WORTH_IT):
                yield Range(start, end)
            return


def apart(ranges: Iterable[Range]) -> bool:
    """Whether no two ranges overlap."""
    found = sorted(span for span in ranges if span.size)
    return all(lower.end <= upper.start for lower, upper in pairwise(found))


def is_zero(read: Read, span: Range) -> bool:
    """Whether a range of a file is all zeros."""
    return all(
        not any(read(position, min(_CHUNK, span.end - position)))
        for position in range(span.start, span.end, _CHUNK)
    )
