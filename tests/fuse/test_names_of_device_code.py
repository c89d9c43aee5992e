"""GPU code that differs from build to build in names alone is stored once, under the names of one build."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

import wheelfuse
from tests.cuda import NAMES, PACKAGE, build_names, wheel_of_names
from tests.elf.device import device_library
from tests.elf.fatbins import container
from tests.elf.test_module_ids import ONE, TWO, kernel, ptx, ptx_entry, strings
from tests.fuse.merging import Fused, command
from tests.interpreters import available, environment, install, run_python
from tests.native import soabi
from tests.wheels import build_wheel, contents
from wheelfuse import MergeOptions, Target
from wheelfuse.errors import UsageError
from wheelfuse.report.text import merge_report

TARGETS = [target for target in map(Target.parse, ("cp310", "cp312", "cp313")) if target in available()]
EXPECT = ",".join(map(str, TARGETS))
_USE = f"""
import {PACKAGE}._names as names
print(names.local())
try:
    print(names.results())
except RuntimeError as error:  # without a GPU or its driver
    assert "CUDA" in str(error), error
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    directory = tmp_path_factory.mktemp("in")
    return [wheel_of_names(directory, target, f"build-{target}") for target in TARGETS]


def fused(inputs: list[Path], directory: Path, share: bool | str | None = "names") -> Fused:
    expect = (
        tuple(target for target in TARGETS if any(str(target) in path.name for path in inputs)) or TARGETS
    )
    outcome = wheelfuse.merge(inputs, directory, MergeOptions(expect=tuple(expect), share_device_code=share))  # type: ignore[arg-type]
    assert outcome.written
    return Fused(outcome.written.path, outcome.plan)


def module_of(result: Fused, target: Target) -> bytes:
    return result.read(f"{PACKAGE}/{soabi(NAMES, target)}")


def names_in_strings(data: bytes) -> set[str]:
    """Whole strings of the constants that have a module id in them."""
    content = ELFFile(BytesIO(data)).get_section_by_name(".rodata").data()
    found = re.findall(rb"[^\0]*[0-9a-f]{8}_\d+_names_cu_[0-9a-f]{8}[^\0]*", content)
    return {name.decode() for name in found}


def symbols(data: bytes) -> list[set[str]]:
    """The symbols of each piece of machine code in a file, as pyelftools reads them."""
    section = ELFFile(BytesIO(data)).get_section_by_name(".nv_fatbin").data()
    cubins = [ELFFile(BytesIO(section[match.start() :])) for match in re.finditer(b"\x7fELF", section)]
    return [{symbol.name for symbol in elf.get_section_by_name(".symtab").iter_symbols()} for elf in cubins]


def test_the_names_that_are_registered_are_in_the_carrier(inputs: list[Path], tmp_path: Path) -> None:
    result = fused(inputs, tmp_path)
    (path,) = [name for name in result.names if "-device-" in name]
    held = symbols(result.read(path))
    ids = set()
    for target in TARGETS:
        found = names_in_strings(module_of(result, target))
        registered = {name for name in found if name.startswith("_Z") and "Local" not in name}
        assert len(registered) >= 4
        assert all(registered <= names for names in held), registered - held[0]
        ids |= {match for name in registered for match in re.findall("[0-9a-f]{8}_8_names_cu", name)}
        before = names_in_strings(build_names(target, f"build-{target}"))
        assert found - registered == {name for name in before if name.startswith("N")}
    assert len(held) == 2
    assert len(ids) == 1


def test_it_is_stored_once(inputs: list[Path], tmp_path: Path) -> None:
    result, equal = fused(inputs, tmp_path / "names"), fused(inputs, tmp_path / "equal", True)
    sharing = result.plan.sharing
    assert equal.plan.sharing.saved == 0
    assert sharing.saved == sharing.renamed > 500_000
    assert [bool(row.ids) for row in sharing.modules] == [False, True, True]
    assert result.path.stat().st_size < equal.path.stat().st_size - 150_000


def test_split_gives_every_file_back(inputs: list[Path], tmp_path: Path) -> None:
    back = wheelfuse.split(fused(inputs, tmp_path).path, tmp_path / "back")
    assert [contents(item.path) for item in back] == [contents(path) for path in inputs]


def test_merging_in_steps_is_merging_at_once(inputs: list[Path], tmp_path: Path) -> None:
    at_once = fused(inputs, tmp_path / "once").path.read_bytes()
    for number, order in enumerate((inputs, [*inputs[1:], inputs[0]])):
        first = fused(order[:2], tmp_path / f"first{number}")
        assert fused([first.path, *order[2:]], tmp_path / f"steps{number}").path.read_bytes() == at_once
    assert fused([tmp_path / "once"], tmp_path / "again").path.read_bytes() == at_once


def test_the_build_that_most_files_agree_with_is_taken(tmp_path: Path) -> None:
    places = ["one", *["other"] * (len(TARGETS) - 1)]
    inputs = [
        wheel_of_names(tmp_path / "in", target, place) for target, place in zip(TARGETS, places, strict=True)
    ]
    rows = fused(inputs, tmp_path).plan.sharing.modules
    assert [bool(row.ids) for row in rows] == [True, False, False]


def test_debug_information_can_be_cut_out_as_well(inputs: list[Path], tmp_path: Path) -> None:
    options = MergeOptions(expect=tuple(TARGETS), share_device_code="names", strip_debug=True)
    outcome = wheelfuse.merge(inputs, tmp_path / "out", options)
    assert outcome.written and outcome.plan.sharing.renamed and outcome.plan.stripping.files == len(TARGETS)
    back = wheelfuse.split(outcome.written.path, tmp_path / "back")
    plain = wheelfuse.merge(
        inputs,
        tmp_path / "plain",
        MergeOptions(expect=tuple(TARGETS), share_device_code=False, strip_debug=True),
    )
    assert plain.written
    stripped = contents(plain.written.path)
    for wheel, target in zip(back, TARGETS, strict=True):
        path = f"{PACKAGE}/{soabi(NAMES, target)}"
        assert contents(wheel.path)[path] == stripped[path]
        assert [loss.path for loss in wheel.losses] == [path]


def test_modules_are_loaded_as_before(inputs: list[Path], tmp_path: Path) -> None:
    result = fused(inputs, tmp_path)
    for target, path in zip(TARGETS, inputs, strict=True):
        said = []
        for name, one in (("shared", result.path), ("original", path)):
            python = environment(target, tmp_path / f"{name}-{target}")
            install(python, one)
            said.append(run_python(python, _USE))
        assert said[0] == said[1]
        assert "_GLOBAL__N__" in said[0]


@pytest.mark.parametrize("mode", ["size", "balance"])
def test_code_that_zstd_packed_differently_stays(tmp_path: Path, mode: str) -> None:
    """With ``size`` all of it is packed, and nothing is left alike; with ``balance`` PTX is."""
    inputs = [
        wheel_of_names(tmp_path / "in", target, f"build-{target}", f"--compress-mode={mode}")
        for target in TARGETS[:2]
    ]
    result = fused(inputs, tmp_path / "out")
    row = result.plan.sharing.modules[1]
    assert row.renamed_bytes == 0
    assert any(
        "from the code that it equals but for names" in why or "than the code" in why for why in row.why_left
    )


def fake(id_: str, more: str) -> bytes:
    """A library with a container of this id, and more host code."""
    names = strings(kernel(id_), kernel(id_, "table"))
    return device_library(codes=[container(*[ptx_entry(ptx(id_))] * 4)], more=names + more)


def fake_wheels(directory: Path, *sources: tuple[str, str]) -> list[Path]:
    """Wheels with such a library each."""
    return [
        build_wheel(
            directory,
            str(target),
            {
                f"{PACKAGE}/__init__.py": "",
                f"{PACKAGE}.libs/lib{target}.so": fake(*source),
            },
            name=PACKAGE,
        )
        for target, source in zip(TARGETS, sources, strict=False)
    ]  # fmt: skip


def test_names_that_a_file_has_already_are_not_given_to_it(tmp_path: Path) -> None:
    other = f'const char *other(void) {{ return "see {kernel(ONE)}"; }}'
    for number, more in enumerate(("", other)):
        inputs = fake_wheels(tmp_path / f"in{number}", (ONE, ""), (TWO, more))
        code, out, err = command(
            "merge", *inputs, "-o", tmp_path, "--force", "--expect", EXPECT[:11], "--json",
            "--resolve", f"{PACKAGE}.libs/*.so=keep", "--share-device-code=names",
        )  # fmt: skip
        assert code == 0, err
        rows = json.loads(out)["device_code"]["files"]
        assert len(rows) == 2
        assert [row["module_ids"] for row in rows] == ([{}, {TWO: ONE}] if not more else [{}, {}])
        assert ("would get names that the file has already" in rows[1]["why_left"]) == bool(more)


def test_the_outcome_tells_what_was_renamed(inputs: list[Path], tmp_path: Path) -> None:
    arguments = ("merge", "--share-device-code=names", *inputs, "-o", tmp_path, "--expect", EXPECT)
    code, out, _ = command(*arguments)
    assert code == 0
    assert "differ in names alone: 2 module ids of host code changed for that" in " ".join(out.split())
    code, out, _ = command(*arguments, "--json", "--force")
    document = json.loads(out)
    rows = document["device_code"]["files"]
    assert [len(row["module_ids"]) for row in rows] == [0, 1, 1]
    assert [row["renamed_bytes"] > 250_000 for row in rows] == [False, True, True]
    with zipfile.ZipFile(document["output"]["path"]) as archive:
        told = json.loads(archive.read(f"{PACKAGE}-1.0.dist-info/wheelfuse.json"))
    ids = {member["path"]: member.get("module_ids", {}) for member in told["members"]}
    assert [ids[row["path"]] for row in rows] == [row["module_ids"] for row in rows]


def test_the_option_takes_no_wheel_for_its_value(inputs: list[Path], tmp_path: Path) -> None:
    for options, renamed in (
        (["--share-device-code"], False),
        (["--share-device-code=equal"], False),
        (["--share-device-code=names"], True),
        (["--no-share-device-code"], False),
    ):
        code, out, err = command(
            "merge", *options, *inputs, "-o", tmp_path, "--dry-run", "--json", "--expect", EXPECT
        )
        assert code == 0, err
        rows = json.loads(out)["device_code"]["files"]
        assert any(row["renamed_bytes"] for row in rows) == renamed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--share-device-code=all"], "'all' is not one of"),
        (["--share-device-code", "--no-share-device-code"], "exclude each other"),
    ],
)
def test_other_values_are_refused(inputs: list[Path], arguments: list[str], message: str) -> None:
    code, _, err = command("merge", *arguments, *inputs, "--dry-run")
    assert code == 2
    assert message in err


@pytest.mark.parametrize(("value", "renamed"), [('"names"', True), ("true", False), ("false", False)])
def test_the_project_says_it(inputs: list[Path], tmp_path: Path, value: str, renamed: bool) -> None:
    config = tmp_path / "pyproject.toml"
    config.write_text(f"[tool.wheelfuse.merge]\nshare-device-code = {value}\n")
    code, out, err = command("merge", *inputs, "--dry-run", "--json", "--expect", EXPECT, "--config", config)
    assert code == 0, err
    assert any(row["renamed_bytes"] for row in json.loads(out)["device_code"]["files"]) == renamed


@pytest.mark.parametrize("value", ["equal", "", 1, 0, ["names"]])
def test_the_project_cannot_say_anything_else(value: object) -> None:
    with pytest.raises(UsageError, match='share-device-code must be true, false or "names"'):
        MergeOptions.from_table({"share-device-code": value})


def test_the_command_line_is_over_the_project() -> None:
    project = MergeOptions(share_device_code="names")
    assert MergeOptions().over(project).share_device_code == "names"
    assert MergeOptions(share_device_code=False).over(project).share_device_code is False
    assert MergeOptions(share_device_code=True).over(project).share_device_code is True


def test_a_missing_library_stops_it_before_anything_is_read(
    inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lz4", None)
    code, _, err = command("merge", "--share-device-code=names", *inputs, "-o", tmp_path)
    assert code == 2
    assert "pip install 'wheelfuse[names]'" in err
    outcome = wheelfuse.merge(inputs, tmp_path, MergeOptions(expect=tuple(TARGETS), share_device_code=True))
    assert outcome.written
    assert "names alone" not in merge_report(outcome)
