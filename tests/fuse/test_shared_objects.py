"""Extension modules and libraries that differ between the wheels, loaded by real CPythons after the merge."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

import wheelfuse
from tests.elf.symbols import SymbolObject
from tests.fuse.merging import TARGETS, Files, Fused, build_matrix, fuse, fuse_matrix, options, refused
from tests.native import compiled, library, module, soabi
from tests.wheels import build_wheel
from wheelfuse.elf.image import read_image
from wheelfuse.target import Target

CP310, CP311, CP312, CP313 = (Target(minor) for minor in (10, 11, 12, 13))
GIL = tuple(target for target in TARGETS if not target.free_threaded)
PAIR = (CP312, CP313)
OWN = {target: str(target) for target in TARGETS}
"""What each CPython must say where it loaded the file that was made for it."""

MAPPED = "sorted({line.rpartition('/')[2].strip() for line in open('/proc/self/maps') if TREE in line})"


def own(answers: dict[Target, object]) -> dict[Target, object]:
    """What the CPythons that answered must have said."""
    return {target: OWN[target] for target in answers}


def mapped(fused: Fused, name: str, targets: tuple[Target, ...] = TARGETS) -> dict[Target, list[str]]:
    """The files of the fused wheel that are in memory after importing a module, by their names."""
    return fused.run(f"TREE = {str(fused.unpack())!r}\nimport {name}\n{MAPPED}", targets)


# Modules without a CPython's tag in their name


def test_each_cpython_imports_its_own_module_without_soabi(tmp_path: Path) -> None:
    fused = fuse_matrix(tmp_path, {target: {"pkg/_x.so": module("_x", target)} for target in TARGETS})
    assert fused.names == {f"pkg/{soabi('_x', target)}" for target in TARGETS}
    answers = fused.run("import pkg._x\npkg._x.built_for")
    assert answers == own(answers)


def test_modules_at_top_level_and_in_platlib_are_renamed_too(tmp_path: Path) -> None:
    files = {
        target: {"_top.so": module("_top", target), "pkg-1.0.data/platlib/_low.so": module("_low", target)}
        for target in PAIR
    }
    fused = fuse_matrix(tmp_path, files)
    assert fused.names == {
        name
        for target in PAIR
        for name in (soabi("_top", target), f"pkg-1.0.data/platlib/{soabi('_low', target)}")
    }


def test_an_abi3_name_that_differs_between_wheels_for_one_cpython_each_is_renamed(tmp_path: Path) -> None:
    fused = fuse_matrix(tmp_path, {target: {"pkg/_x.abi3.so": module("_x", target)} for target in PAIR})
    assert fused.names == {f"pkg/{soabi('_x', target)}" for target in PAIR}
    answers = fused.run("import pkg._x\npkg._x.built_for", PAIR)
    assert answers == own(answers)


def test_an_identical_module_is_left_alone(tmp_path: Path) -> None:
    files = {"pkg/_x.so": module("_x", "all"), "pkg/_y.abi3.so": module("_y", "all")}
    fused = fuse_matrix(tmp_path, dict.fromkeys(PAIR, files))
    assert fused.names == set(files)
    assert fused.plan.resolutions == ()
    answers = fused.run("import pkg._x, pkg._y\npkg._x.built_for + pkg._y.built_for", PAIR)
    assert set(answers.values()) == {"allall"}


def test_a_module_of_one_wheel_is_hidden_from_the_other_cpythons(tmp_path: Path) -> None:
    given = options(allow_missing=["cp313:pkg._x"])
    files: dict[Target, Files] = {CP312: {"pkg/_x.so": module("_x", CP312)}, CP313: {}}
    fused = fuse_matrix(tmp_path, files, given)
    assert f"pkg/{soabi('_x', CP312)}" in fused.names
    found = fused.run("import importlib.util\nimportlib.util.find_spec('pkg._x') is not None", PAIR)
    assert found == {target: target == CP312 for target in found}


@pytest.mark.parametrize(
    ("name", "initialises"),
    [("_x", "_y"), ("libplugin", "plugin"), ("_x", "")],
    ids=["another name", "a prefix", "none"],
)
def test_a_library_that_is_no_module_is_never_renamed(tmp_path: Path, name: str, initialises: str) -> None:
    def plugin(text: str) -> bytes:
        init = f"void *PyInit_{initialises}(void) {{ return 0; }}" if initialises else ""
        return library(f'const char *text(void) {{ return "{text}"; }} {init}')

    path = f"pkg/{name}.so"
    fused = fuse_matrix(tmp_path, {CP312: {path: plugin("one")}, CP313: {path: plugin("two")}})
    assert fused.names == {path}


def test_a_module_named_in_another_script_is_recognised(tmp_path: Path) -> None:
    # PEP 489: PyInitU_ and the name in punycode, with - as _
    def initialised(text: str) -> bytes:
        return library(f'const char *text = "{text}"; void *PyInitU_caf_dma(void) {{ return &text; }}')

    files = {target: {"pkg/café.so": initialised(str(target))} for target in PAIR}
    assert fuse_matrix(tmp_path, files).names == {f"pkg/{soabi('café', target)}" for target in PAIR}


@pytest.mark.parametrize(
    ("platform", "machine", "names"),
    [
        (
            "musllinux_1_2_x86_64",
            62,
            ["_x.cpython-310-x86_64-linux-gnu.so", "_x.cpython-312-x86_64-linux-musl.so"],
        ),
        (
            "manylinux_2_17_aarch64",
            183,
            ["_x.cpython-310-aarch64-linux-gnu.so", "_x.cpython-312-aarch64-linux-gnu.so"],
        ),
        (
            "musllinux_1_2_aarch64",
            183,
            ["_x.cpython-310-aarch64-linux-gnu.so", "_x.cpython-312-aarch64-linux-musl.so"],
        ),
        (
            "manylinux_2_17_ppc64le",
            21,
            ["_x.cpython-310-powerpc64le-linux-gnu.so", "_x.cpython-312-powerpc64le-linux-gnu.so"],
        ),
        (
            "manylinux_2_39_riscv64",
            243,
            ["_x.cpython-310-riscv64-linux-gnu.so", "_x.cpython-312-riscv64-linux-gnu.so"],
        ),
        ("linux_x86_64", 62, ["_x.cpython-310-x86_64-linux-gnu.so", "_x.cpython-312-x86_64-linux-gnu.so"]),
    ],
)
def test_the_suffix_of_other_machines_and_libcs_is_known(
    tmp_path: Path, platform: str, machine: int, names: list[str]
) -> None:
    files = {
        target: {"pkg/_x.so": on_machine(module("_x", target), machine)} for target in (CP310, CP311, CP312)
    }
    fused = fuse_matrix(tmp_path, files, platform=platform)
    assert {f"pkg/{name}" for name in names} <= fused.names
    assert len(fused.names) == 3


def test_the_suffix_is_that_of_sibling_modules(tmp_path: Path) -> None:
    # built on a musl system, as the tag does not tell
    files = {
        target: {
            "pkg/_x.so": module("_x", target),
            f"pkg/{soabi('_y', target, 'x86_64-linux-musl')}": module("_y", target),
        }
        for target in PAIR
    }
    fused = fuse_matrix(tmp_path, files, platform="linux_x86_64")
    assert {f"pkg/{soabi('_x', target, 'x86_64-linux-musl')}" for target in PAIR} < fused.names


def test_a_suffix_that_differs_between_the_libcs_of_one_wheel_is_a_conflict(tmp_path: Path) -> None:
    # 3.12 imports x86_64-linux-gnu on one of them, x86_64-linux-musl on the other
    files = {target: {"pkg/_x.so": module("_x", target)} for target in PAIR}
    platform = "manylinux_2_17_x86_64.musllinux_1_2_x86_64"
    wheels = build_matrix(tmp_path / "in", files, platform=platform)
    code, message = refused(wheels)
    assert code == 4
    assert "pkg/_x.so" in message


def on_machine(content: bytes, machine: int) -> bytes:
    """The same file with another e_machine."""
    return content[:18] + struct.pack("<H", machine) + content[20:]


# Libraries that are bound to one CPython


def bound(
    target: Target | str,
    soname: str = "libbound.so.1",
    symbol: str = "PyLong_FromLong",
    *flags: str,
    beside: dict[str, bytes] | None = None,
) -> bytes:
    """A plain library that imports a symbol of CPython, and says in ``whoami`` whose it is."""
    source = f"""
        extern char {symbol};
        void *used_by_library = &{symbol};
        const char *whoami(void) {{ return "{target}"; }}
    """
    return library(source, soname, *flags, runpath="$ORIGIN", beside=beside)


def linked(
    name: str,
    target: Target | str,
    beside: dict[str, bytes],
    runpath: str = "$ORIGIN",
    function: str = "whoami",
) -> bytes:
    """A module that says in ``linked`` what the library that it links says."""
    return module(
        name,
        target,
        declare=f"extern const char *{function}(void);",
        body=f'if (PyModule_AddStringConstant(module, "linked", {function}())) return -1;',
        runpath=runpath,
        beside=beside,
    )


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


# Builds of one library that differ, and mean the same


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
