"""What holds for every merge, whatever the wheels: hypothesis makes build matrices of small wheels and tries.

A matrix is a list of `Built` wheels: all that a wheel can differ in from its siblings and still be fused.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from installer.sources import WheelFile as InstallerWheel
from packaging import tags
from packaging.utils import parse_wheel_filename

import wheelfuse
from tests.wheels import PLATFORM, compile_library, contents, extension_source, metadata
from wheelfuse import MergeOptions, Rule, Target
from wheelfuse.target import ALL_TARGETS

INFO = "pkg-1.0.dist-info"
DEFAULT_MODE = stat.S_IFREG | 0o644
TARGETS = [Target(minor) for minor in range(10, 16)] + [Target(minor, True) for minor in (13, 14, 15)]
RESOLVED = (Rule("pkg/data/*.newest", "newest"), Rule("pkg/data/*.oldest", "oldest"),
            Rule("pkg/only_kept/*", "keep"), Rule("pkg/only_dropped/*", "drop"))  # fmt: skip


def examples(count: int) -> settings:
    """How many matrices to try; that a disk is slow is no failure."""
    unhurried = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count, deadline=None, suppress_health_check=unhurried)


@dataclass(frozen=True)
class Content:
    data: bytes
    mode: int = DEFAULT_MODE
    level: int = 6
    """0: stored; else how hard to deflate, which changes the compressed bytes only."""


@dataclass(frozen=True)
class Built:
    """One wheel of a matrix: its files but RECORD, and how its zip file and RECORD are written."""

    target: Target
    files: Mapping[str, Content]
    directories: bool = False
    record_first: bool = False
    reverse: bool = False
    newline: str = "\n"
    algorithm: str = "sha256"

    @property
    def name(self) -> str:
        return f"pkg-1.0-{self.target.python_tag}-{self.target}-{PLATFORM}.whl"

    @property
    def record(self) -> bytes:
        rows = []
        for path, content in self._ordered():
            hashed = base64.urlsafe_b64encode(hashlib.new(self.algorithm, content.data).digest())
            rows.append(f"{path},{self.algorithm}={hashed.rstrip(b'=').decode()},{len(content.data)}")
        rows.insert(0 if self.record_first else len(rows), f"{INFO}/RECORD,,")
        return "".join(row + self.newline for row in rows).encode()

    def _ordered(self) -> list[tuple[str, Content]]:
        return sorted(self.files.items(), reverse=self.reverse)

    def write(self, directory: Path) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        members = [*self._ordered(), (f"{INFO}/RECORD", Content(self.record))]
        if self.directories:
            members = [("pkg/", Content(b"", stat.S_IFDIR | 0o755)), *members]
        with zipfile.ZipFile(directory / self.name, "w") as archive:
            for path, content in members:
                entry = zipfile.ZipInfo(path, (2021, 3, 4, 5, 6, 8))
                entry.external_attr = content.mode << 16 or 0x20  # MS-DOS's archive bit: no mode at all
                method = zipfile.ZIP_DEFLATED if content.level else zipfile.ZIP_STORED
                archive.writestr(entry, content.data, method, content.level or None)
        return directory / self.name


@cache
def shared_objects() -> Mapping[str, tuple[bytes, ...]]:
    """Module name -> a few builds of it that differ in what is loaded."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "module.so")
        return {
            name: tuple(
                compile_library(path, extension_source(name, body=f"int build_number = {number};"))
                for number in range(3)
            )
            for name in ("_native", "_plain")
        }


# --- What wheels of one matrix may differ in: each function gives one wheel's part for a choice of 0, 1 or 2.


def _source(path: str) -> Any:
    return lambda target, choice: {path: f"value = {choice}\ndef f():\n    return __name__\n"}


def _tagged_module(target: Target, choice: int) -> dict[str, bytes]:
    path = f"pkg/_native.{target.soabi_tag}-x86_64-linux-gnu.so"
    return {path: shared_objects()["_native"][choice]}


def _untagged_module(target: Target, choice: int) -> dict[str, bytes]:
    return {"pkg/_plain.so": shared_objects()["_plain"][choice]}


def _metadata(target: Target, choice: int) -> dict[str, str]:
    extra = (
        "Requires-Dist: a>=1\nRequires-Dist: b; extra == 'x'\nProvides-Extra: x",
        'Provides-Extra: x\nRequires-Dist: b ; extra=="x"\nRequires-Dist: a >= 1',
        "Requires-Dist: a>=1\nRequires-Dist: c<3; sys_platform == 'linux'\nDynamic: license-file\nProvides-Extra: x",
    )[choice]
    version = "Metadata-Version: 2.2" if choice == 2 else "Metadata-Version: 2.1"
    return {f"{INFO}/METADATA": metadata(extra=extra).replace("Metadata-Version: 2.1", version)}


def _entry_points(target: Target, choice: int) -> dict[str, str]:
    extra = f"tool-{target.python_version}{'t' * target.free_threaded} = pkg:f\n" if choice else ""
    return {f"{INFO}/entry_points.txt": f"[console_scripts]\ntool = pkg:f\n{extra}"}


def _sbom(target: Target, choice: int) -> dict[str, str]:
    return {f"{INFO}/sboms/pkg.cdx.json": f'{{"serial": {choice}}}\n'}


def _licences(target: Target, choice: int) -> dict[str, str]:
    return ({f"{INFO}/licenses/LICENSE": "MIT\n"}, {f"{INFO}/LICENSE": "MIT\n"},
            {f"{INFO}/licenses/LICENSE": "MIT, too\n"})[choice]  # fmt: skip


def _top_level(target: Target, choice: int) -> dict[str, str]:
    return {f"{INFO}/top_level.txt": ("pkg\n", "pkg\n_pkg\n", "_pkg\npkg\n")[choice]}


def _vendored(target: Target, choice: int) -> dict[str, str]:
    return {"pkg/_vendor/dep-2.dist-info/RECORD": "a,,\n" + f"b{choice},,\n" * bool(choice)}


def _bytecode(target: Target, choice: int) -> dict[str, bytes]:
    path = f"pkg/__pycache__/__init__.cpython-3{target.minor}.pyc"
    return {path: b"\xa7\r\r\n" + bytes([target.minor, choice * (not target.free_threaded)])}


def _data(suffix: str) -> Any:
    return lambda target, choice: {f"pkg/data/a.{suffix}": bytes([0xFE, choice])}


def _only(directory: str) -> Any:
    return lambda target, choice: {f"pkg/{directory}/extra.py": "x = 1\n"} if choice else {}


def _links(target: Target, choice: int) -> dict[str, Content]:
    return {
        "pkg/data/link": Content(b"../__init__.py", stat.S_IFLNK | 0o777),
        "pkg/data/ünïcode name.txt": Content(b"same\n"),
    }


FEATURES: dict[str, Any] = {
    "init": _source("pkg/__init__.py"),
    "main": _source("pkg/sub/__main__.py"),
    "native": _tagged_module,
    "plain": _untagged_module,
    "entry points": _entry_points,
    "sbom": _sbom,
    "licences": _licences,
    "top level": _top_level,
    "vendored": _vendored,
    "bytecode": _bytecode,
    "newest": _data("newest"),
    "oldest": _data("oldest"),
    "kept": _only("only_kept"),
    "dropped": _only("only_dropped"),
    "links": _links,
}
LOSSY = {"newest", "oldest", "bytecode"}
"""Features of which one build's file may come to stand for another's."""

MODES = (DEFAULT_MODE, stat.S_IFREG | 0o664, stat.S_IFREG | 0o755, stat.S_IFREG | 0o600, 0o644, 0)


def build(
    target: Target, features: Mapping[str, int], *, modes: Sequence[int] = (DEFAULT_MODE,), level: int = 6,
    stale_tags: bool = False, **how: Any,
) -> Built:  # fmt: skip
    """The wheel for *target* with these features, each with its choice."""
    tag = f"{target.python_tag}-{target}-{'linux_x86_64' if stale_tags else PLATFORM}"
    parts: dict[str, Any] = {"pkg/always.py": "x = 0\n"}
    parts[f"{INFO}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: false\nTag: {tag}\n"
    parts |= _metadata(target, features.get("metadata", 0))
    for feature, choice in features.items():
        if feature != "metadata":
            parts |= FEATURES[feature](target, choice)
    mode = itertools.cycle(modes)
    files = {
        path: part
        if isinstance(part, Content)
        else Content(part.encode() if isinstance(part, str) else part, next(mode), level)
        for path, part in sorted(parts.items())
    }
    return Built(target, files, **how)


@st.composite
def matrices(draw: st.DrawFn, sizes: tuple[int, int] = (2, 4)) -> list[Built]:
    targets = draw(st.lists(st.sampled_from(TARGETS), min_size=sizes[0], max_size=sizes[1], unique=True))
    features = draw(st.lists(st.sampled_from(sorted(FEATURES)), unique=True, max_size=7))
    # No environment marker tells the builds of one Python version apart, so METADATA cannot differ there.
    requirements = {target.minor: draw(st.integers(0, 2)) for target in targets}
    # Where one content is packed in two ways and a merge keeps neither, which of the two comes back with the next
    # wheel depends on which that is: with losses, equal contents must be packed alike, as they are in real matrices.
    levels = (
        st.sampled_from((6, 1, 0)) if LOSSY.isdisjoint(features) else st.just(draw(st.sampled_from((6, 0))))
    )
    return [
        build(
            target,
            {feature: draw(st.integers(0, 2)) for feature in features}
            | {"metadata": requirements[target.minor]},
            modes=draw(st.lists(st.sampled_from(MODES), min_size=1, max_size=3)),
            level=draw(levels),
            stale_tags=draw(st.booleans()),
            directories=draw(st.booleans()),
            record_first=draw(st.booleans()),
            reverse=draw(st.booleans()),
            newline=draw(st.sampled_from(("\n", "\r\n"))),
            algorithm=draw(st.sampled_from(("sha256", "sha512"))),
        )
        for target in sorted(targets)
    ]


def fuse(directory: Path, *paths: Path) -> Path:
    """Merge in this process, with the CPythons that came as those expected."""
    tags = {tag for path in paths for tag in path.name.split("-")[3].split(".")}
    options = MergeOptions(resolve=RESOLVED, expect=tuple(sorted(map(Target.parse, tags))))
    outcome = wheelfuse.merge(paths, directory, options)
    assert outcome.written
    return outcome.written.path


@contextmanager
def workplace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wheelfuse-") as directory:
        yield Path(directory)


def modes_of(path: Path) -> dict[str, int]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: info.external_attr >> 16 for info in archive.infolist() if not info.is_dir()}


def provenance(path: Path) -> Any:
    return json.loads(contents(path)[f"{INFO}/wheelfuse.json"])


@pytest.fixture(autouse=True, scope="module")
def in_a_hurry() -> Iterator[None]:
    """That the output reaches the disk is another test's concern; here it would take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield


# --- The properties.


@examples(50)
@given(matrices(), st.randoms(use_true_random=False))
def test_the_order_of_the_inputs_does_not_matter(matrix: list[Built], random: Any) -> None:
    with workplace() as place:
        paths = [built.write(place / "in") for built in matrix]
        first = fuse(place / "1", *paths)
        random.shuffle(paths)
        second = fuse(place / "2", *paths)
        assert first.name == second.name
        assert first.read_bytes() == second.read_bytes()


@examples(70)
@given(matrices(sizes=(3, 4)), st.data())
def test_merging_in_groups_is_merging_all_at_once(matrix: list[Built], data: st.DataObject) -> None:
    with workplace() as place:
        paths = [built.write(place / "in") for built in matrix]
        flat = fuse(place / "flat", *paths)
        groups = data.draw(st.lists(st.integers(0, 2), min_size=len(paths), max_size=len(paths)))
        note(f"groups {groups}")
        parts = []
        for number in sorted(set(groups)):
            members = [path for path, group in zip(paths, groups, strict=True) if group == number]
            parts.append(fuse(place / f"group{number}", *members))
        assert fuse(place / "all", *parts).read_bytes() == flat.read_bytes()


HARD = {
    "a loss whose content the next wheel has": ("newest", (0, 1, 0), (0, 0, 1), (6, 6, 6)),
    "a loss whose content the first wheel has": ("oldest", (0, 1, 0), (0, 1, 1), (6, 6, 6)),
    "one module, compressed differently": ("plain", (0, 1, 0), (0, 1, 0), (6, 6, 1)),
    "modules that become one per CPython": ("plain", (0, 0, 1), (0, 0, 1), (1, 6, 6)),
    "a source dispatched at last": ("init", (0, 0, 1), (0, 0, 1), (1, 6, 6)),
    "an entry point of one group": ("entry points", (0, 1, 1), (0, 1, 1), (6, 1, 6)),
    "metadata that a group reconciled": ("metadata", (0, 2, 0), (0, 0, 1), (1, 6, 1)),
}


@pytest.mark.parametrize("feature, choices, groups, levels", HARD.values(), ids=HARD)
def test_groups_that_are_hard_to_tell_apart(
    tmp_path: Path, feature: str, choices: tuple[int, ...], groups: tuple[int, ...], levels: tuple[int, ...]
) -> None:
    targets = (Target(10), Target(11), Target(12))
    paths = [
        build(target, {feature: choice}, level=level).write(tmp_path / "in")
        for target, choice, level in zip(targets, choices, levels, strict=True)
    ]
    parts = [
        fuse(
            tmp_path / f"group{group}",
            *(path for path, own in zip(paths, groups, strict=True) if own == group),
        )
        for group in (0, 1)
    ]
    flat = fuse(tmp_path / "flat", *paths)
    assert fuse(tmp_path / "all", *parts).read_bytes() == flat.read_bytes()


def test_a_file_that_stands_in_for_a_lost_one_has_no_say_in_the_mode(tmp_path: Path) -> None:
    choices = {Target(10): (0, DEFAULT_MODE), Target(11): (0, 0o644), Target(12): (1, DEFAULT_MODE)}
    first, second, third = (
        build(target, {"oldest": choice}, modes=(mode,)).write(tmp_path / "in")
        for target, (choice, mode) in choices.items()
    )
    flat = fuse(tmp_path / "flat", first, second, third)
    group = fuse(tmp_path / "group", first, third)
    assert fuse(tmp_path / "all", group, second).read_bytes() == flat.read_bytes()


@pytest.mark.parametrize("feature, choices", [("dropped", (0, 1)), ("newest", (0, 1)), ("oldest", (1, 0)),
                                              ("kept", (1, 0)), ("plain", (0, 1)), ("bytecode", (0, 1))])  # fmt: skip
@pytest.mark.parametrize("reverse", [True, False])
def test_a_split_with_losses_fuses_to_the_same_bytes(
    tmp_path: Path, feature: str, choices: tuple[int, int], reverse: bool
) -> None:
    targets = (Target(14), Target(14, True))
    paths = [
        build(target, {feature: choice, "init": choice}, reverse=reverse).write(tmp_path / "in")
        for target, choice in zip(targets, choices, strict=True)
    ]
    fused = fuse(tmp_path / "fused", *paths)
    wheels = wheelfuse.split(fused, tmp_path / "split")
    assert fuse(tmp_path / "again", *(wheel.path for wheel in wheels)).read_bytes() == fused.read_bytes()


@examples(40)
@given(matrices())
def test_a_fused_wheel_merged_alone_is_itself(matrix: list[Built]) -> None:
    with workplace() as place:
        fused = fuse(place / "once", *(built.write(place / "in") for built in matrix))
        assert fuse(place / "twice", fused).read_bytes() == fused.read_bytes()


def lost_members(fused: Path) -> dict[str, set[str]]:
    """For each target, the paths of which a lossy resolution kept no copy, by the provenance."""
    return {
        item["label"]: {loss["path"] for loss in item.get("lost", ())} for item in provenance(fused)["inputs"]
    }


@examples(70)
@given(matrices())
def test_split_gives_back_every_member(matrix: list[Built]) -> None:
    with workplace() as place:
        fused = fuse(place / "fused", *(built.write(place / "in") for built in matrix))
        wheels = wheelfuse.split(fused, place / "split")
        lost = lost_members(fused)
        assert [wheel.path.name for wheel in wheels] == [built.name for built in matrix]
        for built, wheel in zip(matrix, wheels, strict=True):
            gone = {loss.path for loss in wheel.losses}
            assert gone == lost[wheel.label]
            expected = {path: content.data for path, content in built.files.items()}
            back = contents(wheel.path)
            assert {path: back.get(path) for path in expected if path not in gone} == {
                path: data for path, data in expected.items() if path not in gone
            }
            assert back.keys() - expected.keys() <= {f"{INFO}/RECORD"} | gone
            modes = modes_of(wheel.path)
            for path, content in built.files.items():
                if path not in gone:
                    assert modes[path] == (content.mode or DEFAULT_MODE), path
            if not gone:
                assert back[f"{INFO}/RECORD"] == built.record


@examples(50)
@given(matrices())
def test_split_wheels_fuse_to_the_same_bytes(matrix: list[Built]) -> None:
    with workplace() as place:
        fused = fuse(place / "fused", *(built.write(place / "in") for built in matrix))
        wheels = wheelfuse.split(fused, place / "split")
        again = fuse(place / "again", *(wheel.path for wheel in wheels))
        assert again.read_bytes() == fused.read_bytes()


@examples(50)
@given(matrices())
def test_no_member_is_lost_and_none_is_invented(matrix: list[Built]) -> None:
    with workplace() as place:
        fused = fuse(place / "fused", *(built.write(place / "in") for built in matrix))
        output, told = contents(fused), provenance(fused)
        placed = {member["path"]: member for member in told["members"]}
        accounted: set[str] = set()
        for built, item in zip(matrix, told["inputs"], strict=True):
            lost = {loss["path"] for loss in item.get("lost", ())}
            for path, content in built.files.items():
                homes = [
                    place
                    for place, data in output.items()
                    if data == content.data and _is_home(place, path, item["label"], placed)
                ]
                accounted.update(homes)
                kept_as_text = item.get("restore", {}).get(path, "").encode() == content.data
                assert homes or kept_as_text or path in lost, (item["label"], path)
        made = {f"{INFO}/{name}" for name in ("WHEEL", "RECORD", "wheelfuse.json")}
        made |= {f"{INFO}/{name}" for name in ("METADATA", "entry_points.txt", "top_level.txt")}
        made |= {path for path, member in placed.items() if not member["owners"]}  # dispatching modules
        assert output.keys() - accounted <= made
        assert all(
            path.endswith((".py", ".txt", "/METADATA", "/RECORD")) for path in placed.keys() - accounted
        )


def _is_home(place: str, path: str, label: str, placed: Mapping[str, Any]) -> bool:
    member = placed.get(place)
    if member is None:
        return place == path
    return label in member["owners"] and member.get("origin", place) == path


@examples(50)
@given(matrices())
def test_the_output_is_a_sound_wheel(matrix: list[Built]) -> None:
    with workplace() as place:
        fused = fuse(place / "fused", *(built.write(place / "in") for built in matrix))
        with InstallerWheel.open(fused) as wheel:
            wheel.validate_record(validate_contents=True)
        *_, expanded = parse_wheel_filename(fused.name, validate_order=True)
        output = contents(fused)
        stated = [
            line[5:] for line in output[f"{INFO}/WHEEL"].decode().splitlines() if line.startswith("Tag: ")
        ]
        assert stated == sorted(stated)
        assert set(stated) == {str(tag) for tag in expanded}
        rows = [line.split(",")[0] for line in output[f"{INFO}/RECORD"].decode().splitlines()]
        assert sorted(rows) == sorted(output)
        assert rows[-1] == f"{INFO}/RECORD" == list(output)[-1]
        modes = modes_of(fused)
        assert {path for path, mode in modes.items() if stat.S_ISLNK(mode)} <= {"pkg/data/link"}


def accepts(target: Target, expanded: frozenset[tags.Tag]) -> bool:
    """Whether this CPython would install a wheel with these tags."""
    version = (3, target.minor)
    wanted = {
        *tags.cpython_tags(version, [str(target)], [PLATFORM]),
        *tags.compatible_tags(version, target.python_tag, [PLATFORM]),
    }
    return not expanded.isdisjoint(wanted)


@examples(40)
@given(st.lists(st.sampled_from(TARGETS), min_size=1, max_size=6, unique=True))
def test_every_cpython_that_accepts_the_wheel_finds_its_modules(targets: list[Target]) -> None:
    with workplace() as place:
        matrix = [build(target, {"native": 0, "plain": number % 3}) for number, target in enumerate(targets)]
        fused = fuse(place / "fused", *(built.write(place / "in") for built in matrix))
        *_, expanded = parse_wheel_filename(fused.name)
        served = [target for target in ALL_TARGETS if accepts(target, expanded)]
        assert served == sorted(targets)
        paths = contents(fused).keys()
        for target in served:
            assert f"pkg/_native.{target.soabi_tag}-x86_64-linux-gnu.so" in paths
            assert f"pkg/_plain.{target.soabi_tag}-x86_64-linux-gnu.so" in paths or (
                len(targets) == 1 and "pkg/_plain.so" in paths
            )


ALL_FEATURES = [*FEATURES, "metadata"]


def everything(place: Path) -> list[Path]:
    """Wheels for three CPythons that differ in everything that a wheel may differ in."""
    return [
        build(target, dict.fromkeys(ALL_FEATURES, number), modes=MODES).write(place)
        for number, target in enumerate((Target(11), Target(12), Target(14, True)))
    ]


def test_wheel_unpack_accepts_the_output(tmp_path: Path) -> None:
    fused = fuse(tmp_path / "fused", *everything(tmp_path / "in"))
    command = [sys.executable, "-m", "wheel", "unpack", "--dest", str(tmp_path / "out"), str(fused)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    assert (tmp_path / "out/pkg-1.0/pkg/__init__.py").exists()


@pytest.mark.parametrize("epoch, expected", [
    ("1700000000", (2023, 11, 14, 22, 13, 20)),
    ("0", (1980, 1, 1, 0, 0, 0)),
    ("99999999999", (2107, 12, 31, 23, 59, 58)),
    (None, (1980, 1, 1, 0, 0, 0)),
])  # fmt: skip
def test_the_time_of_all_members_is_that_of_source_date_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: str | None, expected: tuple[int, ...]
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    if epoch is not None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    fused = fuse(tmp_path / "fused", *everything(tmp_path / "in"))
    with zipfile.ZipFile(fused) as archive:
        assert {info.date_time for info in archive.infolist()} == {expected}


def test_more_members_than_16_bits_can_count(tmp_path: Path) -> None:
    parts = {f"pkg/{number:x}": Content(b"", level=0) for number in range(65_536)}
    alone = build(Target(12), {})
    path = replace(alone, files={**alone.files, **parts}).write(tmp_path / "in")
    with zipfile.ZipFile(fuse(tmp_path / "out", path)) as archive:
        assert len(archive.namelist()) > 65_536
