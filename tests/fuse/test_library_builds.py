"""Builds of one library that differ and mean the same, or do not, and libraries that only some wheels have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuse.merging import build_matrix, fuse, fuse_matrix, options, refused
from tests.fuse.objects import CP311, CP312, CP313, PAIR, bound, linked, mapped, own
from tests.native import compiled, library, module, soabi
from wheelfuse.target import Target


def noise(text: str, *flags: str, soname: str = "libnoise.so") -> bytes:
    """A library without symbols of CPython, with a text in it such as ``__TIME__`` leaves."""
    return library(
        f'const char *built(void) {{ return "{text}"; }} int answer(void) {{ return 42; }}', soname, *flags
    )


def noisy(first: bytes, second: bytes, *, reached: bool = True) -> dict[Target, dict[str, bytes]]:
    files = {}
    for target, lib in zip(PAIR, (first, second), strict=True):
        caller = module(
            "_m",
            target,
            declare="extern int answer(void);",
            body="if (answer() != 42) return -1;" if reached else "",
            beside={"libnoise.so": lib} if reached else None,
        )
        files[target] = {"pkg/libnoise.so": lib, f"pkg/{soabi('_m', target)}": caller}
    return files


@pytest.mark.parametrize("reached", [True, False], ids=["linked", "opened by name"])
def test_a_library_that_is_not_reproducible_is_kept_once(tmp_path: Path, reached: bool) -> None:
    files = noisy(noise("12:00:01"), noise("12:34:56"), reached=reached)
    fused = fuse_matrix(tmp_path, files)
    assert fused.read("pkg/libnoise.so") == files[CP313]["pkg/libnoise.so"]
    (resolution,) = fused.resolved("interchangeable")
    assert (resolution.path, resolution.labels) == ("pkg/libnoise.so", ("cp312", "cp313"))
    assert "cp313" in resolution.outcome
    assert [(lost.label, lost.loss.path) for lost in fused.plan.lost] == [("cp312", "pkg/libnoise.so")]
    answers = fused.run("import pkg._m\npkg._m.built_for", PAIR)
    assert answers == own(answers)


def test_strict_makes_that_a_conflict(tmp_path: Path) -> None:
    wheels = build_matrix(tmp_path / "in", noisy(noise("12:00:01"), noise("12:34:56")))
    code, message = refused(wheels, "--strict")
    assert code == 4
    assert "pkg/libnoise.so: builds of one library that differ (--strict)" in message
    assert "--resolve 'pkg/libnoise.so=newest'" in message


def test_hashes_in_the_names_of_exports_do_not_count(tmp_path: Path) -> None:
    def hashed(number: str) -> bytes:
        return library(
            f"int answer(void) {{ return 42; }} int registered_{number}_7(void) {{ return 1; }}",
            "libnoise.so",
        )

    fused = fuse_matrix(tmp_path, noisy(hashed("0a1b2c3d"), hashed("ffeeddcc")))
    assert [resolution.path for resolution in fused.resolved("interchangeable")] == ["pkg/libnoise.so"]


OTHER = library("int other(void) { return 1; }", "libother.so")
SCRIPTS = {
    "v1": b"ONE { global: answer; built; };",
    "v2": b"TWO { global: answer; built; };",
}
FACES = {
    "exports": (
        noise("12:00:01"),
        library(
            'const char *built(void) { return "12:00:01"; } int answer(void) { return 42; } int more;',
            "libnoise.so",
        ),
        "exported symbols differ: more",
    ),
    "needed": (
        noise("12:00:01"),
        library(
            'const char *built(void) { return "12:00:01"; } int answer(void) { return 42; }',
            "libnoise.so",
            beside={"libother.so": OTHER},
        ),
        "needed libraries differ: libother.so",
    ),
    "soname": (
        noise("12:00:01"),
        noise("12:00:01", soname="libnoise.so.2"),
        "sonames differ (libnoise.so, libnoise.so.2)",
    ),
    "undefined symbols": (
        library("extern int a(void); int answer(void) { return a(); }", "libnoise.so"),
        library("extern int b(void); int answer(void) { return b(); }", "libnoise.so"),
        "undefined symbols differ: a@, b@",
    ),
    "versions": (
        library(
            "extern int given(void); int answer(void) { return given(); }",
            "libnoise.so",
            beside={
                "libgiven.so": library(
                    "int given(void) { return 1; }",
                    "libgiven.so",
                    "-Wl,--version-script=v",
                    beside={"v": b"ONE { global: given; };"},
                )
            },
        ),
        library(
            "extern int given(void); int answer(void) { return given(); }",
            "libnoise.so",
            beside={
                "libgiven.so": library(
                    "int given(void) { return 1; }",
                    "libgiven.so",
                    "-Wl,--version-script=v",
                    beside={"v": b"TWO { global: given; };"},
                )
            },
        ),
        "undefined symbols differ: given@ONE, given@TWO",
    ),
    "sizes": (
        noise("12:00:01"),
        noise("12:00:01" + 200 * "!"),
        "section .rodata",
    ),
    "sections": (
        noise("12:00:01"),
        library(
            'const char *built(void) { return "12:00:01"; }'
            '__attribute__((section(".extra"))) static const char *extra = "12:00:01";'
            "int answer(void) { return extra ? 42 : 0; }",
            "libnoise.so",
        ),
        "sections differ: .extra",
    ),
}


@pytest.mark.parametrize("face", FACES)
def test_a_library_with_another_face_is_not_taken_for_the_same(tmp_path: Path, face: str) -> None:
    first, second, reason = FACES[face]
    code, message = refused(build_matrix(tmp_path / "in", noisy(first, second, reached=False)))
    assert code == 4
    assert f"pkg/libnoise.so: builds of one library that differ ({reason}" in message


@pytest.mark.parametrize("face", ["exports", "sizes", "sections"])
def test_where_it_is_linked_each_cpython_gets_its_own(tmp_path: Path, face: str) -> None:
    first, second, _ = FACES[face]
    fused = fuse_matrix(tmp_path, noisy(first, second))
    assert {"pkg/libnoise-cp312.so", "pkg/libnoise-cp313.so"} < fused.names
    in_memory = mapped(fused, "pkg._m", PAIR)
    assert in_memory == {
        target: sorted((soabi("_m", target), f"libnoise-{target}.so")) for target in in_memory
    }
    assert fused.plan.lost == ()


def test_a_soname_that_changed_keeps_each_users_library(tmp_path: Path) -> None:
    first, second, _ = FACES["soname"]
    fused = fuse_matrix(
        tmp_path,
        {
            target: {
                "pkg/libnoise.so": lib,
                "pkg/libnoise.so.2": lib,
                f"pkg/{soabi('_m', target)}": module(
                    "_m",
                    target,
                    declare="extern int answer(void);",
                    body="answer();",
                    beside={"libnoise.so": lib},
                ),
            }
            for target, lib in zip(PAIR, (first, second), strict=True)
        },
    )
    in_memory = mapped(fused, "pkg._m", PAIR)
    assert in_memory == {
        CP312: [f"{soabi('_m', CP312)}", "libnoise-cp312.so"],
        CP313: [f"{soabi('_m', CP313)}", "libnoise-cp313.so.2"],
    }


NEVER_LOADED = {
    "debug sections": ((), ("-g",)),
    "build id": (("-Wl,--build-id=0x11111111",), ("-Wl,--build-id=0x22222222",)),
    "symbol table": ((), ("-s",)),
}


def variants(kind: str) -> tuple[bytes, bytes]:
    if kind == "comment":
        source = (
            'const char *built(void) { return ""; } int answer(void) { return 42; } __asm__(".ident %s");'
        )
        return library(source % r"\"one\"", "libnoise.so"), library(source % r"\"another\"", "libnoise.so")
    first, second = NEVER_LOADED[kind]
    return noise("12:00:01", *first), noise("12:00:01", *second)


@pytest.mark.parametrize("strict", [False, True], ids=["", "strict"])
@pytest.mark.parametrize("reached", [True, False], ids=["linked", "opened by name"])
@pytest.mark.parametrize("kind", [*NEVER_LOADED, "comment"])
def test_bytes_that_are_never_loaded_make_no_difference(
    tmp_path: Path, kind: str, reached: bool, strict: bool
) -> None:
    first, second = variants(kind)
    assert first != second
    files = noisy(first, second, reached=reached)
    fused = fuse_matrix(tmp_path, files, options(strict=strict))
    assert fused.read("pkg/libnoise.so") == second
    assert [resolution.path for resolution in fused.resolved("never-loaded")] == ["pkg/libnoise.so"]


@pytest.mark.parametrize("suffix", [".so", ".abi3.so"])
def test_a_module_that_differs_in_its_build_id_alone_is_one_for_all(tmp_path: Path, suffix: str) -> None:
    files = {
        target: {f"pkg/_x{suffix}": module("_x", "all", flags=(f"-Wl,--build-id=0x{target.minor}",))}
        for target in PAIR
    }
    fused = fuse_matrix(tmp_path, files)
    answers = fused.run("import pkg._x\npkg._x.built_for", PAIR)
    assert set(answers.values()) == {"all"}


def test_a_bound_library_that_differs_in_its_build_id_alone_is_one_for_all(tmp_path: Path) -> None:
    files = {}
    for target in PAIR:
        lib = bound("all", "libbound.so.1", "PyLong_FromLong", f"-Wl,--build-id=0x{target.minor}")
        files[target] = {
            "pkg/libbound.so.1": lib,
            f"pkg/{soabi('_m', target)}": linked("_m", target, {"libbound.so.1": lib}),
        }
    fused = fuse_matrix(tmp_path, files)
    assert "pkg/libbound.so.1" in fused.names
    assert set(fused.run("import pkg._m\npkg._m.linked", PAIR).values()) == {"all"}


def test_a_fused_wheel_with_such_a_module_takes_another_wheel_in(tmp_path: Path) -> None:
    targets = (CP311, *PAIR)
    files = {
        target: {"pkg/_x.so": module("_x", "all", flags=(f"-Wl,--build-id=0x{target.minor}",))}
        for target in targets
    }
    wheels = build_matrix(tmp_path / "in", files)
    whole = fuse(wheels, tmp_path / "whole")
    first = fuse(wheels[:2], tmp_path / "first")
    assert fuse([first.path, wheels[2]], tmp_path / "second").path.read_bytes() == whole.path.read_bytes()


# Libraries that only some wheels have


def test_a_library_of_one_wheel_that_its_module_links_comes_along(tmp_path: Path) -> None:
    lib = noise("12:00:01", soname="libnoise-1a2b3c4d.so")
    files = {
        CP312: {
            "pkg.libs/libnoise-1a2b3c4d.so": lib,
            f"pkg/{soabi('_m', CP312)}": module(
                "_m",
                CP312,
                declare="extern int answer(void);",
                body="answer();",
                runpath="$ORIGIN/../pkg.libs",
                beside={"libnoise-1a2b3c4d.so": lib},
            ),
        },
        CP313: {f"pkg/{soabi('_m', CP313)}": module("_m", CP313)},
    }
    fused = fuse_matrix(tmp_path, files)
    assert "pkg.libs/libnoise-1a2b3c4d.so" in fused.names
    answers = fused.run("import pkg._m\npkg._m.built_for", PAIR)
    assert answers == own(answers)


def test_a_library_of_one_wheel_that_no_file_links_is_a_conflict(tmp_path: Path) -> None:
    wheels = build_matrix(tmp_path / "in", {CP312: {"pkg/libx.so": noise("")}, CP313: {}})
    code, message = refused(wheels)
    assert code == 4
    assert (
        "pkg/libx.so: a library that only some wheels have, and that none of their modules links" in message
    )
    assert "not in cp313" in message
    assert "--resolve 'pkg/libx.so=keep'" in message


@pytest.mark.parametrize("path", ["pkg/tool.o", "pkg/kernel.bin"])
def test_files_that_cannot_be_loaded_are_compared_as_data(tmp_path: Path, path: str) -> None:
    def relocatable(text: str) -> bytes:
        return compiled(f'const char *text = "{text}";', "-c")

    wheels = build_matrix(
        tmp_path / "in", {CP312: {path: relocatable("one")}, CP313: {path: relocatable("two")}}
    )
    code, message = refused(wheels)
    assert code == 4
    assert f"{path}: differing data" in message
