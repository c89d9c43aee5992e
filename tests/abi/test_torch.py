"""libtorch's symbols: kinds, tables, and the versions that export a name."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelfuse.abi.cpython import DATA
from wheelfuse.abi.torch import (
    EXPORTS,
    LIBRARY,
    SHIMS,
    Exports,
    Kind,
    StringABI,
    classify,
    exported_in,
    exports,
    loading,
    mentions_torch,
    namespace,
    parse_exports,
    shim_version,
    shims,
    string_abi,
    version_key,
    versions,
)

ALL = ("2.6", "2.7", "2.8", "2.9", "2.10", "2.11", "2.12", "2.13", "2.14", "2.15")

CXX = {
    # mangled: (namespace, kind)
    "_ZN2at6TensorC1Ev": ("at", Kind.UNSTABLE),
    "_ZNK2at10TensorBase8data_ptrIfEEPT_v": ("at", Kind.UNSTABLE),
    "_ZNKR3c106IValue8toTensorEv": ("c10", Kind.UNSTABLE),
    "_ZNR5torch3FooEv": ("torch", Kind.UNSTABLE),
    "_ZTVN5torch8autograd4NodeE": ("torch", Kind.UNSTABLE),
    "_ZTIN3c105ErrorE": ("c10", Kind.UNSTABLE),
    "_ZTSPN4c10d4WorkE": ("c10d", Kind.UNSTABLE),
    "_ZThn16_N2at6TensorD0Ev": ("at", Kind.UNSTABLE),
    "_ZTv0_n24_N3c105ErrorD1Ev": ("c10", Kind.UNSTABLE),
    "_ZGVN3c105Scope4nameE": ("c10", Kind.UNSTABLE),
    "_ZZN2at3fooEvE1x": ("at", Kind.UNSTABLE),
    "_ZN6caffe28TypeMeta13typeMetaDatasEv": ("caffe2", Kind.UNSTABLE),
    "_ZN8pybind116detail11type_casterIN2at6TensorEvE4loadENS_6handleEb": ("pybind11", Kind.PYBIND11),
    "_ZNSt6vectorIN2at6TensorESaIS1_EE9push_backERKS1_": ("std", Kind.STD),
    "_ZSt4endlIcSt11char_traitsIcEERSt13basic_ostreamIT_T0_ES6_": ("std", Kind.STD),
    "_ZNKSs4findEcm": ("std", Kind.STD),
    "_ZTVSt9exception": ("std", Kind.STD),
    "_Z16THPVariable_WrapN2at10TensorBaseE": ("", Kind.TORCH_PYTHON),
    "_Z2atv": ("", Kind.OTHER),
    "_Z3fooN2at6TensorE": ("", Kind.OTHER),
    "_ZN6vision3ops3nmsERKN2at6TensorES4_d": ("vision", Kind.OTHER),
    "_ZN2atX": ("at", Kind.UNSTABLE),
    "_ZN99at": ("at", Kind.UNSTABLE),
    "_ZN": ("", Kind.OTHER),
    "_Z": ("", Kind.OTHER),
}

C = {
    "PyList_New": Kind.CPYTHON,
    "_Py_Dealloc": Kind.CPYTHON,
    "aoti_torch_new_tensor_handle": Kind.STABLE,
    "torch_library_impl": Kind.STABLE,
    "aoti_record_function_start": Kind.STABLE,
    "aoti_torch_of_tomorrow": Kind.UNKNOWN,
    "torch_of_tomorrow": Kind.UNKNOWN,
    "aoti_other": Kind.OTHER,
    "THPVariableClass": Kind.TORCH_PYTHON,
    "cudaMalloc": Kind.CUDA,
    "__cudaRegisterFatBinary": Kind.CUDA,
    "cuLaunchKernel": Kind.CUDA,
    "ncclAllReduce": Kind.CUDA,
    "cublasCreate_v2": Kind.CUDA,
    "nvrtcCompileProgram": Kind.CUDA,
    "current_time": Kind.OTHER,
    "custom": Kind.OTHER,
    "memcpy": Kind.OTHER,
}


@pytest.mark.parametrize("name", CXX)
def test_kinds_of_cxx_names(name: str) -> None:
    assert (namespace(name), classify(name)) == CXX[name]


@pytest.mark.parametrize("name", C)
def test_kinds_of_c_names(name: str) -> None:
    assert classify(name) is C[name]
    assert namespace(name) == ""


@pytest.mark.parametrize("version", ["GLIBC_2.17", "GLIBCXX_3.4.30", "CXXABI_1.3", "GCC_3.0"])
def test_a_version_of_the_system_decides_first(version: str) -> None:
    assert classify("torch_library_impl", version) is Kind.SYSTEM
    assert classify("torch_library_impl", "OTHER_1.0") is Kind.STABLE


@given(st.text(st.sampled_from("_ZNSKRTVIE0123456789atc") | st.characters(max_codepoint=127), max_size=30))
def test_no_name_is_too_strange(text: str) -> None:
    for name in (text, f"_Z{text}", f"_ZN{text}"):
        classify(name)
        string_abi(name)
        mentions_torch(name)


def test_templates_over_torchs_types() -> None:
    assert mentions_torch("_ZN8pybind116detail11type_casterIN2at6TensorEvE4loadENS_6handleEb")
    assert mentions_torch("_ZNSt6vectorIN3c106IValueESaIS1_EE9push_backERKS1_")
    assert not mentions_torch("_ZNSt6vectorIiSaIiEE9push_backERKi")
    assert not mentions_torch("_ZN6vision13at_everythingEv")
    assert not mentions_torch("torch_library_impl")


@pytest.mark.parametrize(
    ("name", "abi"),
    [
        ("_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE", StringABI.NEW),
        ("_ZNK3c106Device3strB5cxx11Ev", StringABI.NEW),
        ("_ZN3c105ErrorC1ENS_14SourceLocationESs", StringABI.OLD),
        ("_ZN3c106detail14torchCheckFailEPKcS2_jRKSs", StringABI.OLD),
        ("_ZN5torch6detail10class_baseC2ERKSsS3_SsRKSt9type_infoS6_", StringABI.OLD),
        ("_ZN3c107ClassSs3fooEv", StringABI.NONE),
        ("_ZN3c108optionalILi14EE3SsxEv", StringABI.NONE),
        ("_ZN2at6TensorC1Ev", StringABI.NONE),
        ("torch_Ss", StringABI.NONE),
    ],
)  # fmt: skip
def test_which_string_a_name_mentions(name: str, abi: StringABI) -> None:
    assert string_abi(name) is abi


@pytest.mark.parametrize(
    "name", ["libtorch.so", "libtorch_cpu.so", "libc10.so", "libc10_cuda.so", "libtorch_python.so"]
)
def test_torchs_libraries(name: str) -> None:
    assert LIBRARY.fullmatch(name)


@pytest.mark.parametrize(
    "name", ["libtorchaudio.so", "libtorchcodec_core4.so", "libc10x.so", "libtorch_python.so.bak"]
)
def test_libraries_that_only_sound_like_it(name: str) -> None:
    assert not LIBRARY.fullmatch(name)


def test_versions_are_in_order() -> None:
    assert versions()[: len(ALL)] == ALL
    assert list(versions()) == sorted(versions(), key=version_key)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("torch_library_impl", ALL[4:]),
        ("torch_exception_get_what", ALL[7:]),
        ("aoti_torch_new_tensor_handle", ALL[1:]),
        ("_ZN2at6TensorC1Ev", ()),
        ("_ZN5torch8autograd10deleteNodeEPNS0_4NodeE", ALL[:7]),
        ("_ZN6caffe28TypeMeta13typeMetaDatasEv", ALL),
        ("aoti_torch_of_tomorrow", ()),
    ],
)
def test_versions_that_export_a_name(name: str, expected: tuple[str, ...]) -> None:
    assert tuple(version for version in exported_in(name) if version in ALL) == expected


def test_a_shim_of_another_gpu_counts_from_its_first_version() -> None:
    assert shim_version("aoti_torch_get_current_sycl_queue") == "2.6"
    assert exports().mask("aoti_torch_get_current_sycl_queue") == 0
    assert exported_in("aoti_torch_get_current_sycl_queue")[: len(ALL)] == ALL


def test_the_first_version_of_a_shim() -> None:
    assert shim_version("torch_library_impl") == "2.10"
    assert shim_version("_ZN2at6TensorC1Ev") == ""


def test_shims_are_exported_from_their_first_version_on() -> None:
    """But for one function that was taken out again."""
    broken = []
    for name, first in shims().items():
        promised = tuple(v for v in versions() if version_key(v) >= version_key(first))
        if exports().mask(name) and exported_in(name) != promised:
            broken.append(name)
    assert broken == ["aoti_torch_cpu__qconv2d_pointwise_tensor"]


def test_loading_is_what_all_names_allow() -> None:
    assert loading([]) == versions()
    assert loading(["torch_library_impl"])[:3] == ("2.10", "2.11", "2.12")
    assert loading(["torch_library_impl", "_ZN5torch8autograd10deleteNodeEPNS0_4NodeE"]) == (
        "2.10",
        "2.11",
        "2.12",
    )
    assert loading(["torch_library_impl", "nope"]) == ()


def test_a_name_is_not_found_by_its_beginning() -> None:
    table = Exports(("2.6", "2.7"), ("_ZN2at1aEv 3", "_ZN2at1aEvx 1", "torch_a 2"))
    assert [table.mask(name) for name in ("_ZN2at1aEv", "_ZN2at1aEvx", "_ZN2at1aE", "torch_a", "torch_b", "")] == [
        3, 1, 0, 2, 0, 0,
    ]  # fmt: skip
    assert table.of_mask(2) == ("2.7",)


def test_every_line_is_found() -> None:
    lines = exports().lines
    assert list(lines) == sorted(lines)
    for line in lines[::97]:
        name, mask = line.split(" ")
        assert exports().mask(name) == int(mask, 16) > 0


@pytest.mark.parametrize("text", ["", "torch_a 1\n", "versions 2.7 2.6\na 1\n", "versions 2.6 2.6\na 1\n"])
def test_refuses_another_form(text: str) -> None:
    with pytest.raises(ValueError):
        parse_exports(text)


def test_the_tables_are_loaded_only_when_they_are_asked() -> None:
    code = (
        "import sys, wheelfuse.abi.torch as t; t.classify('PyList_New'); t.classify('_ZN2at6TensorC1Ev');"
        "assert 'lzma' not in sys.modules and not t.exports.cache_info().currsize;"
        "assert not t.shims.cache_info().currsize"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_tables_load_fast() -> None:
    """Far above what they take alone (40 and 1 ms), for a machine that does more than this."""

    def seconds(load: object) -> float:
        start = time.perf_counter()
        load.__wrapped__()  # type: ignore[attr-defined]
        return time.perf_counter() - start

    assert min(seconds(exports) for _ in range(3)) < 0.5
    assert min(seconds(shims) for _ in range(3)) < 0.05


def test_the_tables_are_small() -> None:
    assert (DATA / EXPORTS).stat().st_size < 600_000
    assert (DATA / SHIMS).stat().st_size < 60_000
    assert Path(DATA / SHIMS).read_text(encoding="ascii").startswith("# The functions")
