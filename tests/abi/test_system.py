"""What the system exports to those who ask for no version: the table, and how it is made."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest

from tests.native import library
from wheelfuse.abi import regenerate_system
from wheelfuse.abi.cpython import DATA
from wheelfuse.abi.system import (
    is_bundled_name,
    loaded_exports,
    may_be_installed,
    system_exports,
    tables,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOURCES = tomllib.loads((DATA / "SOURCES.toml").read_text(encoding="utf-8"))


def test_the_tables_never_shrink() -> None:
    counts = SOURCES["system.txt"]["counts"]
    assert len(tables()) >= counts["libraries"] >= 16
    assert sum(map(len, tables().values())) >= counts["symbols"] >= 6020
    names = [line for line in (DATA / "machine_libraries.txt").read_text().splitlines() if line[:1] != "#"]
    assert len(" ".join(names).split()) >= SOURCES["machine_libraries.txt"]["counts"]["names"] >= 129


@pytest.mark.parametrize(
    ("soname", "symbol", "expected"),
    [
        ("libc.so.6", "malloc", True),
        ("libc.so.6", "sqrt", False),
        ("libm.so.6", "sqrt", True),
        ("libc.musl-x86_64.so.1", "sqrt", True),
        ("libc.so", "dlopen", True),
        ("libc.so.6", "__libc_early_init", False),  # GLIBC_PRIVATE
        ("libz.so.1", "inflate", True),
        ("libgcc_s.so.1", "_Unwind_Resume", True),
        ("ld-linux-aarch64.so.1", "__tls_get_addr", True),
        ("libstdc++.so.6", "_ZNSt6thread4joinEv", None),
        ("libstdc++.so.6", "_ZTVN10__cxxabiv117__class_type_infoE", None),
        ("libstdc++.so.6", "_Znwm", None),
        ("libstdc++.so.6", "_ZN4spam4eggsEv", False),
        ("libstdc++.so.6", "malloc", False),
        ("libX11.so.6", "XOpenDisplay", None),
    ],
)
def test_what_a_library_exports(soname: str, symbol: str, expected: bool | None) -> None:
    assert system_exports(soname, symbol) is expected


def test_what_every_interpreter_has_loaded_is_there_indeed() -> None:
    """Each name of the table that this process does not find is one of a later or earlier glibc."""
    assert {"sqrt", "dlopen", "pthread_create", "malloc"} <= loaded_exports("glibc")
    assert "inflate" not in loaded_exports("glibc")
    assert {"sqrt", "dlopen", "malloc"} <= loaded_exports("musl")
    process = ctypes.CDLL(None)
    found = [name for name in sorted(loaded_exports("glibc")) if hasattr(process, name)]
    assert len(found) > 0.9 * len(loaded_exports("glibc"))


def test_a_library_is_read_as_the_loader_sees_it(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(
        "SPAM_1 { global: first; kept; }; SPAM_2 { global: second; }; GLIBC_PRIVATE { global: own; };"
    )
    source = """
        int first_(void) { return 1; } int kept(void) { return 2; } int second_(void) { return 3; }
        int third_(void) { return 4; } int own(void) { return 5; } extern int elsewhere(void);
        int uses(void) { return elsewhere(); }
        __asm__(".symver first_, first@SPAM_1");
        __asm__(".symver second_, second@@SPAM_2");
        __asm__(".symver third_, hidden@SPAM_2");
    """
    path = tmp_path / "libspam.so"
    path.write_bytes(library(source, "libspam.so.1", f"-Wl,--version-script={script}"))
    soname, names = regenerate_system.exports(path)
    assert soname == "libspam.so.1"
    assert {"first", "kept", "second"} <= names
    assert names.isdisjoint({"hidden", "own", "elsewhere", "SPAM_1"})


def test_the_table_is_printed_as_it_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("libb", "liba"):
        (tmp_path / name).write_bytes(library(f"int {name}_one; int {name}_two;", f"{name}.so.1"))
    assert regenerate_system.main([str(tmp_path / "libb"), str(tmp_path / "liba")]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")]
    assert lines == ["[liba.so.1]", "liba_one", "liba_two", "[libb.so.1]", "libb_one", "libb_two"]


@pytest.mark.parametrize(
    ("soname", "bundled", "installed"),
    [
        ("libgfortran-040039e1-0352e75f.so.5.0.0", True, False),
        ("libEGL-0123abcd.so.1", True, True),
        ("libEGL.so.1", False, True),
        ("libxcb-icccm.so.4", False, True),
        ("libzstd.so.1", False, True),
        ("libbrotlidec.so.1", False, True),
        ("libcudart.so.12", False, False),
        ("libspam.so.1", False, False),
    ],
)
def test_names_that_tell_where_a_library_comes_from(soname: str, bundled: bool, installed: bool) -> None:
    assert (is_bundled_name(soname), may_be_installed(soname)) == (bundled, installed)
