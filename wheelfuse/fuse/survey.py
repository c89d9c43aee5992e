"""What a plan must know of the inputs: the originals in them, and facts about contents that differ."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from wheelfuse.content import Content, spooled, stream
from wheelfuse.elf.image import Image, read_image
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.fuse.contents import Archives, chunks_of
from wheelfuse.fuse.differences import differences
from wheelfuse.fuse.looking import Look
from wheelfuse.fuse.model import Facts, File, Original
from wheelfuse.fuse.options import Rule, Rules
from wheelfuse.fuse.originals import Source, healed, originals_of
from wheelfuse.fuse.provenance import FILE
from wheelfuse.fuse.reading import Progress, compared_in_full, read_sources
from wheelfuse.fuse.serving import assign_targets, check_same
from wheelfuse.fuse.stripping import without_debug
from wheelfuse.wheel.layout import CENTRAL_MAGIC, EndRecord
from wheelfuse.wheel.limits import NAMES
from wheelfuse.wheel.requires_python import read_specifier
from wheelfuse.wheel.wheel import LARGEST_WHEEL

TEXT_LIMIT = 4 << 20
"""Differing files above this size (bytes) are compared by digest only."""
_MOST_LISTED = 50_000
"""Members of archives in the wheels that are listed, all together."""
_UNCHANGED = "Take the wheel that wheelfuse wrote, unchanged."


@dataclass(frozen=True)
class Survey:
    """The originals, the facts about their contents, and what is worth a warning.

    *remembered* are the decisions of earlier merges: path -> the strategies taken there, *holes* the accepted ones.
    """

    originals: tuple[Original, ...]
    facts: Facts
    warnings: tuple[Problem, ...] = ()
    remembered: Mapping[str, frozenset[str]] = field(default_factory=dict)
    holes: tuple[str, ...] = ()


def survey(archives: Archives, progress: Progress | None, look: Look, rules: Sequence[Rule] = ()) -> Survey:
    """Read and verify every input, and look into its ELF files for what a plan needs; *rules* settle differences.

    Raises:
        InvalidInput: with every problem found in any of them.
        ConflictError: the wheels are not of one release, or two are for one CPython.
    """
    sources = read_sources(archives, progress, _check_set, look, rules)
    originals = assign_targets([original for source in sources for original in originals_of(source)])
    originals = healed(originals)
    found = [item for source in sources for item in source.looked_at]
    if look.debug:
        originals = without_debug(originals, {item.digest: item.rest for item in found if item.rest})
    facts = replace(
        _look_closer(archives, originals, rules, {item.digest: item.image for item in found if item.image}),
        device_code={item.digest: item.device_code for item in found if item.device_code},
        unstripped={item.digest: item.unstripped for item in found if item.unstripped},
    )
    provenances = [source.provenance for source in sources if source.provenance]
    return Survey(
        originals,
        facts,
        tuple(_warnings(sources, originals)),
        _remembered(originals, [item.resolve for item in provenances]),
        tuple(sorted({hole for item in provenances for hole in item.holes})),
    )


def _check_set(originals: Iterable[Original]) -> None:
    """Whether these can be builds of one release, by names and metadata alone."""
    originals = tuple(originals)
    check_same(originals)
    if problems := list(_without_pythons(originals)):
        raise InvalidInput(problems)
    assign_targets(originals)


def _without_pythons(originals: Iterable[Original]) -> Iterator[Problem]:
    """Those whose Requires-Python cannot be read: METADATA was read, but not what provenance says."""
    for original in originals:
        try:
            read_specifier(original.requires_python)
        except InvalidInput as error:
            member = f"{original.dist_info}/{FILE}"
            yield from (
                Problem(problem.what, original.where, member, _UNCHANGED) for problem in error.problems
            )


def _warnings(sources: Iterable[Source], originals: Iterable[Original]) -> Iterator[Problem]:
    for source in sources:
        yield from source.wheel.warnings
    for name in dict.fromkeys(original.guessed_from for original in originals if original.guessed_from):
        yield Problem("fused by another tool: what each CPython had is guessed from the names", name)


def _remembered(
    originals: Iterable[Original], decisions: Iterable[Mapping[str, str]]
) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    told = [pair for decided in decisions for pair in decided.items()]
    told += [
        (loss.path, loss.strategy) for original in originals for loss in original.losses if loss.strategy
    ]
    for path, strategy in told:
        found[path] = found.get(path, frozenset()) | {strategy}
    return found


def _look_closer(
    archives: Archives, originals: Sequence[Original], rules: Sequence[Rule], images: dict[str, Image]
) -> Facts:
    """Facts that only differing files need: full digests of ELF files, texts, listings of archives."""
    deep, contents, listings = dict(images), {}, {}
    by_path = Rules(rules)
    room = _MOST_LISTED
    for file in _kept(originals):
        if file.digest not in contents:
            with spooled(chunks_of(archives, file), file.size) as data:
                contents[file.digest] = data[:]
    for path, file in _differing(originals):
        if file.digest in contents or file.digest in listings:
            continue
        if file.digest in images:
            if compared_in_full(path, by_path) and not deep[file.digest].loaded_digest:
                with spooled(chunks_of(archives, file), file.size) as data:
                    deep[file.digest] = read_image(data, deep=True)
            continue
        with spooled(chunks_of(archives, file), file.size) as data:
            if file.size <= TEXT_LIMIT:
                contents[file.digest] = data[:]
            if listing := _listing(data, room):
                listings[file.digest] = listing
                room -= len(listing)
    return Facts(deep, contents=contents, listings=listings)


def _kept(originals: Iterable[Original]) -> Iterator[File]:
    """The files that are needed whole: WHEEL is written anew for the fused wheel, and links tell where they lead.

    Raises:
        InvalidInput: one is larger than a wheel may have it, which can only come of provenance.
    """
    for original in originals:
        wheel = f"{original.dist_info}/WHEEL"
        for path, file in original.files.items():
            if path != wheel and not file.is_symlink:
                continue
            if file.size > LARGEST_WHEEL:
                what = f"{path} of {file.size} bytes, where at most {LARGEST_WHEEL} make sense"
                raise InvalidInput(Problem(what, original.where, f"{original.dist_info}/{FILE}", _UNCHANGED))
            yield file


_UNITED = ("METADATA", "entry_points.txt", "top_level.txt", "namespace_packages.txt", "dependency_links.txt")


def _differing(originals: Sequence[Original]) -> Iterator[tuple[str, File]]:
    """The files at paths where not every original has the same content, and those that are always looked at."""
    contents = differences(originals).contents
    for original in originals:
        always = {f"{original.dist_info}/{name}" for name in _UNITED}
        for path, file in original.files.items():
            if path in contents or path in always:
                yield path, file


def _listing(data: Content, most: int) -> tuple[tuple[str, int, int], ...]:
    """Names, checksums and sizes of the members of a zip-like archive (``.npz``, ``.jar``).

    Empty for other files, and for archives with more than *most* members: those are compared as plain data.
    """
    if data[:4] != b"PK\3\4" or not _is_listed_within(data, most):
        return ()
    try:
        with zipfile.ZipFile(stream(data)) as archive:
            return tuple(sorted((info.filename, info.CRC, info.file_size) for info in archive.infolist()))
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError, struct.error):
        return ()  # no archive after all


def _is_listed_within(data: Content, most: int) -> bool:
    """Whether it is an archive of so many members: its end may lie, so they are counted where it lists them."""
    end = EndRecord.read(lambda size, offset: data[offset : offset + size], len(data))
    if isinstance(end, str) or end.count > most or end.length > most * NAMES:
        return False
    return data[end.start : end.start + end.length].count(CENTRAL_MAGIC) <= most
