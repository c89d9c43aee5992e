"""Targets: the zip reader, whole merges, splits and audits, provenance, and what installers make of it all."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import wheelfuse
from fuzz import installers
from fuzz.bundle import Bundle
from fuzz.strategies import JSON_CHANGES, broken_json, draft, matrices, wheels, written
from fuzz.strategies import TARGETS as CPYTHONS
from fuzz.target import Target, Wrong, accepting, expect, scratch
from tests.wheel.zips import Entry, record_rows, zip_bytes
from wheelfuse import AuditOptions, MergeOptions, Rule
from wheelfuse.auditing.runner import applied_rules
from wheelfuse.errors import InvalidInput
from wheelfuse.fuse.provenance import FILE, Provenance
from wheelfuse.report.audit_formats import FORMATS, audit_as
from wheelfuse.target import ALL_TARGETS
from wheelfuse.target import Target as CPython
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.record import encode_digest
from wheelfuse.wheel.wheel import read_wheel

_ALL = tuple(map(str, ALL_TARGETS))
HERE = installers.here()
"""The CPython that runs this: the one for which installers install here."""


def read_in_full(path: Path) -> dict[str, tuple[bytes, int]]:
    """Path -> content and mode, as wheelfuse reads a wheel that it trusts.

    Raises:
        InvalidInput: it does not trust it.
    """
    with Archive(path) as archive:
        wheel = read_wheel(archive)
        found = {}
        for member in archive.members:
            content = archive.read(member)
            entry = wheel.record.get(member.path)
            if (
                entry
                and entry.digest
                and encode_digest(hashlib.new(entry.algorithm, content).digest()) != entry.digest
            ):
                raise InvalidInput(archive.problem("its digest is not the one in RECORD", member.path))
            found[member.path] = content, member.mode
        return found


# --- The zip reader, beside zipfile and installer.


def zips() -> st.SearchStrategy[bytes]:
    """Wheels of all sorts, without their names."""
    return wheels(HERE).map(lambda pair: pair[1])


def check_archive(data: bytes, place: Path) -> None:
    """What is accepted has the same members for `zipfile`, and for installer if RECORD is right."""
    path = place / draft(HERE, {}).name
    path.write_bytes(data)
    with Archive(path) as archive:
        ours = {member.path: archive.read(member) for member in archive.members}
        expect(sum(map(len, ours.values())) < 1 << 28, "a zip bomb was inflated")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            theirs = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    except Exception as error:
        raise Wrong(f"zipfile refuses it: {type(error).__name__}: {error}") from error
    expect(ours == theirs, "zipfile reads other members")
    sound = read_in_full(path)
    installers.installer_accepts(path, sound)


# --- The whole wheel, beside installer, pip and uv as programs.


def installable() -> st.SearchStrategy[bytes]:
    """Wheels for the CPython that runs this."""
    return wheels(HERE).map(lambda pair: Bundle([pair]).to_bytes())


def check_installers(data: bytes, place: Path) -> None:
    """What wheelfuse accepts all installers accept, and they install what it read."""
    for path in Bundle.from_bytes(data).write(place / "in"):
        members = read_in_full(path)
        if installers.fits(path):
            installers.compare(path, members, place)


# --- Merge and split.


def _options(given: Mapping[str, Any]) -> MergeOptions:
    resolve = tuple(map(Rule.parse, given.get("resolve", ())))
    expected = tuple(map(CPython.parse, given.get("expect", ())))
    strip, share = bool(given.get("strip")), bool(given.get("share")) or None
    return MergeOptions(resolve, expected, strip_debug=strip, share_device_code=share)


def check_merge(data: bytes, place: Path) -> None:
    """A merge is the same whatever the order, is a sound wheel, and splitting gives back what was put in."""
    bundle = Bundle.from_bytes(data)
    paths = bundle.write(place / "in")
    options = _options(bundle.options)
    try:
        outcome = wheelfuse.merge(paths, place / "out", options)
    except wheelfuse.WheelfuseError:
        expect(not list(place.glob("out/*")), "a refusal left a file")
        raise
    finally:
        expect({path.name for path in place.iterdir()} <= {"in", "out"}, "something lies beside the output")
    assert outcome.written
    fused = outcome.written.path
    expect(list(place.glob("out/*")) == [fused], "another file beside the output")
    with accepting("a merge of the same wheels in another order was refused"):
        again = wheelfuse.merge(reversed(paths), place / "again", options).written
    expect(again and again.path.name == fused.name, "another name for another order")
    expect(again and again.path.read_bytes() == fused.read_bytes(), "other bytes for another order")
    with accepting("wheelfuse refuses what it wrote"):
        output = read_in_full(fused)
        installers.installer_accepts(fused, output)
        parts = wheelfuse.split(fused, place / "split")
        whole = wheelfuse.merge([part.path for part in parts], place / "whole", options).written
    expect(whole and whole.path.read_bytes() == fused.read_bytes(), "what was split fuses to another wheel")
    originals = {path.name: read_in_full(path) for path in paths}
    expect(len(parts) >= len(paths), "fewer wheels come back")
    for part in parts:
        if (before := originals.get(part.path.name)) is not None:
            _restored(before, read_in_full(part.path), {loss.path for loss in part.losses})
    _keep_for_installers(fused)


def _restored(
    before: dict[str, tuple[bytes, int]], after: dict[str, tuple[bytes, int]], lost: set[str]
) -> None:
    signatures = {
        path for path in before if path.endswith((".dist-info/RECORD.jws", ".dist-info/RECORD.p7s"))
    }
    expected = before.keys() - lost - signatures
    record = {path for path in expected if path.endswith(".dist-info/RECORD") and (lost or signatures)}
    for path in expected - record:
        expect(path in after, f"{path} does not come back")
        expect(before[path][0] == after[path][0], f"{path} comes back with another content")
        expect(before[path][1] == after[path][1], f"{path} comes back with another mode")
    expect(after.keys() <= before.keys(), f"{sorted(after.keys() - before.keys())} was not there")


KEPT = "WHEELFUSE_FUZZ_KEEP"
"""The variable that names a directory for outputs that installers are to try, one of each content."""


def _keep_for_installers(fused: Path) -> None:
    if directory := os.environ.get(KEPT):
        name = hashlib.sha256(fused.read_bytes()).hexdigest()[:16]
        place = Path(directory) / name
        if str(HERE) in fused.name.split("-")[3].split("."):
            place.mkdir(parents=True, exist_ok=True)
            (place / fused.name).write_bytes(fused.read_bytes())


def install_kept(directory: Path) -> Iterator[tuple[str, str]]:
    """Install outputs that were kept: the name of each, and what is wrong with it; nothing, if all installers agree."""
    for path in sorted(directory.glob("*/*.whl")):
        with tempfile.TemporaryDirectory(prefix="fuzz-", dir=scratch()) as name:
            try:
                installers.compare(path, read_in_full(path), Path(name))
            except Wrong as error:
                yield path.parent.name, str(error)
            else:
                yield path.parent.name, ""


@cache
def _fused() -> tuple[tuple[str, bytes], ...]:
    """A few fused wheels, for what can be wrong with a wheel that says that wheelfuse made it."""
    found = []
    choices = (
        {"init": 0, "plain": 1},
        {"init": 1, "plain": 0, "data": 1, "entry points": 1, "libraries": 0},
        {"device": 0},
    )
    for start, features in itertools.product((0, 2), choices):
        targets = CPYTHONS[start : start + 2]
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            files = [
                written(
                    draft(target, {f: (c + n) % 2 for f, c in features.items()}, requires=start and n), [], []
                )
                for n, target in enumerate(targets)
            ]
            rule = Rule.parse("pkg/data/*=newest")
            options = MergeOptions((rule,), targets, share_device_code=True, strip_debug=True)
            outcome = wheelfuse.merge(Bundle(files).write(place), place / "out", options).written
            assert outcome
            found.append((outcome.path.name, outcome.path.read_bytes()))
    return tuple(found)


def _with_provenance(number: int, changes: list[tuple[int, int, int]]) -> bytes:
    name, data = _fused()[number % len(_fused())]
    entries = []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            content = archive.read(info)
            if info.filename.endswith(f".dist-info/{FILE}"):
                content = broken_json(content, changes)
            if not info.filename.endswith(".dist-info/RECORD"):
                entries.append(Entry(info.filename, content, info.external_attr >> 16, deflated=True))
    entries.append(Entry("pkg-1.0.dist-info/RECORD", record_rows(entries).encode()))
    return Bundle([(name, zip_bytes(entries))]).to_bytes()


def fused_wheels() -> st.SearchStrategy[bytes]:
    """Fused wheels with another provenance, in which all else is right."""
    return st.builds(_with_provenance, st.integers(0, 99), JSON_CHANGES)


def check_split(data: bytes, place: Path) -> None:
    """What comes out of a split lies in its directory, is sound wheels, and fuses again or is refused; as does what
    was to be split."""
    paths = Bundle.from_bytes(data).write(place / "in")
    try:
        parts = wheelfuse.split(paths[0], place / "split")
    except wheelfuse.WheelfuseError:
        expect(not list(place.glob("split/*")), "a refusal left a file")
        raise
    finally:
        expect({path.name for path in place.iterdir()} <= {"in", "split"}, "something lies beside the output")
    expect(all(part.path.parent == place / "split" for part in parts), "a wheel in another directory")
    with accepting("wheelfuse refuses what it wrote"):
        for part in parts:
            installers.installer_accepts(part.path, read_in_full(part.path))
    options = MergeOptions(allow_missing=_ALL, strip_debug=True)
    for name, again in (("again", [part.path for part in parts]), ("merged", paths)):
        written = wheelfuse.merge(again, place / name, options).written
        with accepting("wheelfuse refuses what it wrote"):
            assert written
            installers.installer_accepts(written.path, read_in_full(written.path))


def provenances() -> st.SearchStrategy[bytes]:
    """The text of provenance."""
    texts = [zipfile.ZipFile(io.BytesIO(data)).read(f"pkg-1.0.dist-info/{FILE}") for _, data in _fused()]
    return st.builds(broken_json, st.sampled_from(texts), JSON_CHANGES)


def check_provenance(data: bytes, place: Path) -> None:
    """What is read and written is the same when it is read again."""
    found = Provenance.from_bytes(data)
    again = Provenance.from_bytes(found.to_bytes())
    expect(again == found, "written and read again, it is another provenance")
    tuple(found.contradictions("pkg-1.0.dist-info", {}))


# --- Audit.


def check_audit(data: bytes, place: Path) -> None:
    """Every input has its answer in every format, and nothing is written."""
    paths = Bundle.from_bytes(data).write(place / "in")
    options = AuditOptions()
    report = wheelfuse.audit(paths, options)
    for name in FORMATS:
        text = audit_as(name, report, applied_rules(options), verbose=True, roads=True)
        expect(text.endswith("\n") and "\x1b" not in text, f"a terminal would obey the {name}")
    expect({path.name for path in place.iterdir()} == {"in"}, "something was written")
    if any(finding.code in ("WF001", "WF002") for finding in report.findings):
        raise InvalidInput("the input cannot be read")


def audited() -> st.SearchStrategy[bytes]:
    """Single wheels and fused ones."""
    return st.one_of(wheels().map(lambda pair: Bundle([pair]).to_bytes()), matrices(), fused_wheels())


TARGETS = (
    Target("archive", "zip reader, beside zipfile and installer", zips, check_archive, 100, guided=True),
    Target("provenance", "provenance JSON", provenances, check_provenance, 60),
    Target("merge", "merge, split, and merge again", matrices, check_merge, 12),
    Target("split", "split of wheels with another provenance", fused_wheels, check_split, 8),
    Target("audit", "audit, in every format", audited, check_audit, 8),
    Target("installers", "wheels, beside pip, uv and installer", installable, check_installers, 2),
)
