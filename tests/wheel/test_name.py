"""Wheel file names: their parts, the CPythons that accept them, and the platform that all can run on."""

from __future__ import annotations

import pytest
from packaging.utils import parse_wheel_filename

from wheelfuse.errors import InvalidInput
from wheelfuse.target import Target
from wheelfuse.wheel.name import Platform, WheelName, accepting, common_platforms, floors, rank


def test_the_parts_of_a_name_as_they_are_spelled() -> None:
    filename = "Foo_Bar-1!2.0+cu12-3b-cp311.cp310-cp311.cp310-linux_x86_64.whl"
    name = WheelName.parse(filename)
    assert (name.distribution, name.version, name.build) == ("Foo_Bar", "1!2.0+cu12", "3b")
    assert (name.pythons, name.abis, name.platforms) == (
        ("cp311", "cp310"),
        ("cp311", "cp310"),
        ("linux_x86_64",),
    )
    assert name.dist_info == "Foo_Bar-1!2.0+cu12.dist-info"
    assert name.project == ("foo-bar", "1!2+cu12")
    assert name.target is None
    assert str(name) == filename


@pytest.mark.parametrize("filename", [
    "pkg-1.0-cp312-cp312-linux_x86_64.zip",
    "pkg-1.0-cp312-linux_x86_64.whl",
    "pkg-one-cp312-cp312-linux_x86_64.whl",
    "pkg-1.0-build-cp312-cp312-linux_x86_64.whl",
    "pkg.whl",
    "dir/pkg-1.0-cp312-cp312-linux_x86_64.whl",
    "pkg-1.0-1\n::error::x-cp312-cp312-linux_x86_64.whl",
    "pkg-1.0-cp312-cp312-linux_x86_64\x1b[2J.whl",
    "pkg-1.0-1\udcff-cp312-cp312-linux_x86_64.whl",
    "pkg-1.0-cp312-cp312-linux\u202e_x86_64.whl",
    f"pkg-1.0-{'.'.join(f'cp3{minor}' for minor in range(80))}-none-any.whl",
])  # fmt: skip
def test_what_is_no_wheel_name_is_refused(filename: str) -> None:
    with pytest.raises(InvalidInput, match="not a wheel file name") as caught:
        WheelName.parse(filename)
    assert caught.value.problems[0].wheel == filename


@pytest.mark.parametrize("tags, target, label", [
    ("cp312-cp312", Target(12), "cp312"),
    ("cp313-cp313t", Target(13, True), "cp313t"),
    ("cp313-cp312", None, "cp313-cp312"),
    ("cp39-abi3", None, "cp39-abi3"),
    ("py3-none", None, "py3-none"),
    ("cp310.cp311-cp310.cp311", None, "cp310.cp311-cp310.cp311"),
])  # fmt: skip
def test_the_target_and_the_label(tags: str, target: Target | None, label: str) -> None:
    name = WheelName.parse(f"pkg-1.0-{tags}-linux_x86_64.whl")
    assert (name.target, name.label) == (target, label)


def test_the_tags_are_the_full_product() -> None:
    name = WheelName.parse("pkg-1.0-cp310.cp311-cp310.cp311-linux_i686.linux_x86_64.whl")
    assert len(name.tags) == 8
    assert set(name.tags) == {str(tag) for tag in parse_wheel_filename(str(name))[3]}
    assert list(name.tags) == sorted(name.tags)


@pytest.mark.parametrize("tags, first, last, count", [
    ("cp312-cp312", Target(12), Target(12), 1),
    ("cp313-cp313t", Target(13, True), Target(13, True), 1),
    ("cp310.cp314-cp310.cp314t", Target(10), Target(14, True), 2),
    ("cp315-abi3", Target(15), Target(17), 3),
    ("cp316-none", Target(16), Target(17, True), 4),
    ("pp310-pypy310_pp73", None, None, 0),
    ("cp27-cp27mu", None, None, 0),
])  # fmt: skip
def test_who_accepts_the_tags(tags: str, first: Target | None, last: Target | None, count: int) -> None:
    found = accepting(WheelName.parse(f"pkg-1.0-{tags}-any.whl").interpreter_tags)
    if first and tags == "cp316-none":  # packaging gives no version-less ABI to older ones
        assert set(found) <= {Target(16), Target(16, True), Target(17), Target(17, True)}
        return
    assert len(found) == count
    assert (found[:1], found[-1:]) == (((first,), (last,)) if first else ((), ()))


def test_a_cpython_prefers_its_own_tag() -> None:
    target = Target(12)
    ranks = [
        rank(target, [pair]) for pair in (("cp312", "cp312"), ("cp39", "abi3"), ("py3", "none"), ("pp3", "x"))
    ]
    own, stable, generic, foreign = ranks
    assert own is not None and stable is not None and generic is not None
    assert own < stable < generic
    assert foreign is None


def test_a_free_threaded_build_takes_no_abi3() -> None:
    assert rank(Target(14, True), [("cp39", "abi3")]) is None


@pytest.mark.parametrize("tag, platform", [
    ("manylinux1_x86_64", Platform("x86_64", "glibc", (2, 5))),
    ("manylinux2010_i686", Platform("i686", "glibc", (2, 12))),
    ("manylinux2014_aarch64", Platform("aarch64", "glibc", (2, 17))),
    ("manylinux_2_28_s390x", Platform("s390x", "glibc", (2, 28))),
    ("musllinux_1_2_ppc64le", Platform("ppc64le", "musl", (1, 2))),
    ("linux_x86_64", Platform("x86_64", "unknown", (0, 0))),
    ("any", Platform("any", "", (0, 0))),
    ("macosx_11_0_arm64", None),
    ("win_amd64", None),
])  # fmt: skip
def test_platform_tags(tag: str, platform: Platform | None) -> None:
    assert Platform.parse(tag) == platform
    if platform:
        assert tag in platform.tags
        assert {Platform.parse(other) for other in platform.tags} == {platform}


M17, M28, M2014 = "manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "manylinux2014_x86_64"


@pytest.mark.parametrize("tag_sets, common", [
    ([(M17,), (M28,)], (M28,)),
    ([(M2014, M17), (M17,)], (M2014, M17)),
    ([(M2014, M17), (M2014, M17)], (M2014, M17)),
    ([("manylinux_2_12_x86_64", M2014), (M17,)], (M2014, M17)),
    ([(M17, M28), (M28,)], (M28,)),
    ([(M17, M28), (M17,)], (M2014, M17)),
    ([("musllinux_1_1_x86_64",), ("musllinux_1_2_x86_64",)], ("musllinux_1_2_x86_64",)),
    ([("linux_x86_64",), ("linux_x86_64",)], ("linux_x86_64",)),
    ([("any",), ("any",)], ("any",)),
])  # fmt: skip
def test_the_common_platform_is_the_strictest_floor(
    tag_sets: list[tuple[str, ...]], common: tuple[str, ...]
) -> None:
    assert common_platforms(tag_sets) == common
    assert common_platforms(tag_sets[::-1]) == common


@pytest.mark.parametrize("tag, kind", [("macosx_11_0_arm64", "macOS"), ("win_amd64", "Windows"),
                                       ("android_21_x86_64", "android_21_x86_64")])  # fmt: skip
def test_other_systems_are_not_yet_fused(tag: str, kind: str) -> None:
    with pytest.raises(InvalidInput, match=f"wheels for {kind} cannot be fused yet"):
        floors([tag])
