"""GPU code that is stored once: what the fused wheel holds, that it loads, and that split gives everything back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import wheelfuse
from tests.cuda import MODULE, PACKAGE, build, wheel
from tests.fuse.merging import Fused, command
from tests.interpreters import available, environment, install, run_python
from tests.native import module, soabi
from tests.wheels import build_wheel, contents
from wheelfuse import MergeOptions, Target
from wheelfuse.elf.fatbin import read_device_code
from wheelfuse.elf.image import read_image

TARGETS = [target for target in map(Target.parse, ("cp310", "cp312", "cp313")) if target in available()]
SHARED = MergeOptions(expect=tuple(TARGETS), share_device_code=True)
PLAIN = MergeOptions(expect=tuple(TARGETS), share_device_code=False)
_USE = f"import {PACKAGE} as spam; print(hex(spam.compiled_for()), spam.noise(0), spam.noise(16383))"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    directory = tmp_path_factory.mktemp("in")
    return [wheel(directory, target) for target in TARGETS]


def fused(inputs: list[Path], directory: Path, options: MergeOptions = SHARED) -> Fused:
    outcome = wheelfuse.merge(inputs, directory, options)
    assert outcome.written
    return Fused(outcome.written.path, outcome.plan)


def carrier_of(result: Fused) -> str:
    (path,) = [name for name in result.names if "-device-" in name]
    return path


def test_equal_code_is_stored_once(inputs: list[Path], tmp_path: Path) -> None:
    shared, plain = fused(inputs, tmp_path / "shared"), fused(inputs, tmp_path / "plain", PLAIN)
    before = read_device_code(build(TARGETS[0]), read_image(build(TARGETS[0])))
    moved = before.containers
    carrier = shared.read(carrier_of(shared))
    found = read_device_code(carrier, read_image(carrier)).containers
    assert sorted(container.size for container in found) == sorted(container.size for container in moved)
    assert shared.plan.sharing.saved == (len(TARGETS) - 1) * sum(container.size for container in moved)
    for target in TARGETS:
        path = f"{PACKAGE}/{soabi(MODULE, target)}"
        left = read_device_code(shared.read(path), read_image(shared.read(path))).containers
        assert left == ()
        assert len(shared.read(path)) < len(plain.read(path)) - 200_000
    assert not [name for name in plain.names if "-device-" in name]
    assert shared.path.stat().st_size < plain.path.stat().st_size - 200_000


def test_modules_without_their_code_run_as_before(inputs: list[Path], tmp_path: Path) -> None:
    result = fused(inputs, tmp_path)
    for target in TARGETS:
        python = environment(target, tmp_path / str(target))
        install(python, result.path)
        version, *noise = run_python(python, _USE).split()
        assert version.startswith(f"0x3{target.minor:02x}")
        assert len(noise) == 2


def test_split_gives_every_file_back(inputs: list[Path], tmp_path: Path) -> None:
    result = fused(inputs, tmp_path)
    back = wheelfuse.split(result.path, tmp_path / "back")
    assert [contents(item.path) for item in back] == [contents(path) for path in inputs]


def test_merging_in_steps_is_merging_at_once(inputs: list[Path], tmp_path: Path) -> None:
    at_once = fused(inputs, tmp_path / "once").path.read_bytes()
    first = fused(
        inputs[:2], tmp_path / "first", MergeOptions(expect=tuple(TARGETS[:2]), share_device_code=True)
    )
    assert fused([first.path, *inputs[2:]], tmp_path / "steps").path.read_bytes() == at_once
    assert fused(inputs[::-1], tmp_path / "order").path.read_bytes() == at_once
    again = fused([tmp_path / "once"], tmp_path / "again")
    assert again.path.read_bytes() == at_once


def test_code_moves_together_with_other_names(tmp_path: Path) -> None:
    """A module without a CPython in its name is renamed, and its code moves."""
    inputs = [
        build_wheel(
            tmp_path / "in", str(target), {f"{PACKAGE}/{MODULE}.so": build(target), f"{PACKAGE}/__init__.py": ""},
            name=PACKAGE, requires_python=">=3.10",
        )
        for target in TARGETS
    ]  # fmt: skip
    result = fused(inputs, tmp_path)
    assert {f"{PACKAGE}/{soabi(MODULE, target)}" for target in TARGETS} <= result.names
    back = wheelfuse.split(result.path, tmp_path / "back")
    assert [contents(item.path) for item in back] == [contents(path) for path in inputs]


def test_little_is_shared_only_if_asked_for(inputs: list[Path], tmp_path: Path) -> None:
    result = fused(inputs, tmp_path, MergeOptions(expect=tuple(TARGETS)))
    assert not result.plan.sharing.carrier
    assert result.plan.sharing.possible > 400_000


def test_the_outcome_tells_what_was_shared(inputs: list[Path], tmp_path: Path) -> None:
    expect = ",".join(map(str, TARGETS))
    code, out, _ = command(
        "merge", *inputs, "-o", tmp_path, "--expect", expect, "--share-device-code", "--json"
    )
    assert code == 0
    told = json.loads(out)["device_code"]
    assert told["carrier"].startswith(f"{PACKAGE}.libs/lib{PACKAGE}-device-")
    assert told["saved_on_disk"] == told["possible"] > 400_000
    assert 100_000 < told["saved_in_wheel"] <= told["saved_on_disk"]
    for row in told["files"]:
        assert (row["containers"], row["left_bytes"], row["why_left"]) == (6, 0, [])
        assert row["architectures"] == ["sm_80", "sm_90", "compute_80", "compute_90"]
    code, out, _ = command(
        "merge", *inputs, "-o", tmp_path, "--expect", expect, "--share-device-code", "--force"
    )
    assert f"stored once for {len(TARGETS)} files: saves" in out
    assert f"           in {told['carrier']}\n" in out


def test_wheels_without_gpu_code_say_nothing_of_it(tmp_path: Path) -> None:
    for target in TARGETS:
        build_wheel(tmp_path / "in", str(target), {f"pkg/{soabi('_x', target)}": module("_x", target)})
    expect = ",".join(map(str, TARGETS))
    code, out, _ = command(
        "merge", tmp_path / "in", "-o", tmp_path, "--expect", expect, "--share-device-code"
    )
    assert code == 0
    assert "GPU" not in out


@pytest.mark.parametrize(
    ("section", "what"),
    [
        (".hip_fatbin", "ROCm's code (.hip_fatbin) is not shared"),
        (".nv_fatbin", "unreadable GPU code: section .nv_fatbin"),
    ],
)
def test_code_that_cannot_be_read_stays_and_is_told(tmp_path: Path, section: str, what: str) -> None:
    place = f'__attribute__((section("{section},\\"a\\",@progbits#"), used))'
    declare = f"{place} static const char code[1 << 20] = {{ 1 }};"
    for target in TARGETS:
        files = {f"pkg/{soabi('_x', target)}": module("_x", target, declare=declare)}
        build_wheel(tmp_path / "in", str(target), files)
    result = fused([tmp_path / "in"], tmp_path / "out")
    assert not result.plan.sharing.carrier
    for row in result.plan.sharing.modules:
        assert row.left_bytes >= 1 << 20
        assert any(what in why for why in row.why_left), row
    assert len(result.plan.sharing.modules) == len(TARGETS)


def test_a_file_that_is_installed_elsewhere_keeps_its_code(inputs: list[Path], tmp_path: Path) -> None:
    """From `.data/data` no RPATH leads to site-packages for sure; from `.data/platlib` it does."""
    paths = {scheme: f"{PACKAGE}-1.0.data/{scheme}/{PACKAGE}" for scheme in ("platlib", "data")}
    for target in TARGETS:
        files = {f"{path}/{soabi(MODULE, target)}": build(target) for path in paths.values()}
        build_wheel(tmp_path / "in", str(target), files, name=PACKAGE)
    result = fused([tmp_path / "in"], tmp_path)
    shared = {row.path: row.containers for row in result.plan.sharing.modules}
    for target in TARGETS:
        assert shared[f"{paths['platlib']}/{soabi(MODULE, target)}"] == 6
        assert shared[f"{paths['data']}/{soabi(MODULE, target)}"] == 0
    python = environment(TARGETS[0], tmp_path / "env")
    install(python, result.path)
    assert run_python(python, f"import {PACKAGE}.{MODULE} as spam; print(spam.noise(0))").strip().isdigit()
