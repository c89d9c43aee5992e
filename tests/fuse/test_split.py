"""The way back: single-Python wheels out of a fused one, be it wheelfuse's or another tool's."""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path
from typing import Any

import pytest

import wheelfuse
from tests.fuse.merging import build_matrix, command, fuse, fuse_matrix, options
from tests.interpreters import available, environment, install, run_python
from tests.native import library, module, soabi
from tests.wheels import build_wheel, contents, digest, metadata
from wheelfuse.target import Target

CP310, CP311, CP312, CP313 = (Target(minor) for minor in (10, 11, 12, 13))
TARGETS = (CP310, CP311, CP312, CP313, Target(14), Target(14, free_threaded=True))


def eventful() -> dict[Target, dict[str, str | bytes]]:
    """Wheels in which every lossless thing happens: renamed, per CPython, dispatched, united."""
    files: dict[Target, dict[str, str | bytes]] = {}
    for target in TARGETS:
        lib = library(
            f'extern char PyLong_FromLong; void *used = &PyLong_FromLong; const char *name = "{target}";',
            "libbound.so.1",
            runpath="$ORIGIN",
        )
        files[target] = {
            "pkg/__init__.py": "",
            "pkg/config.py": f"NAME = {str(target)!r}",
            "pkg/_plain.so": module("_plain", target),
            f"pkg/{soabi('_m', target)}": module("_m", target, beside={"libbound.so.1": lib}),
            "pkg/libbound.so.1": lib,
            "pkg/data.txt": "the same",
        }
    return files


def built(directory: Path, **settings: Any) -> list[Path]:
    return [
        build_wheel(
            directory / "in",
            str(target),
            members,
            requires_python=">=3.10",
            dist_info={
                "entry_points.txt": f"[console_scripts]\ntool-{target} = pkg:main\n",
                "sboms/x.json": f'{{"for": "{target}"}}',
                "METADATA": metadata(extra="Requires-Dist: old" if target == CP310 else ""),
            },
            **settings,
        )
        for target, members in eventful().items()
    ]


def test_every_member_comes_back_byte_for_byte(tmp_path: Path) -> None:
    given = built(tmp_path)
    fused = fuse(given, tmp_path / "out")
    wheels = wheelfuse.split(fused.path, tmp_path / "back")
    assert [wheel.path.name for wheel in wheels] == [path.name for path in given]
    for wheel, path in zip(wheels, given, strict=True):
        assert contents(wheel.path) == contents(path)
        assert (wheel.losses, wheel.notes) == ((), ())


def test_merging_them_again_gives_the_same_wheel(tmp_path: Path) -> None:
    fused = fuse(built(tmp_path), tmp_path / "out")
    wheels = wheelfuse.split(fused.path, tmp_path / "back")
    again = fuse([wheel.path for wheel in wheels], tmp_path / "again")
    assert again.path.read_bytes() == fused.path.read_bytes()


def test_in_two_steps_comes_the_same_as_in_one(tmp_path: Path) -> None:
    given = built(tmp_path)
    whole = fuse(given, tmp_path / "whole")
    first = fuse(given[:3], tmp_path / "first")
    second = fuse([first.path, *given[3:]], tmp_path / "second")
    assert second.path.read_bytes() == whole.path.read_bytes()


def test_what_comes_out_works_on_its_cpython(tmp_path: Path) -> None:
    fused = fuse(built(tmp_path), tmp_path / "out")
    wheels = wheelfuse.split(fused.path, tmp_path / "back")
    python = environment(CP311, tmp_path / "env")
    (path,) = (wheel.path for wheel in wheels if wheel.label == "cp311")
    install(python, path)
    code = "import pkg._plain, pkg._m, pkg.config; print(pkg._plain.built_for, pkg._m.built_for, pkg.config.NAME)"
    assert run_python(python, code).split() == ["cp311"] * 3


def lossy(directory: Path) -> Path:
    """A fused wheel that lost a library's builds, and a text by a rule."""
    files: dict[Target, dict[str, str | bytes]] = {
        target: {
            "pkg/libx.so": library(
                f'const char *built(void) {{ return "12:00:{target.minor}"; }}', "libx.so"
            ),
            "pkg/a.txt": str(target),
            "pkg/only.txt": "b",
        }
        for target in (CP311, CP312)
    }
    del files[CP312]["pkg/only.txt"]
    return fuse_matrix(directory, files, options("pkg/a.txt=newest", "pkg/only.txt=drop")).path


def test_what_a_merge_did_not_keep_is_listed(tmp_path: Path) -> None:
    older, newer = wheelfuse.split(lossy(tmp_path), tmp_path / "back")
    assert newer.losses == ()
    assert {(loss.path, loss.fate.value) for loss in older.losses} == {
        ("pkg/libx.so", "replaced"),
        ("pkg/a.txt", "replaced"),
        ("pkg/only.txt", "dropped"),
    }
    assert all(loss.why for loss in older.losses)
    members = contents(older.path)
    assert members["pkg/a.txt"] == b"cp312"
    assert "pkg/only.txt" not in members


def test_the_command_lists_it_too(tmp_path: Path) -> None:
    path = lossy(tmp_path)
    code, out, _ = command("split", path, "-d", tmp_path / "back")
    assert code == 0
    assert "not restorable: 1 file (--resolve pkg/only.txt=drop)" in out
    assert "not restorable: 1 file (a build of the same library was kept)" in out
    assert "pkg/libx.so" in out
    code, out, _ = command("split", path, "-d", tmp_path / "json", "--json")
    document = json.loads(out)
    (older,) = (wheel for wheel in document["wheels"] if wheel["target"] == "cp311")
    assert {loss["path"] for loss in older["not_restorable"]} == {"pkg/libx.so", "pkg/a.txt", "pkg/only.txt"}


def test_the_records_of_lossy_wheels_are_right(tmp_path: Path) -> None:
    for wheel in wheelfuse.split(lossy(tmp_path), tmp_path / "back"):
        assert_consistent(wheel.path)


def assert_consistent(path: Path) -> None:
    """RECORD of the wheel tells every member with its digest."""
    members = contents(path)
    (record,) = (name for name in members if name.endswith(".dist-info/RECORD"))
    rows = list(csv.reader(members[record].decode().splitlines()))
    assert {row[0] for row in rows} == set(members)
    for name, said, _ in rows:
        assert said == ("" if name == record else digest(members[name]))
        base64.urlsafe_b64decode(said.partition("=")[2] + "==")


# Choosing, refusing


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [((), TARGETS), ((CP312,), (CP312,)), ((CP310, TARGETS[-1]), (CP310, TARGETS[-1]))],
)
def test_the_targets_that_are_named_come_out(
    tmp_path: Path, chosen: tuple[Target, ...], expected: tuple[Target, ...]
) -> None:
    fused = fuse_matrix(tmp_path, {target: {"pkg/a.py": ""} for target in TARGETS})
    wheels = wheelfuse.split(fused.path, tmp_path / "back", chosen)
    assert [wheel.label for wheel in wheels] == [str(target) for target in expected]
    assert {path.name for path in (tmp_path / "back").iterdir()} == {wheel.path.name for wheel in wheels}


def test_a_target_that_is_not_in_it_is_a_usage_error(tmp_path: Path) -> None:
    fused = fuse_matrix(tmp_path, {CP311: {}, CP312: {}})
    code, _, message = command("split", fused.path, "-d", tmp_path / "back", "--target", "cp311,cp314")
    assert code == 2
    assert "no cp314 in this wheel; it holds cp311, cp312" in message
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    "files",
    [{}, {"pkg/a.py": ""}, {f"pkg/{soabi('_x', 'cp312')}": b"not read"}, {"pkg/_x.abi3.so": b"not read"}],
)
def test_a_wheel_that_is_not_fused_is_a_usage_error(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    path = build_wheel(tmp_path, "cp312", files)
    code, _, message = command("split", path, "-d", tmp_path / "back")
    assert code == 2
    assert f"{path.name}: not a fused wheel" in message


def test_an_existing_file_is_replaced_only_with_force(tmp_path: Path) -> None:
    fused = fuse_matrix(tmp_path, {CP311: {}, CP312: {}})
    (wheel, _) = wheelfuse.split(fused.path, tmp_path / "back")
    before = wheel.path.read_bytes()
    wheel.path.write_bytes(b"mine")
    code, _, message = command("split", fused.path, "-d", tmp_path / "back")
    assert code == 2
    assert "exists already" in message
    assert wheel.path.read_bytes() == b"mine"
    code, _, _ = command("split", fused.path, "-d", tmp_path / "back", "--force")
    assert code == 0
    assert wheel.path.read_bytes() == before


def test_a_damaged_wheel_is_refused(tmp_path: Path) -> None:
    fused = fuse_matrix(tmp_path, {CP311: {"pkg/a": "a" * 100}, CP312: {"pkg/a": "a" * 100}})
    content = bytearray(fused.path.read_bytes())
    content[content.index(b"pkg/a") + 6] ^= 0xFF
    fused.path.write_bytes(content)
    code, _, message = command("split", fused.path, "-d", tmp_path / "back")
    assert code == 3
    assert "pkg/a" in message
    assert not list((tmp_path / "back").glob("*"))


# Wheels that another tool fused


FIVE = (Target(9), CP310, CP311, CP312, CP313)


def vllm_like(directory: Path) -> Path:
    """One stable ABI tag, and modules for five CPythons."""
    files: dict[str, str | bytes] = {f"pkg/{soabi('_C', target)}": module("_C", target) for target in FIVE}
    files |= {"pkg/__init__.py": "", "pkg/_stable.abi3.so": module("_stable", "abi3"), "pkg/data.bin": b"1"}
    return build_wheel(directory, tag="cp38-abi3", files=files, requires_python=">=3.9,<3.14")


def cvcuda_like(directory: Path) -> Path:
    """A tag for everybody, and modules and libraries of several CPythons."""
    files: dict[str, str | bytes] = {f"pkg/{soabi('_C', target)}": module("_C", target) for target in FIVE}
    files |= {"pkg/__init__.py": "", "pkg/libshared.so": library("int x;", "libshared.so")}
    return build_wheel(directory, tag="py3-none", files=files, requires_python="")


SEVEN = tuple(Target(minor) for minor in range(8, 15))


def depthai_like(directory: Path) -> Path:
    """Seven compressed tags, and a WHEEL whose Tag lines follow a blank line."""
    files: dict[str, str | bytes] = {soabi("pkg", target): module("pkg", target) for target in SEVEN}
    tag = "-".join(2 * [".".join(map(str, SEVEN))])
    lines = "".join(f"Tag: {target}-{target}-manylinux_2_28_x86_64\n" for target in SEVEN)
    return build_wheel(
        directory,
        tag=tag,
        files=files,
        platform="manylinux_2_28_x86_64",
        dist_info={"WHEEL": f"Wheel-Version: 1.0\nGenerator: other\nRoot-Is-Purelib: false\n\n{lines}"},
        requires_python=">=3.8",
    )


FOREIGN = {
    "vllm-like": (vllm_like, FIVE, "pkg._C", {"pkg/__init__.py", "pkg/_stable.abi3.so", "pkg/data.bin"}),
    "cvcuda-like": (cvcuda_like, FIVE, "pkg._C", {"pkg/__init__.py", "pkg/libshared.so"}),
    "depthai-like": (depthai_like, SEVEN, "pkg", set[str]()),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_wheel_is_taken_apart_as_far_as_names_tell(tmp_path: Path, kind: str) -> None:
    make, targets, name, common = FOREIGN[kind]
    path = make(tmp_path)
    wheels = wheelfuse.split(path, tmp_path / "back")
    assert [wheel.label for wheel in wheels] == [str(target) for target in targets]
    for wheel, target in zip(wheels, targets, strict=True):
        assert_consistent(wheel.path)
        assert f"-{target}-{target}-" in wheel.path.name
        members = contents(wheel.path)
        own = f"{name.replace('.', '/')}{soabi('', target)}"
        assert {member for member in members if ".dist-info/" not in member} == common | {own}
        text = members["pkg-1.0.dist-info/WHEEL"].decode()
        platform = wheel.path.stem.rpartition("-")[2]
        assert [line for line in text.splitlines() if line.startswith("Tag: ")] == [
            f"Tag: {target}-{target}-{platform}"
        ]
        assert "\n\n" not in text.rstrip("\n")
        assert any("guessed from the suffixes of the modules" in note for note in wheel.notes)


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_was_guessed_is_told_on_the_command_line(tmp_path: Path, kind: str) -> None:
    path = FOREIGN[kind][0](tmp_path)
    code, out, _ = command("split", path, "-d", tmp_path / "back", "--target", "cp312")
    assert code == 0
    assert f"guessed: {path.name} was not fused by wheelfuse" in out
    assert "guessed from the suffixes of the modules" in out
    assert "METADATA, data and libraries are all of the fused wheel's" in out
    assert len(list((tmp_path / "back").iterdir())) == 1


@pytest.mark.parametrize("kind", FOREIGN)
def test_its_parts_import_on_their_cpython(tmp_path: Path, kind: str) -> None:
    make, targets, name, _ = FOREIGN[kind]
    wheels = wheelfuse.split(make(tmp_path), tmp_path / "back")
    tried = [(w, t) for w, t in zip(wheels, targets, strict=True) if t in available()][-2:]
    assert tried
    for wheel, target in tried:
        python = environment(target, tmp_path / str(target))
        install(python, wheel.path)
        assert run_python(python, f"import {name}; print({name}.built_for)").strip() == str(target)


@pytest.mark.parametrize("kind", ["depthai-like"])
def test_its_parts_are_fused_again(tmp_path: Path, kind: str) -> None:
    make, targets, name, _ = FOREIGN[kind]
    wheels = wheelfuse.split(make(tmp_path), tmp_path / "back")
    fused = fuse([wheel.path for wheel in wheels], tmp_path / "out")
    answers = fused.run(f"import {name}\n{name}.built_for", targets)
    assert answers == {target: str(target) for target in answers}


def test_a_foreign_fused_wheel_may_be_merged_with_a_new_one(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"pkg/{soabi('_C', t)}": module("_C", t) for t in (CP311, CP312)}
    old = build_wheel(tmp_path / "in", tag="cp311.cp312-cp311.cp312", files=files, requires_python=">=3.11")
    (new,) = build_matrix(
        tmp_path / "in", {CP313: {f"pkg/{soabi('_C', CP313)}": module("_C", CP313)}}, requires_python=">=3.11"
    )
    fused = fuse([old, new], tmp_path / "out")
    assert "fused by another tool" in fused.warnings
    assert fused.path.name == "pkg-1.0-cp311.cp312.cp313-cp311.cp312.cp313-manylinux_2_17_x86_64.whl"
    answers = fused.run("import pkg._C\npkg._C.built_for", (CP311, CP312, CP313))
    assert answers == {target: str(target) for target in answers}


def test_a_free_threaded_part_of_a_foreign_wheel_is_one_too(tmp_path: Path) -> None:
    free = Target(14, free_threaded=True)
    files: dict[str, str | bytes] = {f"pkg/{soabi('_C', t)}": module("_C", t) for t in (Target(14), free)}
    path = build_wheel(tmp_path, tag="cp314-cp314.cp314t", files=files, requires_python=">=3.14")
    wheels = wheelfuse.split(path, tmp_path / "back")
    assert [wheel.path.name for wheel in wheels] == [
        "pkg-1.0-cp314-cp314-manylinux_2_17_x86_64.whl",
        "pkg-1.0-cp314-cp314t-manylinux_2_17_x86_64.whl",
    ]
