"""What platform tags allow, by our table, and that auditwheel's policies say the same."""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from typing import Any

import pytest

from wheelfuse.abi.cpython import DATA
from wheelfuse.abi.platform import (
    Floor,
    allowed_library,
    covering_policy,
    is_system_library,
    libc_of,
    lowest_glibc,
    machine_of,
    needed_floor,
    system_libraries,
)
from wheelfuse.elf.image import Image
from wheelfuse.elf.symbols import VersionNeed
from wheelfuse.wheel.name import Platform

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOURCES = tomllib.loads((DATA / "SOURCES.toml").read_text(encoding="utf-8"))
MACHINES = ("x86_64", "i686", "aarch64", "ppc64", "ppc64le", "s390x", "armv7l", "riscv64", "loongarch64")


def policies(libc: str) -> list[dict[str, Any]]:
    """The policies of the installed auditwheel, the oldest first."""
    text = files("auditwheel").joinpath(f"policy/{libc}-policy.json").read_text()
    return sorted((p for p in json.loads(text) if p["name"] != "linux"), key=lambda p: -p["priority"])


def version(policy: dict[str, Any]) -> tuple[int, int]:
    _, major, minor = policy["name"].split("_")
    return int(major), int(minor)


def image(
    *needed: str, versions: dict[str, tuple[str, ...]] | None = None, machine: str = "EM_X86_64"
) -> Image:
    needs = tuple(VersionNeed(library, names) for library, names in (versions or {}).items())
    return Image(machine, 64, True, "ET_DYN", needed=needed, version_needs=needs)


@pytest.mark.parametrize(
    ("name", "machine", "lowest"),
    [
        ("GLIBC_2.2.5", "x86_64", (2, 2)),
        ("GLIBC_2.14", "x86_64", (2, 14)),
        ("GLIBC_2.34", "x86_64", (2, 34)),
        ("GLIBC_2.99", "x86_64", (2, 99)),
        ("GLIBC_2.17", "aarch64", (2, 17)),
        ("GLIBC_2.18", "aarch64", (2, 17)),
        ("GLIBC_2.18", "x86_64", (2, 18)),
        ("GLIBC_2.27", "riscv64", (2, 27)),
        ("GLIBC_ABI_DT_RELR", "x86_64", (2, 36)),
        ("GLIBCXX_3.4.19", "x86_64", (2, 17)),
        ("GLIBCXX_3.4.23", "x86_64", (2, 27)),
        ("GLIBCXX_3.4.23", "aarch64", (2, 26)),
        ("CXXABI_1.3.15", "x86_64", (2, 39)),
        ("GCC_3.0", "x86_64", (2, 5)),
        ("GCC_7.0.0", "x86_64", (2, 27)),
        ("ZLIB_1.2.12", "i686", (2, 36)),
        ("LIBATOMIC_1.0", "s390x", (2, 24)),
        ("GLIBCXX_3.4.99", "x86_64", None),
        ("GLIBC_PRIVATE", "x86_64", None),
        ("OPENSSL_3.0.0", "x86_64", (0, 0)),
    ],
)
def test_the_lowest_tag_that_allows_a_symbol_version(
    name: str, machine: str, lowest: tuple[int, int] | None
) -> None:
    assert lowest_glibc(name, machine) == lowest


@pytest.mark.parametrize("machine", MACHINES)
def test_symbol_versions_are_allowed_from_the_same_policy_on_as_auditwheel_says(machine: str) -> None:
    first: dict[str, tuple[int, int]] = {}
    own = [policy for policy in policies("manylinux") if machine in policy["symbol_versions"]]
    for policy in own:
        for family, numbers in policy["symbol_versions"][machine].items():
            for number in numbers:
                first.setdefault(f"{family}_{number}", version(policy))
    assert first
    ours = {name: lowest_glibc(name, machine) for name in first}
    rounded = {
        name: found and min(version(p) for p in own if version(p) >= found) for name, found in ours.items()
    }
    assert rounded == first


@pytest.mark.parametrize("policy", policies("manylinux"), ids=lambda policy: policy["name"])
def test_manylinux_allows_the_libraries_that_auditwheel_allows(policy: dict[str, Any]) -> None:
    known = system_libraries("glibc") | {
        name for other in policies("manylinux") for name in other["lib_whitelist"]
    }
    for machine in policy["symbol_versions"]:
        platform = Platform(machine, "glibc", version(policy))
        allowed = {name for name in known if allowed_library(platform, name)}
        assert allowed - {name for name in known if ".so" not in name} == set(policy["lib_whitelist"])


@pytest.mark.parametrize("policy", policies("musllinux"), ids=lambda policy: policy["name"])
def test_musllinux_allows_the_libraries_that_auditwheel_allows(policy: dict[str, Any]) -> None:
    for machine in policy["symbol_versions"]:
        allowed = {
            name
            for name in system_libraries()
            if allowed_library(Platform(machine, "musl", version(policy)), name)
        }
        # auditwheel puts Alpine's name of libc.so in its place
        assert {name for name in allowed if not name.startswith("libc.musl-")} == set(policy["lib_whitelist"])
        assert any(name.startswith("libc.musl-") for name in allowed)


def test_the_policies_are_those_of_auditwheel() -> None:
    assert [covering_policy(version(policy)) for policy in policies("manylinux")] == [
        version(policy) for policy in policies("manylinux")
    ]


@pytest.mark.parametrize(
    ("needed", "policy"), [((2, 14), (2, 17)), ((2, 17), (2, 17)), ((2, 29), (2, 31)), ((2, 99), (2, 99))]
)
def test_the_policy_that_covers_a_version(needed: tuple[int, int], policy: tuple[int, int]) -> None:
    assert covering_policy(needed) == policy


@pytest.mark.parametrize(
    ("soname", "known"),
    [
        ("libc.so.6", True),
        ("libstdc++.so.6", True),
        ("libexpat.so.1", True),
        ("libc.musl-x86_64.so.1", True),
        ("ld-linux-x86-64.so.2", True),
        ("ld-linux-aarch64.so.1", True),
        ("ld-linux-armhf.so.3", True),
        ("ld-linux.so.2", True),
        ("ld64.so.1", True),
        ("ld-musl-x86_64.so.1", True),
        ("libgomp.so.1", False),
        ("libcudart.so.12", False),
        ("libcrypt.so.1", False),
        ("GLIBCXX_3.4", False),
    ],
)
def test_libraries_of_the_system(soname: str, known: bool) -> None:
    assert is_system_library(soname) is known


def test_libraries_of_one_c_library() -> None:
    assert "libstdc++.so.6" in system_libraries("glibc") - system_libraries("musl")
    assert system_libraries("musl", "x86_64") == {"libc.so", "libz.so.1", "libc.musl-x86_64.so.1"}


@pytest.mark.parametrize(
    ("tag", "soname", "allowed"),
    [
        ("manylinux1_x86_64", "libexpat.so.1", False),
        ("manylinux2010_x86_64", "libexpat.so.1", True),
        ("manylinux_2_17_x86_64", "libmvec.so.1", False),
        ("manylinux_2_28_x86_64", "libmvec.so.1", True),
        ("manylinux_2_28_x86_64", "ld-linux-x86-64.so.2", True),
        ("manylinux_2_28_x86_64", "libc.musl-x86_64.so.1", False),
        ("musllinux_1_2_x86_64", "libstdc++.so.6", False),
        ("musllinux_1_2_x86_64", "libc.musl-x86_64.so.1", True),
        ("musllinux_1_2_aarch64", "libc.musl-x86_64.so.1", False),
        ("linux_x86_64", "libexpat.so.1", True),
        ("linux_x86_64", "libgomp.so.1", False),
    ],
)
def test_a_library_is_allowed_under_a_tag(tag: str, soname: str, allowed: bool) -> None:
    platform = Platform.parse(tag)
    assert platform and allowed_library(platform, soname) is allowed


def test_the_newest_need_decides() -> None:
    needs = (
        VersionNeed("libc.so.6", ("GLIBC_2.14", "GLIBC_2.2.5")),
        VersionNeed("libstdc++.so.6", ("CXXABI_1.3", "GLIBCXX_3.4.21")),
    )
    floor = needed_floor(needs, "x86_64")
    assert floor == Floor("x86_64", "glibc", (2, 24), "libstdc++.so.6", "GLIBCXX_3.4.21")
    assert str(floor) == "glibc 2.24 x86_64"
    assert floor.platform == Platform("x86_64", "glibc", (2, 24))


def test_a_version_that_no_tag_allows_decides_over_all() -> None:
    needs = (VersionNeed("libc.so.6", ("GLIBC_2.41",)), VersionNeed("libstdc++.so.6", ("GLIBCXX_3.4.99",)))
    floor = needed_floor(needs, "x86_64")
    assert (floor.version, floor.decisive, floor.platform) == (None, "GLIBCXX_3.4.99", None)


def test_a_library_may_decide() -> None:
    floor = needed_floor((VersionNeed("libc.so.6", ("GLIBC_2.5",)),), "x86_64", ["libm.so.6", "libmvec.so.1"])
    assert floor == Floor("x86_64", "glibc", (2, 24), "libmvec.so.1")


@pytest.mark.parametrize(
    ("machine", "lowest"), [("x86_64", (2, 5)), ("aarch64", (2, 17)), ("riscv64", (2, 31))]
)
def test_without_a_need_the_first_tag_of_the_machine_will_do(machine: str, lowest: tuple[int, int]) -> None:
    assert needed_floor((), machine) == Floor(machine, "glibc", lowest)


@pytest.mark.parametrize(
    ("file", "libc"),
    [
        (image("libm.so.6", "libc.so.6"), "glibc"),
        (image("libm.so.6", versions={"libm.so.6": ("GLIBC_2.27",)}), "glibc"),
        (image("libc.musl-x86_64.so.1"), "musl"),
        (image("libc.so"), "musl"),
        (image("libother.so.1"), ""),
        (image(), ""),
    ],
)
def test_the_c_library_of_a_file(file: Image, libc: str) -> None:
    assert libc_of(file) == libc


def test_the_machine_of_a_file() -> None:
    assert machine_of(image()) == "x86_64"
    assert machine_of(Image("EM_PPC64", 64, False, "ET_DYN")) == "ppc64"
    assert machine_of(Image("EM_PPC64", 64, True, "ET_DYN")) == "ppc64le"
    assert machine_of(Image("EM_CUDA", 64, True, "ET_EXEC")) is None


def test_the_table_never_shrinks() -> None:
    recorded = SOURCES["platform_policies.txt"]["counts"]
    lines = (DATA / "platform_policies.txt").read_text(encoding="ascii").splitlines()
    names = {
        name for line in lines if line.startswith(("manylinux", "musllinux")) for name in line.split()[3:]
    }
    assert len(names) >= recorded["names"]
    assert sum(line.startswith("machine ") for line in lines) >= recorded["machines"]
