"""From input wheels to the original wheels of the build matrix: a fused input is taken apart in thought first.

That makes merge associative: whatever was fused before, the rules always see the wheels that left the builds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from wheelfuse.abi.modules import parse_module
from wheelfuse.elf.image import Image
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.fuse.model import Fate, File, Inline, Original, RecordForm, Restoration, SeenCode, Stored
from wheelfuse.fuse.provenance import FILE, Input, Origin, Provenance
from wheelfuse.target import ALL_TARGETS, Target
from wheelfuse.wheel.directory import DEFAULT_MODE
from wheelfuse.wheel.metadata import write_wheel_file
from wheelfuse.wheel.name import WheelName
from wheelfuse.wheel.record import UNHASHED, RecordEntry, encode_digest, format_record
from wheelfuse.wheel.wheel import Wheel


@dataclass(frozen=True, slots=True)
class Verified:
    """What reading a member showed: digest (as RECORD spells it), size in bytes, and the facts of an ELF file.

    *device_code* is None for files without GPU code, and where nobody asked for it. *rest* is the file without what
    only debuggers read, if that is to be cut out; *unstripped* says why it cannot be.
    """

    digest: str
    size: int
    image: Image | None = None
    device_code: SeenCode | None = None
    rest: Verified | None = None
    unstripped: str = ""


@dataclass(frozen=True)
class Source:
    """A wheel that was read and verified: its number among the inputs, and where it lies.

    *undone* tells what edited members were before wheelfuse edited them.
    """

    number: int
    where: str
    wheel: Wheel
    sha256: str
    size: int
    verified: Mapping[str, Verified]
    undone: Mapping[str, Verified]
    provenance: Provenance | None
    origin: Origin | None

    @property
    def looked_at(self) -> Iterator[Verified]:
        """All that reading showed: of each member, as it is, as it was, and without what only debuggers read."""
        for found in (*self.verified.values(), *self.undone.values()):
            yield found
            if found.rest:
                yield found.rest


def originals_of(source: Source) -> tuple[Original, ...]:
    """The originals in one input: itself, or those that it was fused from.

    Raises:
        InvalidInput: the provenance does not fit the wheel.
    """
    if source.provenance:
        return tuple(_recorded(source, item) for item in source.provenance.inputs)
    targets = _targets_by_tag(source.wheel.name)
    return tuple(guessed(source, target) for target in targets) if len(targets) > 1 else (whole(source),)


def sketches(source: Source) -> tuple[Original, ...]:
    """The originals in one input without their files: what can be known before anything is verified."""
    if source.provenance:
        return tuple(_described(source, item, {}) for item in source.provenance.inputs)
    sketch, targets = _sketch(source), _targets_by_tag(source.wheel.name)
    if len(targets) < 2:
        return (sketch,)
    return tuple(replace(sketch, name=_name_for(sketch.name, target)) for target in targets)


def _sketch(source: Source) -> Original:
    wheel = source.wheel
    return Original(
        name=wheel.name,
        where=source.where,
        sha256=source.sha256,
        size=source.size,
        dist_info=wheel.dist_info,
        root_is_purelib=wheel.wheel_file.root_is_purelib,
        requires_python=wheel.requires_python,
        files={},
    )


def _name_for(name: WheelName, target: Target) -> WheelName:
    return replace(name, pythons=(target.python_tag,), abis=(str(target),))


def _files(source: Source) -> dict[str, File]:
    exempt = {f"{source.wheel.dist_info}/{file}" for file in UNHASHED}
    return {
        path: File(source.verified[path].digest, member.size, member.mode, Stored(source.number, member))
        for path, member in source.wheel.members.items()
        if path not in exempt
    }


def whole(source: Source) -> Original:
    """The input as it is. What it remembers of an earlier life counts only while its RECORD is the same."""
    wheel, files, origin = source.wheel, _files(source), source.origin
    outline = replace(_sketch(source), files=files)
    if origin and origin.content == source.verified[wheel.record_path].digest and origin.is_of(wheel.members):
        before = replace(
            outline, sha256=origin.sha256, size=origin.size, record=origin.record, losses=origin.losses,
            recorded=True,
        )  # fmt: skip
        written = digest_of(write_record(before))
        if written == origin.content and (before.losses or written == origin.record.digest):
            return before
    return replace(outline, record=_record_form(wheel, files))


def _recorded(source: Source, item: Input) -> Original:
    """One original of a wheel that wheelfuse fused, as the provenance tells it."""
    assert source.provenance
    placed = {member.path: member for member in source.provenance.placed}
    fused = _files(source)
    del fused[f"{source.wheel.dist_info}/{FILE}"]
    files: dict[str, File] = {}
    for path, file in fused.items():
        place = placed.get(path)
        if place and (item.label not in place.owners or not place.origin):
            continue
        origin = place.origin if place else path
        if place and place.edited and isinstance(file.source, Stored):
            before, carrier = source.undone[path], source.wheel.members.get(place.carrier)
            restored = replace(file.source, restoration=Restoration(place.undo, place.recipe, carrier))
            file = File(before.digest, before.size, file.mode, restored)
        files[origin] = file.with_mode(item.modes.get(origin, file.mode))
    files |= {loss.path: fused[loss.path] for loss in item.losses if loss.fate is Fate.REPLACED}
    for path, text in item.restore.items():
        content = text.encode()
        mode = item.modes.get(path, DEFAULT_MODE)
        files[path] = File(digest_of(content), len(content), mode, Inline(content))
    original = _described(source, item, files)
    if not original.losses and digest_of(write_record(original)) != item.record.digest:
        what = f"what it says about {item.name} does not fit: the RECORD of that wheel does not come out"
        raise InvalidInput(_provenance_problem(source, what))
    return original


def _described(source: Source, item: Input, files: Mapping[str, File]) -> Original:
    return Original(
        name=WheelName.parse(item.name),
        where=f"{source.where} ({item.label})",
        sha256=item.sha256,
        size=item.size,
        dist_info=item.dist_info,
        root_is_purelib=item.root_is_purelib,
        requires_python=item.requires_python,
        files=files,
        record=item.record,
        losses=item.losses,
        guessed_from=item.guessed_from,
        recorded=True,
    )


def _provenance_problem(source: Source, what: str) -> Problem:
    member = f"{source.wheel.dist_info}/{FILE}"
    return Problem(what, str(source.wheel.name), member, "Take the wheel that wheelfuse wrote, unchanged.")


def healed(originals: tuple[Original, ...]) -> tuple[Original, ...]:
    """The originals with those lost files back that another one has: it is as if they had never been lost."""
    lost = {loss.path for original in originals for loss in original.losses}
    have = {
        (path, file.digest): file
        for original in originals
        for path in lost
        if (file := original.files.get(path))
    }
    return tuple(_healed(original, have) if original.losses else original for original in originals)


def _healed(original: Original, have: Mapping[tuple[str, str], File]) -> Original:
    found = {
        loss.path: have[loss.path, loss.digest]
        for loss in original.losses
        if (loss.path, loss.digest) in have
    }
    files = {
        loss.path: replace(found[loss.path], mode=loss.mode) for loss in original.losses if loss.path in found
    }
    losses = tuple(loss for loss in original.losses if loss.path not in found)
    return replace(original, files={**original.files, **files}, losses=losses) if found else original


def digest_of(content: bytes) -> str:
    """The sha256 of a content as RECORD spells it."""
    return encode_digest(hashlib.sha256(content).digest())


def _targets_by_tag(name: WheelName) -> tuple[Target, ...]:
    """The CPythons for which a compressed tag set was written: those with a tag of their own in it."""
    pairs = set(name.interpreter_tags)
    own = [target for target in ALL_TARGETS if (target.python_tag, str(target)) in pairs]
    return tuple(own) if all(abi.startswith("cp") for abi in name.abis) else ()


def guessed(source: Source, target: Target) -> Original:
    """What one CPython sees of a wheel that another tool fused: all but the modules of other CPythons."""
    everything = whole(source)
    name = _name_for(everything.name, target)
    files = {}
    for path, file in everything.files.items():
        module = parse_module(path)
        if module is None or module.target in (None, target):
            files[path] = file
    path = f"{everything.dist_info}/WHEEL"
    wheel_file = write_wheel_file(replace(source.wheel.wheel_file, tags=name.tags, unread=()))
    files[path] = File(digest_of(wheel_file), len(wheel_file), files[path].mode, Inline(wheel_file))
    guess = replace(
        everything, name=name, files=files, guessed_from=str(everything.name), record=RecordForm(), losses=()
    )
    return replace(guess, record=RecordForm(digest=digest_of(write_record(guess))))


def _record_form(wheel: Wheel, files: Mapping[str, File]) -> RecordForm:
    """How a wheel's RECORD was written, in as few words as will give it back."""
    content, record_path, mode = wheel.record_bytes, wheel.record_path, wheel.members[wheel.record_path].mode
    newline = "\r\n" if b"\r\n" in content else "\n"
    digest = digest_of(content)
    if len(wheel.record) == len(files) + 1 and _rows(wheel.record, record_path, files, newline) == content:
        return RecordForm(_order(wheel.record), newline, "", digest, mode)
    return RecordForm(verbatim=content.decode(), digest=digest, mode=mode)


def _order(paths: Iterable[str]) -> tuple[int, ...]:
    """The place of each path among the sorted ones; empty if they are sorted."""
    paths = list(paths)
    ordered = sorted(paths)
    if paths == ordered:
        return ()
    place = {path: index for index, path in enumerate(ordered)}
    return tuple(place[path] for path in paths)


def write_record(original: Original) -> bytes:
    """RECORD of an original, as it was; but for the files that are lost, or have another one in their place."""
    if original.record.verbatim and not original.losses:
        return original.record.verbatim.encode()
    dropped = [loss.path for loss in original.losses if loss.fate is Fate.DROPPED]
    return _record(original.record, f"{original.dist_info}/RECORD", original.files, dropped)


def _record(
    form: RecordForm, record_path: str, files: Mapping[str, File], dropped: Iterable[str] = ()
) -> bytes:
    paths = sorted({*files, *dropped, record_path})
    if len(form.order) == len(paths):
        paths = [paths[index] for index in form.order]
    return _rows(paths, record_path, files, form.newline)


def _rows(paths: Iterable[str], record_path: str, files: Mapping[str, File], newline: str) -> bytes:
    """The rows of these paths, of those that there are."""
    entries = (
        RecordEntry(path, "sha256", file.digest, file.size) if file else RecordEntry(path, "", "", -1)
        for path in paths
        if (file := files.get(path)) or path == record_path
    )
    return format_record(entries, newline)
