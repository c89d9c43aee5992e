"""The CUDA extension that tests compile is what they take it for: its forms of GPU code, the same for all CPythons."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.build import header_version
from tests.cuda import MODULE, PACKAGE, build, wheel
from tests.interpreters import available, environment, install, run_python
from tests.wheels import contents
from wheelfuse.elf.fatbin import Container, read_device_code
from wheelfuse.elf.image import read_image
from wheelfuse.target import Target

TARGETS = [Target(10), Target(12), Target(14, free_threaded=True)]
_USE = f"""
import {PACKAGE} as spam
print(hex(spam.compiled_for()), spam.noise(0), spam.noise(16383))
try:
    assert (spam.scale([1, 2], 3), spam.square([3]), spam.increment([1])) == ([3, 6], [9], [2])
    assert spam.noise_of_device(7) == spam.noise(7)
except RuntimeError as error:  # without a GPU or its driver
    assert "CUDA" in str(error), error
"""


def target_with_headers(target: Target) -> Target:
    if target not in available() or header_version(available()[target]) is None:
        pytest.skip(f"no CPython with headers for {target} on this machine")
    return target


def device_code(target: Target) -> list[tuple[Container, bytes]]:
    data = build(target)
    found = read_device_code(data, read_image(data)).containers
    return [(one, data[one.offset : one.offset + one.size]) for one in found]


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_it_runs_without_cuda(target: Target, tmp_path: Path) -> None:
    path = wheel(tmp_path, target_with_headers(target))
    python = environment(target, tmp_path / "env")
    install(python, path)
    version, *noise = run_python(python, _USE).split()
    assert version.startswith(f"0x3{target.minor:02x}")
    assert noise == [str(number) for number in marsaglia(0, 16383)]


def marsaglia(*indices: int) -> list[int]:
    """Numbers of G. Marsaglia's generator xorshift32 (13, 17, 5), from his own seed."""
    state, numbers = 2463534242, []
    for _ in range(max(indices) + 1):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        numbers.append(state)
    return [numbers[index] for index in indices]


def test_it_needs_nothing_of_cuda_to_be_loaded(tmp_path: Path) -> None:
    image = read_image(build(target_with_headers(TARGETS[0])))
    assert not [name for name in image.needed if "cuda" in name]
    assert image.initialises(MODULE)


def test_it_has_every_form_of_device_code() -> None:
    found = [container for container, _ in device_code(target_with_headers(TARGETS[0]))]
    forms = [(one.section, {(entry.kind, entry.compressed) for entry in one.entries}) for one in found]
    plain = {("sass", False), ("ptx", True)}
    compressed = {("sass", True), ("ptx", True)}
    assert sorted(forms, key=str) == sorted(
        [
            (".nv_fatbin", {("sass", False)}),  # what the two relocatable files were linked to
            (".nv_fatbin", plain),
            (".nv_fatbin", {("ptx", True)}),
            (".nv_fatbin", compressed),
            ("__nv_relfatbin", compressed),
            ("__nv_relfatbin", compressed),
        ],
        key=str,
    )
    assert max(one.size for one in found) > 0x10000 * 3


@pytest.mark.parametrize("target", TARGETS[1:], ids=str)
def test_the_device_code_is_the_same_for_all_cpythons(target: Target) -> None:
    one, other = (device_code(target_with_headers(each)) for each in (TARGETS[0], target))
    assert [code for _, code in one] == [code for _, code in other]
    assert build(TARGETS[0]) != build(target)


def test_a_wheel_has_it_where_its_cpython_looks(tmp_path: Path) -> None:
    target = target_with_headers(TARGETS[0])
    members = contents(wheel(tmp_path, target))
    assert members[f"{PACKAGE}/{MODULE}.{target.soabi_tag}-x86_64-linux-gnu.so"] == build(target)
