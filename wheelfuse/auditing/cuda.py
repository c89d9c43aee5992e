"""What a file says of the GPUs that it runs on, and of the CUDA libraries that it uses."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from wheelfuse.auditing.subject import SharedObject, Subject
from wheelfuse.elf.fatbin import DeviceCode

GENERATIONS = (50, 52, 60, 61, 70, 75, 80, 86, 89, 90, 100, 103, 120, 121)
"""The compute capabilities of data center and desktop GPUs (CUDA C++ Programming Guide, compute capabilities)."""

_ARCH = re.compile(r"(sm|compute)_(\d+)([af]?)")
_CUDART = re.compile(r"libcudart(?:-[0-9a-f]{8})?\.so\.(\d+)(?:\.\d+)*")
_TOOLKITS = {9: "13", 8: "12", 7: "11", 6: "10"}
"""Major version of the PTX language -> of the CUDA toolkit (PTX ISA, release notes)."""


def runs_on(code: DeviceCode, generation: int) -> bool:
    """Whether a GPU of this compute capability (90: 9.0) can run the code, as it is or compiled by the driver.

    Machine code runs on its own generation and later ones of the same major version; PTX on any that is not
    older. With suffix ``a`` both run on that one alone, with ``f`` on its family (NVCC documentation).
    """
    return any(_covers(arch, generation) for arch in code.architectures)


def runs_natively_on(code: DeviceCode, generation: int) -> bool:
    """Whether a GPU of this compute capability can run machine code of it, with nothing left to the driver."""
    return any(_covers(arch, generation) for arch in code.sass)


def _covers(arch: str, generation: int) -> bool:
    match = _ARCH.fullmatch(arch)
    if not match or int(match[2]) > generation:
        return False
    kind, number, suffix = match[1], int(match[2]), match[3]
    if suffix == "a":
        return number == generation
    return (kind == "compute" and not suffix) or number // 10 == generation // 10


def newest(code: DeviceCode) -> str:
    """The newest architecture of machine code; of PTX if there is no other; empty if there is neither."""
    return (code.sass or code.ptx or ("",))[-1]


def uncovered(code: DeviceCode) -> tuple[int, ...]:
    """The GPU generations after the oldest in the code that cannot run it."""
    numbers = [int(match[2]) for arch in code.architectures if (match := _ARCH.fullmatch(arch))]
    return tuple(g for g in GENERATIONS if numbers and g > min(numbers) and not runs_on(code, g))


def is_for_future_gpus(code: DeviceCode) -> bool:
    """Whether the driver can compile it for GPUs that are not out yet."""
    return runs_on(code, 10_000)


def is_specific(code: DeviceCode) -> bool:
    """Whether all of it is for single GPUs or families, so that others were left out on purpose."""
    kinds = [match for arch in code.architectures if (match := _ARCH.fullmatch(arch))]
    return bool(kinds) and all(match[3] for match in kinds)


@dataclass(frozen=True, order=True)
class Runtime:
    """The CUDA run-time library that a file uses: ``major`` version (empty if not known), and from where."""

    major: str
    how: str


def runtimes(file: SharedObject) -> tuple[Runtime, ...]:
    """The CUDA run-time libraries that a file links, sorted.

    A static copy does not tell its version; that of the toolkit which compiled the PTX beside it stands for it.
    """
    found = {Runtime(match[1], f"links {n}") for n in file.image.needed if (match := _CUDART.fullmatch(n))}
    if file.producers.static_cudart:
        found.add(Runtime(toolkit(file.device_code), "static"))
    return tuple(sorted(found))


def toolkit(code: DeviceCode) -> str:
    """Major version of the CUDA toolkit that made the code, by the version of its PTX; empty if there is none."""
    return max((_TOOLKITS.get(e.version[0], "") for e in code.entries if e.kind == "ptx"), default="")


def compiler_libraries(file: SharedObject) -> tuple[str, ...]:
    """The names under which a file links libnvrtc, or opens it; none for that library itself."""
    if file.image.soname.startswith("libnvrtc"):
        return ()
    linked = {name for name in file.image.needed if name.startswith("libnvrtc")}
    opened = {name for name in file.producers.opens if name.startswith("libnvrtc")}
    imports = {"libnvrtc" for symbol in file.image.imports if symbol.name.startswith("nvrtc")}
    return tuple(sorted(linked | opened or imports))


def grouped_by_code(subject: Subject) -> Iterator[tuple[DeviceCode, tuple[str, ...]]]:
    """The files with GPU code, those for the same architectures together: the code of the first, and all paths."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path, file in sorted(subject.files.items()):
        if file.device_code:
            groups[file.device_code.architectures].append(path)
    for paths in groups.values():
        yield subject.files[paths[0]].device_code, tuple(paths)


def is_header(path: str) -> bool:
    """Whether a file is C++ or CUDA source that other source includes."""
    return path.endswith((".h", ".hpp", ".hxx", ".cuh", ".inl"))
