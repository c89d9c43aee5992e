"""The rules about CUDA, and what they know of GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.auditing.builds import found, lines, made, module, release
from tests.auditing.wheel_subjects import wheel
from tests.real.download import fetched
from wheelfuse.auditing.cuda import (
    Runtime,
    is_for_future_gpus,
    is_specific,
    newest,
    runs_on,
    runtimes,
    toolkit,
    uncovered,
)
from wheelfuse.auditing.finding import Finding
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.subject import Subject
from wheelfuse.elf.fatbin import DeviceCode


def code(*architectures: str) -> DeviceCode:
    return made("libx.so", code=architectures).device_code


@pytest.mark.parametrize(
    ("architecture", "generation", "expected"),
    [
        ("sm_80", 80, True),
        ("sm_80", 86, True),
        ("sm_86", 80, False),
        ("sm_80", 90, False),
        ("compute_80", 90, True),
        ("compute_80", 75, False),
        ("sm_90a", 90, True),
        ("sm_100a", 103, False),
        ("sm_100f", 103, True),
        ("sm_100f", 120, False),
        ("compute_90a", 100, False),
        ("compute_100f", 103, True),
        ("compute_100f", 120, False),
        ("lto_90", 90, False),
        ("kind64_90", 90, False),
    ],
)
def test_which_gpu_runs_what(architecture: str, generation: int, expected: bool) -> None:
    given = code("sm_50").containers[0]
    entry = replace(given.entries[0], arch=architecture)
    assert runs_on(DeviceCode((replace(given, entries=(entry,)),)), generation) is expected


def test_generations_that_are_left_out() -> None:
    assert uncovered(code("sm_70", "sm_80")) == (90, 100, 103, 120, 121)
    assert uncovered(code("sm_70", "sm_90")) == (80, 86, 89, 100, 103, 120, 121)
    assert uncovered(code("sm_70", "compute_80")) == ()
    assert uncovered(code("sm_80", "sm_90", "sm_100", "sm_120")) == ()
    assert uncovered(code("lto_90")) == () == uncovered(DeviceCode())
    assert newest(code("sm_80", "sm_100", "compute_90")) == "sm_100"
    assert newest(code("compute_90")) == "compute_90" and newest(DeviceCode()) == ""
    assert is_for_future_gpus(code("compute_90")) and not is_for_future_gpus(code("sm_120", "compute_90a"))
    assert is_specific(code("sm_90a", "sm_100f")) and not is_specific(code("sm_90a", "sm_90"))
    assert not is_specific(DeviceCode())


# WF701

ALL = ("sm_80", "sm_90", "compute_90")


def test_builds_for_the_same_gpus_are_fine() -> None:
    assert (
        lines("WF701", *release(*(module(target, code=ALL) for target in ("cp310", "cp311", "cp312")))) == []
    )
    assert lines("WF701", *release(*(module(target) for target in ("cp310", "cp311")))) == []


def test_a_build_that_lacks_an_architecture() -> None:
    wheels = release(
        module("cp310", code=ALL), module("cp311", code=("sm_80", "compute_90")), module("cp312", code=ALL)
    )
    (finding,) = found("WF701", *wheels)
    assert finding.message == (
        "the build for cp311 has no GPU code for sm_90, unlike that for cp310 and cp312 (pkg._C)"
    )
    assert (finding.path, finding.subject) == ("pkg/_C.cpython-311-x86_64-linux-gnu.so", wheels[1].label)
    assert (
        str(finding.severity) == "warning"
        and finding.todo == "Build all of them with one list of architectures."
    )
    assert finding.details[0] == "cp311: sm_80, compute_90"


def test_a_build_that_has_more_architectures() -> None:
    wheels = release(
        *(module(t, code=("sm_80",)) for t in ("cp310", "cp311")), module("cp312", code=("sm_80", "sm_90"))
    )
    assert lines("WF701", *wheels) == [
        "warning pkg/_C.cpython-312-x86_64-linux-gnu.so: "
        "only the build for cp312 has GPU code for sm_90, that for cp310 and cp311 has not (pkg._C)"
    ]


def test_a_build_without_any_gpu_code_in_one_wheel() -> None:
    fused = wheel(
        "cp310.cp311.cp312-cp310.cp311.cp312",
        *(module(target, code=ALL) for target in ("cp310", "cp311")),
        module("cp312"),
    )
    (finding,) = found("WF701", fused)
    assert finding.message.startswith(
        "the build for cp312 has no GPU code for sm_80, sm_90, compute_90, unlike"
    )
    assert finding.details[0] == "cp312: no GPU"


def test_modules_that_differ_in_the_same_way_are_one_finding() -> None:
    names = ("pkg/_a", "pkg/_b", "pkg/_c")
    wheels = release(
        *(module("cp310", name, code=ALL) for name in names),
        *(module("cp311", name, code=ALL) for name in names),
        *(module("cp312", name, code=("sm_80", "sm_90")) for name in names),
    )
    (finding,) = found("WF701", *wheels)
    assert finding.message.endswith(
        "has no GPU code for compute_90, unlike that for cp310 and cp311 (pkg._a and 2 more)"
    )
    assert finding.details[-3:] == ("pkg._a", "pkg._b", "pkg._c")


def test_libraries_beside_the_modules_count_whatever_auditwheel_called_them() -> None:
    wheels = (
        wheel("cp310-cp310", made("pkg.libs/libk-0123abcd.so", code=("sm_80",))),
        wheel("cp311-cp311", made("pkg.libs/libk-89ef4567.so", code=("sm_90",))),
    )
    (finding,) = found("WF701", *wheels)
    assert (
        "has no GPU code for sm_80, but code for sm_90, unlike that for cp310 (pkg.libs/libk-#.so)"
        in finding.message
    )


def test_other_machines_are_other_builds() -> None:
    arm = made("pkg/_C.cpython-310-aarch64-linux-gnu.so", code=("sm_90",), machine="EM_AARCH64")
    wheels = (
        *release(module("cp310", code=ALL)),
        wheel("cp310-cp310", arm, platform="manylinux_2_28_aarch64"),
    )
    assert lines("WF701", *wheels) == []


# WF702


@pytest.mark.parametrize(
    "architectures",
    [
        (),
        ("sm_80", "compute_80"),
        ("compute_70",),
        ("sm_90a",),
        ("sm_90a", "sm_100f"),
        ("sm_120", "compute_90"),
        ("lto_90",),
    ],
)
def test_code_that_newer_gpus_can_run_or_need_not(architectures: Sequence[str]) -> None:
    file = module("cp310", code=tuple(architectures))
    assert lines("WF702", wheel("cp310-cp310", file)) == []


def test_no_code_for_gpus_on_the_market() -> None:
    files = [module("cp310", name, code=("sm_80", "sm_90")) for name in ("pkg/_a", "pkg/_b")]
    (finding,) = found("WF702", wheel("cp310-cp310", *files))
    assert (str(finding.severity), finding.path) == ("warning", "pkg/_a.cpython-310-x86_64-linux-gnu.so")
    assert finding.message == ("no code for sm_100, sm_103, sm_120, sm_121: it has sm_80, sm_90 (and 1 more)")
    assert finding.todo == "Build for these GPUs, or add PTX of the newest architecture (code=compute_NN)."
    assert finding.details == ("pkg/_b.cpython-310-x86_64-linux-gnu.so",)


def test_no_code_for_gpus_to_come() -> None:
    assert lines("WF702", wheel("cp310-cp310", module("cp310", code=("sm_100", "sm_120")))) == [
        "info pkg/_C.cpython-310-x86_64-linux-gnu.so: "
        "no PTX for GPUs that come after sm_120: it has sm_100, sm_120"
    ]


# WF703 and WF704


def test_the_run_time_library_is_told() -> None:
    given = wheel(
        "cp310-cp310",
        module("cp310", "pkg/_a", needed=("libcudart.so.12",)),
        made("pkg.libs/libb.so", needed=("libcudart-0123abcd.so.12.4.127",)),
        made("pkg/libc.so", static_cudart=True, code=("sm_90", "compute_90"), ptx=(9, 0)),
        made("pkg/libd.so", static_cudart=True),
        made("pkg/libe.so", needed=("libcudartish.so.1", "libcuda.so.1")),
    )
    (finding,) = found("WF703", given)
    assert (str(finding.severity), finding.path) == ("info", "")
    assert finding.message == (
        "CUDA run-time library: static in 1 file, libcudart-0123abcd.so.12.4.127 in 1 file, "
        "libcudart.so.12 in 1 file, static (CUDA 13) in 1 file"
    )
    assert "static (CUDA 13): pkg/libc.so" in finding.details
    assert lines("WF703", wheel("cp310-cp310", module("cp310"))) == []


def test_the_version_of_a_static_copy_is_that_of_the_ptx() -> None:
    assert runtimes(made("l.so", static_cudart=True, code=("compute_90",), ptx=(8, 8))) == (
        Runtime("12", "static"),
    )
    assert runtimes(made("l.so", needed=("libcudart.so.11.0",))) == (
        Runtime("11", "links libcudart.so.11.0"),
    )
    assert toolkit(code("sm_90")) == ""


def test_mixed_run_time_libraries_in_what_is_loaded_together() -> None:
    given = wheel(
        "cp310-cp310",
        module("cp310", needed=("libk.so", "libcudart.so.13")),
        made("pkg/libk.so", soname="libk.so", needed=("libcudart.so.12",)),
    )
    (finding,) = found("WF704", given)
    assert (str(finding.severity), finding.path) == ("warning", "pkg/_C.cpython-310-x86_64-linux-gnu.so")
    assert finding.message == "what it loads uses the CUDA run-time libraries 12 and 13"
    assert finding.todo == "Build all of it with one CUDA toolkit."
    assert finding.details == (
        "CUDA 12: pkg/libk.so (links libcudart.so.12)",
        "CUDA 13: pkg/_C.cpython-310-x86_64-linux-gnu.so (links libcudart.so.13)",
    )


@pytest.mark.parametrize("needed", [("libcudart.so.12",), ("libcudart.so.12", "libcublas.so.13")])
def test_one_run_time_library_for_all_that_is_loaded_together(needed: tuple[str, ...]) -> None:
    """A library for each version, of which one is opened, is fine."""
    given = wheel(
        "cp310-cp310",
        module("cp310", needed=needed),
        made("pkg/libk12.so", needed=("libcudart.so.12",)),
        made("pkg/libk13.so", needed=("libcudart.so.13",)),
    )
    assert lines("WF704", given) == []


# WF705


def test_run_time_compilation_with_what_is_shipped_for_it() -> None:
    others = {
        "pkg/include/cutlass/a.hpp": 3 << 20,
        "pkg/include/cutlass/b.cuh": 1 << 20,
        "pkg/k.cu": 10,
        "pkg/x.py": 9,
    }
    given = wheel(
        "cp310-cp310",
        module("cp310", needed=("libnvrtc.so.13",)),
        made("pkg/libj.so", opens=("libnvrtc.so.12", "libcuda.so.1")),
        others=others,
    )
    (finding,) = found("WF705", given)
    assert (str(finding.severity), finding.path) == ("info", "pkg/_C.cpython-310-x86_64-linux-gnu.so")
    assert finding.message == (
        "GPU code is compiled at run time, or can be: 2 files with libnvrtc.so.12, libnvrtc.so.13, "
        "2 headers of 4.0 MiB, 1 CUDA source"
    )
    assert finding.details == (
        "pkg/_C.cpython-310-x86_64-linux-gnu.so: libnvrtc.so.13",
        "pkg/libj.so: libnvrtc.so.12",
        "pkg/include/cutlass/: 4.0 MiB of headers",
    )


def test_run_time_compilation_by_what_is_imported_or_shipped_alone() -> None:
    assert (
        "1 file with libnvrtc"
        in lines("WF705", wheel("cp310-cp310", module("cp310", imports=("nvrtcVersion",))))[0]
    )
    assert lines("WF705", wheel("cp310-cp310", others={"pkg/k.cu": 10})) == [
        "info : GPU code is compiled at run time, or can be: 1 CUDA source"
    ]


@pytest.mark.parametrize(
    "given",
    [
        wheel(
            "cp310-cp310", module("cp310", needed=("libcudart.so.12",)), others={"pkg/include/a.h": 1 << 20}
        ),
        wheel(
            "cp310-cp310",
            made("nvidia/libnvrtc.so.12", soname="libnvrtc.so.12", opens=("libnvrtc-builtins.so.12.4",)),
        ),
    ],
)
def test_no_run_time_compilation(given: Subject) -> None:
    assert lines("WF705", given) == []


# WF706


def test_gpu_code_for_a_debugger() -> None:
    given = wheel("cp310-cp310", module("cp310", code=("sm_80", "sm_90"), gpu_debug=True))
    (finding,) = found("WF706", given)
    assert str(finding.severity) == "warning" and finding.todo == "Build without nvcc's -G (--device-debug)."
    assert finding.message == "2 of 2 pieces of GPU code were compiled with -G (sm_80, sm_90; 2.0 MiB)"
    assert lines("WF706", wheel("cp310-cp310", module("cp310", code=("sm_80", "sm_90")))) == []


# Real wheels


@pytest.mark.real
def test_of_cupy_and_faiss() -> None:
    cupy = [read_subject(path) for path in fetched("projects", "cupy-cuda12x")]
    assert [finding.code for finding in _all(cupy) if str(finding.severity) != "info"] == []
    (compilation,) = found("WF705", cupy[0])
    assert "1 file with libnvrtc.so.12, 1,922 headers of 15.5 MiB, 4 CUDA sources" in compilation.message
    faiss = [read_subject(path) for path in fetched("projects", "faiss-gpu-cu12")[:1]]
    # True: a GPU newer than 8.9 has no code in there.
    assert {(f.code, f.message) for f in _all(faiss) if str(f.severity) != "info"} == {
        ("WF702", "no code for sm_90, sm_100, sm_103, sm_120, sm_121: it has sm_70, sm_80")
    }


def _all(subjects: Sequence[Subject]) -> list[Finding]:
    return [finding for rule in range(701, 707) for finding in found(f"WF{rule}", *subjects)]
