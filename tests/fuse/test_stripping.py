"""Debug information is cut out when asked for, kept beside the wheel on request, and never thought restorable."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import wheelfuse
from tests.fuse.merging import Files, build_matrix, command, fuse, options
from tests.interpreters import available
from tests.native import library, module, soabi
from tests.wheels import contents
from wheelfuse.target import Target

CP311, CP312, CP313 = map(Target.parse, ("cp311", "cp312", "cp313"))
STRIP = replace(options(), strip_debug=True)
INNER = "int inner(int by) { return by + 1; }\n"
LIBRARY = "pkg.libs/libx.so.1"


def files(target: Target, *flags: str) -> Files:
    """A module with debug information, and a library of which each build has another path in it."""
    name = soabi("_m", target)
    debug = ("-g", f"-ffile-prefix-map=/=/{target}/", *flags)
    built = library(INNER, "libx.so.1", *debug)
    return {
        f"pkg/{name}": module(
            "_m", target, beside={"libx.so.1": built}, flags=debug, runpath="$ORIGIN/../pkg.libs"
        ),
        LIBRARY: built,
        "pkg/__init__.py": "",
    }


def built(directory: Path, *flags: str) -> list[Path]:
    """Wheels of three CPythons."""
    return build_matrix(directory / "in", {target: files(target, *flags) for target in (CP311, CP312, CP313)})


def sections(content: bytes, directory: Path) -> str:
    path = directory / "looked-at.so"
    path.write_bytes(content)
    return subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout


def test_nothing_is_cut_out_unasked_but_the_outcome_tells_what_it_would_save(tmp_path: Path) -> None:
    wheels = built(tmp_path)
    code, out, _ = command("merge", *wheels, "-o", tmp_path / "out")
    assert code == 0
    assert "are only for debuggers: --strip-debug cuts them out" in " ".join(out.split())
    members = contents(next((tmp_path / "out").iterdir()))
    for wheel in wheels:
        module_path = next(path for path in contents(wheel) if "_m." in path)
        assert members[module_path] == contents(wheel)[module_path]


def test_what_only_debuggers_read_is_cut_out(tmp_path: Path) -> None:
    fused = fuse(built(tmp_path), tmp_path / "out", STRIP)
    for path, content in contents(fused.path).items():
        if ".so" in path:
            assert ".debug_info" not in (told := sections(content, tmp_path)) and ".symtab" not in told
    answers = fused.run("import pkg._m\npkg._m.built_for", (CP311, CP312, CP313))
    assert answers == {target: str(target) for target in (CP311, CP312, CP313) if target in available()}


def test_builds_that_differ_in_debug_information_alone_become_one_file(tmp_path: Path) -> None:
    """Here by the path of their sources."""
    flags = ("-Wl,--build-id=none",)
    plain = fuse(built(tmp_path, *flags), tmp_path / "plain")
    assert [resolution.path for resolution in plain.plan.resolutions] == [LIBRARY]
    stripped = fuse(built(tmp_path, *flags), tmp_path / "stripped", STRIP)
    assert not stripped.plan.resolutions


def test_split_says_that_it_cannot_restore_them(tmp_path: Path) -> None:
    fused = fuse(built(tmp_path, "-Wl,--build-id=none"), tmp_path / "out", STRIP)
    code, out, _ = command("split", fused.path, "-d", tmp_path / "back")
    assert code == 0
    assert "not restorable: 2 files (debug information was cut out, as asked for)" in out
    wheels = wheelfuse.split(fused.path, tmp_path / "again")
    for original, wheel in zip(built(tmp_path, "-Wl,--build-id=none"), wheels, strict=True):
        before, after = contents(original), contents(wheel.path)
        lost = {loss.path: loss for loss in wheel.losses}
        assert before.keys() == after.keys()
        assert {path for path in before if before[path] != after[path]} == {
            *lost,
            next(p for p in before if p.endswith("RECORD")),
        }
        assert {(loss.size, loss.fate.value) for loss in lost.values()} == {
            (len(before[path]), "stripped") for path in lost
        }


@pytest.mark.parametrize("again", [STRIP, options()], ids=["asked for again", "not asked for again"])
def test_merging_in_steps_gives_what_merging_at_once_gives(
    again: wheelfuse.MergeOptions, tmp_path: Path
) -> None:
    wheels = built(tmp_path)
    whole = fuse(wheels, tmp_path / "whole", STRIP)
    first = fuse(wheels[:2], tmp_path / "first", STRIP)
    second = fuse([first.path, *wheels[2:]], tmp_path / "second", again)
    if again is STRIP:
        assert second.path.read_bytes() == whole.path.read_bytes()
    repeated = fuse([whole.path], tmp_path / "repeated", again)
    assert repeated.path.read_bytes() == whole.path.read_bytes()
    back = [wheel.path for wheel in wheelfuse.split(whole.path, tmp_path / "back")]
    assert fuse(back, tmp_path / "from parts", again).path.read_bytes() == whole.path.read_bytes()


def test_debug_files_are_kept_where_debuggers_look(tmp_path: Path) -> None:
    where = tmp_path / "debug"
    wheels = built(tmp_path)
    arguments = ("merge", *wheels, "--strip-debug", "--debug-files", where)
    code, out, _ = command(*arguments, "-o", tmp_path / "out")
    assert code == 0
    assert f"in 4 debug files in {where}" in " ".join(out.split())
    kept = sorted(path for path in where.rglob("*") if path.is_file())
    assert (
        len(kept) == 4
    )  # of three modules, and of the newest build of the library, which stands for the others
    ids = set()
    for path, content in contents(next((tmp_path / "out").glob("*.whl"))).items():
        if ".so" in path:
            (tmp_path / "x.so").write_bytes(content)
            notes = subprocess.run(
                ["readelf", "-nW", tmp_path / "x.so"], capture_output=True, text=True, check=True
            ).stdout
            ids.add(notes.partition("Build ID: ")[2].split()[0])
    assert {path.parent.name + path.stem for path in kept} == ids
    for path in kept:
        names = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
        assert "inner" in names or "PyInit__m" in names
    # The same again finds them there; another file in the place of one is not overwritten unasked.
    assert command(*arguments, "-o", tmp_path / "again")[0] == 0
    kept[0].write_bytes(b"other")
    shutil.rmtree(tmp_path / "again")
    code, _, err = command(*arguments, "-o", tmp_path / "again")
    assert code == 2
    assert "another debug file for the same build" in err and not (tmp_path / "again").exists()
    assert command(*arguments, "-o", tmp_path / "again", "--force")[0] == 0
    assert kept[0].read_bytes() != b"other"


def test_debuggers_find_the_debug_file_of_the_fused_wheel_by_build_id(tmp_path: Path) -> None:
    where = tmp_path / "debug"
    outcome = wheelfuse.merge(built(tmp_path), tmp_path / "out", STRIP, debug_files=where)
    assert outcome.written
    path = tmp_path / "libx.so.1"
    path.write_bytes(contents(outcome.written.path)[LIBRARY])
    asked = ["eu-addr2line", "-f", "-e", path, "inner"]
    unaided = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    aided = subprocess.run(
        [*asked, f"--debuginfo-path={where}"], capture_output=True, text=True, check=True
    ).stdout
    assert "??:0" in unaided
    assert "<stdin>:1" in aided


def test_a_file_without_build_id_keeps_what_could_not_be_found_again(tmp_path: Path) -> None:
    wheels = built(tmp_path, "-Wl,--build-id=none")
    arguments = (
        "merge",
        *wheels,
        "--strip-debug",
        "--debug-files",
        tmp_path / "debug",
        "-o",
        tmp_path / "out",
    )
    code, out, _ = command(*arguments, "--json")
    assert code == 0
    told = json.loads(out)["stripped"]
    assert (told["files"], told["debug_files"]) == (0, [])
    assert {item["why"].partition(" would")[0] for item in told["kept"]} == {"no build ID"}
    assert len(told["kept"]) == 4


def test_what_cannot_be_cut_safely_stays_and_the_outcome_says_why(tmp_path: Path) -> None:
    given = {target: dict(files(target)) for target in (CP311, CP312)}
    for members in given.values():
        members["pkg/libodd.so"] = library(INNER, "", "-g") + b"something behind the end"
    wheels = build_matrix(tmp_path / "in", given)
    code, out, _ = command("merge", *wheels, "--strip-debug", "-o", tmp_path / "out")
    assert code == 0
    assert "still in pkg/libodd.so: " in " ".join(out.split())


def test_the_project_can_ask_for_it_once_and_for_all(tmp_path: Path) -> None:
    config = tmp_path / "pyproject.toml"
    config.write_text("[tool.wheelfuse.merge]\nstrip-debug = true\n")
    wheels = built(tmp_path)
    arguments = ("merge", *wheels, "--config", config, "--json")
    assert json.loads(command(*arguments, "-o", tmp_path / "a")[1])["stripped"]["files"] == 4
    off = command(*arguments, "--no-strip-debug", "-o", tmp_path / "b")[1]
    assert json.loads(off)["stripped"]["files"] == 0
    config.write_text("[tool.wheelfuse.merge]\nstrip-debug = 'yes'\n")
    code, _, err = command("merge", *wheels, "--config", config, "-o", tmp_path / "c")
    assert code == 2 and "strip-debug must be true or false" in err


def test_debug_files_without_stripping_is_a_mistake(tmp_path: Path) -> None:
    code, _, err = command(
        "merge", *built(tmp_path), "--debug-files", tmp_path / "debug", "-o", tmp_path / "out"
    )
    assert code == 2
    assert "--debug-files keeps what --strip-debug cuts out, which was not asked for" in err
    assert not (tmp_path / "debug").exists() and not (tmp_path / "out").exists()
