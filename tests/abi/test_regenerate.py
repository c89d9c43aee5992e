"""Rebuilding the tables from interpreters and torches, and the tables that are committed."""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from tests.interpreters import available, version
from tests.wheels import build_wheel, compile_library
from wheelfuse.abi import regenerate, regenerate_torch
from wheelfuse.abi.cpython import DATA, has_table, is_cpython_symbol, replacements
from wheelfuse.abi.table import SymbolTable, parse, render
from wheelfuse.abi.torch import Exports, exports, parse_exports, shims
from wheelfuse.errors import InvalidInput
from wheelfuse.target import Target

PYTHONS = {target: path for target, path in available().items() if has_table(target)}
SOURCES = tomllib.loads((DATA / "SOURCES.toml").read_text(encoding="utf-8"))
COMMITTED = parse(regenerate.TABLE.read_text(encoding="ascii"))


def fake(directory: Path, answer: str) -> Path:
    """A program that prints *answer* whatever it is asked."""
    program = directory / "python3"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("target", PYTHONS, ids=str)
def test_an_interpreter_agrees_with_the_committed_table(target: Target, tmp_path: Path) -> None:
    """Micro releases and the JIT may differ in private names, and in nothing else."""
    command = ["--from-scratch", "--output", str(tmp_path), str(PYTHONS[target])]
    assert regenerate.main(command) == 0
    table = parse((tmp_path / "cpython.txt").read_text(encoding="ascii"))
    assert table.columns == (target,)
    measured, committed = table.names(target), COMMITTED.names(target)
    assert [name for name in measured ^ committed if not name.startswith("_Py")] == []
    assert len(measured ^ committed) < 40
    limited = {name: (row.limited_api, COMMITTED.rows[name].limited_api) for name, row in table.rows.items()}
    assert {name: pair for name, pair in limited.items() if pair[0] != pair[1]} == {}


@pytest.mark.parametrize("target", PYTHONS, ids=str)
def test_the_same_release_gives_the_same_column(target: Target) -> None:
    interpreter = regenerate.ask(PYTHONS[target])
    assert (interpreter.target, interpreter.version) == (target, version(target))
    if interpreter.version == SOURCES["cpython.txt"]["versions"][str(target)]:
        assert regenerate.exported_names(interpreter.file) == COMMITTED.names(target)


def test_extending_keeps_all_that_was_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "cpython.txt"
    assert regenerate.main(["--output", str(tmp_path), *map(str, PYTHONS.values())]) == 0
    table = parse(output.read_text(encoding="ascii"))
    assert table.columns == COMMITTED.columns
    for column in table.columns:
        assert table.names(column) >= COMMITTED.names(column)
    assert tomllib.loads(capsys.readouterr().out)["symbols"] == len(table.rows)
    assert list(tmp_path.iterdir()) == [output]


def test_the_committed_table_is_as_the_command_writes_it() -> None:
    assert regenerate.TABLE.read_text(encoding="ascii") == render(COMMITTED, regenerate.COMMENT)


def test_counts_never_shrink() -> None:
    recorded = SOURCES["cpython.txt"]["counts"]
    actual = tomllib.loads(regenerate.counts(COMMITTED))
    assert set(actual) == set(recorded) == {"symbols", "limited_api", *SOURCES["cpython.txt"]["versions"]}
    for key, least in recorded.items():
        if isinstance(least, int):
            assert actual[key] >= least, key
        else:
            assert actual[key]["public"] >= least["public"], key
            assert actual[key]["private"] >= least["private"], key
    assert len(replacements()) >= SOURCES["cpython_replacements.txt"]["counts"]["symbols"]


@pytest.mark.parametrize(
    ("tag", "public", "private"),
    [
        ("cp38", 1122, 828),
        ("cp39", 1081, 562),
        ("cp310", 1041, 563),
        ("cp311", 1055, 573),
        ("cp312", 1094, 601),
        ("cp313", 1172, 481),
        ("cp314", 1250, 557),
        ("cp315", 1311, 691),
    ],
)
def test_counts_as_first_measured(tag: str, public: int, private: int) -> None:
    """A floor that does not move when SOURCES.toml is written anew."""
    names = COMMITTED.names(Target.parse(tag))
    assert len([name for name in names if not name.startswith("_")]) == public
    assert len([name for name in names if name.startswith("_")]) >= private


def test_every_data_file_has_its_source() -> None:
    assert {file.name for file in DATA.iterdir()} == {"SOURCES.toml", *SOURCES}


def test_counts_tell_public_from_private() -> None:
    table = SymbolTable((Target(12),), parse("columns cp312\nPy_A 1 2\nPy_B 1 -\n_Py_C 1 -\n").rows)
    assert tomllib.loads(regenerate.counts(table)) == {
        "symbols": 3,
        "limited_api": 1,
        "cp312": {"public": 2, "private": 1},
    }


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"implementation": "pypy"}, "is pypy, not CPython"),
        ({"version": [3, 7, 16, "final", 0]}, "is Python 3.7, older than 3.8"),
        ({"version": [3, 16, 0, "alpha", 3]}, "is a pre-release"),
        ({"debug": True}, "is a debug build"),
        ({"abiflags": "td"}, "is a debug build"),
        ({"jit": True}, "is built with the JIT"),
    ],
)
def test_refuses_an_interpreter_whose_exports_do_not_hold(
    changed: dict[str, object], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {
        "implementation": "cpython",
        "version": [3, 12, 1, "final", 0],
        "abiflags": "",
        "debug": False,
        "jit": False,
        "file": sys.executable,
    }
    assert regenerate.ask(fake(tmp_path, json.dumps(answer))).target == Target(12)
    program = fake(tmp_path, json.dumps(answer | changed))
    assert regenerate.main(["--output", str(tmp_path), str(program)]) == 3
    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [program]


def test_refuses_what_is_no_interpreter(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="does not run as an interpreter"):
        regenerate.ask(fake(tmp_path, "hello"))
    with pytest.raises(InvalidInput, match="does not run as an interpreter"):
        regenerate.ask(tmp_path / "absent")


def test_refuses_what_is_no_elf_file(tmp_path: Path) -> None:
    (tmp_path / "libpython.so").write_bytes(b"not ELF at all")
    with pytest.raises(InvalidInput, match="cannot be read as an ELF file"):
        regenerate.exported_names(tmp_path / "libpython.so")
    with pytest.raises(InvalidInput, match="cannot be read as an ELF file"):
        regenerate.exported_names(tmp_path / "absent.so")


def test_entry_points_do_not_enter_the_table() -> None:
    for target, python in PYTHONS.items():
        names = regenerate.exported_names(regenerate.ask(python).file)
        assert len(names) > 1500, target
        assert all(map(is_cpython_symbol, names))


TORCH_HEADER = """\
#pragma once
#ifdef __cplusplus
extern "C" {
#endif
// AOTI_TORCH_EXPORT AOTITorchError torch_in_a_comment(void);
AOTI_TORCH_EXPORT AOTITorchError torch_old(
    int32_t a);
AOTI_TORCH_EXPORT void* torch_pointer();
#if TORCH_FEATURE_VERSION >= TORCH_VERSION_2_13_0
AOTI_TORCH_EXPORT AOTITorchError torch_young(int a); // torch_not_this(
#ifdef USE_CUDA
AOTI_TORCH_EXPORT AOTITorchError torch_young_cuda(int a);
#endif
#else
AOTI_TORCH_EXPORT AOTITorchError torch_else(int a);
#endif
#ifdef __cplusplus
}
#endif
"""
DECLARED = {
    "torch_old": "",
    "torch_pointer": "",
    "torch_young": "2.13",
    "torch_young_cuda": "2.13",
    "torch_else": "",
}
TORCH_SOURCE = """\
void _ZN2at6TensorC1Ev(void) {}
void torch_old(int a) {}
void _ZN6fbgemm4workEv(void) {}
void _ZN2at12_GLOBAL__N_14workEv(void) {}
void mkl_work(void) {}
void PyList_New(void) {}
__attribute__((visibility("hidden"))) void _ZN2at6hiddenEv(void) {}
"""
TORCH_FILES = ("torch_exports.txt.xz", "torch_shims.txt")


def torch_tree(directory: Path, version: str = "9.1.0+cpu") -> Path:
    """A site-packages directory with a torch of one library and one header."""
    compile_library(directory / "torch" / "lib" / "libtorch_cpu.so", TORCH_SOURCE)
    compile_library(directory / "torch" / "lib" / "libgomp.so.1", "void torch_not_ours(void) {}")
    header = directory / "torch" / "include" / "torch" / "csrc" / "stable" / "c" / "shim.h"
    header.parent.mkdir(parents=True)
    header.write_text(TORCH_HEADER)
    (directory / "torch" / "version.py").write_text(f"__version__ = '{version}'\ndebug = False\n")
    return directory


def torch_tables(directory: Path) -> tuple[Exports, dict[str, str]]:
    """The tables that a run left."""
    table = parse_exports(lzma.decompress((directory / TORCH_FILES[0]).read_bytes()).decode())
    lines = (directory / TORCH_FILES[1]).read_text(encoding="ascii").splitlines()
    return table, dict(line.split(" ") for line in lines if line[0] != "#")


def test_shim_headers_are_read_with_their_guards() -> None:
    assert regenerate_torch.declared(TORCH_HEADER) == DECLARED


def test_a_torch_tree_makes_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = torch_tree(tmp_path / "site-packages")
    assert regenerate.main(["--from-scratch", "--output", str(tmp_path), str(tree)]) == 0
    table, functions = torch_tables(tmp_path)
    assert table == Exports(("9.1",), ("_ZN2at6TensorC1Ev 1", "torch_old 1"))
    assert functions == {name: guard or "9.1" for name, guard in DECLARED.items()}
    printed = capsys.readouterr()
    assert printed.out == 'symbols = 2\n"9.1" = 2\n\nfunctions = 5\n"2.13" = 2\n"9.1" = 3\n'
    assert "torch 9.1: 9.1.0+cpu" in printed.err
    assert not (tmp_path / "cpython.txt").exists()


def test_the_torch_directory_itself_does_as_well(tmp_path: Path) -> None:
    tree = torch_tree(tmp_path / "site-packages")
    assert regenerate_torch.read_build(tree / "torch") == regenerate_torch.read_build(tree)


def test_a_torch_wheel_makes_the_same_tables(tmp_path: Path) -> None:
    tree = torch_tree(tmp_path / "site-packages")
    files = {str(f.relative_to(tree)): f.read_bytes() for f in tree.rglob("*") if f.is_file()}
    wheel = build_wheel(tmp_path, files=files, name="torch", version="9.1.0")
    found, expected = regenerate_torch.read_build(wheel), regenerate_torch.read_build(tree)
    assert (found.minor, found.names, found.shims) == (expected.minor, expected.names, expected.shims)


def test_extending_keeps_all_of_torch_that_was_there(tmp_path: Path) -> None:
    tree = torch_tree(tmp_path / "site-packages")
    build = regenerate_torch.read_build(tree)
    table = regenerate_torch.union_exports(exports(), [build])
    functions = regenerate_torch.union_shims(shims(), [build])
    assert table.versions == (*exports().versions, "9.1")
    for line in exports().lines[::101]:
        name, mask = line.split(" ")
        assert table.mask(name) == int(mask, 16)
    assert table.of_mask(table.mask("torch_old")) == ("9.1",)
    assert functions == {**shims(), **{name: guard or "9.1" for name, guard in DECLARED.items()}}


def test_a_column_grows_when_another_build_of_it_comes() -> None:
    table = Exports(("2.6", "2.10"), ("a 2", "b 3"))
    build = regenerate_torch.Build("2.6.1", frozenset({"a", "c"}), {})
    both = regenerate_torch.union_exports(table, [build, regenerate_torch.Build("2.9.0", frozenset("b"), {})])
    assert both == Exports(("2.6", "2.9", "2.10"), ("a 5", "b 7", "c 1"))


def test_a_guard_that_came_later_wins() -> None:
    older = regenerate_torch.Build("2.12.0", frozenset(), {"torch_a": "", "torch_b": ""})
    later = regenerate_torch.Build("2.13.0", frozenset(), {"torch_a": "2.13", "torch_b": "", "torch_c": ""})
    assert regenerate_torch.union_shims({}, [later, older]) == {
        "torch_a": "2.13",
        "torch_b": "2.12",
        "torch_c": "2.13",
    }
    assert regenerate_torch.union_shims({"torch_b": "2.9"}, [later])["torch_b"] == "2.9"


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("torch/version.py", "cannot be read as a torch"),
        ("torch/lib/libtorch_cpu.so", "has no libraries of torch"),
        ("torch/include/torch/csrc/stable/c/shim.h", "has no headers of the stable shim of torch"),
    ],
)
def test_refuses_an_incomplete_torch(missing: str, reason: str, tmp_path: Path) -> None:
    tree = torch_tree(tmp_path / "site-packages")
    (tree / missing).unlink()
    with pytest.raises(InvalidInput, match=reason):
        regenerate_torch.read_build(tree)


def test_refuses_what_is_no_torch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = build_wheel(tmp_path / "in", files={"a.py": ""})
    assert regenerate.main(["--output", str(tmp_path), str(wheel)]) == 3
    assert "is a wheel of pkg, not of torch" in capsys.readouterr().err
    tree = torch_tree(tmp_path / "site-packages")
    (tree / "torch" / "lib" / "libc10.so").write_bytes(b"no ELF")
    assert regenerate.main(["--output", str(tmp_path), str(tree)]) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "site-packages"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("torch_library_impl", True),
        ("THPVariableClass", True),
        ("_ZTIN3c105ErrorE", True),
        ("_ZN8pybind116detail11type_casterIN2at6TensorEvE4loadENS_6handleEb", True),
        ("_ZN4gloo7ContextC1Eii", True),
        ("_ZTISt6vectorIiSaIiEE", False),
        ("_ZZN2at3fooEvE1x", False),
        ("_ZN2at6native12_GLOBAL__N_14workEv", False),
        ("mkl_serv_free", False),
        ("Py_Initialize", False),
        ("cudaMalloc", False),
    ],
)
def test_what_is_worth_keeping(name: str, kept: bool) -> None:
    assert regenerate_torch.worth_keeping(name) is kept


def test_the_committed_tables_of_torch_are_as_the_command_writes_them() -> None:
    text = lzma.decompress((DATA / TORCH_FILES[0]).read_bytes()).decode("ascii")
    assert text == regenerate_torch.render_exports(exports())
    assert (DATA / TORCH_FILES[1]).read_text(encoding="ascii") == regenerate_torch.render_shims(shims())
    assert all(regenerate_torch.worth_keeping(line.split(" ")[0]) for line in exports().lines)


def test_counts_of_torch_never_shrink() -> None:
    symbols, functions = regenerate_torch.counts(exports(), shims()).split("\n\n")
    for file, text in zip(TORCH_FILES, (symbols, functions), strict=True):
        actual, recorded = tomllib.loads(text), SOURCES[file]["counts"]
        assert set(actual) == set(recorded)
        for key, least in recorded.items():
            assert actual[key] >= least, (file, key)


@pytest.mark.parametrize(
    ("version", "functions"),
    [
        ("2.6", 449),
        ("2.7", 27),
        ("2.8", 138),
        ("2.9", 41),
        ("2.10", 54),
        ("2.11", 13),
        ("2.12", 53),
        ("2.13", 20),
        ("2.14", 88),
    ],
)
def test_counts_of_shims_as_first_measured(version: str, functions: int) -> None:
    """Exact, since what an older torch promises first cannot change."""
    assert list(shims().values()).count(version) == functions
    assert len(exports().lines) >= 81_439
