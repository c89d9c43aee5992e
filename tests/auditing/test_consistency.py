"""The rules about what the builds of one module have in common."""

from __future__ import annotations

from typing import Any

import pytest

from tests.auditing.builds import found, lines, made, module, release
from tests.auditing.wheel_subjects import wheel
from tests.real.download import fetched
from wheelfuse.auditing.builds import builds_of_modules, labels, without_graft_hash
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.subject import Kind, Subject

V4, V5 = (f"__pybind11_internals_v{n}_gcc_libstdcpp_cxxabi1017__" for n in (4, 5))
V11 = "__pybind11_internals_v11_system_libstdcpp_gxx_abi_1xxx_use_cxx11_abi_1__"
NANOBIND = "nanobind_system_libstdcpp_gxx_abi_1xxx_use_cxx11_abi_1_a1_v22"
TARGETS = ("cp310", "cp311", "cp312", "cp313")
PATH = "pkg/_C.cpython-{}-x86_64-linux-gnu.so".format


def odd(target: str, usual: dict[str, Any], other: dict[str, Any]) -> tuple[Subject, ...]:
    """A release in which the build for one CPython has other facts than the rest."""
    return release(*(module(each, **(other if each == target else usual)) for each in TARGETS))


def test_builds_are_sorted_by_cpython_and_kept_apart_by_machine_and_libc() -> None:
    musl = wheel("cp312-cp312", module("cp312", machine="EM_X86_64"), platform="musllinux_1_2_x86_64")
    arm = wheel("cp312-cp312", module("cp312", machine="EM_AARCH64"), platform="manylinux_2_17_aarch64")
    wheels = release(*(module(target) for target in ("cp313t", "cp39", "cp310")))
    (found_,) = builds_of_modules((musl, *wheels, arm))
    assert found_.name == "pkg._C" and [build.label for build in found_.all] == ["cp39", "cp310", "cp313t"]
    assert labels(found_.all) == "cp39, cp310 and cp313t" and labels(found_.all[:1]) == "cp39"


def test_builds_without_a_suffix_of_their_own_are_named_by_the_wheel() -> None:
    wheels = tuple(wheel(f"{tag}-{tag}", made("pkg/_swig.so", exports=("PyInit__swig",))) for tag in TARGETS)
    (found_,) = builds_of_modules(wheels)
    assert labels(found_.all) == "cp310, cp311, cp312 and cp313"


def test_texts() -> None:
    assert without_graft_hash("libgfortran-040039e1-0352e75f.so.5.0.0") == "libgfortran-#-#.so.5.0.0"
    assert without_graft_hash("libx-1.2.so") == "libx-1.2.so"


# WF801


def test_modules_that_cannot_share_types() -> None:
    given = wheel(
        "cp310.cp311-cp310.cp311",
        *(module(t, f"pkg/_{n}", pybind11=(V11,)) for t in ("cp310", "cp311") for n in "ab"),
        *(module(t, "pkg/_c", pybind11=(V4,)) for t in ("cp310", "cp311")),
    )
    (finding,) = found("WF801", given)
    assert (str(finding.severity), finding.path) == ("warning", "pkg/_c.cpython-310-x86_64-linux-gnu.so")
    assert finding.message == (
        "modules that cp310 and cp311 loads together have 2 different pybind11 internals"
    )
    assert finding.todo == "Build all modules of the package with one version of pybind11 and one compiler."
    assert finding.details == (
        f"{V4}: pkg/_c.cpython-310-x86_64-linux-gnu.so",
        f"{V11}: pkg/_a.cpython-310-x86_64-linux-gnu.so, pkg/_b.cpython-310-x86_64-linux-gnu.so",
    )


def test_many_modules_with_one_id_are_one_line() -> None:
    many = (module("cp311", f"pkg/_{n}", pybind11=(V11,)) for n in "abcde")
    (finding,) = found("WF801", wheel("cp311-cp311", *many, module("cp311", "pkg/_z", pybind11=(V4,))))
    end = "-x86_64-linux-gnu.so"
    paths = ", ".join(f"pkg/_{n}.cpython-311{end}" for n in "abc")
    assert finding.details == (f"{V4}: pkg/_z.cpython-311{end}", f"{V11}: {paths} and 2 more")


@pytest.mark.parametrize(
    "files",
    [
        [module("cp311", "pkg/_a", pybind11=(V4,)), module("cp312", "pkg/_a", pybind11=(V5,))],
        [module("cp311", "pkg/_a", pybind11=(V4,)), module("cp311", "pkg/_b", pybind11=(V4,))],
        [module("cp311", "pkg/_a", pybind11=(V4,)), module("cp311", "other/_b", pybind11=(V11,))],
        [module("cp311", "pkg/_a", pybind11=(V4,)), module("cp311", "pkg/_b", nanobind=(NANOBIND,))],
    ],
)
def test_modules_that_can_share_types_or_need_not(files: list[Any]) -> None:
    assert lines("WF801", wheel("cp311.cp312-cp311.cp312", *files)) == []


# WF802


def test_one_build_with_another_pybind11() -> None:
    wheels = odd("cp310", {"pybind11": (V11,)}, {"pybind11": (V4,)})
    (finding,) = found("WF802", *wheels)
    assert (str(finding.severity), finding.path, finding.subject) == ("warning", PATH("310"), wheels[0].label)
    assert finding.message == (
        "the build for cp310 has other pybind11 or nanobind internals than that for cp311, cp312 and cp313 (pkg._C)"
    )
    assert finding.details[1] == f"cp311, cp312 and cp313: {V11}"


@pytest.mark.parametrize(
    ("usual", "other"),
    [
        ({"pybind11": (V5,)}, {"pybind11": (V4,)}),
        ({"nanobind": (NANOBIND,)}, {"nanobind": (f"{NANOBIND}_stable",)}),
        ({"tools": ("Cython 3.1.4",)}, {"tools": ("Cython 3.1.4",)}),
    ],
)
def test_differences_that_one_version_makes_by_itself(usual: dict[str, Any], other: dict[str, Any]) -> None:
    assert lines("WF802", *odd("cp310", usual, other)) == []


# WF803


def test_one_build_with_other_exports() -> None:
    usual = {"exports": ("PyInit__C", "pkg_api", "pkg_helper")}
    (finding,) = found("WF803", *odd("cp312", usual, {"exports": ("PyInit__C", "pkg_debug")}))
    assert (str(finding.severity), finding.path) == ("info", PATH("312"))
    assert finding.message == (
        "the build for cp312 exports 2 fewer and 1 more than that for cp310, cp311 and cp313 (pkg._C)"
    )
    assert finding.details == ("lacks pkg_api", "lacks pkg_helper", "only here: pkg_debug")


@pytest.mark.parametrize("name", ["_ZNSt6vectorIiSaIiEEC1Ev", "_end", "PyModExport__C", "__bss_start"])
def test_exports_that_compilers_decide_about(name: str) -> None:
    wheels = odd("cp312", {"exports": ("PyInit__C",)}, {"exports": ("PyInit__C", name)})
    assert lines("WF803", *wheels) == []


def test_hashes_in_exported_names_are_not_compared() -> None:
    first, second = ({"exports": ("PyInit__C", f"__nv_module_id_{h}_12")} for h in ("0a1b2c3d", "ffee0011"))
    assert lines("WF803", *odd("cp312", first, second)) == []


# WF804


def test_one_build_that_links_another_library() -> None:
    usual = {"needed": ("libm.so.6", "libcublas.so.12", "libz-0123abcd.so.1")}
    (finding,) = found("WF804", *odd("cp313", usual, {"needed": ("libfoo.so.1", "libz-aaaaaaaa.so.1")}))
    assert (str(finding.severity), finding.path) == ("warning", PATH("313"))
    assert finding.message == (
        "the build for cp313 does not need libcublas.so.12 and needs libfoo.so.1, "
        "unlike that for cp310, cp311 and cp312 (pkg._C)"
    )


@pytest.mark.parametrize(
    "name",
    ["libpthread.so.0", "libstdc++.so.6", "libatomic.so.1", "ld-linux-x86-64.so.2", "libc.musl-x86_64.so.1"],
)
def test_run_time_libraries_of_c_are_not_compared(name: str) -> None:
    assert lines("WF804", *odd("cp310", {}, {"needed": (name,)})) == []


# WF805


def test_one_build_by_other_tools() -> None:
    usual = {"compilers": ("GCC 14.2.1",), "tools": ("Cython 3.2.9",)}
    other = {"compilers": ("GCC 10.2.1",), "tools": ("Cython 3.2.8",)}
    assert lines("WF805", *odd("cp310", usual, other)) == [
        f"info {PATH('310')}: the build for cp310 was made by Cython 3.2.8 and GCC 10.2.1, "
        "that for cp311, cp312 and cp313 by Cython 3.2.9 and GCC 14.2.1 (pkg._C)"
    ]


def test_a_tool_that_does_not_tell_its_version_is_no_difference() -> None:
    wheels = odd(
        "cp310", {"tools": ("Cython 3.2.9", "cffi")}, {"tools": ("Cython 3.2.9", "pybind11 internals v4")}
    )
    assert lines("WF805", *wheels) == []


# WF806


@pytest.mark.parametrize(
    ("flags", "severity", "texts"),
    [
        ("-mtune=generic -g -O0 -fPIC", "warning", ("-O0", "-O3")),
        ("-mtune=generic -g -fPIC", "warning", ("-O0", "-O3")),
        ("-mtune=generic -g -O2 -fPIC", "info", ("-O2", "-O3")),
        ("-mtune=generic -g -O3 -fsanitize=address -fPIC", "info", ("-fsanitize=address", "none of these")),
    ],
)
def test_one_build_with_other_flags(flags: str, severity: str, texts: tuple[str, str]) -> None:
    wheels = odd("cp311", {"flags": ("-mtune=generic -g -O3 -fPIC",)}, {"flags": (flags,)})
    assert lines("WF806", *wheels) == [
        f"{severity} {PATH('311')}: the build for cp311 was compiled with {texts[0]}, "
        f"that for cp310, cp312 and cp313 with {texts[1]} (pkg._C)"
    ]


@pytest.mark.parametrize(
    "flags",
    [
        "-O3 -fwrapv",
        "-g3 -O3 -fno-strict-overflow -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer",
        "-O3 -ffile-prefix-map=/tmp/build=. -fdebug-prefix-map=/a=/b -DNDEBUG -I/usr/include/python3.11",
    ],
)
def test_flags_that_cpython_or_a_path_bring_in(flags: str) -> None:
    assert lines("WF806", *odd("cp311", {"flags": ("-g -O3 -fPIC",)}, {"flags": (flags,)})) == []


def test_builds_that_record_no_flags_are_not_compared() -> None:
    assert lines("WF806", *odd("cp311", {"flags": ("-g -O3 -fPIC",)}, {})) == []


# WF807


def test_debug_information() -> None:
    files = [module(t, size=10 << 20, debug=d << 20) for t, d in (("cp310", 3), ("cp311", 2))]
    (finding,) = found("WF807", wheel("cp310.cp311-cp310.cp311", *files, others={"pkg/__init__.py": 5 << 20}))
    assert (str(finding.severity), finding.path) == ("info", "")
    assert finding.message == "debug information: 5.0 MiB in 2 files, 20% of all bytes"
    assert "strip -g" in finding.todo
    assert finding.details[0] == f"{PATH('310')}: 3.0 MiB of 10.0 MiB"


@pytest.mark.parametrize(("megabytes", "severity"), [(33, "warning"), (32, "info")])
def test_much_debug_information_is_a_warning(megabytes: int, severity: str) -> None:
    given = wheel("cp310-cp310", module("cp310", size=40 << 20, debug=megabytes << 20))
    (finding,) = found("WF807", given)
    assert (str(finding.severity), finding.path) == (severity, PATH("310"))


@pytest.mark.parametrize(
    "given",
    [
        wheel("cp310-cp310", module("cp310", size=2 << 20, debug=1000 << 10)),
        wheel("cp310-cp310", module("cp310", size=200 << 20, debug=19 << 20)),
        wheel("cp310-cp310", module("cp310", size=40 << 20, symbols=20 << 20)),
        Subject("empty", Kind.DIRECTORY),
    ],
)
def test_little_debug_information_is_fine(given: Subject) -> None:
    assert lines("WF807", given) == []


# WF808


def test_one_build_of_another_size() -> None:
    wheels = odd("cp312", {"size": 1 << 20}, {"size": 2 << 20})
    (finding,) = found("WF808", *wheels)
    assert (str(finding.severity), finding.path, finding.subject) == ("warning", PATH("312"), wheels[2].label)
    assert finding.message == (
        "2.0 MiB without debug information, where half of the builds of pkg._C have 1.0 MiB or less"
    )
    assert "cp312: 2.0 MiB" in finding.details
    (finding,) = found("WF808", *odd("cp310", {"size": 4 << 20}, {"size": 1 << 20}))
    assert finding.message.endswith("have 4.0 MiB or more")


@pytest.mark.parametrize(
    ("usual", "other"),
    [
        ({"size": 100 << 20}, {"size": 140 << 20}),
        ({"size": 60 << 10}, {"size": 120 << 10}),
        ({"size": 2 << 20, "debug": 1 << 20}, {"size": 9 << 20, "debug": 8 << 20}),
    ],
)
def test_sizes_that_are_not_far_apart(usual: dict[str, int], other: dict[str, int]) -> None:
    assert lines("WF808", *odd("cp312", usual, other)) == []


def test_of_two_sizes_neither_is_the_odd_one() -> None:
    assert lines("WF808", *release(module("cp310", size=1 << 20), module("cp311", size=9 << 20))) == []


# Real wheels

# Of each way to build; the largest (cupy, jaxlib) would take as long as all of these.
PROJECTS = (
    "aiohttp",
    "cffi",
    "faiss-gpu-cu12",
    "greenlet",
    "kiwisolver",
    "markupsafe",
    "numpy-2.3.5",
    "orjson",
    "pandas",
)


@pytest.mark.real
@pytest.mark.parametrize("project", PROJECTS)
def test_real_projects_have_no_warnings(project: str) -> None:
    subjects = [read_subject(path) for path in fetched("projects", project)]
    codes = [f"WF80{number}" for number in range(1, 9)]
    warned = [
        finding for code in codes for finding in found(code, *subjects) if str(finding.severity) != "info"
    ]
    assert warned == []


@pytest.mark.real
def test_what_does_differ_in_real_projects() -> None:
    arrow = [read_subject(path) for path in fetched("projects", "pyarrow")]
    (finding,) = found("WF805", *arrow)
    assert finding.message == (
        "the build for cp310 was made by Cython 3.2.8, that for cp311, cp312, cp313, cp314 and cp314t "
        "by Cython 3.2.9 (pyarrow._acero and 20 more)"
    )
    kiwi = [read_subject(path) for path in fetched("projects", "kiwisolver")]
    (finding,) = found("WF805", *kiwi)
    assert finding.message.startswith("the build for cp310 was made by GCC 4.4.7 and GCC 8.3.1, ")
    assert all("9" in f.message and "% of all bytes" in f.message for f in found("WF807", *kiwi))
