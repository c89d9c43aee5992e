"""The tables of what stands in a stable ABI: every name in them exists, and since when they say."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.abi.torch_headers import NAMES, measure
from wheelfuse.abi.cpython import DATA, history
from wheelfuse.abi.limited_api import limited_api_version
from wheelfuse.abi.stable import (
    LimitedReplacement,
    TorchCounterpart,
    limited_replacement,
    limited_replacements,
    torch_counterpart,
    torch_counterparts,
)
from wheelfuse.abi.torch import shim_version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOURCES = tomllib.loads((DATA / "SOURCES.toml").read_text(encoding="utf-8"))
_SINCE = re.compile(r"since 3\.(\d+) (Py\w+)")
_OF_TORCH = re.compile(r"\b(?:torch::[\w:]*\w|(?:STD|STABLE)_[A-Z_]+|TORCH_BOX|aoti_\w+|torch_\w+)")


@pytest.mark.parametrize("symbol", limited_replacements())
def test_a_replacement_is_in_the_limited_api(symbol: str) -> None:
    replacement = limited_replacements()[symbol]
    assert history(symbol), "exported by some CPython"
    assert all(limited_api_version(name) for name in replacement.functions)
    assert replacement.functions or replacement.remark
    joined = limited_api_version(symbol)
    assert joined is None or replacement.limited_api < joined[1], "or else nobody needs it"
    for minor, name in _SINCE.findall(replacement.remark):
        assert limited_api_version(name) == (3, int(minor))


def test_the_limited_api_of_a_replacement_is_the_latest_of_its_functions() -> None:
    assert LimitedReplacement(("PyObject_GetAttr", "PyObject_GenericGetDict")).limited_api == 10
    assert LimitedReplacement(("PyObject_GetAttr",)).limited_api == 2
    assert LimitedReplacement((), "leave it out").limited_api == 2


@pytest.mark.parametrize(
    ("symbol", "text"),
    [
        ("_PyObject_GetDictPtr", "PyObject_GenericGetDict (limited API 3.10)"),
        ("PyFrame_GetBack", "PyObject_GetAttrString: f_back"),
        (
            "PyDict_SetDefault",
            "PyDict_GetItemWithError + PyDict_SetItem: not atomic; since 3.15 PyDict_SetDefaultRef",
        ),
        ("_PyUnicode_Ready", "leave it out: strings are always ready in the limited API"),
    ],
)
def test_a_replacement_tells_from_which_limited_api_on(symbol: str, text: str) -> None:
    assert str(limited_replacement(symbol)) == text


@pytest.mark.parametrize("symbol", ["PyList_New", "PyTraceMalloc_Track", "nonsense"])
def test_not_everything_has_a_replacement(symbol: str) -> None:
    assert limited_replacement(symbol) is None


# What pybind11 and Cython bring into files, and what vLLM's modules used in 2026.
FREQUENT = """
PyDict_SetDefault PyFrame_GetBack PyGILState_Check PyGen_Type PyInstanceMethod_New PyInstanceMethod_Type
PyInterpreterState_Main PyMethod_New PyObject_ClearManagedDict PyObject_VectorcallDict PyObject_VisitManagedDict
PyThreadState_GetUnchecked PyUnicode_AsUTF8 PyUnicode_New _PyDict_GetItem_KnownHash _PyDict_NewPresized
_PyObject_GenericGetAttrWithDict _PyObject_GetDictPtr _PyObject_MakeTpCall _PyThreadState_UncheckedGet _PyType_Lookup
_PyUnicode_FastCopyCharacters _PyUnicode_Ready _Py_CheckFunctionResult _Py_DecRefShared _Py_FatalErrorFunc
_Py_MergeZeroLocalRefcount
"""


@pytest.mark.parametrize("symbol", FREQUENT.split())
def test_the_frequent_symbols_have_one(symbol: str) -> None:
    assert limited_replacement(symbol)


@pytest.fixture(scope="module")
def headers() -> dict[str, str]:
    lines = NAMES.read_text(encoding="ascii").splitlines()
    return dict(line.split(" ") for line in lines if not line.startswith("#"))


@pytest.mark.parametrize("name", torch_counterparts())
def test_a_counterpart_is_in_torchs_headers_since_that_version(name: str, headers: dict[str, str]) -> None:
    counterpart = torch_counterparts()[name]
    named = _OF_TORCH.findall(counterpart.name) if counterpart.since else []
    versions = [headers.get(item) or shim_version(item) for item in named]
    assert all(versions), f"{named} are in no header"
    assert bool(versions) == (counterpart.since is not None)
    latest = max((tuple(map(int, version.split("."))) for version in versions), default=None)
    assert latest == counterpart.since


@pytest.mark.parametrize(
    ("symbol", "counterpart"),
    [
        ("_ZN2at6Tensor6detachEv", TorchCounterpart("torch::stable::Tensor", (2, 8))),
        (
            "_ZNK2at10TensorBase8data_ptrIfEEPT_v",
            TorchCounterpart("torch::stable::Tensor::mutable_data_ptr", (2, 10)),
        ),
        ("_ZN5torch7LibraryC1Ev", TorchCounterpart("STABLE_TORCH_LIBRARY", (2, 7))),
        (
            "_ZN3c106detail14torchCheckFailEPKcS2_jS2_",
            TorchCounterpart("STD_TORCH_CHECK", (2, 9)),
        ),
        (
            "_ZN3c104cuda20getCurrentCUDAStreamEa",
            TorchCounterpart("aoti_torch_get_current_cuda_stream", (2, 6)),
        ),
        ("_ZN3c104cuda12device_countEv", TorchCounterpart("cudaGetDeviceCount", None)),
        ("THPVariable_Wrap", TorchCounterpart("torch::stable::tensor_to_pyobject", (2, 14))),
        ("_ZN2at7TensorsEv", None),
        ("_ZN3c1017get_default_dtypeEv", None),
        ("aoti_torch_new_name", None),
    ],
)
def test_the_longest_name_counts(symbol: str, counterpart: TorchCounterpart | None) -> None:
    assert torch_counterpart(symbol) == counterpart


def test_a_counterpart_tells_since_when() -> None:
    assert str(torch_counterpart("_ZN2at6TensorC1Ev")) == "torch::stable::Tensor (torch 2.8)"
    assert str(torch_counterpart("_ZN3c104cuda12device_countEv")) == "cudaGetDeviceCount"


_HEADER = """
#define STD_OLD(x) x
HIDDEN_NAMESPACE_BEGIN(torch, stable)
class Tensor {
 public:
  int64_t dim() const {
#if TORCH_FEATURE_VERSION >= TORCH_VERSION_2_12_0
  void* data() const {
#endif
};
#if TORCH_FEATURE_VERSION >= TORCH_VERSION_2_11_0
inline torch::stable::Tensor pad(
#else
inline Tensor late(
#endif
HIDDEN_NAMESPACE_END(torch, stable)
"""


def test_guards_in_headers_count(tmp_path: Path) -> None:
    (tmp_path / "csrc/stable").mkdir(parents=True)
    (tmp_path / "csrc/stable/ops.h").write_text(_HEADER, encoding="utf-8")
    assert measure({(2, 10): tmp_path}) == {
        "STD_OLD": (2, 10),
        "torch::stable::Tensor": (2, 10),
        "torch::stable::Tensor::dim": (2, 10),
        "torch::stable::Tensor::data": (2, 12),
        "torch::stable::pad": (2, 11),
        "torch::stable::late": (2, 10),
    }


def test_counts_never_shrink() -> None:
    assert len(limited_replacements()) >= SOURCES["limited_replacements.txt"]["counts"]["symbols"] >= 263
    assert len(torch_counterparts()) >= SOURCES["torch_stable.txt"]["counts"]["names"] >= 170
