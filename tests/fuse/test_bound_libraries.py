"""Libraries that are bound to one CPython, loaded by real CPythons after the merge."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import wheelfuse
from tests.elf.symbols import SymbolObject
from tests.fuse.merging import TARGETS, Files, build_matrix, fuse, fuse_matrix, options, refused
from tests.fuse.objects import CP312, CP313, GIL, PAIR, bound, linked, mapped, own
from tests.native import library, module, soabi
from tests.wheels import build_wheel
from wheelfuse.elf.image import read_image
from wheelfuse.target import Target

VERSIONS = "PROVIDED_1 { global: whoami; local: *; };"


@pytest.mark.parametrize("versioned", [False, True], ids=["plain", "with symbol versions"])
@pytest.mark.parametrize("directory", ["pkg", "pkg.libs"])
def test_each_soabi_module_loads_its_own_copy_of_a_bound_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versioned: bool, directory: str
) -> None:
    runpath = "$ORIGIN" if directory == "pkg" else "$ORIGIN/../pkg.libs"
    flags = ("-Wl,--version-script=versions",) if versioned else ()
    beside = {"versions": VERSIONS.encode()} if versioned else {}
    files = {}
    for target in TARGETS:
        lib = bound(target, "libbound.so.1", "PyLong_FromLong", *flags, beside=beside)
        files[target] = {
            f"{directory}/libbound.so.1": lib,
            f"pkg/{soabi('_m', target)}": linked("_m", target, {"libbound.so.1": lib}, runpath),
        }
    fused = fuse_matrix(tmp_path, files)
    assert fused.names == {
        name
        for target in TARGETS
        for name in (f"{directory}/libbound-{target}.so.1", f"pkg/{soabi('_m', target)}")
    }
    monkeypatch.setenv("LD_BIND_NOW", "1")
    answers = fused.run("import pkg._m\npkg._m.linked")
    assert answers == own(answers)
    in_memory = mapped(fused, "pkg._m")
    assert in_memory == {
        target: sorted((soabi("_m", target), f"libbound-{target}.so.1")) for target in in_memory
    }


def test_identical_stub_modules_become_one_per_cpython(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def common(target: Target) -> bytes:
        return module("_a", target, flags=("-DPyInit__a=wrapped", "-Wl,-soname,libcommon.so"))

    stubs = {
        f"pkg/{name}.so": library(
            f"extern void *wrapped(void); void *PyInit_{name}(void) {{ return wrapped(); }}",
            runpath="$ORIGIN",
            beside={"libcommon.so": common(CP312)},
        )
        for name in ("_a", "_b", "_c")
    }
    files = {target: {**stubs, "pkg/libcommon.so": common(target)} for target in TARGETS}
    fused = fuse_matrix(tmp_path, files)
    assert fused.names == {
        f"pkg/{name}"
        for target in TARGETS
        for name in (
            f"libcommon-{target}.so",
            *(soabi(stem, target) for stem in ("_a", "_b", "_c")),
        )
    }
    monkeypatch.setenv("LD_BIND_NOW", "1")
    answers = fused.run("import pkg._a, pkg._b, pkg._c\npkg._a.built_for")
    assert answers == own(answers)
    in_memory = mapped(fused, "pkg._b")
    assert in_memory == {
        target: sorted((soabi("_b", target), f"libcommon-{target}.so")) for target in in_memory
    }


def test_what_reaches_a_bound_library_through_others_becomes_one_per_cpython(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    between = library(
        "extern const char *whoami(void); const char *relayed(void) { return whoami(); }",
        "libbetween.so",
        runpath="$ORIGIN",
        beside={"libbound.so.1": bound("any")},
    )
    files = {
        target: {
            "pkg/libbound.so.1": bound(target),
            "pkg/libbetween.so": between,
            f"pkg/{soabi('_m', target)}": linked(
                "_m", target, {"libbetween.so": between}, function="relayed"
            ),
        }
        for target in TARGETS
    }
    fused = fuse_matrix(tmp_path, files)
    assert {f"pkg/libbetween-{target}.so" for target in TARGETS} < fused.names
    assert "pkg/libbetween.so" not in fused.names
    monkeypatch.setenv("LD_BIND_NOW", "1")
    answers = fused.run("import pkg._m\npkg._m.linked")
    assert answers == own(answers)
    in_memory = mapped(fused, "pkg._m")
    assert in_memory == {
        target: sorted((soabi("_m", target), f"libbetween-{target}.so", f"libbound-{target}.so.1"))
        for target in in_memory
    }


def test_a_library_that_reaches_no_bound_one_stays_one(tmp_path: Path) -> None:
    plain = library("int answer(void) { return 42; }", "libplain.so")
    files = {
        target: {
            "pkg/libbound.so.1": bound(target),
            "pkg/libplain.so": plain,
            f"pkg/{soabi('_m', target)}": linked(
                "_m", target, {"libbound.so.1": bound(target), "libplain.so": plain}
            ),
        }
        for target in PAIR
    }
    fused = fuse_matrix(tmp_path, files)
    assert "pkg/libplain.so" in fused.names
    assert fused.read("pkg/libplain.so") == plain
    answers = fused.run("import pkg._m\npkg._m.linked", PAIR)
    assert answers == own(answers)


def test_copies_of_a_library_under_several_names_stay_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("libbound.so", "libbound.so.1", "libbound.so.1.0.0")
    files = {}
    for target in TARGETS:
        lib = bound(target)
        files[target] = {f"pkg/{name}": lib for name in names}
        files[target][f"pkg/{soabi('_m', target)}"] = linked("_m", target, {"libbound.so.1": lib})
    fused = fuse_matrix(tmp_path, files)
    assert {
        f"pkg/libbound-{target}.so{version}" for target in TARGETS for version in ("", ".1", ".1.0.0")
    } < (fused.names)
    monkeypatch.setenv("LD_BIND_NOW", "1")
    answers = fused.run("import pkg._m\npkg._m.linked")
    assert answers == own(answers)
    in_memory = mapped(fused, "pkg._m")
    assert in_memory == {
        target: sorted((soabi("_m", target), f"libbound-{target}.so.1")) for target in in_memory
    }


def test_a_library_whose_file_name_alone_is_needed_is_rewritten(tmp_path: Path) -> None:
    # without a soname, the linker notes the path that it was given
    def nameless(target: Target) -> bytes:
        return bound(target, "")

    def stub(target: Target) -> bytes:
        content = linked("_m", target, {"libbound.so": bound(target, "libbound.so")})
        assert b"libbound.so\0" in content
        return content

    files = {
        target: {"pkg/libbound.so": nameless(target), f"pkg/{soabi('_m', target)}": stub(target)}
        for target in PAIR
    }
    fused = fuse_matrix(tmp_path, files)
    assert {f"pkg/libbound-{target}.so" for target in PAIR} < fused.names
    answers = fused.run("import pkg._m\npkg._m.linked", PAIR)
    assert answers == own(answers)


def test_a_library_bound_through_what_it_links_is_one_per_cpython(tmp_path: Path) -> None:
    """It imports nothing of CPython itself, differs, and its dependency is bound."""
    files = {}
    for target in PAIR:
        lib = bound("same")
        outer = library(
            f'extern const char *whoami(void); const char *outer(void) {{ return whoami() ? "{target}" : 0; }}',
            "libouter.so",
            runpath="$ORIGIN",
            beside={"libbound.so.1": lib},
        )
        files[target] = {
            "pkg/libbound.so.1": lib,
            "pkg/libouter.so": outer,
            f"pkg/{soabi('_m', target)}": linked("_m", target, {"libouter.so": outer}, function="outer"),
        }
    fused = fuse_matrix(tmp_path, files)
    assert {"pkg/libouter-cp312.so", "pkg/libouter-cp313.so", "pkg/libbound.so.1"} < fused.names
    answers = fused.run("import pkg._m\npkg._m.linked", PAIR)
    assert answers == own(answers)


def test_a_bound_library_of_an_abi3_wheel_keeps_to_itself(tmp_path: Path) -> None:
    """One wheel serves several CPythons, the others one each: all load the copy of their wheel."""
    free = Target(14, free_threaded=True)
    stable = bound("abi3")
    wheels = [
        build_wheel(
            tmp_path / "in",
            tag="cp310-abi3",
            files={
                "pkg/libbound.so.1": stable,
                "pkg/_m.abi3.so": linked("_m", "abi3", {"libbound.so.1": stable}),
            },
        ),
        build_wheel(
            tmp_path / "in",
            "cp314t",
            {
                "pkg/libbound.so.1": bound(free),
                f"pkg/{soabi('_m', free)}": linked("_m", free, {"libbound.so.1": bound(free)}),
            },
        ),
    ]
    fused = fuse(wheels, tmp_path / "out")
    answers = fused.run("import pkg._m\npkg._m.linked", (*GIL, free))
    assert answers == {target: str(target) if target == free else "abi3" for target in answers}


def test_libraries_of_a_big_endian_machine_are_renamed_as_well(tmp_path: Path) -> None:
    s390x = SymbolObject(64, ">", 22)
    files = {}
    for target in PAIR:
        lib = s390x.build(
            exports=["whoami", f"only_{target}"], imports=["PyLong_FromLong"], soname="libbound.so.1"
        )
        user = s390x.build(exports=["PyInit__m"], imports=["PyList_New", "whoami"], needed=["libbound.so.1"])
        files[target] = {
            "pkg/libbound.so.1": lib,
            f"pkg/{soabi('_m', target, 's390x-linux-gnu')}": user,
        }
    fused = fuse_matrix(tmp_path, files, platform="manylinux_2_17_s390x")
    for target in PAIR:
        assert read_image(fused.read(f"pkg/libbound-{target}.so.1")).soname == f"libbound-{target}.so.1"
        user = fused.read(f"pkg/{soabi('_m', target, 's390x-linux-gnu')}")
        assert read_image(user).needed == (f"libbound-{target}.so.1",)


@pytest.mark.parametrize("same", [True, False], ids=["one destination", "one for each"])
def test_a_symbolic_link_to_a_library_that_is_renamed_does_not_dangle(tmp_path: Path, same: bool) -> None:
    files: dict[Target, Files] = {}
    for target in PAIR:
        name = "libbound.so.1" if same else f"libbound.so.{target.minor}"
        lib = bound(target, "libbound.so.1")
        files[target] = {
            f"pkg/{name}": lib,
            "pkg/libbound.so": name,
            f"pkg/{soabi('_m', target)}": linked("_m", target, {"libbound.so.1": lib}),
        }
    wheels = build_matrix(tmp_path / "in", files, modes={"pkg/libbound.so": 0o120777})
    try:
        fused = fuse(wheels, tmp_path / "out")
    except wheelfuse.ConflictError as error:
        assert "pkg/libbound.so" in str(error)
        return
    with zipfile.ZipFile(fused.path) as archive:
        for info in archive.infolist():
            if info.external_attr >> 28 == 0o12:
                assert f"pkg/{archive.read(info).decode()}" in fused.names


def unlinked() -> dict[Target, dict[str, bytes]]:
    """A bound library that ctypes opens."""
    return {
        target: {"pkg/libbound.so": bound(target), f"pkg/{soabi('_m', target)}": module("_m", target)}
        for target in PAIR
    }


def test_a_bound_library_that_no_file_links_is_a_conflict(tmp_path: Path) -> None:
    code, message = refused(build_matrix(tmp_path / "in", unlinked()))
    assert code == 4
    assert "pkg/libbound.so: a library bound to one CPython that no file links" in message
    for strategy in ("newest", "oldest", "drop"):
        assert f"--resolve 'pkg/libbound.so={strategy}'" in message


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("newest", {"libbound.so"}),
        ("oldest", {"libbound.so"}),
        ("cp313", {"libbound.so"}),
        ("drop", set()),
    ],
)
def test_that_conflict_is_settled_as_it_says(tmp_path: Path, strategy: str, expected: set[str]) -> None:
    files = unlinked()
    fused = fuse_matrix(tmp_path, files, options(f"pkg/libbound.so={strategy}"))
    assert {name.removeprefix("pkg/") for name in fused.names if "libbound" in name} == expected
    if len(expected) == 1:
        decider = CP312 if strategy == "oldest" else CP313
        assert fused.read("pkg/libbound.so") == files[decider]["pkg/libbound.so"]


def test_a_library_that_is_opened_by_name_is_not_renamed_even_if_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        wheelfuse.ConflictError, match="neither a module to import nor a library that any file links"
    ):
        fuse_matrix(tmp_path, unlinked(), options("pkg/libbound.so=rename"))


def test_a_rule_collapses_modules_although_they_could_be_renamed(tmp_path: Path) -> None:
    files = {target: {"pkg/_x.so": module("_x", target)} for target in PAIR}
    fused = fuse_matrix(tmp_path, files, options("pkg/_x.so=newest"))
    assert fused.names == {"pkg/_x.so"}
    assert set(fused.run("import pkg._x\npkg._x.built_for", PAIR).values()) == {"cp313"}


def test_the_rule_does_not_lift_the_contract_for_the_cpythons_that_lost(tmp_path: Path) -> None:
    files = {
        CP312: {"pkg/_x.so": module("_x", CP312)},
        CP313: {"pkg/_x.so": module("_x", CP313, "PyThreadState_GetUnchecked")},
    }
    wheels = build_matrix(tmp_path / "in", files)
    code, message = refused(wheels, "--resolve", "pkg/_x.so=newest")
    assert code == 3
    assert "`PyThreadState_GetUnchecked` is not exported by CPython 3.12: new in 3.13" in message


def test_a_module_that_others_link_is_renamed_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def core(target: Target) -> bytes:
        return module(
            "_core",
            target,
            declare=f'const char *whoami(void) {{ return "{target}"; }}',
            flags=("-Wl,-soname,_core.so",),
        )

    files = {
        target: {
            "pkg/_core.so": core(target),
            f"pkg/{soabi('_m', target)}": linked("_m", target, {"_core.so": core(target)}),
        }
        for target in PAIR
    }
    fused = fuse_matrix(tmp_path, files)
    monkeypatch.setenv("LD_BIND_NOW", "1")
    answers = fused.run("import pkg._m\npkg._m.linked", PAIR)
    assert answers == own(answers)
    in_memory = mapped(fused, "pkg._m, pkg._core", PAIR)
    assert in_memory == {
        target: sorted(soabi(stem, target) for stem in ("_core", "_m")) for target in in_memory
    }


@pytest.mark.parametrize(
    ("path", "taken", "message"),
    [
        ("pkg/_x.so", f"pkg/{soabi('_x', 'cp312')}", "pkg/_x.so: its new name"),
        ("pkg/_x.so", f"pkg/{soabi('_x', 'cp313')}", "pkg/_x.so: its new name"),
    ],
)
def test_a_new_name_that_is_taken_is_a_conflict(tmp_path: Path, path: str, taken: str, message: str) -> None:
    files = {target: {path: module("_x", target), taken: module("_x", "all")} for target in PAIR}
    code, text = refused(build_matrix(tmp_path / "in", files))
    assert code == 4
    assert message in text
    assert f"{taken} is taken" in text


def test_a_stale_copy_for_another_cpython_is_a_conflict_that_its_own_wheel_settles(tmp_path: Path) -> None:
    path = f"pkg/{soabi('_x', CP312)}"
    files = {
        CP312: {path: module("_x", CP312)},
        CP313: {path: module("_x", "stale"), f"pkg/{soabi('_x', CP313)}": module("_x", CP313)},
    }
    code, message = refused(build_matrix(tmp_path / "in", files))
    assert code == 4
    assert "a module for cp312 alone, of which other wheels carry a stale copy that differs" in message
    assert f"--resolve '{path}=cp312'" in message
    fused = fuse_matrix(tmp_path, files, options(f"{path}=cp312"))
    answers = fused.run("import pkg._x\npkg._x.built_for", PAIR)
    assert answers == own(answers)


def test_a_module_that_another_wheel_would_slip_to_a_cpython_is_refused(tmp_path: Path) -> None:
    files: dict[Target, Files] = {
        CP312: {"pkg/a.txt": ""},
        CP313: {"pkg/a.txt": "", f"pkg/{soabi('_x', CP312)}": module("_x", "stale")},
    }
    code, message = refused(build_matrix(tmp_path / "in", files), "--allow-missing", "cp313:pkg._x")
    assert code == 4
    assert soabi("_x", CP312) in message
    assert "cp312 would import the file " in message
