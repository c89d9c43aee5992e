"""What files need of libtorch, and what the rules about it say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.auditing.wheel_subjects import loose, shared, wheel
from wheelfuse.abi.torch import StringABI, versions
from wheelfuse.auditing.finding import Finding, NotRun, Severity
from wheelfuse.auditing.libtorch import (
    TorchNeeds,
    all_needs,
    distinct,
    named_version,
    needs,
    spans,
    torch_requirement,
    torch_versions,
    torches,
)
from wheelfuse.auditing.rules.torch import (
    no_version,
    python_symbols,
    requirement,
    stable_floor,
    string_abi,
    unknown_shim,
    unstable,
)
from wheelfuse.auditing.subject import SharedObject, Subject
from wheelfuse.elf.symbols import Import
from wheelfuse.wheel.metadata import parse_headers

LATER = f"2.13-{versions()[-1]}"
STABLE, YOUNG = "torch_library_impl", "torch_exception_get_what"  # since 2.10, since 2.13
TENSOR = "_ZN2at4_ops5zeros4callEN3c108ArrayRefINS2_6SymIntEEESt8optionalINS2_10ScalarTypeEES6_INS2_6LayoutEES6_INS2_6DeviceEES6_IbE"  # noqa: E501
UNTIL_2_12 = "_ZN5torch8autograd10deleteNodeEPNS0_4NodeE"
OLD_STRING = "_ZN3c106detail14torchCheckFailEPKcS2_jRKSs"  # 2.6 alone
NEW_STRING = "_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
TEMPLATE = "_ZN8pybind116detail11type_casterIN2at6TensorEvE4loadENS_6handleEb"
NOWHERE = "_ZN2at13never_existedEv"
LIBRARIES = ("libc10.so", "libtorch_cpu.so")
MODULE = "pkg/_C.cpython-312-x86_64-linux-gnu.so"


def module(*imports: str, path: str = MODULE, needed: tuple[str, ...] = LIBRARIES) -> SharedObject:
    return shared(path, "PyList_New", *imports, needed=needed)


def with_requirement(subject: Subject, *lines: str) -> Subject:
    """The subject with these Requires-Dist fields."""
    fields = "".join(f"Requires-Dist: {line}\n" for line in lines)
    return replace(subject, metadata=parse_headers(f"Name: pkg\nVersion: 1.0\n{fields}".encode()))


def one(found: Iterable[Finding | NotRun]) -> Finding:
    """The only finding."""
    (finding,) = found
    assert isinstance(finding, Finding)
    return finding


def needed_by(*files: SharedObject) -> TorchNeeds:
    """What the first of these files needs."""
    item = needs(wheel("cp312-cp312", *files), files[0].path)
    assert item
    return item


def test_each_kind_is_told() -> None:
    item = needed_by(
        module(STABLE, YOUNG, TENSOR, "THPVariableClass", "torch_of_tomorrow", TEMPLATE, "memcpy")
    )
    assert item.stable == (YOUNG, STABLE)
    assert item.unstable == (TENSOR,)
    assert item.torch_python == ("THPVariableClass",)
    assert item.unknown == ("torch_of_tomorrow",)
    assert item.templates == (TEMPLATE,)
    assert item.floor == "2.13"
    assert item.versions == ()
    assert item.missing == ("torch_of_tomorrow",)
    assert not item.only_stable


def test_versions_are_those_that_export_all() -> None:
    assert spans(needed_by(module(STABLE)).versions) == f"2.10-{versions()[-1]}"
    assert needed_by(module(STABLE, UNTIL_2_12)).versions == ("2.10", "2.11", "2.12")
    assert needed_by(module(YOUNG, UNTIL_2_12)).versions == ()
    assert needed_by(module()).versions == versions()


def test_what_torch_lacks() -> None:
    item = needed_by(module(STABLE, UNTIL_2_12))
    assert item.lacking("2.9") == (STABLE,)
    assert item.lacking("2.12") == ()
    assert item.lacking("2.13") == (UNTIL_2_12,)


def test_weak_symbols_do_not_count() -> None:
    file = module(STABLE)
    weak = replace(file.image, imports=(*file.image.imports, Import(UNTIL_2_12, "", True)))
    assert needed_by(replace(file, image=weak)).unstable == ()


def test_what_a_sibling_defines_does_not_count() -> None:
    sibling = shared("pkg/libops.so", exports=(NOWHERE, "torch_of_tomorrow"))
    item = needed_by(module(STABLE, NOWHERE, "torch_of_tomorrow"), sibling)
    assert item.names == (STABLE,)
    assert needed_by(module(STABLE, NOWHERE)).missing == (NOWHERE,)


def test_the_build_for_another_cpython_is_no_sibling() -> None:
    other = shared("pkg/_C.cpython-311-x86_64-linux-gnu.so", exports=("PyInit__C", NOWHERE))
    assert needed_by(module(NOWHERE), other).missing == (NOWHERE,)


@pytest.mark.parametrize(
    ("imports", "needed", "expected"),
    [
        ((), ("libtorch.so",), True),
        ((STABLE,), (), True),
        ((TENSOR,), (), True),
        ((TEMPLATE,), (), False),
        ((NOWHERE,), (), False),
        (("torch_of_tomorrow",), (), False),
        (("cudaMalloc", "memcpy"), ("libcudart.so.12",), False),
    ],
)
def test_which_files_have_to_do_with_torch(
    imports: tuple[str, ...], needed: tuple[str, ...], expected: bool
) -> None:
    subject = wheel("cp312-cp312", module(*imports, needed=needed))
    assert (needs(subject, MODULE) is not None) is (expected or imports == (TEMPLATE,))


def test_torch_itself_needs_no_torch() -> None:
    core = shared("torch/lib/libtorch_cpu.so", exports=(TENSOR, STABLE))
    python = shared("torch/lib/libtorch_python.so", TENSOR, STABLE, needed=("libtorch_cpu.so",), exports=())
    subject = wheel("cp312-cp312", core, python)
    assert all_needs(subject) == {}
    assert torch_versions(subject) is None


def test_builds_for_other_gpus_are_not_judged() -> None:
    rocm = "_ZN3c103hip15getCurrentStreamEv"
    item = needed_by(module(STABLE, rocm, needed=("libtorch_hip.so",)))
    assert (item.unproved, item.missing) == ((rocm,), ())
    assert item.versions[0] == "2.10"
    assert item.lacking("2.10") == ()
    assert needed_by(module(STABLE, rocm)).missing == (rocm,)


def test_the_versions_of_an_input_are_common_to_its_files() -> None:
    first, second = module(STABLE), module(UNTIL_2_12, path="pkg/libops.so")
    assert torch_versions(wheel("cp312-cp312", first, second)) == ("2.10", "2.11", "2.12")
    assert torch_versions(wheel("cp312-cp312", shared(MODULE, "PyList_New"))) is None
    assert torch_versions(wheel("cp312-cp312", module(YOUNG), second)) == ()


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("pkg/libx_torch26-cpu.so", "2.6"),
        ("pkg/libx_torch2.10.so", "2.10"),
        ("pkg/libx_torch210.so", "2.10"),
        ("pkg/libx-torch_2_9-cuda.so", "2.9"),
        ("torch26/libx.so", ""),
        ("pkg/libtorchcodec_core4.so", ""),
        ("pkg/_C.so", ""),
        ("pkg/libtorch_cuda128.so", ""),
    ],
)
def test_files_that_name_a_torch(path: str, version: str) -> None:
    assert named_version(path) == version


def test_of_files_that_name_a_torch_one_is_enough() -> None:
    files = (module(UNTIL_2_12, path=f"pkg/libx_torch2{minor}.so") for minor in (4, 9, 10, 14))
    assert torch_versions(wheel("cp312-cp312", *files)) == ("2.9", "2.10")


def test_files_with_equal_needs_come_together() -> None:
    paths = ("pkg/liba.so", "pkg/libb.so", "pkg/libc.so")
    subject = wheel(
        "cp312-cp312", *(module(TENSOR, path=p) for p in paths[:2]), module(STABLE, path=paths[2])
    )
    assert [paths for paths, _ in distinct(subject)] == [paths[:2], paths[2:]]


def test_strings_of_both_kinds_leave_no_version() -> None:
    assert needed_by(module(OLD_STRING)).versions == ("2.6",)
    assert needed_by(module(NEW_STRING)).versions == versions()
    item = needed_by(module(OLD_STRING, NEW_STRING))
    assert item.torn and item.versions == ()
    assert item.with_strings(StringABI.OLD) == (OLD_STRING,)


def test_versions_are_shown_as_ranges() -> None:
    assert spans(("2.6", "2.7", "2.9", "2.10", "2.11", "2.13")) == "2.6-2.7, 2.9-2.11, 2.13"
    assert torches(("2.9",)) == "torch 2.9"
    assert torches(()) == "no known torch"


# The requirement


@pytest.mark.parametrize(
    ("lines", "text", "admitted"),
    [
        (("torch==2.10.0",), "torch==2.10.0", ("2.10",)),
        (("Torch >=2.7.1,<2.10",), "torch<2.10,>=2.7.1", ("2.7", "2.8", "2.9")),
        (("torch",), "torch", versions()),
        (("torch<2.6",), "torch<2.6", ()),
        (("numpy",), "", ()),
        (("torch>=2.9; extra == 'x'",), "", ()),
        (("torch>=2.9; sys_platform == 'win32'",), "", ()),
        (("torch>=2.9", "torch<2.11; sys_platform == 'linux'"), "torch<2.11,>=2.9", ("2.9", "2.10")),
        (("torch==2.9.*; python_version < '3.13'", "torch==2.10.*; python_version >= '3.13'"),
         "torch==2.9.* or torch==2.10.*", ("2.9", "2.10")),
    ],
)  # fmt: skip
def test_requirements_of_torch(lines: tuple[str, ...], text: str, admitted: tuple[str, ...]) -> None:
    found = torch_requirement(with_requirement(wheel("py3-none", module(STABLE)), *lines))
    assert (str(found), found.admitted) == (text, admitted)
    assert found.optional is ("extra" in lines[0] or "win32" in lines[0])


# The rules, each with a good and a bad case


def rule_402(*lines: str, imports: tuple[str, ...] = (STABLE,), path: str = MODULE) -> list[Finding | NotRun]:
    return list(
        requirement.check(with_requirement(wheel("cp312-cp312", module(*imports, path=path)), *lines))
    )


def test_a_requirement_of_what_loads_is_fine() -> None:
    assert rule_402("torch>=2.10") == []
    assert rule_402("torch==2.12.*", imports=(UNTIL_2_12,)) == []
    assert rule_402("torch>=2.9,<2.13", imports=(UNTIL_2_12,)) == []
    assert list(requirement.check(loose(module(STABLE)))) == []
    assert list(requirement.check(wheel("cp312-cp312", shared(MODULE, "PyList_New")))) == []


def test_a_requirement_that_admits_too_old_a_torch() -> None:
    finding = one(rule_402("torch>=2.7", imports=(YOUNG, STABLE)))
    assert finding.code == "WF402" and finding.severity is Severity.WARNING and finding.path == ""
    assert (
        finding.message
        == f"METADATA requires torch>=2.7, but only torch {LATER} loads the files: not 2.7-2.12"
    )
    assert finding.todo == "Require torch>=2.13."
    assert finding.details == (f"{MODULE}: torch 2.12 lacks {YOUNG}",)


def test_a_requirement_whose_newest_torch_fails() -> None:
    newest = versions()[-1]
    finding = one(rule_402("torch>=2.11", imports=(UNTIL_2_12,)))
    assert finding.severity is Severity.ERROR
    assert finding.message == (
        "METADATA requires torch>=2.11, but only torch 2.6-2.12 loads the files: "
        f"not 2.13-{newest}; a fresh install gets {newest}"
    )
    assert finding.todo == "Require torch>=2.6,<2.13."
    assert finding.details[0].startswith(f"{MODULE}: torch {newest} lacks torch::autograd::deleteNode")


def test_one_version_is_suggested_as_such() -> None:
    finding = one(rule_402("torch", imports=(OLD_STRING,)))
    assert finding.todo == "Require torch==2.6.*."


def test_files_for_each_torch_make_it_a_warning() -> None:
    finding = one(rule_402("torch", imports=(UNTIL_2_12,), path="pkg/libx_torch29.so"))
    assert finding.severity is Severity.WARNING


def test_a_wheel_that_does_not_require_torch() -> None:
    finding = one(rule_402("numpy"))
    assert finding.severity is Severity.INFO
    assert finding.message == f"needs torch 2.10-{versions()[-1]}, which METADATA does not require"
    assert finding.todo == "Add Requires-Dist: torch>=2.10, unless the choice of torch is left to the user."
    assert "requires only with an extra" in one(rule_402("torch>=2.10; extra == 'gpu'")).message


def test_a_torch_that_the_tables_do_not_know_is_not_judged() -> None:
    (item,) = rule_402("torch==2.5.*")
    assert isinstance(item, NotRun)
    assert item.reason.startswith("METADATA requires torch==2.5.*, of which the tables (2.6-")


def test_no_version_for_a_missing_symbol() -> None:
    finding = one(no_version.check(wheel("cp312-cp312", module(STABLE, NOWHERE))))
    assert (finding.code, finding.severity, finding.path) == ("WF401", Severity.ERROR, MODULE)
    assert finding.message == f"needs a symbol that no torch 2.6-{versions()[-1]} exports"
    assert finding.details == ("at::never_existed()",)
    assert list(no_version.check(wheel("cp312-cp312", module(STABLE)))) == []


def test_no_version_for_symbols_of_different_times() -> None:
    finding = one(no_version.check(wheel("cp312-cp312", module(YOUNG, UNTIL_2_12))))
    assert finding.message == f"no torch 2.6-{versions()[-1]} exports all that it needs"
    assert finding.details[0] == f"torch 2.6 lacks 1, such as {YOUNG}"
    assert finding.details[-1].startswith(
        f"torch {versions()[-1]} lacks 1, such as torch::autograd::deleteNode"
    )


def test_no_version_that_serves_all_files() -> None:
    subject = wheel("cp312-cp312", module(YOUNG), module(UNTIL_2_12, path="pkg/libops.so"))
    finding = one(no_version.check(subject))
    assert (finding.severity, finding.path) == (Severity.WARNING, "")
    assert finding.details == (f"{MODULE}: torch {LATER}", "pkg/libops.so: torch 2.6-2.12")


def test_files_for_an_older_torch_are_passed_over() -> None:
    older, known = ("pkg/libx_torch25.so", "pkg/libx_torch26.so")
    assert list(no_version.check(wheel("cp312-cp312", module(NOWHERE, path=older), module(path=known)))) == []
    assert one(no_version.check(wheel("cp312-cp312", module(NOWHERE, path=known)))).path == known


def test_a_wheel_for_an_older_torch_is_not_judged() -> None:
    (item,) = no_version.check(with_requirement(wheel("cp312-cp312", module(NOWHERE)), "torch==2.5.1"))
    assert isinstance(item, NotRun) and "torch==2.5.1" in item.reason


def test_unstable_symbols_are_counted_by_class() -> None:
    finding = one(unstable.check(wheel("cp312-cp312", module(TENSOR, UNTIL_2_12, NEW_STRING, TEMPLATE))))
    assert (finding.code, finding.severity, finding.path) == ("WF403", Severity.INFO, MODULE)
    assert (
        finding.message == "3 unstable C++ symbols of libtorch and 1 template over its types: torch 2.6-2.12"
    )
    assert finding.details == ("1 at::_ops", "1 c10::detail", "1 pybind11::detail", "1 torch::autograd")
    assert list(unstable.check(wheel("cp312-cp312", module(STABLE)))) == []


def test_equal_files_are_one_finding() -> None:
    paths = ("pkg/liba.so", "pkg/libb.so")
    finding = one(unstable.check(wheel("cp312-cp312", *(module(TENSOR, path=path) for path in paths))))
    assert (finding.path, finding.details) == ("pkg/liba.so", ("1 at::_ops", "the same in pkg/libb.so"))


def test_symbols_of_torch_python() -> None:
    finding = one(python_symbols.check(wheel("cp312-cp312", module("THPVariableClass"))))
    assert (finding.code, finding.severity, finding.path) == ("WF404", Severity.INFO, MODULE)
    assert (finding.message, finding.details) == ("1 symbol of torch_python", ("THPVariableClass",))
    assert list(python_symbols.check(wheel("cp312-cp312", module(TENSOR)))) == []


def test_functions_that_look_stable() -> None:
    finding = one(
        unknown_shim.check(wheel("cp312-cp312", module(STABLE, "aoti_torch_tomorrow", "torch_later")))
    )
    assert (finding.code, finding.severity, finding.path) == ("WF405", Severity.WARNING, MODULE)
    newest = versions()[-1]
    assert (
        finding.message
        == f"2 functions of no stable shim up to torch {newest}: aoti_torch_tomorrow, torch_later"
    )
    assert finding.details[0] == "aoti_torch_tomorrow: exported by no known torch"
    assert list(unknown_shim.check(wheel("cp312-cp312", module(STABLE)))) == []


def test_the_old_string() -> None:
    finding = one(string_abi.check(wheel("cp312-cp312", module(OLD_STRING))))
    assert (finding.code, finding.severity, finding.path) == ("WF406", Severity.INFO, MODULE)
    assert finding.message == "1 symbol of libtorch with the old std::string: torch 2.6"
    assert list(string_abi.check(wheel("cp312-cp312", module(NEW_STRING)))) == []


def test_both_strings() -> None:
    subject = wheel("cp312-cp312", module(OLD_STRING, NEW_STRING))
    finding = one(string_abi.check(subject))
    assert finding.severity is Severity.ERROR
    assert (
        finding.message
        == "1 symbol of libtorch with the old std::string and 1 with the new one: no known torch"
    )
    assert list(no_version.check(subject)) == [], "one error is enough"


def test_the_stable_abi_alone() -> None:
    finding = one(stable_floor.check(wheel("cp312-cp312", module(STABLE, YOUNG))))
    assert (finding.code, finding.severity, finding.path) == ("WF408", Severity.INFO, MODULE)
    assert finding.message == f"2 functions of libtorch's stable ABI, no unstable symbol: torch {LATER}"
    assert finding.details == (f"{YOUNG}: since torch 2.13",)
    assert list(stable_floor.check(wheel("cp312-cp312", module(STABLE, TENSOR)))) == []
