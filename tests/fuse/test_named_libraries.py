"""Libraries that are called like stable-ABI modules and are opened by their name: no init function, no import."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuse.merging import build_matrix, fuse_matrix, refused
from tests.native import library, module, soabi
from wheelfuse.target import Target

CP313, CP313T, CP314 = Target(13), Target(13, free_threaded=True), Target(14)
NAME = "pkg/_inject.abi3.so"


def opened(value: int, *flags: str) -> bytes:
    return library(f"int answer(void) {{ return {value}; }}", "", *flags)


def test_it_is_not_renamed_when_it_differs(tmp_path: Path) -> None:
    wheels = build_matrix(tmp_path / "in", {CP313: {NAME: opened(1)}, CP314: {NAME: opened(2)}})
    code, message = refused(wheels)
    assert code == 4
    assert f"{NAME}: builds of one library that differ (code differs)" in message
    assert "rename" not in message


def test_one_copy_does_where_only_unloaded_bytes_differ(tmp_path: Path) -> None:
    builds = {
        CP313: {NAME: opened(1, "-Wl,--build-id=0x01")},
        CP314: {NAME: opened(1, "-Wl,--build-id=0x02")},
    }
    fused = fuse_matrix(tmp_path, builds)
    assert fused.names == {NAME}
    assert [r.rule for r in fused.plan.resolutions] == ["never-loaded"]


def test_nobody_misses_it_as_a_module(tmp_path: Path) -> None:
    """A free-threaded wheel has the library under its own suffix, others under that of the stable ABI."""
    same, own = opened(1), f"pkg/{soabi('_inject', CP313T)}"
    fused = fuse_matrix(tmp_path, {CP313: {NAME: same}, CP313T: {own: opened(2)}, CP314: {NAME: same}})
    assert fused.names == {NAME, own}
    assert fused.plan.modules == ()


@pytest.mark.parametrize("target", [CP313, CP314])
def test_a_real_module_of_that_name_is_still_missed(tmp_path: Path, target: Target) -> None:
    files = {CP313: {"pkg/a.py": ""}, CP314: {"pkg/a.py": ""}}
    files[target][f"pkg/{soabi('_x', target)}"] = module("_x", target)  # type: ignore[assignment]
    code, message = refused(build_matrix(tmp_path / "in", files))
    assert code == 4
    assert f"extension module pkg._x is missing for {CP314 if target == CP313 else CP313}" in message
