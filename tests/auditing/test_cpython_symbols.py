"""The rules about what files need of CPython: exports, the limited API, init functions, machines."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pybind11
import pytest

from tests.auditing import facts
from tests.auditing.wheel_subjects import found, lines, loose, not_run, shared, wheel
from tests.wheels import build_wheel
from wheelfuse.auditing.cpython_symbols import unlimited
from wheelfuse.auditing.finding import Severity
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.rules.coverage import missing_module
from wheelfuse.auditing.rules.cpython import (
    abi3_free_threaded,
    fake_abi3,
    init_function,
    limited_api,
    missing_symbols,
    private_symbols,
    unknown_symbols,
    wrong_suffix,
)
from wheelfuse.auditing.rules.package import over_claim
from wheelfuse.auditing.subject import Against, Subject
from wheelfuse.target import Target

RULES = (
    missing_symbols, unknown_symbols, limited_api, fake_abi3, init_function, abi3_free_threaded, wrong_suffix,
    private_symbols,
)  # fmt: skip
X312 = "pkg/_x.cpython-312-x86_64-linux-gnu.so"
X313 = "pkg/_x.cpython-313-x86_64-linux-gnu.so"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "subject",
    [
        wheel("cp312-cp312", shared(X312, "PyList_New", "PyFrame_GetBack", "PyModuleDef_Init")),
        wheel("cp39-abi3", shared("pkg/_x.abi3.so", "PyList_New", "_Py_Dealloc", "PyModuleDef_Init")),
        wheel("cp39-abi3", shared("pkg/_x.so", "PyList_New")),
        wheel("cp315-abi3.abi3t", shared("pkg/_x.abi3t.so", "PyList_New", exports=("PyModExport__x",))),
        wheel("cp315-cp315", shared("pkg/_x.cpython-315-x86_64-linux-gnu.so", exports=("PyModExport__x",))),
        wheel("py3-none", shared("pkg/libx.so.1", exports=("x",))),
        loose(shared("_C.abi3.so", "PyUnicode_AsUTF8AndSize")),
    ],
)
def test_good_files_have_no_findings(rule: object, subject: Subject) -> None:
    assert lines(rule, subject) == []  # type: ignore[arg-type]


# Imports that the CPython lacks


def test_a_file_for_312_renamed_to_313() -> None:
    symbols = ("PyList_New", "_PyThreadState_UncheckedGet", "_PyUnicode_FastCopyCharacters")
    assert found(missing_symbols, wheel("cp312-cp312", shared(X312, *symbols))) == []
    (item,) = found(missing_symbols, wheel("cp313-cp313", shared(X313, *symbols)))
    assert item.message == (
        "cp313 cannot load it: `_PyThreadState_UncheckedGet` is not exported by CPython 3.13: gone since 3.13 "
        "(3.8-3.12 have it); 3.13 has PyThreadState_GetUnchecked, and 1 more symbols"
    )
    assert item.severity is Severity.ERROR and item.path == X313
    assert item.details[0] == "all it imports is in cp38, cp39, cp310, cp311, cp312"
    assert len(item.details) == 3


@pytest.mark.usefixtures("known_until_3_15")
def test_a_module_without_suffix_is_held_against_everyone_who_loads_it() -> None:
    subject = wheel("cp311.cp312-cp311.cp312", shared("pkg/_x.so", "PyType_GetDict"))
    assert lines(missing_symbols, subject) == [
        "error pkg/_x.so: cp311 cannot load it: `PyType_GetDict` is not exported by CPython 3.11: "
        "new in 3.12 (3.12-3.15 have it)"
    ]


def test_a_library_is_held_against_those_whose_modules_link_it() -> None:
    files = [
        shared("pkg/_x.cpython-311-x86_64-linux-gnu.so"),
        shared(X312, needed=("libx.so",)),
        shared("pkg/libx.so", "PyType_GetDict", exports=("x",)),
    ]
    assert found(missing_symbols, wheel("cp311.cp312-cp311.cp312", *files)) == []
    both = [shared("pkg/_x.cpython-311-x86_64-linux-gnu.so", needed=("libx.so",)), *files[1:]]
    (item,) = found(missing_symbols, wheel("cp311.cp312-cp311.cp312", *both))
    assert item.path == "pkg/libx.so" and item.message.startswith("cp311 cannot load it")


def test_a_library_that_nobody_links_is_doubted_only_if_no_cpython_has_all() -> None:
    alone = shared("pkg/libx.so", "PyType_GetDict", exports=("x",))
    assert found(missing_symbols, wheel("cp311.cp312-cp311.cp312", alone)) == []
    (item,) = found(missing_symbols, wheel("cp311-cp311", alone))
    assert item.severity is Severity.WARNING and item.message.startswith("cp311 may fail to load it")


def test_what_a_linked_library_defines_is_not_asked_of_cpython() -> None:
    helper = shared("pkg/libhelp.so", exports=("_PyThreadState_UncheckedGet", "PyFoo_Bar"))
    uses = ("_PyThreadState_UncheckedGet", "PyFoo_Bar")
    linked = wheel("cp313-cp313", shared(X313, *uses, needed=("libhelp.so",)), helper)
    assert found(missing_symbols, linked) == [] and found(unknown_symbols, linked) == []
    beside = wheel("cp313-cp313", shared(X313, *uses), helper)
    assert [item.severity for item in found(missing_symbols, beside)] == [Severity.WARNING]
    assert [item.severity for item in found(unknown_symbols, beside)] == [Severity.WARNING]


def test_files_that_lack_the_same_are_one_finding() -> None:
    files = [
        shared(f"pkg/{name}.cpython-313-x86_64-linux-gnu.so", "_PyThreadState_UncheckedGet") for name in "ab"
    ]
    items = found(missing_symbols, wheel("cp313-cp313", *files))
    assert [(item.path, item.details[-1]) for item in items] == [(files[0].path, files[1].path)]
    assert items[0].message.startswith("cp313 cannot load 2 files: ")


@pytest.mark.usefixtures("known_until_3_15")
def test_a_cpython_without_a_table_is_not_called_fine() -> None:
    subject = wheel("cp316-cp316", shared("pkg/_x.cpython-316-x86_64-linux-gnu.so", "PyFoo"))
    (item,) = not_run(missing_symbols, subject)
    assert item.reason == "no table of what cp316 (not released yet) exports"


def test_symbols_in_no_table() -> None:
    public, private = shared(X312, "PyFoo_Bar", "_PyFoo"), shared(X312, "_PyFoo")
    (item,) = found(unknown_symbols, wheel("cp312-cp312", public))
    assert item.message == "`PyFoo_Bar` and 1 more are exported by no known CPython"
    assert item.severity is Severity.ERROR and item.details == ("PyFoo_Bar", "_PyFoo")
    (item,) = found(unknown_symbols, wheel("cp312-cp312", private))
    assert item.severity is Severity.WARNING
    assert item.message == (
        "`_PyFoo` is exported by no known CPython: one of a micro release, or of a library from elsewhere"
    )
    foreign = shared(X312, "PyFoo_Bar", needed=("libfoo.so.1",))
    assert [item.severity for item in found(unknown_symbols, wheel("cp312-cp312", foreign))] == [
        Severity.WARNING
    ]
    assert found(missing_symbols, wheel("cp312-cp312", public)) == []


# The stable ABI


def test_a_newer_limited_api_than_the_tag_states() -> None:
    file = shared("pkg/_x.abi3.so", "PyUnicode_AsUTF8AndSize", "PyList_New")
    (item,) = found(limited_api, wheel("cp38-abi3", file, requires_python=">=3.8"))
    assert item.message == (
        "`PyUnicode_AsUTF8AndSize` is in the limited API only since 3.10, not in that of 3.8"
    )
    assert item.todo == "Tag the wheel cp310-abi3, which is true, or build with Py_LIMITED_API=0x03080000."
    assert item.severity is Severity.ERROR
    assert item.details[-1].startswith("cp38, cp39, cp310,") and "have all of it" in item.details[-1]


def test_requires_python_keeps_older_cpythons_out() -> None:
    file = shared("pkg/_x.abi3.so", "PyUnicode_AsUTF8AndSize")
    (item,) = found(limited_api, wheel("cp38-abi3", file, requires_python=">=3.10"))
    assert item.severity is Severity.INFO
    assert item.message.endswith("not in that of 3.8; Requires-Python >=3.10 keeps older CPythons out")


def test_cpythons_that_lack_a_newer_function_are_named() -> None:
    file = shared("pkg/_x.abi3.so", "PyType_GetName")
    (item,) = found(limited_api, wheel("cp310-abi3", file))
    assert item.details[-1] == "cp310 cannot load it"


def test_abi3t_begins_with_315() -> None:
    file = shared("pkg/_x.abi3t.so", "PyList_New", exports=("PyModExport__x",))
    (item,) = found(limited_api, wheel("cp314-abi3t", file))
    assert item.message == "abi3t begins with CPython 3.15 (PEP 803): no file can be abi3t for 3.14"
    assert "cp315-abi3t" in item.todo


FULL = ("_PyObject_GetDictPtr", "_PyType_Lookup", "PyThreadState_GetUnchecked")


SUPPORT = "libsupport.abi3.so.6.12"


def test_a_library_from_elsewhere_may_define_functions_of_cpython_for_abi3_modules() -> None:
    """As libshiboken6.abi3.so does: some that the limited API leaves out, and some that CPython has as macros."""
    subject = wheel("cp310-abi3", shared("pkg/_C.abi3.so", "PyRun_String", "PyFoo_Bar", needed=(SUPPORT,)))
    (item,) = found(fake_abi3, subject)
    assert item.message == "1 symbol is in no limited API, unless libsupport.abi3.so.6.12 defines it"
    assert (item.severity, item.details) == (Severity.INFO, ("PyRun_String",))
    (item,) = found(unknown_symbols, subject)
    assert item.message == (
        "`PyFoo_Bar` is exported by no known CPython: libsupport.abi3.so.6.12 from elsewhere has to define it"
    )
    assert item.severity is Severity.INFO


def test_what_such_a_library_is_seen_to_define_is_not_asked_of_cpython() -> None:
    files = shared("pkg/_C.abi3.so", "PyRun_String", "PyFoo_Bar", needed=(SUPPORT,))
    both = shared(SUPPORT, exports=("PyRun_String", "PyFoo_Bar")).image
    subject = wheel("cp310-abi3", files, against=Against(libraries={SUPPORT: both}))
    assert found(fake_abi3, subject) == [] and found(unknown_symbols, subject) == []
    other = replace(subject, against=Against(libraries={SUPPORT: shared(SUPPORT, exports=()).image}))
    assert [item.severity for item in found(fake_abi3, other)] == [Severity.ERROR]


def test_no_library_makes_good_what_cpythons_lack() -> None:
    files = shared("pkg/_C.abi3.so", "_PyThreadState_UncheckedGet", needed=(SUPPORT,))
    assert [item.severity for item in found(fake_abi3, wheel("cp310-abi3", files))] == [Severity.ERROR]


def test_a_fake_abi3_file() -> None:
    file = shared("pkg/_C.abi3.so", *FULL, tools=("pybind11 internals v12",))
    (item,) = found(fake_abi3, wheel("cp310-abi3", file))
    assert item.message == (
        "named .abi3.so, but compiled against the full API (pybind11 internals v12): 3 symbols are in no limited "
        "API; cp310, cp311, cp312 cannot load it"
    )
    assert item.severity is Severity.ERROR
    assert item.details[0] == "cp310 lacks PyThreadState_GetUnchecked"
    assert item.details[-3:] == tuple(sorted(FULL))
    assert found(missing_symbols, wheel("cp310-abi3", file)) == []


def test_a_file_without_suffix_in_a_wheel_tagged_abi3_claims_it_too() -> None:
    (item,) = found(fake_abi3, wheel("cp310-abi3", shared("pkg/_C.so", "_PyType_Lookup")))
    assert item.message == (
        "in a wheel tagged abi3, but compiled against the full API: 1 symbol is in no limited API"
    )
    assert found(fake_abi3, wheel("cp312-cp312", shared("pkg/_C.so", "_PyType_Lookup"))) == []


def test_what_rules_about_the_stable_abi_tell_is_not_told_twice() -> None:
    subject = wheel("cp310-abi3", shared("pkg/_C.so", "PyType_GetDict", "PyObject_Vectorcall"))
    assert [len(found(rule, subject)) for rule in (missing_symbols, fake_abi3, limited_api)] == [0, 1, 1]


def test_a_fake_abi3_file_that_one_cpython_alone_installs() -> None:
    (item,) = found(fake_abi3, wheel("cp312-cp312", shared("pkg/_C.abi3.so", "_PyType_Lookup")))
    assert item.severity is Severity.WARNING
    (item,) = found(fake_abi3, loose(shared("_C.abi3.so", "_PyType_Lookup")))
    assert item.severity is Severity.ERROR


def test_pybind11_named_abi3_really_compiled(tmp_path: Path) -> None:
    source = tmp_path / "core.cpp"
    source.write_text(
        "#include <pybind11/pybind11.h>\n"
        'PYBIND11_MODULE(_C, m) { m.def("f", [](int n) { return n + 1; }); }\n'
    )
    headers = (pybind11.get_include(), sysconfig.get_path("include"))
    includes = [f"-I{directory}" for directory in headers]
    library = tmp_path / "_C.so"
    command = ["c++", "-std=c++17", "-shared", "-fPIC", "-O1", *includes, str(source), "-o", str(library)]
    subprocess.run(command, check=True, capture_output=True)
    content = library.read_bytes()

    fake = read_subject(build_wheel(tmp_path, tag="cp310-abi3", files={"pkg/_C.abi3.so": content}))
    (item,) = found(fake_abi3, fake)
    assert item.severity is Severity.ERROR
    assert "compiled against the full API (pybind11 internals v12)" in item.message
    assert {"_PyObject_GetDictPtr", "_PyType_Lookup"} <= set(item.details)

    own = Target(sys.version_info.minor)
    path = f"pkg/_C.{own.soabi_tag}-x86_64-linux-gnu.so"
    honest = read_subject(build_wheel(tmp_path, str(own), {path: content}))
    assert [line for rule in RULES for line in lines(rule, honest) if not line.startswith("info")] == []


def test_a_classic_abi3_file_where_free_threaded_builds_install_it() -> None:
    subject = wheel("py3-none", shared("pkg/_x.abi3.so"), shared("pkg/_y.abi3.so"))
    (item,) = found(abi3_free_threaded, subject)
    assert item.message == (
        "cp313t, cp314t, cp315t would install it, but cannot load 2 extension modules: "
        ".abi3.so is for the stable ABI of builds with the GIL"
    )
    assert found(over_claim, subject) == [] and found(missing_module, subject) == []
    with_own = wheel("cp310.cp315-abi3.abi3t", shared("pkg/_x.abi3.so"), shared("pkg/_x.abi3t.so"))
    (item,) = found(abi3_free_threaded, with_own)
    assert item.message.startswith("cp313t, cp314t would install it, but cannot load extension module pkg._x")


# Entry points


@pytest.mark.parametrize(
    ("exports", "imports", "line"),
    [
        (("PyInit__y",), (), "error {}: import asks for PyInit__x, but the file has PyInit__y"),
        (("PyInitU__x",), (), "error {}: import asks for PyInit__x, but the file has PyInitU__x"),
        (
            ("PyModExport__x",),
            (),
            "error {}: cp312 cannot import it: PyModExport__x (PEP 793) is known from 3.15 on only",
        ),
        (
            ("x",),
            ("PyList_New",),
            "warning {}: cannot be imported: it has no init function (PyInit_…); can only be opened by name",
        ),
        (
            ("x",),
            (),
            "info {}: cannot be imported: it has no init function (PyInit_…); can only be opened by name",
        ),
    ],
)
def test_entry_points(exports: tuple[str, ...], imports: tuple[str, ...], line: str) -> None:
    subject = wheel("cp312-cp312", shared(X312, *imports, exports=exports))
    assert lines(init_function, subject) == [line.format(X312)]


def test_entry_points_of_other_forms() -> None:
    name = "pkg/_été.cpython-312-x86_64-linux-gnu.so"
    encoded = "_été".encode("punycode").decode().replace("-", "_")
    assert found(init_function, wheel("cp312-cp312", shared(name, exports=(f"PyInitU_{encoded}",)))) == []
    (item,) = found(init_function, wheel("cp312-cp312", shared(name, exports=("PyInit__x",))))
    assert f"import asks for PyInitU_{encoded}" in item.message
    dashed = shared("pkg/a-b.cpython-312-x86_64-linux-gnu.so", exports=("PyInit_a_b",))
    assert found(init_function, wheel("cp312-cp312", dashed)) == []
    both = shared("pkg/_x.abi3.so", exports=("PyModExport__x", "PyInit__x"))
    assert found(init_function, wheel("cp310-abi3", both)) == []


def test_an_abi3t_file_with_the_old_init_function() -> None:
    (item,) = found(init_function, wheel("cp315-abi3.abi3t", shared("pkg/_x.abi3t.so")))
    assert item.severity is Severity.WARNING
    assert item.message == ("an abi3t file with PyInit__x alone: abi3t does not define PyModuleDef (PEP 803)")


def test_own_entry_points_are_never_imports_of_cpython() -> None:
    file = shared("pkg/_x.abi3.so", "PyInit__y", "PyInitU_z", "PyModExport__w", "PyList_New")
    for rule in RULES:
        assert found(rule, wheel("cp310-abi3", file)) == []


# Machines


def test_machine_and_c_library_of_the_suffix() -> None:
    arm = ("EM_AARCH64", 64, True)
    assert lines(wrong_suffix, wheel("cp312-cp312", shared(X312, machine=arm))) == [
        f"error {X312}: its suffix says x86_64-linux-gnu, but it is a file for 64-bit little-endian AARCH64"
    ]
    path = "pkg/_x.cpython-312-aarch64-linux-gnu.so"
    honest = shared(path, machine=arm)
    assert lines(wrong_suffix, wheel("cp312-cp312", honest, platform="manylinux_2_17_aarch64")) == []
    assert lines(wrong_suffix, wheel("cp312-cp312", honest)) == []  # the tag is wrong, not the suffix
    musl = "pkg/_x.cpython-312-x86_64-linux-musl.so"
    assert lines(wrong_suffix, wheel("cp312-cp312", shared(musl))) == [
        f"error {musl}: its suffix says x86_64-linux-musl, but CPythons on manylinux_2_17_x86_64 look for "
        "x86_64-linux-gnu"
    ]
    assert lines(wrong_suffix, wheel("cp312-cp312", shared(musl), platform="musllinux_1_2_x86_64")) == []


# Private symbols


def test_private_symbols_and_what_brings_them_in() -> None:
    file = shared(
        X312,
        "_PyType_Lookup",
        "_PyObject_GetDictPtr",
        "_PyLong_Copy",
        "PyFrame_New",
        tools=("pybind11 internals v12",),
    )
    (item,) = found(private_symbols, wheel("cp312-cp312", file))
    assert item.message == (
        "pkg._x uses 3 private symbols of CPython, from pybind11; the code itself, or a tool that left no mark"
    )
    assert item.severity is Severity.INFO
    assert item.details == (
        "pybind11: _PyObject_GetDictPtr, _PyType_Lookup",
        "the code itself, or a tool that left no mark: _PyLong_Copy",
        "public, but in no limited API: PyFrame_New",
    )
    unmarked = replace(file, producers=shared("x").producers)
    (item,) = found(private_symbols, wheel("cp312-cp312", unmarked))
    assert "pybind11" not in item.message


def test_private_symbols_of_many_modules_are_one_finding() -> None:
    files = [
        shared("pkg/a.cpython-312-x86_64-linux-gnu.so", "_PyLong_Copy"),
        shared("pkg/b.cpython-312-x86_64-linux-gnu.so", "_PyLong_Copy", "_PyType_Lookup"),
        shared("pkg/b.cpython-313-x86_64-linux-gnu.so", "_Py_HashBytes"),
        shared("pkg/c.cpython-312-x86_64-linux-gnu.so", "PyFrame_New"),
    ]
    (item,) = found(private_symbols, wheel("cp312.cp313-cp312.cp313", *files))
    assert item.message.startswith("2 modules use 3 private symbols of CPython, from the code itself")
    assert item.details[-2:] == ("pkg.b: 3", "pkg.a: 1")


# vLLM's deep_gemm, built with pybind11 for each CPython

EVERYWHERE = {
    "_PyObject_GetDictPtr", "_PyType_Lookup", "PyDict_SetDefault", "PyFrame_GetBack", "PyGILState_Check",
    "PyGen_Type", "PyInstanceMethod_New", "PyInstanceMethod_Type",
}  # fmt: skip
FROM_313 = {"PyThreadState_GetUnchecked", "PyObject_VisitManagedDict", "PyObject_ClearManagedDict"}
ONLY = {
    10: {"_PyThreadState_UncheckedGet", "_PyObject_MakeTpCall", "_Py_CheckFunctionResult"},
    11: {"_PyThreadState_UncheckedGet"},
    12: {"_PyThreadState_UncheckedGet", "PyInterpreterState_Main"},
    13: {*FROM_313, "PyInterpreterState_Main"},
    14: {*FROM_313, "PyInterpreterState_Main"},
}
VLLM = "vllm-0.31.0-cp38-abi3-manylinux_2_28_x86_64.whl"
OLDER_VLLM = "vllm-0.21.0-1-cp38-abi3-manylinux_2_24_x86_64.whl"
DEEP_GEMM = "vllm/third_party/deep_gemm/_C.cpython-3{}-x86_64-linux-gnu.so"


@pytest.mark.parametrize("minor", ONLY)
def test_what_deep_gemm_needs_beyond_the_limited_api(minor: int) -> None:
    subject = facts.subject(VLLM)
    assert set(unlimited(subject.tree.unmet(DEEP_GEMM.format(minor)))) == EVERYWHERE | ONLY[minor]


@pytest.mark.parametrize("minor", ONLY)
def test_what_the_older_deep_gemm_needs_beyond_the_limited_api(minor: int) -> None:
    """Built with an older pybind11: without PyDict_SetDefault and what came with it."""
    subject = facts.subject(OLDER_VLLM)
    newer = {
        "PyDict_SetDefault",
        "PyInterpreterState_Main",
        "_PyObject_MakeTpCall",
        "_Py_CheckFunctionResult",
    }
    assert set(unlimited(subject.tree.unmet(DEEP_GEMM.format(minor)))) == (EVERYWHERE | ONLY[minor]) - newer


@pytest.mark.parametrize("name", [VLLM, OLDER_VLLM])
def test_every_deep_gemm_loads_where_its_suffix_says(name: str) -> None:
    subject = facts.subject(name)
    for rule in (missing_symbols, unknown_symbols, fake_abi3, wrong_suffix, missing_module, over_claim):
        assert lines(rule, subject) == []
    (item,) = found(private_symbols, subject)
    assert item.message.endswith("private symbols of CPython, from pybind11")


@pytest.mark.parametrize(
    ("old", "new", "symbol"),
    [(12, 13, "_PyThreadState_UncheckedGet"), (13, 12, "PyThreadState_GetUnchecked")],
)
def test_a_deep_gemm_under_the_name_of_another_cpython(old: int, new: int, symbol: str) -> None:
    file = facts.subject(VLLM).files[DEEP_GEMM.format(old)]
    renamed = replace(file, path=DEEP_GEMM.format(new))
    (item,) = found(missing_symbols, wheel(f"cp3{new}-cp3{new}", renamed))
    assert item.severity is Severity.ERROR and item.message.startswith(f"cp3{new} cannot load it")
    assert any(f"`{symbol}`" in detail for detail in item.details)


def test_a_deep_gemm_named_abi3() -> None:
    """What was merged, and taken back a day later."""
    file = facts.subject(VLLM).files[DEEP_GEMM.format(12)]
    fake = replace(file, path="vllm/third_party/deep_gemm/_C.abi3.so")
    (item,) = found(fake_abi3, wheel("cp38-abi3", fake, requires_python=">=3.10,<3.15"))
    assert "(pybind11 internals " in item.message
    assert item.message.endswith("10 symbols are in no limited API; cp313, cp314 cannot load it")


def test_only_one_deep_gemm_in_a_wheel_for_all() -> None:
    whole = facts.subject(VLLM)
    gone = {DEEP_GEMM.format(minor) for minor in (10, 11, 13, 14)}
    files = [file for path, file in whole.files.items() if path not in gone]
    subject = wheel("cp38-abi3", *files, requires_python=whole.requires_python)
    assert lines(missing_module, subject) == [
        f"error {DEEP_GEMM.format(12)}: extension module vllm.third_party.deep_gemm._C is missing for "
        "cp310, cp311, cp313, cp314; there for cp312"
    ]


def test_two_files_of_vllm_are_not_abi3_for_its_oldest_python() -> None:
    items = found(limited_api, facts.subject(VLLM))
    assert [item.path for item in items] == ["vllm/fs_io_C.abi3.so", "vllm/spinloop.abi3.so"]
    assert all("Tag the wheel cp311-abi3, which is true" in item.todo for item in items)
