"""What a survey reads of published wheels by ranges is what there is to read in the whole files."""

from __future__ import annotations

import pytest

from tests.real.download import Pin, brought, surveyed
from tests.real.survey_oracle import all_differences

pytestmark = pytest.mark.real

WHEELS = surveyed(whole=False)


@pytest.mark.parametrize("pin", WHEELS, ids=[pin.file.rpartition("-")[0] for pin in WHEELS])
def test_rows_are_what_zipfile_pyelftools_and_the_audit_read(pin: Pin) -> None:
    [(_, found)] = all_differences(brought(pin))
    assert found == []


def test_the_pins_of_the_whole_set_are_of_many_projects_and_kinds() -> None:
    whole = surveyed(whole=True)
    assert len(whole) == len({pin.file for pin in whole}) >= 250
    assert len({pin.release[0] for pin in whole}) >= 50
    names = " ".join(pin.file for pin in whole)
    for word in (
        "aarch64",
        "i686",
        "musllinux",
        "abi3",
        "s390x",
        "win_amd64",
        "macosx",
        "py3-none",
        "cp314t",
    ):
        assert word in names
    assert set(WHEELS) <= set(whole)
