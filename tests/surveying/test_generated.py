"""The generated wheels are what they are said to be: read by the audit, by zipfile and by pyelftools."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from tests.surveying.generated import LIBRARY, MODULES, TAGS, Damage, Expected, Kind, binary, generate
from wheelfuse.auditing.reading import read_subject

COUNT = 600
"""Enough that every damage is there."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Expected, ...]]:
    directory = tmp_path_factory.mktemp("generated")
    return directory, generate(directory, COUNT)


def test_there_are_so_many_wheels_of_many_projects_with_every_damage(
    made: tuple[Path, tuple[Expected, ...]],
) -> None:
    directory, expected = made
    assert sorted(path.name for path in directory.iterdir()) == sorted(wheel.file for wheel in expected)
    assert {wheel.damage for wheel in expected} == {None, *Damage}
    assert {wheel.tag for wheel in expected} == set(TAGS)
    assert len({wheel.project for wheel in expected}) == COUNT // 40
    assert sum(wheel.damage is not None for wheel in expected) < COUNT // 10


def test_the_same_seed_makes_the_same_bytes_and_another_one_does_not(
    made: tuple[Path, tuple[Expected, ...]], tmp_path: Path
) -> None:
    directory, expected = made
    again = generate(tmp_path / "again", 80)
    assert again == expected[:80]
    assert all((tmp_path / "again" / w.file).read_bytes() == (directory / w.file).read_bytes() for w in again)
    assert generate(tmp_path / "other", 80, seed=1) != again


def test_the_audit_reads_of_each_what_is_expected(made: tuple[Path, tuple[Expected, ...]]) -> None:
    directory, expected = made
    for wheel in expected:
        subject = read_subject(directory / wheel.file)
        assert parse_wheel_filename(wheel.file)[:2] == (wheel.project, Version(wheel.version))
        assert subject.refused == bool(wheel.damage and wheel.damage.is_fatal), wheel
        assert bool(subject.problems) == (wheel.damage is Damage.NO_RECORD), wheel
        if wheel.damage is None:
            assert (len(subject.sizes), sum(subject.sizes.values())) == (wheel.members, wheel.unpacked)
            asked = {path: {i.name for i in file.image.imports} for path, file in subject.files.items()}
            assert asked == {path: kind.asked for path, kind in wheel.modules.items()}
            modules = {path for path, kind in wheel.modules.items() if not kind.library}
            assert {path for path, file in subject.files.items() if file.module} == modules
        if wheel.damage is Damage.HALF:
            assert not subject.files
            assert {problem.member for problem in subject.unreadable} == set(wheel.modules)


@pytest.mark.parametrize("kind", [*MODULES, LIBRARY], ids=lambda kind: kind.name)
def test_a_shared_object_asks_for_what_its_kind_says(kind: Kind) -> None:
    elf = ELFFile(BytesIO(binary(kind)))
    symbols = elf.get_section_by_name(".dynsym").iter_symbols()
    assert {
        symbol.name for symbol in symbols if symbol["st_shndx"] == "SHN_UNDEF" and symbol.name
    } == kind.asked
    needed = [tag.needed for tag in elf.get_section_by_name(".dynamic").iter_tags("DT_NEEDED")]
    assert sorted(needed) == sorted(kind.needed)
    section = elf.get_section_by_name(".gnu.version_r")
    versions = (
        {entry.name for _, entries in section.iter_versions() for entry in entries} if section else set()
    )
    assert versions == {version for _, version in kind.versioned}
