"""Extension modules without a CPython's tag in their name, imported by real CPythons after the merge."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.fuse.merging import TARGETS, Files, build_matrix, fuse_matrix, options, refused
from tests.fuse.objects import CP310, CP311, CP312, CP313, PAIR, own
from tests.native import library, module, soabi
from wheelfuse.target import Target


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
