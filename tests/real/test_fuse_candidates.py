"""What a survey says that merging would save is what it does save."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.download import fetched
from wheelfuse import ask, merge, survey
from wheelfuse.errors import ConflictError

pytestmark = pytest.mark.real

PROJECTS = (
    "aiohttp", "cffi", "greenlet", "kiwisolver", "lxml", "markupsafe", "msgpack", "numpy-2.3.5", "orjson", "pyyaml",
    "regex",
)  # fmt: skip
NEAR = 0.04
"""How far the estimate may be from the size, as a part of that. Merge adds some KB of its own, which counts in
wheels of 50 KB."""


@pytest.fixture(scope="module")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What is said of each project."""
    index = tmp_path_factory.mktemp("survey") / "index"
    wheels = [str(path) for project in PROJECTS for path in fetched("projects", project)]
    assert survey(wheels, index, workers=1).failed == 0
    [table] = ask(index, "fuse-candidates").tables
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in table.rows]
    assert len(rows) == len(PROJECTS)
    return {str(row["project"]): row for row in rows}


@pytest.mark.parametrize("project", PROJECTS)
def test_the_estimate_is_near_the_size_of_the_fused_wheel(
    project: str, candidates: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    row, wheels = candidates[project.partition("-")[0]], fetched("projects", project)
    sizes = [path.stat().st_size for path in wheels]
    assert (row["wheels"], row["size"], row["largest"]) == (len(wheels), sum(sizes), max(sizes))
    try:
        [fused] = merged(wheels, tmp_path)
    except ConflictError as error:
        assert row["decisions"], error
        return
    assert not row["decisions"]
    estimate = row["fused"]
    assert isinstance(estimate, int)
    assert abs(estimate - fused) / fused < NEAR, (estimate, fused)


def merged(wheels: list[Path], directory: Path) -> Iterator[int]:
    """The size of the fused wheel."""
    merge(wheels, directory)
    return (path.stat().st_size for path in directory.glob("*.whl"))
