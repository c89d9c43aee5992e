"""Who satisfies which DT_NEEDED, and who reaches whom."""

from __future__ import annotations

import pytest

from wheelfuse.elf.image import Image, Section
from wheelfuse.elf.linkage import Linkage


def image(soname: str = "", needed: str = "", runpath: str = "") -> Image:
    return Image(
        "EM_X86_64",
        64,
        True,
        "ET_DYN",
        soname=soname,
        needed=tuple(needed.split()),
        runpath=tuple(filter(None, runpath.split(":"))),
        sections=(Section(".dynamic", "SHT_DYNAMIC", 3, 1),),
    )


@pytest.mark.parametrize(
    ("needed", "runpath", "expected"),
    [
        ("libx.so.1", "$ORIGIN", ("pkg/libx.so.1",)),
        ("libx.so.1", "${ORIGIN}", ("pkg/libx.so.1",)),
        ("libx.so.1", "$ORIGIN/../pkg.libs", ("pkg.libs/libx.so.1",)),
        ("libx.so.1", "$ORIGIN/../pkg.libs:$ORIGIN", ("pkg.libs/libx.so.1",)),
        ("libx.so.1", "$ORIGIN/nowhere:$ORIGIN", ("pkg/libx.so.1",)),
        ("libx.so.1", "/usr/lib:$ORIGIN/.", ("pkg/libx.so.1",)),
        # ld.so takes what is loaded already, whoever loaded it
        ("libx.so.1", "", ("pkg.libs/libx.so.1", "pkg/libx.so.1")),
        ("libx.so.1", "$ORIGIN/nowhere", ("pkg.libs/libx.so.1", "pkg/libx.so.1")),
        # by the soname of a file that is called otherwise
        ("libsoname.so", "", ("pkg/libfile.so",)),
        ("libc.so.6", "$ORIGIN", ()),
        ("libtop.so", "$ORIGIN/..", ("libtop.so",)),
    ],
)
def test_who_satisfies_a_need(needed: str, runpath: str, expected: tuple[str, ...]) -> None:
    linkage = Linkage(
        {
            "pkg/_m.so": image("", needed, runpath),
            "pkg/libx.so.1": image("libx.so.1"),
            "pkg.libs/libx.so.1": image("libx.so.1"),
            "pkg/libfile.so": image("libsoname.so"),
            "libtop.so": image(),
        }
    )
    assert linkage.providers("pkg/_m.so", needed) == expected
    assert list(linkage.edges("pkg/_m.so")) == [(needed, expected)]


def test_a_module_at_top_level_has_an_origin_too() -> None:
    linkage = Linkage(
        {"_m.so": image("", "libx.so", "$ORIGIN/pkg.libs"), "pkg.libs/libx.so": image("libx.so")}
    )
    assert linkage.providers("_m.so", "libx.so") == ("pkg.libs/libx.so",)


TREE = Linkage(
    {
        "m1": image("", "liba"),
        "m2": image("", "libb"),
        "m3": image("", "libelse libc.so.6"),
        "liba": image("liba", "libb"),
        "libb": image("libb", "libc"),
        "libc": image("libc", "liba"),  # a circle
        "libelse": image("libelse"),
    }
)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("libb", "m1 m2 liba libb libc"),
        ("libelse", "m3 libelse"),
        ("m1", "m1"),
        ("", ""),
    ],
)
def test_what_reaches_a_file_directly_or_through_others(start: str, expected: str) -> None:
    assert TREE.reaching(frozenset(start.split())) == set(expected.split())


@pytest.mark.parametrize(("path", "expected"), [("liba", True), ("libelse", True), ("m1", False)])
def test_whether_any_file_names_it(path: str, expected: bool) -> None:
    assert TREE.is_needed(path) is expected


def test_a_file_does_not_need_itself() -> None:
    linkage = Linkage({"libx.so": image("libx.so", "libx.so")})
    assert not linkage.is_needed("libx.so")


def test_a_copy_under_another_name_is_needed_by_its_soname() -> None:
    linkage = Linkage(
        {"m": image("", "libx.so.1"), "libx.so": image("libx.so.1"), "libx.so.1": image("libx.so.1")}
    )
    assert linkage.is_needed("libx.so")
    assert linkage.is_needed("libx.so.1")
