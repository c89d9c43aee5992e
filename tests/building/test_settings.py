"""What is read from pyproject.toml and the command line, and what is concluded from the words of compilers."""

from __future__ import annotations

from pathlib import Path

import pytest

from wheelfuse.building.diagnosis import diagnosis
from wheelfuse.building.options import BuildOptions, for_backend, parse_config_settings
from wheelfuse.building.project import Project, without
from wheelfuse.building.variables import deciding, job_variables
from wheelfuse.errors import UsageError
from wheelfuse.interpreters.matrix import MatrixOptions
from wheelfuse.target import Target


def test_a_project() -> None:
    requires = [
        "scikit-build-core>=0.10",
        "Torch==2.*; python_version>'3'",
        "py_bind11 @ https://x/y.whl",
    ]
    document = {
        "build-system": {"requires": requires},
        "project": {"name": "x", "requires-python": ">=3.10"},
        "tool": {"wheelfuse": {"build": {"pythons": ["3.12"]}}},
    }
    project = Project.from_pyproject(document, "pyproject.toml")
    assert (project.name, project.requires_python) == ("x", ">=3.10")
    assert project.requirements(("torch", "Py-Bind11")) == ("scikit-build-core>=0.10",)
    assert project.table == {"pythons": ["3.12"]}


def test_a_project_that_says_nothing_has_the_default_backend() -> None:
    assert Project.from_pyproject({}, "p").requires == ("setuptools >= 40.8.0",)


@pytest.mark.parametrize(
    "document",
    [
        {"project": 1},
        {"build-system": {"requires": "x"}},
        {"project": {"requires-python": 3}},
        {"tool": {"wheelfuse": 1}},
    ],
)
def test_a_pyproject_that_makes_no_sense(document: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"pyproject\.toml: "):
        Project.from_pyproject(document, "pyproject.toml")


def test_requirements_that_cannot_be_parsed_are_left_to_the_installer() -> None:
    assert without(("torch ===???", "a!"), ("torch",)) == ("a!",)


def test_options_of_the_command_line_come_before_the_table() -> None:
    table = {
        "pythons": ["3.12"], "config-settings": {"a": "1", "b": ["2", "3"]}, "skip-requirements": ["torch"],
        "environment": ["VLLM_*"], "all-files": True,
    }  # fmt: skip
    given = BuildOptions(config_settings=parse_config_settings(["a=9"]), skip_requirements=("x",))
    options = given.over(BuildOptions.from_table(table))
    assert for_backend(options.config_settings) == {"a": "9", "b": ["2", "3"]}
    assert options.matrix == MatrixOptions((Target(12),), free_threaded=None)
    assert options.skip_requirements == ("torch", "x")
    assert options.environment == ("VLLM_*",)
    assert options.all_files


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"jobs": 3}, "unknown jobs"),
        ({"environment": "X"}, "environment is a list"),
        ({"skip-requirements": [1]}, "skip-requirements is a list"),
        ({"config-settings": ["a=1"]}, "config-settings is a table"),
        ({"config-settings": {"a": 1}}, "config-settings.a is a string"),
        ({"all-files": "yes"}, "all-files is true or false"),
    ],
)
def test_tables_that_make_no_sense(table: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        BuildOptions.from_table(table)


def test_what_the_user_sets_wins_in_a_job() -> None:
    given = {
        "MAX_JOBS": "9",
        "SOURCE_DATE_EPOCH": "1",
        "CMAKE_CXX_COMPILER_LAUNCHER": "icecc",
        "CFLAGS": "-O1",
    }
    found = job_variables(
        given, Target(13, True), cores=4, epoch=7, launcher=Path("/ccache"), moved=Path("/a")
    )
    assert not {"MAX_JOBS", "SOURCE_DATE_EPOCH", "CMAKE_CXX_COMPILER_LAUNCHER"} & found.keys()
    assert found["CMAKE_BUILD_PARALLEL_LEVEL"] == "4"
    assert found["CMAKE_CUDA_COMPILER_LAUNCHER"] == "/ccache"
    assert found["WHEELFUSE_TARGET"] == "cp313t"
    assert found["CFLAGS"] == "-O1 -ffile-prefix-map=/a=."
    assert found["NVCC_APPEND_FLAGS"] == "-Xcompiler=-ffile-prefix-map=/a=."


def test_variables_that_decide() -> None:
    given = {
        "CC": "x",
        "CUDA_HOME": "x",
        "TORCH_CUDA_ARCH_LIST": "x",
        "HOME": "x",
        "PATH": "x",
        "VLLM_A": "x",
        "CCX": "x",
    }
    assert set(deciding(given, ["VLLM_*"])) == {"CC", "CUDA_HOME", "TORCH_CUDA_ARCH_LIST", "VLLM_A"}


SAID = {
    "gcc: header": (
        "a.cpp:3:10: fatal error: cutlass/x.h: No such file or directory\n    3 | #include <x>",
        "header cutlass/x.h is missing (a.cpp:3)",
    ),
    "clang: header": ("a.cpp:3:10: fatal error: 'x.h' file not found", "header x.h is missing (a.cpp:3)"),
    "nvcc: header": (
        'k.cu(7): catastrophic error: cannot open source file "x.cuh"', "header x.cuh is missing (k.cu:7)"
    ),
    "gcc: error": (
        "src/a.c: In function 'f':\nsrc/a.c:4:5: error: 'y' undeclared",
        "compile error: src/a.c:4:5: 'y' undeclared",
    ),
    "nvcc: error": (
        'k.cu(4): error: identifier "y" is undefined', 'compile error: k.cu:4: identifier "y" is undefined'
    ),
    "out of memory": (
        "c++: fatal error: Killed signal terminated program cc1plus\ncompilation terminated.",
        "the compiler was killed: memory may have run out, so try fewer --jobs",
    ),
    "full disk comes first": (
        "a.c:1:1: error: x\nfatal error: error writing to /tmp/x.s: No space left on device",
        "the disk is full (No space left on device)",
    ),
    "library": ("/usr/bin/ld: cannot find -lcudart: No such file", "library -lcudart is missing"),
    "symbol": ("a.o: undefined reference to `foo(int)'", "undefined symbol foo(int) when linking"),
    "CMake": (
        "CMake Error at CMakeLists.txt:12 (find_package):\n  Could not find Torch\n",
        "CMake: Could not find Torch (CMakeLists.txt:12)",
    ),
    "nothing known": ("all went wrong", ""),
}  # fmt: skip


@pytest.mark.parametrize(("output", "cause"), SAID.values(), ids=SAID)
def test_the_cause_in_the_words_of_the_tools(output: str, cause: str) -> None:
    assert diagnosis(output) == cause
