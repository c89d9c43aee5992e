"""Modules of the own CUDA extension, fused, load as those that they were made of: without a GPU, on each CPython."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from elftools.elf.elffile import ELFFile

import wheelfuse
from fixtures.build import header_version
from tests.cuda import MODULE, PACKAGE, UNITS, wheel
from tests.device_loading import Module, check_loading
from tests.interpreters import available
from tests.native import soabi
from wheelfuse import MergeOptions, Target

TARGETS = [target for target, python in available().items() if header_version(python)]
CONTAINERS = len(UNITS)  # bindings.cpp has none, but what -rdc=true left to be linked becomes one more
RECORDED = CONTAINERS + 2  # that one's record leads to the two that it was linked from
_USE = f"hex({PACKAGE}.compiled_for()), [{PACKAGE}.noise(index) for index in range(0, 16384, 97)]"


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels and the one that was fused of them, each unpacked into a directory: ``cp312``, ``fused``."""
    directory = tmp_path_factory.mktemp("trees")
    inputs = [wheel(directory / "in", target) for target in TARGETS]
    options = MergeOptions(expect=tuple(TARGETS), share_device_code=True)
    outcome = wheelfuse.merge(inputs, directory / "out", options)
    assert outcome.written
    for name, path in zip(("fused", *map(str, TARGETS)), (outcome.written.path, *inputs), strict=True):
        with ZipFile(path) as archive:
            archive.extractall(directory / name)
    return directory


def carrier_of(tree: Path) -> str:
    (path,) = tree.glob("*.libs/*-device-*.so")
    return path.relative_to(tree).as_posix()


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("name", ["", PACKAGE], ids=["dlopen", "import"])
def test_each_module_loads_as_the_original(trees: Path, target: Target, name: str) -> None:
    file, carrier = f"{PACKAGE}/{soabi(MODULE, target)}", carrier_of(trees / "fused")
    original, edited = (Module(trees / tree, file, name) for tree in (str(target), "fused"))
    seen = check_loading(available()[target], original, edited, carrier, _USE if name else "")
    if name:
        assert f"0x3{target.minor:02x}" in seen.outcome[-1]
    else:
        assert seen.outcome == ("loaded",)
    assert seen.homes == {f"ROOT/{carrier}": RECORDED}


@dataclass(frozen=True)
class Damaged:
    """A module of the fused wheel that tests damage, and its carrier."""

    original: Module
    edited: Module
    carrier: Path

    @property
    def file(self) -> Path:
        return self.edited.path

    def check(self, match: str) -> None:
        carrier = self.carrier.relative_to(self.edited.root).as_posix()
        with pytest.raises(AssertionError, match=match):
            check_loading(available()[TARGETS[0]], self.original, self.edited, carrier)


@pytest.fixture
def damaged(trees: Path, tmp_path: Path) -> Damaged:
    file, carrier = f"{PACKAGE}/{soabi(MODULE, TARGETS[0])}", carrier_of(trees / "fused")
    for path in (file, carrier):
        (tmp_path / path).parent.mkdir()
        shutil.copy(trees / "fused" / path, tmp_path / path)
    modules = Module(trees / str(TARGETS[0]), file), Module(tmp_path, file)
    check_loading(available()[TARGETS[0]], *modules, carrier)
    return Damaged(*modules, tmp_path / carrier)


def off_by_16(addends: list[int]) -> list[int]:
    return [addends[0] + 16, *addends[1:]]


def exchanged(addends: list[int]) -> list[int]:
    return [addends[1], addends[0], *addends[2:]]


def all_the_same(addends: list[int]) -> list[int]:
    return [addends[0]] * len(addends)


def far_away(addends: list[int]) -> list[int]:
    return [addends[0] + (1 << 40), *addends[1:]]


@pytest.mark.parametrize("wrong", [off_by_16, exchanged, all_the_same, far_away])
def test_a_record_that_refers_to_something_else_is_noticed(
    damaged: Damaged, wrong: Callable[[list[int]], list[int]]
) -> None:
    data = bytearray(damaged.file.read_bytes())
    table = ELFFile(BytesIO(data)).get_section_by_name(".rela.dyn")
    names = ELFFile(BytesIO(data)).get_section_by_name(".dynsym")
    places = {
        table["sh_offset"] + index * table["sh_entsize"] + 16: relocation["r_addend"]
        for index, relocation in enumerate(table.iter_relocations())
        if names.get_symbol(relocation["r_info_sym"]).name.startswith("wheelfuse_device_")
    }
    assert len(places) == CONTAINERS
    for place, addend in zip(places, wrong(list(places.values())), strict=True):
        struct.pack_into("<q", data, place, addend)
    damaged.file.write_bytes(data)
    damaged.check(match="other containers")


def test_other_bytes_in_the_carrier_are_noticed(damaged: Damaged) -> None:
    data = bytearray(damaged.carrier.read_bytes())
    section = ELFFile(BytesIO(data)).get_section_by_name(".nv_fatbin")
    data[section["sh_offset"] + section["sh_size"] // 2] ^= 1
    damaged.carrier.write_bytes(data)
    damaged.check(match="other containers")


def test_the_symbol_of_another_file_is_noticed(damaged: Damaged) -> None:
    """The bytes are right, but that other file is not the carrier."""
    name = damaged.carrier.name
    other = name.replace("-device-", "-copied-")
    shutil.copy(damaged.carrier, damaged.carrier.with_name(other))
    damaged.file.write_bytes(damaged.file.read_bytes().replace(name.encode(), other.encode()))
    damaged.check(match="bound otherwise")


def test_a_module_that_loads_no_more_is_noticed(damaged: Damaged) -> None:
    damaged.carrier.write_bytes(b"")
    damaged.check(match="outcome")
