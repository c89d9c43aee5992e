"""The Python API: what ``import wheelfuse`` promises."""

from __future__ import annotations

import dataclasses
import inspect
import os
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import wheelfuse
from tests.native import library, module, soabi
from tests.wheels import build_wheel
from wheelfuse import ConflictError, InvalidInput, MergeOptions, Rule, Target, UsageError, WheelfuseError

CP311, CP312 = Target(11), Target(12)


@pytest.fixture(autouse=True)
def silence(capfd: pytest.CaptureFixture[str]) -> typing.Iterator[None]:
    """Whatever the API is asked, it prints nothing."""
    yield
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def wheels(tmp_path: Path) -> list[Path]:
    return pair(tmp_path / "in")


def pair(directory: Path, text: typing.Callable[[Target], str] = lambda target: "") -> list[Path]:
    return [
        build_wheel(
            directory,
            str(target),
            {f"pkg/{soabi('_x', target)}": module("_x", target), "pkg/a.txt": text(target)},
            requires_python=">=3.11",
        )
        for target in (CP311, CP312)
    ]


def test_every_public_name_is_there_and_documented() -> None:
    for name in wheelfuse.__all__:
        value = getattr(wheelfuse, name)
        assert name == "__version__" or inspect.getdoc(value), name
    assert set(wheelfuse.__all__) <= set(dir(wheelfuse)) | set(wheelfuse.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = wheelfuse.nonsense


@pytest.mark.parametrize("name", ["merge", "plan", "split", "audit", "write_baseline"])
def test_functions_are_typed_and_tell_what_they_raise(name: str) -> None:
    function = getattr(wheelfuse, name)
    hints = typing.get_type_hints(function)
    assert set(hints) == {*inspect.signature(function).parameters, "return"}
    documentation = inspect.getdoc(function)
    assert documentation
    assert "Raises:" in documentation


@pytest.mark.parametrize(
    "name", [n for n in wheelfuse.__all__ if dataclasses.is_dataclass(getattr(wheelfuse, n))]
)
def test_values_cannot_be_changed(name: str) -> None:
    assert getattr(wheelfuse, name).__dataclass_params__.frozen


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(wheelfuse.__file__).parent / "py.typed").exists()


def test_neither_click_nor_rich_is_imported(wheels: list[Path], tmp_path: Path) -> None:
    code = (
        "import sys, wheelfuse\n"
        f"outcome = wheelfuse.merge({[str(path) for path in wheels]!r}, {str(tmp_path / 'out')!r})\n"
        "wheelfuse.split(outcome.written.path, outcome.written.path.parent / 'back')\n"
        "sys.exit(bool({'click', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# merge


def test_merge_tells_what_it_did(wheels: list[Path], tmp_path: Path) -> None:
    outcome = wheelfuse.merge(wheels, tmp_path / "out")
    assert outcome.inputs == tuple((path.name, path.stat().st_size) for path in wheels)
    assert [str(original.target) for original in outcome.plan.originals] == ["cp311", "cp312"]
    assert outcome.written
    assert outcome.written.path.parent == tmp_path / "out"
    assert outcome.written.size == outcome.written.path.stat().st_size
    assert len(outcome.written.sha256) == 64
    assert outcome.plan.error() is None


@pytest.mark.parametrize("form", ["path", "text", "directory", "iterator", "twice"])
def test_merge_takes_paths_in_every_form(wheels: list[Path], tmp_path: Path, form: str) -> None:
    forms: dict[str, typing.Iterable[str | os.PathLike[str]]] = {
        "path": wheels,
        "text": [str(path) for path in wheels],
        "directory": [wheels[0].parent],
        "iterator": iter(wheels),
        "twice": [*wheels, wheels[0].parent, str(wheels[0])],
    }
    outcome = wheelfuse.merge(forms[form], str(tmp_path / "out"))
    assert outcome.written
    assert len(outcome.inputs) == 2


def test_the_output_may_be_a_file_of_the_right_name(wheels: list[Path], tmp_path: Path) -> None:
    name = str(wheelfuse.plan(wheels).name)
    outcome = wheelfuse.merge(wheels, tmp_path / name)
    assert outcome.written
    assert outcome.written.path == tmp_path / name
    with pytest.raises(UsageError, match=f"must be called {name}"):
        wheelfuse.merge(wheels, tmp_path / "other.whl")


def test_the_output_directory_is_made(wheels: list[Path], tmp_path: Path) -> None:
    assert wheelfuse.merge(wheels, tmp_path / "a" / "b").written


def test_a_dry_run_writes_nothing(wheels: list[Path], tmp_path: Path) -> None:
    outcome = wheelfuse.merge(wheels, tmp_path / "out", dry_run=True)
    assert outcome.written is None
    assert outcome.plan.outputs
    assert not (tmp_path / "out").exists()


def test_progress_is_told_and_never_goes_back_in_one_step(wheels: list[Path], tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    wheelfuse.merge(wheels, tmp_path / "out", progress=lambda done, total: calls.append((done, total)))
    assert calls
    assert all(0 <= done <= total for done, total in calls)
    assert calls[-1][0] == calls[-1][1]


def test_the_same_wheels_in_any_order_give_the_same_bytes(wheels: list[Path], tmp_path: Path) -> None:
    first = wheelfuse.merge(wheels, tmp_path / "1").written
    second = wheelfuse.merge(reversed(wheels), tmp_path / "2").written
    assert first
    assert second
    assert first.sha256 == second.sha256
    assert first.path.read_bytes() == second.path.read_bytes()


def test_an_existing_output_is_replaced_only_with_force(wheels: list[Path], tmp_path: Path) -> None:
    outcome = wheelfuse.merge(wheels, tmp_path)
    assert outcome.written
    outcome.written.path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists already"):
        wheelfuse.merge(wheels, tmp_path)
    assert outcome.written.path.read_bytes() == b"mine"
    again = wheelfuse.merge(wheels, tmp_path, force=True)
    assert again.written == outcome.written


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    fused = wheelfuse.merge(pair(tmp_path / "in"), tmp_path / "out").written
    assert fused
    before = fused.path.read_bytes()
    with pytest.raises(UsageError, match="would replace an input"):
        wheelfuse.merge([fused.path], tmp_path / "out", force=True)
    assert fused.path.read_bytes() == before


# What it raises


def conflict(directory: Path) -> list[Path]:
    return pair(directory, str)


def broken(directory: Path) -> list[Path]:
    found = pair(directory)
    found[0].write_bytes(found[0].read_bytes()[:-30])
    return found


def other_release(directory: Path) -> list[Path]:
    return [build_wheel(directory, "cp311"), build_wheel(directory, "cp312", version="2.0")]


def macos(directory: Path) -> list[Path]:
    return [build_wheel(directory, "cp311", platform="macosx_11_0_arm64")]


@pytest.mark.parametrize(
    ("make", "error", "exit_code", "text"),
    [
        (lambda directory: [], UsageError, 2, "no wheels were given"),
        (lambda directory: [directory / "none.whl"], UsageError, 2, "no such file or directory"),
        (broken, InvalidInput, 3, "pkg-1.0-cp311"),
        (macos, InvalidInput, 3, "wheels for macOS cannot be fused yet"),
        (other_release, ConflictError, 4, "they differ in version"),
        (conflict, ConflictError, 4, "pkg/a.txt"),
    ],
    ids=["nothing", "no file", "damaged", "macos", "releases", "conflict"],
)
def test_a_refusal_is_an_error_of_its_kind(
    tmp_path: Path,
    make: typing.Callable[[Path], list[Path]],
    error: type[WheelfuseError],
    exit_code: int,
    text: str,
) -> None:
    given = make(tmp_path / "in")
    with pytest.raises(WheelfuseError) as caught:
        wheelfuse.merge(given, tmp_path / "out")
    assert type(caught.value) is error
    assert caught.value.exit_code == exit_code
    assert caught.value.problems
    assert text in str(caught.value)
    assert not list((tmp_path / "out").glob("*"))


def test_all_problems_of_all_inputs_come_at_once(tmp_path: Path) -> None:
    found = pair(tmp_path / "in")
    for path in found:
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InvalidInput) as caught:
        wheelfuse.merge(found, tmp_path / "out")
    assert len(caught.value.problems) >= 2
    assert all(path.name in str(caught.value) for path in found)


def test_options_are_values(tmp_path: Path) -> None:
    given = MergeOptions(resolve=(Rule("pkg/a.txt", "newest"),), expect=(CP311, CP312))
    assert wheelfuse.merge(conflict(tmp_path / "in"), tmp_path / "out", given).written


# plan


def test_a_plan_holds_its_conflicts_instead_of_raising(tmp_path: Path) -> None:
    plan = wheelfuse.plan(conflict(tmp_path / "in"))
    (found,) = plan.conflicts
    assert found.path == "pkg/a.txt"
    assert [str(group) for group in found.groups] == ["cp311", "cp312"]
    assert "newest" in found.strategies
    assert isinstance(plan.error(), ConflictError)


def test_a_plan_of_broken_contracts_is_an_invalid_input(tmp_path: Path) -> None:
    files = {f"pkg/{soabi('_x', CP312)}": module("_x", CP312, "PyThreadState_GetUnchecked")}
    plan = wheelfuse.plan([build_wheel(tmp_path, "cp312", files, requires_python=">=3.12")])
    assert isinstance(plan.error(), InvalidInput)


def test_a_plan_lists_what_it_resolved(tmp_path: Path) -> None:
    given = [
        build_wheel(
            tmp_path / "in",
            str(target),
            {"pkg/libx.so": library(f'const char *at(void) {{ return "{target}"; }}', "libx.so")},
            requires_python=">=3.11",
        )
        for target in (CP311, CP312)
    ]
    plan = wheelfuse.plan(given)
    assert [
        (resolution.rule, resolution.path) for resolution in plan.resolutions if ".so" in resolution.path
    ] == [("interchangeable", "pkg/libx.so")]


# split


def test_split_gives_the_wheels_back(wheels: list[Path], tmp_path: Path) -> None:
    outcome = wheelfuse.merge(wheels, tmp_path / "out")
    assert outcome.written
    parts = wheelfuse.split(str(outcome.written.path), tmp_path / "back", [CP312])
    assert [(part.label, part.path.name) for part in parts] == [("cp312", wheels[1].name)]
    assert parts[0].size == parts[0].path.stat().st_size


@pytest.mark.parametrize("targets", [(), (Target(14),)])
def test_split_raises_what_it_says(wheels: list[Path], tmp_path: Path, targets: tuple[Target, ...]) -> None:
    with pytest.raises(UsageError):
        wheelfuse.split(wheels[0], tmp_path / "back", targets)
    assert not (tmp_path / "back").exists()


def test_split_of_no_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pkg-1\.0-cp312-cp312-linux_x86_64\.whl: no such file"):
        wheelfuse.split(tmp_path / "pkg-1.0-cp312-cp312-linux_x86_64.whl")
