"""Wheels for machines and systems that the tests do not run on, and wheels of the stable ABI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interpreters import available, run_python
from tests.real.download import fetched, sets
from tests.real.environments import create, import_each
from tests.real.fusing import merge
from tests.real.test_fuse import differing, members
from tests.wheels import wheelfuse
from wheelfuse.target import Target

pytestmark = pytest.mark.real


@pytest.mark.parametrize("machine", sets("machines"))
def test_wheels_of_every_machine_are_fused_and_split_exactly(machine: str, tmp_path: Path) -> None:
    originals = fetched("machines", machine)
    labels = [path.name.split("-")[3] for path in originals]
    outcome = merge(originals, tmp_path / "fused", "--expect", ",".join(labels))
    fused = Path(outcome["output"]["path"])

    assert fused.stem.endswith(machine.removeprefix("musllinux-"))
    assert {cell for row in outcome["modules"] for cell in row["files"]} == set(labels)
    assert outcome["not_restorable"] == []

    done = wheelfuse("split", fused, "-d", tmp_path / "split")
    assert done.returncode == 0, done.stderr
    again = {path.name: members(path) for path in (tmp_path / "split").iterdir()}
    expected = {path.name: members(path) for path in originals}
    assert again.keys() == expected.keys()
    assert not [name for name in expected if differing(expected[name], again[name])]


def test_a_wheel_for_the_wrong_machine_under_the_right_name_is_refused(tmp_path: Path) -> None:
    (foreign,) = (path for path in fetched("machines", "s390x") if "-cp313-" in path.name)
    disguised = tmp_path / foreign.name.replace("s390x", "x86_64")
    disguised.symlink_to(foreign)

    refused = wheelfuse("merge", disguised, "-o", tmp_path / "out", "--expect", "cp313")

    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "_cext.cpython-313-s390x-linux-gnu.so" in refused.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("sets_of_wheels", "values"),
    [
        ((("machines", "aarch64"), ("projects", "markupsafe")), ("aarch64 glibc", "x86_64 glibc")),
        ((("machines", "musllinux-x86_64"), ("projects", "markupsafe")), ("x86_64 musl", "x86_64 glibc")),
        ((("machines", "aarch64"), ("machines", "musllinux-aarch64")), ("aarch64 glibc", "aarch64 musl")),
    ],
)
def test_a_mix_of_machines_or_libcs_is_refused(
    sets_of_wheels: tuple[tuple[str, str], tuple[str, str]], values: tuple[str, str], tmp_path: Path
) -> None:
    first, second = (fetched(*keys) for keys in sets_of_wheels)
    mixed = [
        *(path for path in first if "-cp313-" in path.name),
        *(p for p in second if "-cp314t-" in p.name),
    ]
    assert len(mixed) == 2

    refused = wheelfuse("merge", *mixed, "-o", tmp_path / "out")

    assert refused.returncode == 4
    assert "machine and libc" in refused.stderr
    for value, path in zip(values, mixed, strict=True):
        assert f"{value}: {path.name}" in refused.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("tag", "system"), [("macosx", "macOS"), ("win", "Windows")])
def test_wheels_of_other_systems_are_not_fused_yet(tag: str, system: str, tmp_path: Path) -> None:
    (wheel,) = (path for path in fetched("other-systems") if f"-{tag}" in path.name)

    refused = wheelfuse("merge", wheel, "-o", tmp_path / "out")

    assert refused.returncode == 3
    assert refused.stderr.startswith(f"error: {wheel.name}: ")
    assert f"wheels for {system} cannot be fused yet" in refused.stderr
    assert not (tmp_path / "out").exists()


def stable(project: str, *tags: str) -> list[Path]:
    """The pinned wheels of a project with these python and ABI tags."""
    return [path for tag in tags for path in fetched("stable-abi", project) if f"-{tag}-" in path.name]


def test_wheels_of_the_stable_abi_and_of_free_threaded_builds_are_fused(scratch: Path) -> None:
    wheels = stable("psutil", "cp36-abi3", "cp313-cp313t", "cp314-cp314t")
    outcome = merge(wheels, scratch / "fused")
    path = Path(outcome["output"]["path"])

    (module,) = outcome["modules"]
    assert module["module"] == "psutil._psutil_linux"
    served = {target: entry["label"] for entry in outcome["targets"] for target in entry["serves"]}
    for target in available():
        if str(target) not in served:
            assert target == Target(15, free_threaded=True)
            continue
        python = create(target, scratch / str(target), path, "uv", ())
        file = module["files"][served[str(target)]]
        assert import_each(python, [module["module"]]) == {module["module"]: file}
        used = (
            "import os, psutil; print(psutil.Process().pid == os.getpid(), psutil.virtual_memory().total > 0)"
        )
        assert run_python(python, used).split() == ["True", "True"]


def test_a_wheel_of_the_stable_abi_covers_what_its_tag_admits_and_no_more(tmp_path: Path) -> None:
    fits = stable("cryptography", "cp39-abi3", "cp314-cp314t")
    assert merge(fits, tmp_path / "fused")["name"].split("-")[2:4] == ["cp314.cp39", "abi3.cp314t"]

    too_new = stable("cryptography", "cp311-abi3", "cp314-cp314t")
    refused = wheelfuse("merge", *too_new, "-o", tmp_path / "out")
    assert refused.returncode == 4
    assert "cp310 is missing: Requires-Python" in refused.stderr
    assert "--allow-missing cp310" in refused.stderr
    assert not (tmp_path / "out").exists()

    outcome = merge(too_new, tmp_path / "fused", "--allow-missing", "cp310")
    assert outcome["name"].split("-")[2:4] == ["cp311.cp314", "abi3.cp314t"]


def test_wheels_of_two_stable_abis_that_one_name_cannot_keep_apart_are_refused(tmp_path: Path) -> None:
    wheels = stable("cryptography", "cp39-abi3", "cp314-cp314t", "cp315-abi3.abi3t")

    refused = wheelfuse("merge", *wheels, "-o", tmp_path / "out")

    assert refused.returncode == 4
    # The name would say cp39-abi3t as well, which the free-threaded 3.13 goes by.
    assert "cp313t would install the fused wheel, for which no wheel came" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_wheel_of_both_stable_abis_is_taken_as_what_its_tags_say(tmp_path: Path) -> None:
    wheels = stable("cryptography", "cp315-abi3.abi3t")

    refused = wheelfuse("merge", *wheels, "-o", tmp_path / "out")
    assert refused.returncode == 4
    assert "cp310, cp311, cp312, cp313, cp314 are missing" in refused.stderr
    assert not (tmp_path / "out").exists()

    outcome = merge(wheels, tmp_path / "fused", "--allow-missing", "cp310,cp311,cp312,cp313,cp314")
    assert outcome["name"].split("-")[2:4] == ["cp315", "abi3.abi3t"]
    (entry,) = outcome["targets"]
    assert {"cp315", "cp315t"} <= set(entry["serves"])
