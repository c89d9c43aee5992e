"""GPU code of real wheels that moved into a carrier: the modules load as those that were published, without a GPU."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.device_loading import Module, check_loading
from tests.interpreters import available
from tests.real.conftest import of_each_target
from tests.real.fusing import Fused
from wheelfuse.target import Target

pytestmark = pytest.mark.real


@pytest.mark.parametrize(("fused", "target"), of_each_target("cupy-cuda12x"), indirect=["fused"])
def test_modules_load_as_those_that_were_published(fused: Fused, target: Target, scratch: Path) -> None:
    """By dlopen alone, for which the rest of the wheel and the libraries of CUDA need not be there."""
    code = fused.outcome["device_code"]
    moved = {row["path"]: row["containers"] for row in code["files"] if row["left_bytes"] == 0}
    files = [file for file in fused.modules(target).values() if file in moved]
    assert len(files) == 3
    unpack(fused.original(target), files, scratch / "published")
    unpack(fused.path, [*files, code["carrier"]], scratch / "fused")
    for file in files:
        original, edited = (Module(scratch / tree, file) for tree in ("published", "fused"))
        seen = check_loading(available()[target], original, edited, code["carrier"])
        assert seen.outcome == ("loaded",)
        assert seen.homes == {f"ROOT/{code['carrier']}": moved[file]}


def unpack(wheel: Path, members: Collection[str], directory: Path) -> None:
    """Unpack these members alone: the wheels are large."""
    with ZipFile(wheel) as archive:
        archive.extractall(directory, members)
