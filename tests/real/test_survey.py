"""What a survey reads of published wheels by ranges is what there is to read in the whole files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.real.download import Pin, brought, surveyed
from tests.real.survey_oracle import all_differences, differences
from wheelfuse.surveying.reading import read_wheel
from wheelfuse.surveying.rows import Remote, Rows

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


WRONG: dict[str, object] = {
    "needed": ("libz.so.1",), "imports": 7, "exports": 7, "glibc": "2.5", "loaders": ("cp313",),
    "missing": ("PyX cp312",), "python_symbols": 7, "machine": "EM_386", "torch": (),
}  # fmt: skip


@pytest.mark.parametrize("column", WRONG)
def test_a_wrong_column_is_noticed(column: str) -> None:
    (pin,) = (pin for pin in WHEELS if pin.file.startswith("cffi-2.1.1-cp312-cp312-many"))
    (path,) = brought(pin)
    remote = Remote(str(path), path.name)
    rows = read_wheel(remote)
    assert isinstance(rows, Rows)
    assert list(differences(path, remote, rows)) == []
    wrong = rows.modules[0]._replace(**{column: WRONG[column]})  # type: ignore[arg-type]
    assert list(differences(path, remote, replace(rows, modules=(wrong, *rows.modules[1:])))) != []
