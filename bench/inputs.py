"""The inputs of the cases: pinned wheels of the package index, and generated ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import wheels
from bench.wheels import GIB, MIB, Member, Payload
from tests.native import module
from tests.real.download import brought, pins

TAGS = ("cp312-cp312", "cp313-cp313")
"""The tags of generated pairs."""

PAIR = ("--expect", "cp312,cp313")

HUGE = (9 * GIB // 2, *[GIB // 4] * 8)
"""The sizes of the members of the wheels of 7 GB, in bytes: one of more than 4 GiB."""

STORED = 9 * GIB // 2
"""The size of the only large member of the wheels that are larger than 4 GiB as files, in bytes."""


def onnxruntime() -> list[Path]:
    """onnxruntime-gpu 1.31.1 for CPython 3.12 to 3.14: 3 × 256 MB, 1.05 GB inflated."""
    return brought(*pins("bench", "onnxruntime-gpu"))


def cupy() -> list[Path]:
    """cupy-cuda12x 14.2.0 for CPython 3.11 and 3.12: 2,438 members each, of which 65 extension modules."""
    return brought(*pins("projects", "cupy-cuda12x"))


def markupsafe() -> list[Path]:
    """markupsafe 3.0.3 for CPython 3.9 to 3.14: six small wheels."""
    return brought(*pins("bench", "markupsafe"))


def triton() -> list[Path]:
    """triton 3.9.0: one wheel, whose libtriton.so has 505 MB."""
    return brought(*pins("bench", "triton"))


def forty() -> list[Path]:
    """40 wheels of 9 projects, 0.2 to 48 MB each, 0.4 GB in all."""
    projects = (
        "faiss-gpu-cu12",
        "aiohttp",
        "cffi",
        "greenlet",
        "lxml",
        "msgpack",
        "numpy-2.3.5",
        "pandas",
        "pyyaml",
    )
    return brought(*[pin for project in projects for pin in pins("projects", project)[:5]][:40])


def huge(directory: Path) -> list[Path]:
    """Two wheels of 7 GB in 40 MB files: highly compressible members, one of them larger than 4 GiB (zip64)."""
    members = (Member(f"pkg/data/{n}.bin", wheels.repetition(size)) for n, size in enumerate(HUGE))
    return _pair(directory, wheels.payload(_file(directory), members))


def huge_stored(directory: Path) -> list[Path]:
    """Two wheels of 4.8 GB that are files of 4.8 GB: one stored member of zeros, which a sparse file holds (zip64)."""
    return _pair(
        directory,
        wheels.payload(_file(directory), [Member("pkg/zeros.bin", wheels.zeros(STORED))], stored=True),
    )


def of_members(directory: Path, count: int) -> list[Path]:
    """Two wheels with *count* small files each."""
    return _pair(directory, wheels.payload(_file(directory), wheels.small_files(count)))


def of_bytes(directory: Path, size: int) -> list[Path]:
    """Two wheels with *size* bytes each, in members of 4 MiB that deflate to about a third."""
    members = (
        Member(f"pkg/data/{n:04}.bin", wheels.words(4 * MIB, seed=n)) for n in range(size // (4 * MIB))
    )
    return _pair(directory, wheels.payload(_file(directory), members))


def of_inputs(directory: Path, count: int) -> list[Path]:
    """*count* wheels, from CPython 3.8 on, with the same 500 small files, 16 MiB and module each, and one own source.

    They are tagged abi3, so that the name of what is fused fits into a file name.
    """
    members: list[Member] = [*wheels.small_files(500), Member("pkg/data.bin", wheels.words(16 * MIB, seed=0))]
    shared = wheels.payload(_file(directory), members)
    files = {"pkg/_C.abi3.so": module("_C", "any", "PyLong_FromLong"), "pkg/__init__.py": b""}
    made = [
        wheels.wheel(
            directory, f"cp3{minor}-abi3", shared, {**files, "pkg/_built.py": b"FOR = 'cp3%d'\n" % minor}
        )
        for minor in range(8, 8 + count)
    ]
    shared.path.unlink()
    return made


def without_modules(directory: Path, *, whole: bool) -> tuple[list[Path], int]:
    """`cupy` without its shared objects, and the number of members of both; *whole*: the same bytes in one member."""
    made = [wheels.regrouped(path, directory, whole=whole) for path in cupy()]
    return [path for path, _ in made], sum(count for _, count in made)


def _pair(directory: Path, shared: Payload) -> list[Path]:
    made = [wheels.wheel(directory, tag, shared, {"pkg/__init__.py": b""}) for tag in TAGS]
    shared.path.unlink()
    return made


def _file(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory / "payload.zip"


def expecting(count: int) -> Iterator[str]:
    """The options for the wheels of `of_inputs`."""
    yield from ("--expect", ",".join(f"cp3{minor}" for minor in range(8, 8 + count)))
