"""Rebuilding the table from interpreters, and the table that is committed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from tests.interpreters import available, version
from wheelfuse.abi import regenerate
from wheelfuse.abi.cpython import DATA, is_cpython_symbol, replacements
from wheelfuse.abi.table import SymbolTable, parse, render
from wheelfuse.errors import InvalidInput
from wheelfuse.target import Target

PYTHONS = {target: path for target, path in available().items() if target.minor <= 15}
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
    output = tmp_path / "cpython.txt"
    command = ["--from-scratch", "--output", str(output), str(PYTHONS[target])]
    assert regenerate.main(command) == 0
    table = parse(output.read_text(encoding="ascii"))
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
    assert regenerate.main(["--output", str(output), *map(str, PYTHONS.values())]) == 0
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
    assert set(actual) >= set(recorded) == {"symbols", "limited_api", *SOURCES["cpython.txt"]["versions"]}
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
    assert regenerate.main(["--output", str(tmp_path / "out.txt"), str(program)]) == 3
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "out.txt").exists()


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
