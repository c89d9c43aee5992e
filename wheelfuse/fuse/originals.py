"""From input wheels to the original wheels of the build matrix: a fused input is taken apart in thought first.

That makes merge associative: whatever was fused before, the rules always see the wheels that left the builds.
"""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from wheelfuse.elf.image import Image
from wheelfuse.errors import ConflictError, InvalidInput, Problem
from wheelfuse.fuse.model import File, Inline, Original, RecordForm, Stored
from wheelfuse.fuse.modules import parse_module
from wheelfuse.fuse.provenance import FILE, Input, Origin, Provenance
from wheelfuse.target import ALL_TARGETS, Target
from wheelfuse.wheel.name import WheelName, floors, rank
from wheelfuse.wheel.record import UNHASHED, RecordEntry, encode_digest, format_record, parse_record
from wheelfuse.wheel.wheel import Wheel


@dataclass(frozen=True, slots=True)
class Verified:
    """What reading a member showed: digest (as RECORD spells it), size in bytes, and the facts of an ELF file."""

    digest: str
    size: int
    image: Image | None = None


@dataclass(frozen=True)
class Source:
    """A wheel that was read and verified. *undone* tells what edited members were before wheelfuse edited them."""

    number: int
    wheel: Wheel
    sha256: str
    size: int
    verified: Mapping[str, Verified]
    undone: Mapping[str, Verified]
    provenance: Provenance | None
    origin: Origin | None


def originals_of(source: Source) -> tuple[Original, ...]:
    """The originals in one input: itself, or those that it was fused from.

    Raises:
        InvalidInput: the provenance does not fit the wheel.
    """
    if source.provenance:
        return tuple(_recorded(source, source.provenance, item) for item in source.provenance.inputs)
    whole = _whole(source)
    targets = _targets_by_tag(whole.name)
    return tuple(guessed(whole, target) for target in targets) if len(targets) > 1 else (whole,)


def _files(source: Source) -> dict[str, File]:
    exempt = {f"{source.wheel.dist_info}/{file}" for file in UNHASHED}
    return {
        path: File(source.verified[path].digest, member.size, member.mode, Stored(source.number, member))
        for path, member in source.wheel.members.items()
        if path not in exempt
    }


def _whole(source: Source) -> Original:
    wheel, files = source.wheel, _files(source)
    origin = source.origin
    if origin and origin.content != source.verified[wheel.record_path].digest:
        origin = None
    return Original(
        name=wheel.name,
        sha256=origin.sha256 if origin else source.sha256,
        size=origin.size if origin else source.size,
        dist_info=wheel.dist_info,
        root_is_purelib=wheel.wheel_file.root_is_purelib,
        requires_python=wheel.requires_python,
        files=files,
        record=record_form(wheel.record_bytes, wheel.record_path, files),
        losses=origin.losses if origin else (),
    )


def _recorded(source: Source, provenance: Provenance, item: Input) -> Original:
    """One original of a wheel that wheelfuse fused, as the provenance tells it."""
    placed = {member.path: member for member in provenance.placed}
    fused = _files(source)
    del fused[f"{source.wheel.dist_info}/{FILE}"]
    files: dict[str, File] = {}
    for path, file in fused.items():
        place = placed.get(path)
        if place and (item.label not in place.owners or not place.origin):
            continue
        origin = place.origin if place else path
        if place and place.undo and isinstance(file.source, Stored):
            before = source.undone[path]
            file = File(before.digest, before.size, file.mode, replace(file.source, undo=place.undo))
        files[origin] = replace(file, mode=item.modes.get(origin, file.mode))
    files |= {loss.path: fused[loss.path] for loss in item.losses if loss.present}
    for path, text in item.restore.items():
        content = text.encode()
        mode = item.modes.get(path, 0o100644)
        files[path] = File(digest_of(content), len(content), mode, Inline(content))
    return Original(
        name=WheelName.parse(item.name),
        sha256=item.sha256,
        size=item.size,
        dist_info=item.dist_info,
        root_is_purelib=item.root_is_purelib,
        requires_python=item.requires_python,
        files=files,
        record=item.record,
        losses=item.losses,
    )


def digest_of(content: bytes) -> str:
    """The sha256 of a content as RECORD spells it."""
    return encode_digest(hashlib.sha256(content).digest())


def _targets_by_tag(name: WheelName) -> tuple[Target, ...]:
    """The CPythons for which a compressed tag set was written: those with a tag of their own in it."""
    pairs = set(name.interpreter_tags)
    own = [target for target in ALL_TARGETS if (target.python_tag, str(target)) in pairs]
    return tuple(own) if all(abi.startswith("cp") for abi in name.abis) else ()


def guessed(whole: Original, target: Target) -> Original:
    """What one CPython sees of a wheel that another tool fused: all but the modules of other CPythons."""
    name = replace(whole.name, pythons=(target.python_tag,), abis=(str(target),))
    files = {}
    for path, file in whole.files.items():
        module = parse_module(path)
        if module is None or module.target in (None, target):
            files[path] = file
    return replace(whole, name=name, files=files, guessed=True, record=RecordForm(), losses=())


def record_form(content: bytes, record_path: str, files: Mapping[str, File]) -> RecordForm:
    """How this RECORD was written, in as few words as will give it back."""
    newline = "\r\n" if b"\r\n" in content else "\n"
    paths = [entry.path for entry in parse_record(content)]
    position = {path: index for index, path in enumerate(sorted({*paths, *files, record_path}))}
    order = tuple(position[path] for path in paths)
    form = RecordForm(order if order != tuple(range(len(position))) else (), newline)
    return (
        form if write_record(form, record_path, files) == content else RecordForm(verbatim=content.decode())
    )


def write_record(form: RecordForm, record_path: str, files: Mapping[str, File]) -> bytes:
    """RECORD of a wheel with these files, in the form that it had."""
    paths = sorted({*files, record_path})
    ordered = [paths[index] for index in form.order] if len(form.order) == len(paths) else paths
    if not form.order:
        ordered = [path for path in paths if path != record_path] + [record_path]
    return format_record(
        (
            RecordEntry(path, "sha256", files[path].digest, files[path].size)
            if path != record_path
            else RecordEntry(path, "", "", -1)
            for path in ordered
        ),
        form.newline,
    )


def check_same(originals: Sequence[Original]) -> None:
    """Refuse wheels that are not builds of one release for one kind of machine.

    Raises:
        ConflictError: showing each property that differs, with its value in each wheel.
        InvalidInput: a wheel is not for Linux, or not for CPython.
    """
    problems = []
    for original in originals:
        try:
            floors(original.name.platforms)
        except InvalidInput as error:
            problems += [replace(problem, wheel=str(original.name)) for problem in error.problems]
    if problems:
        raise InvalidInput(problems)
    values: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for original in originals:
        for title, value in _identity(original):
            values[title][value].append(str(original.name))
    for title, wheels in values.items():
        if len(wheels) > 1:
            lines = "\n".join(f"    {value}: {', '.join(names)}" for value, names in wheels.items())
            problems.append(Problem(f"the wheels are not builds of one release: {title} differs\n{lines}"))
    if problems:
        raise ConflictError(problems)


def _identity(original: Original) -> tuple[tuple[str, str], ...]:
    """What the builds of one release for one kind of machine have in common."""
    families = (" ".join(filter(None, floor.family)) for floor in floors(original.name.platforms))
    return (
        ("distribution", original.name.distribution),
        ("version", original.name.version),
        ("build tag", original.name.build or "none"),
        ("the .dist-info directory", original.dist_info),
        ("Root-Is-Purelib", str(original.root_is_purelib).lower()),
        ("machine and libc", ", ".join(families)),
    )


def assign_targets(originals: Sequence[Original]) -> tuple[Original, ...]:
    """Give each CPython to the original that it would install, and sort the originals from old to new.

    A CPython prefers its own tag to abi3's, and abi3's to a generic one (PEP 425), as pip and uv do.

    Raises:
        ConflictError: two originals are for the same CPython.
        InvalidInput: an original is for no CPython.
    """
    serves: dict[int, list[Target]] = defaultdict(list)
    rivals: dict[tuple[str, ...], list[Target]] = defaultdict(list)
    ranks = {
        (target, number): place
        for target in ALL_TARGETS
        for number, original in enumerate(originals)
        if (place := rank(target, original.name.interpreter_tags)) is not None
        and admits(original.requires_python, target)
    }
    for target in ALL_TARGETS:
        accepted = sorted((place, number) for (t, number), place in ranks.items() if t == target)
        if not accepted:
            continue
        best = [number for place, number in accepted if place == accepted[0][0]]
        if len(best) > 1:
            rivals[tuple(str(originals[number].name) for number in best)].append(target)
        serves[best[0]].append(target)
    if rivals:
        raise ConflictError(
            Problem(
                f"{len(names)} wheels for {_range(targets)}: {', '.join(names)}", todo="Give one of them."
            )
            for names, targets in rivals.items()
        )
    foreign = [o for n, o in enumerate(originals) if not any(number == n for _, number in ranks)]
    if foreign:
        raise InvalidInput(
            Problem(
                "no CPython 3.8 to 3.17 would install it, by its tags and Requires-Python; only such can be fused",
                str(original.name),
                todo="Leave it out.",
            )
            for original in foreign
        )
    assigned = (replace(original, serves=tuple(serves[number])) for number, original in enumerate(originals))
    return tuple(sorted(assigned, key=lambda original: original.sort_key))


def _range(targets: Sequence[Target]) -> str:
    names = [str(target) for target in targets]
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} ... {names[-1]}"


_MICROS = range(100)


@functools.cache
def admits(requires_python: str, target: Target) -> bool:
    """Whether Requires-Python lets any micro release of this CPython in (PEP 440 specifiers; empty: all).

    Raises:
        InvalidInput: it is no specifier.
    """
    try:
        specifier = SpecifierSet(requires_python)
    except InvalidSpecifier as error:
        raise InvalidInput(Problem(f"Requires-Python {requires_python!r}: {error}")) from error
    return any(specifier.contains(f"3.{target.minor}.{micro}") for micro in _MICROS)
