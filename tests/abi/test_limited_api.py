"""What a file built for the limited API may import."""

from __future__ import annotations

from pathlib import Path

import pytest
from abi3info import DATAS, FUNCTIONS
from hypothesis import given
from hypothesis import strategies as st

from tests.abi.symbols import lib_dynload, undefined
from tests.interpreters import available
from wheelfuse.abi.cpython import table
from wheelfuse.abi.limited_api import check_limited, limited_api_version, lowest_limited_api
from wheelfuse.target import Target

PYTHONS = available()
XXLIMITED = [
    (target, file)
    for target, python in PYTHONS.items()
    for file in lib_dynload(python)
    if "xxlimited" in file.name
]
OLDER = {"xxlimited_35": 5, "xxlimited_3_13": 13}


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("PyList_New", (3, 2)),
        ("PyType_GetName", (3, 11)),
        ("PyObject_Vectorcall", (3, 12)),
        ("PyModule_FromSlotsAndSpec", (3, 15)),
        ("Py_HashBuffer", (3, 16)),
        ("_Py_Dealloc", (3, 2)),
        ("_PyObject_GC_New", (3, 2)),
        ("_Py_NoneStruct", (3, 2)),
        ("PyExc_WindowsError", (3, 7)),
        ("PyFrame_GetBack", None),
        ("PyDict_SetDefault", None),
        ("PyGen_Type", None),
        ("PyThreadState_GetUnchecked", None),
        ("_PyThreadState_UncheckedGet", None),
        ("PyNope_New", None),
    ],
)
def test_version_of_the_limited_api(name: str, version: tuple[int, int] | None) -> None:
    assert limited_api_version(name) == version


def test_a_leading_underscore_does_not_decide() -> None:
    private = [item.symbol.name for item in FUNCTIONS.values() if item.symbol.name.startswith("_")]
    assert len(private) == 24
    release = [name for name in private if name != "_Py_NegativeRefcount"]
    assert check_limited(release, 15) == ()


def test_abi3info_and_the_table_agree() -> None:
    """The measured counts in the module's docstring, and that neither contradicts the other."""
    there = {
        item.symbol.name: (item.added.minor, item.ifdef.name if item.ifdef else "")
        for item in (*FUNCTIONS.values(), *DATAS.values())
    }
    here = {name: row.limited_api for name, row in table().rows.items() if row.limited_api is not None}
    only_there = {name: macro for name, (_, macro) in there.items() if name not in here}
    assert (len(there), len(here), len(only_there)) >= (968, 953, 15)
    assert {name: minor for name, minor in here.items() if there.get(name, (minor,))[0] != minor} == {}
    assert set(only_there.values()) <= {"MS_WINDOWS", "USE_STACKCHECK", "Py_REF_DEBUG"}


@pytest.mark.parametrize(
    ("name", "minor", "why"),
    [
        ("PyFrame_GetBack", 15, "is not in the limited API of any CPython"),
        ("PyNope_New", 12, "is not in the limited API of any CPython"),
        ("_PyType_Lookup", 8, "is not in the limited API of any CPython"),
        ("PyType_GetName", 10, "is in the limited API only since 3.11, not in that of 3.10"),
        ("PyModule_FromSlotsAndSpec", 14, "is in the limited API only since 3.15, not in that of 3.14"),
        ("PyExc_WindowsError", 12, "is in the limited API only on Windows"),
        (
            "_Py_NegativeRefcount",
            12,
            "is in the limited API only when Python is compiled in debug mode (with Py_REF_DEBUG)",
        ),
    ],
)
def test_says_why_a_symbol_is_not_allowed(name: str, minor: int, why: str) -> None:
    (problem,) = check_limited([name], minor)
    assert (problem.symbol, problem.message, problem.certain) == (name, f"`{name}` {why}", True)


@pytest.mark.parametrize(
    ("name", "minor"),
    [
        ("PyType_GetName", 11),
        ("PyList_New", 2),
        ("_Py_Dealloc", 2),
        ("PyOS_AfterFork_Child", 7),
        ("PyThread_get_thread_native_id", 2),
        ("PyInit_spam", 8),
        ("PyModExport_spam", 15),
        ("malloc", 8),
        ("_ZN2Py6ObjectC1Ev", 8),
    ],
)
def test_allowed(name: str, minor: int) -> None:
    assert check_limited([name], minor) == ()


def test_a_limited_api_newer_than_the_table_leaves_doubt() -> None:
    newest = max(column.minor for column in table().columns)
    assert [problem.certain for problem in check_limited(["PyFrame_GetBack"], newest)] == [True]
    assert [problem.certain for problem in check_limited(["PyFrame_GetBack"], newest + 1)] == [False]


def test_abi3t_begins_with_315() -> None:
    (problem,) = check_limited(["PyList_New"], 14, free_threaded=True)
    assert (problem.symbol, problem.certain) == ("", True)
    assert "begins with CPython 3.15" in problem.message
    assert check_limited(["PyList_New", "PyModExport_spam"], 15, free_threaded=True) == ()


def test_abi3t_does_without_module_definitions() -> None:
    assert check_limited(["PyModuleDef_Init"], 15) == ()
    (problem,) = check_limited(["PyModuleDef_Init"], 15, free_threaded=True)
    assert (problem.symbol, problem.certain) == ("PyModuleDef_Init", False)


def test_problems_come_sorted_and_once() -> None:
    names = ["PyNope_B", "PyNope_A", "PyNope_B", "PyList_New"]
    assert [problem.symbol for problem in check_limited(iter(names), 12)] == ["PyNope_A", "PyNope_B"]


@pytest.mark.parametrize(
    ("names", "lowest"),
    [
        ([], 2),
        (["malloc", "PyInit_spam"], 2),
        (["PyList_New", "_Py_Dealloc"], 2),
        (["PyList_New", "PyObject_Vectorcall", "PyType_GetName"], 12),
        (["PyList_New", "PyFrame_GetBack"], None),
        (["PyExc_WindowsError"], None),
    ],
)
def test_lowest_limited_api(names: list[str], lowest: int | None) -> None:
    assert lowest_limited_api(names) == lowest


@given(st.lists(st.sampled_from(sorted(table().rows)), max_size=8))
def test_lowest_limited_api_is_the_first_without_problems(names: list[str]) -> None:
    lowest = lowest_limited_api(names)
    fine = [minor for minor in range(2, 17) if not check_limited(names, minor)]
    assert fine == ([] if lowest is None else list(range(lowest, 17)))


@pytest.mark.parametrize(
    ("target", "file"), XXLIMITED, ids=[f"{target}-{file.name.split('.')[0]}" for target, file in XXLIMITED]
)
def test_modules_that_cpython_builds_with_the_limited_api(target: Target, file: Path) -> None:
    """The xxlimited modules: of the limited API of their CPython, or of the version in their name.

    Free-threaded builds have no limited API before abi3t, and build what needs an older one without it.
    """
    module = file.name.split(".")[0]
    minor = OLDER.get(module, target.minor)
    problems = check_limited(undefined(file), minor)
    if target.free_threaded and minor < 15:
        symbols = {problem.symbol for problem in problems}
        assert symbols == {"_Py_DecRefShared", "_Py_MergeZeroLocalRefcount"}
    else:
        assert problems == ()
    if target.free_threaded and minor >= 15:
        assert check_limited(undefined(file), minor, free_threaded=True) == ()


def test_there_are_limited_modules_to_look_at() -> None:
    assert len(XXLIMITED) >= 2
