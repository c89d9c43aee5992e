"""What a survey says that merging saves is what it saves, and what it says is to be decided is what merge asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.real.download import fetched
from wheelfuse import MergeOptions, ask, merge, survey
from wheelfuse.fuse.model import Conflict

pytestmark = pytest.mark.real

PROJECTS = (
    "aiohttp", "cffi", "greenlet", "kiwisolver", "lxml", "markupsafe", "msgpack", "numpy-2.3.5", "orjson", "pandas",
    "psycopg2-binary", "pyarrow", "pyyaml", "regex",
)  # fmt: skip
TWO = ("torchtext", "torchvision-0.25")
"""Of which there are two wheels."""
NEAR = 0.04
"""How far the estimate may be from the size, as a part of that. Merge adds some KB of its own, which counts in
wheels of 50 KB."""
GENERATED = ("pyarrow/include/arrow/python/lib.h", "pyarrow/include/arrow/python/lib_api.h")
"""By Cython, which no survey sees."""


def wheels_of(project: str) -> list[Path]:
    if project in PROJECTS:
        return fetched("projects", project)
    return sorted({path for path in fetched("audit") if path.name.startswith(project)})


@pytest.fixture(scope="module")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What is said of each project."""
    index = tmp_path_factory.mktemp("survey") / "index"
    wheels = [str(path) for project in (*PROJECTS, *TWO) for path in wheels_of(project)]
    assert survey(wheels, index, workers=1).failed == 0
    [table] = ask(index, "fuse-candidates").tables
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in table.rows]
    assert len(rows) == len(PROJECTS) + len(TWO)
    return {str(row["project"]): row for row in rows}


@pytest.mark.parametrize("project", [*PROJECTS, *TWO])
def test_the_estimate_is_near_the_size_of_the_fused_wheel(
    project: str, candidates: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    row, wheels = candidates[project.rpartition("-")[0] if "." in project else project], wheels_of(project)
    sizes = [path.stat().st_size for path in wheels]
    assert (row["wheels"], row["size"], row["largest"]) == (len(wheels), sum(sizes), max(sizes))
    conflicts = asked(wheels, row["cpythons"])
    paths = {conflict.path for conflict in conflicts}
    assert set(row["to_decide"]) - set(GENERATED) <= paths <= {*row["to_decide"], *row["alike"]}
    [fused] = merged(wheels, tmp_path, row["cpythons"], conflicts)
    assert abs(row["fused"] - fused) / fused < NEAR, (row["fused"], fused)


def asked(wheels: list[Path], cpythons: tuple[str, ...]) -> tuple[Conflict, ...]:
    """What merge wants to have decided."""
    return merge(wheels, options=options(cpythons), dry_run=True).plan.conflicts


def merged(
    wheels: list[Path], directory: Path, cpythons: tuple[str, ...], conflicts: Iterable[Conflict]
) -> Iterator[int]:
    """The size of the fused wheel, each conflict settled in the way that is offered first."""
    merge(wheels, directory, options(cpythons, {it.path: it.strategies[0] for it in conflicts}))
    return (path.stat().st_size for path in directory.glob("*.whl"))


def options(cpythons: tuple[str, ...], resolve: Mapping[str, str] = MappingProxyType({})) -> MergeOptions:
    return MergeOptions.from_table({"expect": list(cpythons), "resolve": resolve})
