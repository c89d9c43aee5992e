"""The road to one file: from symbols alone, on vLLM's modules, and on wheels whose symbols are known."""

from __future__ import annotations

import pytest

from tests.auditing import facts
from tests.auditing.wheel_subjects import loose, shared, wheel
from tests.real.download import fetched
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.road import ABI3, OWN_CODE, TORCH, TORCH_PYTHON, UNKNOWN, Road, roads
from wheelfuse.auditing.subject import SharedObject, Subject

PYBIND11, CYTHON, PYO3 = ("pybind11 internals v11",), ("Cython 3.2.9",), ("PyO3 0.26",)
CHECK = "_ZN3c106detail14torchCheckFailEPKcS2_jS2_"
DATA = "_ZNK2at10TensorBase8data_ptrIfEEPT_v"
DTYPE = "_ZN3c1017get_default_dtypeEv"


def module(target: str, *imports: str, tools: tuple[str, ...] = ()) -> SharedObject:
    return shared(f"pkg/_C.cpython-{target}-x86_64-linux-gnu.so", *imports, tools=tools)


def only(*subjects: Subject) -> Road:
    found = roads(subjects)
    assert len(found) == 1, found
    return found[0]


def symbols(road: Road) -> dict[str, dict[str, str]]:
    return {step.cause: dict(step.symbols) for step in road.steps}


def test_symbols_of_all_files_are_grouped_by_cause_with_their_replacements() -> None:
    old = module("310", "PyList_New", "_PyThreadState_UncheckedGet", "_PyType_Lookup", tools=PYBIND11)
    new = module("313", "PyThreadState_GetUnchecked", "PyTraceMalloc_Track", tools=PYBIND11)
    free = module("313t", "_Py_DecRefShared", tools=PYBIND11)
    road = only(wheel("py3-none", old, new, free))
    assert (road.goal, road.module, road.subject) == (
        ABI3,
        "pkg._C",
        "pkg-1.0-py3-none-manylinux_2_17_x86_64.whl",
    )
    assert set(road.files) == {
        old.path,
        new.path,
        free.path,
    }
    assert symbols(road) == {
        "pybind11": {
            "PyThreadState_GetUnchecked": "PyGILState_GetThisThreadState",
            "_PyThreadState_UncheckedGet": "PyGILState_GetThisThreadState",
            "_PyType_Lookup": "PyObject_GetAttr: of the type, which binds what it finds",
        },
        OWN_CODE: {"PyTraceMalloc_Track": ""},
        "free-threaded builds": {"_Py_DecRefShared": "Py_DecRef: as abi3t (since 3.15) does"},
    }
    assert (road.count, road.left) == (5, 1)
    assert road.steps[0].cause == "pybind11", "the largest step stands first"


def test_symbols_without_a_replacement_stand_first() -> None:
    road = only(
        wheel("cp312-cp312", module("312", "PyFrame_GetBack", "PyUnicode_New", "PyTraceMalloc_Track"))
    )
    assert road.steps[0].symbols[0] == ("PyTraceMalloc_Track", "")


def test_the_wheels_of_a_release_have_one_road() -> None:
    first = wheel("cp312-cp312", module("312", "PyFrame_GetBack"))
    second = wheel("cp313-cp313", module("313", "PyGen_Type"))
    other = wheel("cp313-cp313", module("313", "PyGen_Type"), version="2.0")
    both, alone = roads((second, other, first))
    assert (both.subject, both.count, len(both.files)) == ("pkg 1.0", 2, 2)
    assert (alone.subject, alone.count) == (other.label, 1)


def test_what_the_wheel_itself_defines_is_no_symbol_to_replace() -> None:
    user = shared(
        "pkg/_C.cpython-312-x86_64-linux-gnu.so", "PyOwn_Thing", "PyGen_Type", needed=("libown.so",)
    )
    library = shared("pkg/libown.so", exports=("PyOwn_Thing",))
    assert symbols(only(wheel("cp312-cp312", user, library))) == {
        OWN_CODE: {"PyGen_Type": "PyImport_ImportModule + PyObject_GetAttrString: types.GeneratorType"}
    }


def test_a_library_that_needs_cpython_has_a_road_of_its_own() -> None:
    user = shared("pkg/_C.cpython-312-x86_64-linux-gnu.so", "PyList_New", needed=("libown.so",))
    library = shared("pkg/libown.so", "PyGen_Type", exports=("f",))
    unconcerned = shared("pkg/libplain.so", "PyList_New", exports=("g",))
    found = roads((wheel("cp312-cp312", user, library, unconcerned),))
    assert [(road.module, road.count) for road in found] == [("pkg._C", 0), ("pkg/libown.so", 1)]


def test_a_module_that_needs_nothing_of_cpython_has_no_road() -> None:
    assert roads((wheel("cp312-cp312", shared("pkg/data.so", "malloc", exports=())),)) == ()


class TestAdvice:
    def advice(self, *files: SharedObject) -> str:
        return "\n".join(only(wheel("py3-none", *files)).advice)

    def test_pybind11_has_no_way_but_nanobind_has_from_3_12_on(self) -> None:
        text = self.advice(module("310", "_PyType_Lookup", tools=PYBIND11))
        assert "pybind11 cannot make code for the limited API; nanobind can, from limited API 3.12 on" in text
        assert (
            "one abi3 file for limited API 3.12 would serve CPython 3.12 and later, because of nanobind"
            in text
        )
        assert "3.10 to 3.11 would keep per-Python files" in text
        assert "TORCH_LIBRARY" not in text

    def test_a_module_for_torch_may_register_its_operators_instead(self) -> None:
        file = module("312", "_PyType_Lookup", CHECK, tools=PYBIND11)
        abi3, _ = roads((wheel("cp312-cp312", file),))
        assert any("TORCH_LIBRARY" in sentence for sentence in abi3.advice)

    def test_cython_has_a_mode_that_does_away_with_all_it_brings(self) -> None:
        road = only(wheel("cp312-cp312", module("312", "PyFrame_New", tools=CYTHON)))
        assert symbols(road) == {"Cython": {"PyFrame_New": "Cython's limited API mode"}}
        assert road.left == 0
        assert any("-DPy_LIMITED_API" in sentence for sentence in road.advice)

    def test_code_in_rust_is_left_to_pyo3(self) -> None:
        road = only(wheel("cp312-cp312", module("312", "PyUnicode_New", "_PyTrash_begin", tools=PYO3)))
        assert symbols(road)["PyO3"]["_PyTrash_begin"] == "PyO3's feature abi3"

    def test_the_file_for_the_oldest_cpython_tells_the_lowest_limited_api(self) -> None:
        old, new = module("310", "PyBuffer_Release", "PyGen_Type"), module("313", "PyDict_GetItemRef")
        assert self.advice(old, new) == (
            "Then one abi3 file for limited API 3.11 would serve CPython 3.11 and later, because of "
            "PyBuffer_Release; 3.10 would keep per-Python files"
        )

    def test_a_replacement_counts_with_its_own_version(self) -> None:
        assert self.advice(module("311", "_PyObject_GetDictPtr", "PyObject_Vectorcall")) == (
            "Then one abi3 file for limited API 3.11 would serve CPython 3.11 and later "
            "(3.10 is the lowest that would do, because of _PyObject_GetDictPtr)"
        )

    def test_free_threaded_builds_need_abi3t(self) -> None:
        assert "abi3t (PEP 803)" in self.advice(module("314t", "_Py_DecRefShared"))
        assert "abi3t" not in self.advice(module("314", "PyGen_Type"))


class TestStable:
    def test_an_abi3_file_is_there_already(self) -> None:
        road = only(wheel("cp39-abi3", shared("pkg/_C.abi3.so", "PyList_New")))
        assert (road.steps, road.advice, road.files) == ((), (), ("pkg/_C.abi3.so",))
        assert road.arrived

    def test_one_that_only_claims_it_is_not(self) -> None:
        road = only(wheel("cp39-abi3", shared("pkg/_C.abi3.so", "_PyType_Lookup", tools=PYBIND11)))
        assert symbols(road)["pybind11"].keys() == {"_PyType_Lookup"}
        assert road.advice[-1] == "The lowest limited API that would do is 3.12, because of nanobind"

    def test_beside_it_only_the_other_files_count(self) -> None:
        stable = shared("pkg/_C.abi3.so", "PyList_New")
        road = only(wheel("py3-none", stable, module("314t", "_Py_DecRefShared")))
        assert road.files == ("pkg/_C.cpython-314t-x86_64-linux-gnu.so",)
        assert len(road.advice) == 1

    def test_a_file_without_anything_in_the_way_is_told_which_limited_api_to_take(self) -> None:
        road = only(wheel("cp312-cp312", module("312", "PyList_New")))
        assert road.steps == ()
        assert not road.arrived
        assert road.advice == (
            "Then one abi3 file for limited API 3.12 would serve CPython 3.12 and later "
            "(3.2 is the lowest that would do)",
        )


class TestTorch:
    def road(self, *imports: str) -> Road:
        return only(wheel("py3-none", shared("pkg/ops.so", *imports, exports=())))

    def test_symbols_are_readable_grouped_by_class_and_have_counterparts(self) -> None:
        road = self.road(DATA, CHECK, DTYPE, "THPVariable_Wrap", "aoti_torch_zero_")
        assert (road.goal, road.module) == (TORCH, "pkg/ops.so")
        assert symbols(road) == {
            "at::TensorBase": {
                "float* at::TensorBase::data_ptr<float>() const": (
                    "torch::stable::Tensor::mutable_data_ptr (torch 2.10)"
                )
            },
            "c10::detail": {
                "c10::detail::torchCheckFail(char const*, char const*, unsigned int, char const*)": (
                    "STD_TORCH_CHECK (torch 2.9)"
                )
            },
            "c10": {"c10::get_default_dtype()": ""},
            TORCH_PYTHON: {"THPVariable_Wrap": "torch::stable::tensor_to_pyobject (torch 2.14)"},
        }
        assert road.left == 1
        assert road.advice == (
            "Then torch 2.14 would be the oldest that loads it, because of torch::stable::tensor_to_pyobject: "
            "build with -DTORCH_TARGET_VERSION=0x020e000000000000",
        )

    def test_operators_are_named_without_their_parameters(self) -> None:
        road = self.road("_ZN2at4_ops6narrow4callERKNS_6TensorElN3c106SymIntES6_")
        assert symbols(road) == {"at::_ops": {"at::_ops::narrow::call": "torch::stable::narrow (torch 2.9)"}}

    def test_the_shims_it_uses_already_count_too(self) -> None:
        assert "torch 2.13 " in self.road(CHECK, "torch_delete_generator").advice[0]

    def test_a_stable_file_is_there_already(self) -> None:
        road = self.road("aoti_torch_zero_", "torch_from_blob")
        assert road.steps == ()
        assert road.arrived
        assert road.advice == ("Torch 2.11 is the first with all that it uses of the stable ABI",)

    def test_names_that_no_torch_promises_are_told_apart(self) -> None:
        road = self.road("aoti_torch_zero_", "aoti_torch_from_the_future")
        assert symbols(road) == {UNKNOWN: {"aoti_torch_from_the_future": ""}}

    def test_a_module_has_both_roads(self) -> None:
        file = module("312", "_PyType_Lookup", CHECK)
        assert [road.goal for road in roads((wheel("cp312-cp312", file),))] == [ABI3, TORCH]


def test_loose_files_have_roads_too() -> None:
    road = only(loose(module("312", "PyGen_Type")))
    assert (road.subject, road.count) == ("lib", 1)


def test_vllms_deep_gemm() -> None:
    """The symbols that nm showed in the five files of vllm 0.31.0."""
    [road] = [
        road
        for road in roads((facts.subject("vllm-0.31.0-cp38-abi3-manylinux_2_28_x86_64.whl"),))
        if road.module == "vllm.third_party.deep_gemm._C"
    ]
    listed = {symbol for step in road.steps for symbol, _ in step.symbols}
    expected = (
        "_PyObject_GetDictPtr _PyType_Lookup PyDict_SetDefault PyFrame_GetBack PyGILState_Check PyGen_Type "
        "PyInstanceMethod_New PyInstanceMethod_Type _PyThreadState_UncheckedGet PyThreadState_GetUnchecked "
        "PyObject_VisitManagedDict PyObject_ClearManagedDict _PyObject_MakeTpCall _Py_CheckFunctionResult "
        "PyInterpreterState_Main"
    )
    assert listed == set(expected.split())
    assert len(road.files) == 5
    assert road.left == 0


@pytest.mark.real
def test_torchvision_before_and_after_its_migration() -> None:
    before, after = (
        read_subject(path) for path in sorted(fetched("audit", "peers")) if "torchvision" in path.name
    )
    road = {road.module: road for road in roads((before,)) if road.goal == TORCH}["torchvision/_C.so"]
    assert road.count == 165
    assert road.left == 10
    counts = {step.cause: len(step.symbols) for step in road.steps}
    assert (counts["at::_ops"], counts["torch::autograd"], counts["at::TensorBase"]) == (27, 24, 11)
    arrived = {road.module: road for road in roads((after,)) if road.goal == TORCH}[
        "torchvision/_C_stable.so"
    ]
    assert arrived.steps == ()
    assert arrived.advice == ("Torch 2.13 is the first with all that it uses of the stable ABI",)
