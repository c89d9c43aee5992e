"""C++ symbols for people: against what ``c++filt`` says, and without a C++ library."""

from __future__ import annotations

import pytest

from wheelfuse.abi import demangle as module
from wheelfuse.abi.demangle import QualifiedName, demangle, qualified_name

_FAIL = "_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"

READABLE = {
    "_ZNK2at10TensorBase8data_ptrIfEEPT_v": "float* at::TensorBase::data_ptr<float>() const",
    _FAIL: "c10::detail::torchCheckFail(char const*, char const*, unsigned int, std::string const&)",
    "_ZTVN5torch8autograd4NodeE": "vtable for torch::autograd::Node",
    "_ZN2at4_ops6narrow4callERKNS_6TensorElSt8optionalIlE": (
        "at::_ops::narrow::call(at::Tensor const&, long, std::optional<long>)"
    ),
    "_ZN5torch11pickle_loadERKSt6vectorIcSaIcEE": "torch::pickle_load(std::vector<char> const&)",
}


@pytest.mark.parametrize(("symbol", "readable"), READABLE.items())
def test_a_symbol_becomes_readable(symbol: str, readable: str) -> None:
    assert demangle(symbol) == readable


@pytest.mark.parametrize("symbol", ["PyList_New", "aoti_torch_zero_", "_Znonsense", "_Z", "", "_ZN2at"])
def test_what_is_no_cxx_symbol_stays(symbol: str) -> None:
    assert demangle(symbol) == symbol


def test_a_machine_without_a_cxx_library_sees_mangled_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LIBRARIES", ("libnobody-has-this.so.1",))
    module._demangler.cache_clear()
    try:
        assert demangle(_FAIL) == _FAIL
    finally:
        module._demangler.cache_clear()


@pytest.mark.parametrize(
    ("symbol", "scopes", "own"),
    [
        ("_ZNK2at10TensorBase8data_ptrIfEEPT_v", "at TensorBase", "data_ptr"),
        ("_ZNKR5torch7Library5_implEv", "torch Library", "_impl"),
        ("_ZN3c105ErrorC1ENS_14SourceLocationESs", "c10 Error", ""),
        ("_ZN3c1014OperatorHandleD2Ev", "c10 OperatorHandle", ""),
        ("_ZTIN3c105ErrorE", "c10 Error", ""),
        ("_ZTVN3c1011StorageImplE", "c10 StorageImpl", ""),
        ("_ZThn16_N3c105Error4whatEv", "c10 Error", "what"),
        ("_ZN3c10lsERSoRKNS_6DeviceE", "c10", ""),
        ("_ZNK3c108SymFloatdvERKS0_", "c10 SymFloat", ""),
        ("_ZN3c1013MessageLogger6streamB5cxx11Ev", "c10 MessageLogger", "stream"),
        ("_ZN3c104cuda20CUDACachingAllocator9allocatorE", "c10 cuda CUDACachingAllocator", "allocator"),
        ("_ZNSt6vectorIN2at6TensorESaIS1_EED1Ev", "std", "vector"),
        ("_ZSt4cout", "std", "cout"),
        ("_Z5helloRKN2at6TensorE", "", "hello"),
        ("THPVariable_Wrap", "", "THPVariable_Wrap"),
        ("_ZZN2at6Tensor3fooEvE1x", "at Tensor", "foo"),
    ],
)
def test_the_qualified_name_is_read_without_a_library(symbol: str, scopes: str, own: str) -> None:
    name = qualified_name(symbol)
    assert name == QualifiedName(tuple(scopes.split()), own)
    assert str(name) == "::".join(filter(None, (*scopes.split(), own)))
