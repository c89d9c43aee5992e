"""The history of CPython's symbols, and what a file may import from which CPython."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from tests.abi.symbols import known_until, lib_dynload, undefined
from tests.interpreters import available, version
from wheelfuse.abi.cpython import (
    DATA,
    ImportProblem,
    SymbolHistory,
    check_imports,
    exported,
    has_table,
    history,
    is_cpython_symbol,
    newest_known,
    replacements,
    table,
)
from wheelfuse.target import Target

SOURCES = tomllib.loads((DATA / "SOURCES.toml").read_text(encoding="utf-8"))
WITH_GIL = tuple(Target(minor) for minor in range(8, 16))
FREE_THREADED = tuple(Target(minor, free_threaded=True) for minor in (13, 14, 15))
PYTHONS = available()


@pytest.mark.parametrize(
    "name",
    [
        "Py_Initialize",
        "PyList_New",
        "PyExc_ValueError",
        "PyInitConfig_Create",
        "PyUnstable_Object_IsUniqueReferencedTemporary",
        "_Py_NoneStruct",
        "_PyThreadState_UncheckedGet",
        "PyString_FromString",
        "PyPickleBuffer_Type",
    ],
)
def test_names_of_cpython(name: str) -> None:
    assert is_cpython_symbol(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Py",
        "_Py",
        "PyInit_spam",
        "PyInit__spam",
        "PyInitU_eckzbwbhc6jpgzcx415x",
        "PyModExport_spam",
        "PyModExportU_eckzbwbhc6jpgzcx415x",
        "PyPyObject_Call",
        "_PyPy_Malloc",
        "PySideSignal_TypeF",
        "Python_Init",
        "PyrFoo",
        "pyunicode",
        "__Pyx_modinit",
        "__pyx_module_is_main_spam",
        "_ZN2Py6ObjectC1Ev",
        "_ZN8pybind116moduleC2EPKcS2_",
        "_RNvPy_List",
        "xPyList_New",
        "PyList_New@plt",
        "PyList_New ",
        "PyList_New\n",
        "PyÉtat_New",
    ],
)
def test_names_of_others(name: str) -> None:
    assert not is_cpython_symbol(name)


def test_every_name_of_the_table_is_one_of_cpython() -> None:
    assert [name for name in table().rows if not is_cpython_symbol(name)] == []


@pytest.mark.usefixtures("known_until_3_15")
def test_history_of_a_symbol_that_went_away() -> None:
    assert history("_PyThreadState_UncheckedGet") == SymbolHistory(
        name="_PyThreadState_UncheckedGet", with_gil=WITH_GIL[:5], free_threaded=(), limited_api=None
    )


@pytest.mark.usefixtures("known_until_3_15")
def test_history_of_a_symbol_of_the_limited_api() -> None:
    found = history("PyType_GetName")
    assert found == SymbolHistory("PyType_GetName", WITH_GIL[3:], FREE_THREADED, limited_api=(3, 11))
    assert found.targets == tuple(sorted(WITH_GIL[3:] + FREE_THREADED))


def test_no_history_of_an_unknown_name() -> None:
    assert history("PyNope_New") is None


def test_what_is_known_can_be_set_back(tmp_path: Path) -> None:
    name = "PyUnicode_AsUnicode"  # until 3.11
    with known_until(12, tmp_path):
        assert newest_known() == Target(12)
        (gone,) = check_imports([name], Target(12))
        assert "gone since 3.12 (3.8-3.11 have it); 3.12 has PyUnicode_AsWideCharString" in gone.message
        (unknown,) = check_imports([name], Target(13))
        assert unknown.message.endswith("the symbol table covers 3.8-3.12")
    assert newest_known() >= Target(15)


@pytest.mark.usefixtures("known_until_3_15")
def test_presence_has_holes() -> None:
    """Symbols vanish and come back: first and last version would not describe them."""
    holes = [name for name in table().rows if _has_hole(name)]
    assert len([name for name in holes if name.startswith("_")]) == 34
    assert [name for name in holes if not name.startswith("_")] == [
        "PyCFunction_New",
        "PySignal_SetWakeupFd",
        "PyStructSequence_UnnamedField",
    ]


def _has_hole(name: str) -> bool:
    places = [WITH_GIL.index(target) for target in table().targets(name) if not target.free_threaded]
    return bool(places) and places[-1] - places[0] >= len(places)


@pytest.mark.usefixtures("known_until_3_15")
def test_private_symbols_do_not_last() -> None:
    private = [name for name in table().rows if name.startswith("_") and history_of(name).with_gil]
    assert len([name for name in private if history_of(name).with_gil == WITH_GIL]) == 223


def history_of(name: str) -> SymbolHistory:
    found = history(name)
    assert found
    return found


@pytest.mark.parametrize("target", [*WITH_GIL, *FREE_THREADED], ids=str)
def test_table_covers(target: Target) -> None:
    assert has_table(target)
    assert exported("PyList_New", target) is True
    assert exported("PyNope_New", target) is False


@pytest.mark.parametrize("target", [Target(7), Target(12, True), Target(16), Target(16, True)], ids=str)
@pytest.mark.usefixtures("known_until_3_15")
def test_table_does_not_cover(target: Target) -> None:
    assert not has_table(target)
    assert exported("PyList_New", target) is None


@pytest.mark.parametrize("target", FREE_THREADED, ids=str)
@pytest.mark.parametrize("name", ["_Py_DecRefShared", "_Py_MergeZeroLocalRefcount"])
def test_inlined_refcounting_needs_a_free_threaded_build(name: str, target: Target) -> None:
    assert exported(name, target)
    assert not exported(name, Target(target.minor))


@pytest.mark.parametrize(
    ("name", "target", "why"),
    [
        (
            "_PyThreadState_UncheckedGet",
            "cp313",
            "gone since 3.13 (3.8-3.12 have it); 3.13 has PyThreadState_GetUnchecked",
        ),
        (
            "_PyThreadState_UncheckedGet",
            "cp314t",
            "gone since 3.13t (3.8-3.12 have it); 3.14t has PyThreadState_GetUnchecked",
        ),
        ("PyThreadState_GetUnchecked", "cp312", "new in 3.13 (3.13-3.15 have it)"),
        (
            "PyUnicode_AsUnicode",
            "cp315",
            "gone since 3.12 (3.8-3.11 have it); 3.15 has PyUnicode_AsWideCharString",
        ),
        ("PyAST_Check", "cp310", "gone since 3.9 (3.8 has it)"),
        ("PyAST_Check", "cp314t", "gone since 3.9 (3.8 has it)"),
        ("PyCFunction_New", "cp39", "gone since 3.9, back in 3.10 (3.8, 3.10-3.15 have it)"),
        ("_PyErr_SetObject", "cp314", "gone since 3.13, back in 3.15 (3.8-3.12, 3.15 have it)"),
        ("_PyErr_SetObject", "cp313t", "gone since 3.13t, back in 3.15t (3.8-3.12, 3.15t have it)"),
        ("_PyDict_LoadGlobal", "cp315", "gone since 3.15 (3.8, 3.13-3.14 have it)"),
        ("_PyDict_LoadGlobal", "cp312", "gone since 3.9, back in 3.13 (3.8, 3.13-3.14 have it)"),
        ("_PyErr_GetHandledException", "cp38", "new in 3.11 (3.11-3.12, 3.15 have it)"),
        ("_Py_InitializeMain", "cp314t", "gone since 3.14t, back in 3.15t (3.8-3.12, 3.13t, 3.15t have it)"),
        ("_Py_DecRefShared", "cp313", "only 3.13t-3.15t have it"),
        ("_Py_DecRefShared", "cp38", "only 3.13t-3.15t have it"),
        ("PyUnstable_Module_SetGIL", "cp315", "only 3.13t-3.15t have it"),
    ],
)
@pytest.mark.usefixtures("known_until_3_15")
def test_says_why_a_known_symbol_cannot_be_imported(name: str, target: str, why: str) -> None:
    version = Target.parse(target).python_version + "t" * target.endswith("t")
    message = f"`{name}` is not exported by CPython {version}: {why}"
    assert check_imports([name], Target.parse(target)) == (ImportProblem(name, message, certain=True),)


@pytest.mark.usefixtures("known_until_3_15")
def test_a_public_symbol_that_no_cpython_has_is_certain() -> None:
    message = "`PyNope_New` is exported by no known CPython (3.8-3.15, 3.13t-3.15t)"
    assert check_imports(["PyNope_New"], Target(12)) == (ImportProblem("PyNope_New", message, certain=True),)


def test_a_private_symbol_that_no_cpython_has_is_not() -> None:
    (problem,) = check_imports(["_PyNope_New"], Target(12))
    assert not problem.certain
    assert "micro releases add private symbols" in problem.message


@pytest.mark.usefixtures("known_until_3_15")
def test_a_target_without_a_table_is_not_checked() -> None:
    names = ["PyNope_New", "PyList_New", "_PyThreadState_UncheckedGet"]
    message = "imports from CPython 3.16t could not be checked: the symbol table covers 3.8-3.15, 3.13t-3.15t"
    assert check_imports(names, Target(16, True)) == (ImportProblem("", message, certain=False),)


def test_names_of_others_need_no_check() -> None:
    names = ["malloc", "PyInit_spam", "PyModExport_spam", "_ZN2Py6ObjectC1Ev"]
    assert check_imports(names, Target(13)) == ()
    assert check_imports(names, Target(16)) == ()


def test_problems_come_sorted_and_once() -> None:
    names = ["PyNope_B", "PyList_New", "PyNope_A", "PyNope_B", "malloc"]
    assert [problem.symbol for problem in check_imports(iter(names), Target(13))] == ["PyNope_A", "PyNope_B"]


def test_every_absence_in_the_table_is_described() -> None:
    """The wording copes with every pattern of presence, and is silent where the symbol is there."""
    names = list(table().rows)
    for target in table().columns:
        problems = {problem.symbol: problem for problem in check_imports(names, target)}
        assert set(problems) == set(names) - table().names(target)
        assert all(problem.certain and "(" + ")" not in problem.message for problem in problems.values())


def test_replacements_exist_where_the_old_symbol_is_gone() -> None:
    for old, new in replacements().items():
        gone = [column for column in table().columns if not exported(old, column) and exported(new, column)]
        assert table().targets(old) and gone, (old, new)
        assert not new.startswith("_")
        assert max(table().targets(old)) < max(gone), (old, new)


@pytest.mark.parametrize("target", PYTHONS, ids=str)
def test_modules_of_the_standard_library_import_what_their_python_exports(target: Target) -> None:
    files = lib_dynload(PYTHONS[target])
    assert len(files) > 20
    names = frozenset[str]().union(*(undefined(file) for file in files))
    assert len([name for name in names if is_cpython_symbol(name)]) > 300
    problems = [problem.symbol for problem in check_imports(names, target)]
    measured = SOURCES["cpython.txt"]["versions"].get(str(target))
    if version(target) == measured:
        assert problems == []
    elif measured:
        # another micro release: its modules may import private symbols that the table's did not have
        assert [name for name in problems if not name.startswith("_Py")] == []
        assert len(problems) <= 3


def test_modules_of_one_python_do_not_load_on_another() -> None:
    oldest, newest = min(PYTHONS), Target(15)
    names = frozenset[str]().union(*(undefined(file) for file in lib_dynload(PYTHONS[oldest])))
    assert len([problem for problem in check_imports(names, newest) if problem.certain]) > 10


def test_import_does_not_load_the_table() -> None:
    code = (
        "import sys, wheelfuse.abi.cpython as cpython, wheelfuse.abi.limited_api as limited\n"
        "cpython.is_cpython_symbol('PyList_New')\n"
        "assert cpython.table.cache_info().currsize == 0 and 'abi3info' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_table_loads_fast() -> None:
    """Under 10 ms on an idle machine; the bound here leaves room for a busy one."""
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        table.__wrapped__()
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.02
