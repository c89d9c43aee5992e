"""Rows of wheels that never were, drawn by a seed, and a survey that holds them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from wheelfuse.abi import cpython, torch
from wheelfuse.surveying import parts
from wheelfuse.surveying.rows import MemberRow, ModuleRow, Rows, SymbolRow, WheelRow
from wheelfuse.surveying.tables import packed

CPYTHONS = ("cp39", "cp311", "cp312", "cp313", "cp313t", "cp314")
PLATFORMS = (
    ("manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    ("manylinux_2_28_aarch64",),
    ("musllinux_1_2_x86_64",),
)
GLIBC = (None, "2.5", "2.17", "2.28", "2.4", "2.34")
OTHERS = ("memcpy", "cudaMalloc", "cudaMallocHost", "deflate", "we[ird*")
UNKNOWN = "PyQuite_Unheard"
TORCH = ("aoti_torch_empty_strided", "_ZN2at4_ops5empty6nobodyEv", "_ZNK10c10_nobodyEv")


def symbols() -> list[str]:
    """Symbols of CPython: some that all have, some that came or went, private ones, and one that none has."""
    names = sorted(cpython.table().rows)
    drawn = random.Random(2).sample(names, 60)
    return [*drawn, UNKNOWN, "_PyLong_AsByteArray", "PyObject_Call", "PyLong_FromLong"]


def torch_symbols() -> list[str]:
    """Symbols that some versions of torch export, and one that none does."""
    lines = torch.exports().lines
    names = [line.split(" ")[0] for line in random.Random(3).sample(lines, 12)]
    return [*names, "_ZN2at6nobodyEv"]


def drawn(seed: int, releases: int) -> list[Rows]:
    """The wheels of so many releases."""
    draw = random.Random(seed)
    return [rows for number in range(releases) for rows in _release(draw, number)]


def _release(draw: random.Random, number: int) -> Iterable[Rows]:
    project, version = f"project-{number // 2:03}", f"{1 + number % 2}.0"
    kind = draw.choice(["single", "single", "single", "abi3", "pure", "plain"])
    limited = draw.random() < 0.4
    tags = {
        "abi3": [("cp39", "abi3")], "pure": [("py3", "none")], "plain": [("py3", "none")],
    }.get(kind) or [(tag.rstrip("t"), tag) for tag in sorted(draw.sample(CPYTHONS, draw.randint(1, 5)))]  # fmt: skip
    for platform in draw.sample(PLATFORMS, 1 if kind == "pure" else draw.randint(1, 2)):
        for python, abi in tags:
            yield _wheel(
                draw, project, version, python, abi, ("any",) if kind == "pure" else platform, limited
            )


def _wheel(
    draw: random.Random,
    project: str,
    version: str,
    python: str,
    abi: str,
    platform: tuple[str, ...],
    limited: bool,
) -> Rows:
    file = f"{project.replace('-', '_')}-{version}-{python}-{abi}-{'.'.join(platform)}.whl"
    name = f"{draw.getrandbits(64):016x}"
    if draw.random() < 0.05:
        return Rows(_row(name, file, project, version, (python,), (abi,), platform, status="failed"))
    module_rows: list[ModuleRow] = []
    symbol_rows: list[SymbolRow] = []
    member_rows = list(_members(draw, name, project, version, abi))
    for path, module, target, stable in _files(draw, python, abi, platform):
        asked = list(_symbols(draw, name, path, limited))
        symbol_rows += asked
        loaders = draw.choice([(), ("cp312",), (abi,)]) if module is None else (abi,)
        glibc = draw.choice(GLIBC)
        needs_torch = ("2.7", "2.8") if any(row.kind == "torch" for row in asked) else None
        made = _module(name, path, module, target, stable, glibc, loaders, needs_torch)
        module_rows.append(made._replace(**_face(draw, module is None)))
        member_rows.append(
            MemberRow(name, path, f"sha256={draw.randint(1, 6)}", 1000, draw.randint(100, 900))
        )
    needed = [row.glibc for row in module_rows if row.glibc]
    known = [row.torch for row in module_rows if row.torch is not None]
    return Rows(
        _row(
            name, file, project, version, (python,), (abi,), platform,
            size=sum(row.packed + 76 + 2 * len(row.path) for row in member_rows) + 22,
            requires=draw.choice([None, ">=3.9", ">=3.8,<3.14", "=="]),
            uncovered=draw.choice([(), (), ("cp315",), ("cp314t", "cp315")]),
            glibc=max(needed, key=_key) if needed else None,
            claimed=draw.choice(GLIBC),
            torch=known[0] if known else None,
            targets=() if abi == "none" else (abi,) if abi != "abi3" else ("cp39", "cp310"),
        ),
        tuple(module_rows), tuple(symbol_rows), tuple(member_rows),
    )  # fmt: skip


def _key(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _files(
    draw: random.Random, python: str, abi: str, platform: tuple[str, ...]
) -> Iterable[tuple[str, str | None, str | None, str | None]]:
    if platform == ("any",):
        return
    for module in draw.sample(["_a", "_b", "_c"], draw.randint(1, 3)):
        if abi == "abi3":
            yield f"pkg/{module}.abi3.so", f"pkg.{module}", None, "abi3"
        elif abi == "none" or draw.random() < 0.2:
            yield f"pkg/{module}.so", f"pkg.{module}", None, None
        else:
            target = abi if draw.random() < 0.9 else "cp38"
            yield f"pkg/{module}.cpython-{target[2:]}-x86_64-linux-gnu.so", f"pkg.{module}", target, None
    if draw.random() < 0.7:
        yield "pkg.libs/libhelp.so.1", None, None, None
    if draw.random() < 0.7:
        yield "pkg.libs/libhelp.so", None, None, None


def _face(draw: random.Random, is_library: bool) -> dict[str, Any]:
    """What builds of one library have in common; modules may link one."""
    needed = ("libc.so.6", *(["libhelp.so.1"] if draw.random() < 0.2 else []))
    if not is_library:
        return {"needed": needed}
    bound = draw.random() < 0.2
    return {
        "size": draw.choice([1000, 1000, 1000, 1001]),
        "python_symbols": int(bound),
        "needed": ("libc.so.6",),
    }


def _symbols(draw: random.Random, name: str, path: str, limited: bool) -> Iterable[SymbolRow]:
    known = symbols()
    pool = ["PyObject_Call", "PyLong_FromLong"] if limited else known
    for symbol in draw.sample(pool, min(len(pool), draw.randint(0, 8))):
        yield SymbolRow(name, path, symbol, None, draw.random() < 0.1, draw.random() < 0.1, "cpython")
    for symbol in draw.sample(OTHERS, draw.randint(0, 3)):
        version = draw.choice(["GLIBC_2.2.5", "GLIBC_2.14", None])
        yield SymbolRow(name, path, symbol, version, draw.random() < 0.2, draw.random() < 0.2, "other")
    if draw.random() < 0.2:
        for symbol in draw.sample(torch_symbols(), 3):
            yield SymbolRow(name, path, symbol, None, draw.random() < 0.2, draw.random() < 0.2, "torch")


def _members(draw: random.Random, name: str, project: str, version: str, abi: str) -> Iterable[MemberRow]:
    info = f"{project.replace('-', '_')}-{version}.dist-info"
    yield MemberRow(name, f"{info}/METADATA", f"sha256={abi}", 500, draw.randint(200, 300))
    yield MemberRow(name, f"{info}/sboms/a.json", f"sha256={draw.choice('ab')}", 70, 60)
    yield MemberRow(name, f"{info}/RECORD", None, 500, draw.randint(200, 300))
    yield MemberRow(name, "pkg/__init__.py", f"sha256={draw.choice('ab')}", 50, 40)
    yield MemberRow(name, f"pkg/__pycache__/__init__.cpython-{abi}.pyc", f"sha256={abi}", 50, 40)
    yield MemberRow(name, "pkg/data.bin", "sha256=same", 50_000, 40_000)
    if draw.random() < 0.5:
        yield MemberRow(name, "pkg/table.bin", f"sha256={draw.choice('ab')}", 50, 40)
    if draw.random() < 0.3:
        yield MemberRow(name, "pkg/some.py", "sha256=some", 50, 40)


def _row(
    name: str, file: str, project: str, version: str, pythons: tuple[str, ...], abis: tuple[str, ...],
    platforms: tuple[str, ...], *, status: str = "read", size: int = 100, requires: str | None = None,
    uncovered: tuple[str, ...] = (), glibc: str | None = None, claimed: str | None = None,
    torch: tuple[str, ...] | None = None, targets: tuple[str, ...] = (),
) -> WheelRow:  # fmt: skip
    return WheelRow(
        id=name, url=f"http://host/{file}", file=file, identity=f"sha256:{name}", status=status,
        reason=None if status == "read" else "no zip file", project=project, version=version, build=None,
        python_tags=pythons, abi_tags=abis, platform_tags=platforms, size=size, fetched=10, requests=1,
        requires_python=requires, generator=None, members=5, unpacked=1000, shared_objects=1, whole=0, problems=(),
        targets=targets, uncovered=uncovered, glibc=glibc, glibc_claimed=claimed, torch=torch,
    )  # fmt: skip


def _module(
    name: str, path: str, module: str | None, target: str | None, stable: str | None, glibc: str | None,
    loaders: tuple[str, ...], torch: tuple[str, ...] | None,
) -> ModuleRow:  # fmt: skip
    return ModuleRow(
        id=name, path=path, module=module, target=target, stable_abi=stable, size=1000, packed=300, whole=False,
        machine="EM_X86_64", needed=("libc.so.6",), glibc=glibc, imports=5, exports=1, python_symbols=3,
        private_symbols=1, limited_api=None, loaders=loaders, missing=(), torch=torch,
    )  # fmt: skip


def surveyed(directory: Path, wheels: Sequence[Rows]) -> Path:
    """A survey that holds these rows, in several parts."""
    with parts.opened(directory, resume=True) as survey:
        for number, rows in enumerate(wheels, 1):
            survey.add(packed(rows))
            if number % 50 == 0:
                survey.flush()
        survey.flush()
    return directory
