"""The CMake module, by real builds: what is compiled how often, and what of it each CPython imports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import wheelfuse.building.cmake
from tests.building.extensions import BINDING, KERNEL, PYTHONS, imported, libraries_of_torch
from tests.cuda import nvcc
from wheelfuse.elf.fatbin import read_device_code
from wheelfuse.elf.image import Image, read_image
from wheelfuse.target import Target

MODULES = Path(wheelfuse.building.cmake.__file__).parent
PROGRAMS = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
"""Where cmake and ninja are: in this environment, or on PATH."""

WITHOUT_PYTHON = """\
#if __has_include(<Python.h>)
#error "this sees the headers of a CPython"
#endif
"""
ON_CPU = WITHOUT_PYTHON + "int doubled(int x) { return 2 * x; }\n"


@dataclass(frozen=True)
class Project:
    """A CMake project in a directory of its own, with a launcher that keeps a list of what compilers were run for."""

    root: Path

    def write(self, cmake_lists: str, **sources: str) -> None:
        (self.root / "src").mkdir(parents=True)
        files = {
            "CMakeLists.txt": f"cmake_minimum_required(VERSION 3.25)\n{cmake_lists}",
            "binding.cpp": BINDING,
        }
        for name, text in {
            **files,
            **{name.replace("_", "."): text for name, text in sources.items()},
        }.items():
            (self.root / "src" / name).write_text(text)
        launcher = self.root / "launcher"
        launcher.write_text(f'#!/bin/sh\necho "$@" >> {self.root}/log\nexec "$@"\n')
        launcher.chmod(0o755)

    def configure(
        self, *pythons: Path, options: tuple[str, ...] = (), env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [
            "cmake",
            "-S",
            self.root / "src",
            "-B",
            self.root / "build",
            "-GNinja",
            f"-DCMAKE_MODULE_PATH={MODULES}",
        ]
        command += ["-DCMAKE_BUILD_TYPE=Release", f"-DPython_EXECUTABLE={sys.executable}", *options]
        command += [f"-DWHEELFUSE_EXTENSION_PYTHONS={':'.join(map(str, pythons))}"]
        return run(*command, env=env)

    def build(
        self, *pythons: Path, options: tuple[str, ...] = (), env: dict[str, str] | None = None
    ) -> list[str]:
        """Configure and build; returns the commands that the launcher saw."""
        launchers = [
            f"-DCMAKE_{language}_COMPILER_LAUNCHER={self.root}/launcher" for language in ("CXX", "CUDA")
        ]
        done = self.configure(*pythons, options=(*launchers, *options), env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        (self.root / "log").unlink(missing_ok=True)
        done = run("cmake", "--build", self.root / "build", env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        log = self.root / "log"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def modules(self) -> list[Path]:
        return sorted((self.root / "build").glob("*.so"))


def run(
    *command: object, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    # What the machine chose for CMake, Python or a compiler must not decide about these builds.
    leaky = ("CMAKE_", "CUDA", "CXX", "WHEELFUSE_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(leaky)}
    environ = {**kept, "PATH": PROGRAMS, "CUDACXX": nvcc(), **(env or {})}
    program = shutil.which(str(command[0]), path=environ["PATH"])
    assert program, f"{command[0]} is neither in this environment nor on PATH"
    return subprocess.run(
        [program, *map(str, command[1:])], env=environ, cwd=cwd, capture_output=True, text=True
    )


def image(path: Path) -> Image:
    return read_image(path.read_bytes())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


SIMPLE = """\
project(simple LANGUAGES CXX)
include(WheelfuseExtension)
wheelfuse_add_extension(TARGET _C SOURCES binding.cpp COMMON common.cpp {arguments})
"""
WITH_CUDA = """\
project(cuda LANGUAGES CXX)
set(CMAKE_CUDA_ARCHITECTURES 80)
include(WheelfuseExtension)
wheelfuse_enable_cuda()
wheelfuse_add_extension(TARGET _C SOURCES binding.cpp kernel.cu CUDA)
"""


def test_kernels_are_compiled_once_for_all_cpythons(project: Project) -> None:
    project.write(WITH_CUDA, kernel_cu=WITHOUT_PYTHON + KERNEL)
    counting = project.root / "nvcc"  # sees every call, of CMake's launchers or not
    counting.write_text(f'#!/bin/sh\necho nvcc >> {project.root}/log\nexec {nvcc()} "$@"\n')
    counting.chmod(0o755)
    env = {"CUDACXX": str(counting)}
    targets = sorted({min(PYTHONS), *list(PYTHONS)[-2:]})
    *first, one_more = (PYTHONS[target] for target in targets)

    log = project.build(*first, env=env)
    assert log.count("nvcc") == 1
    assert len([line for line in log if "binding.cpp" in line]) == len(first)

    log = project.build(*first, one_more, env=env)
    assert log.count("nvcc") == 0
    assert len([line for line in log if "binding.cpp" in line]) == len(log) == 1

    assert len(project.modules) == len(targets)
    for target in targets:
        number, version = imported(target, project.root / "build").split()
        assert (number, version[:5]) == ("42", f"0x3{target.minor:02x}")
    assert len({device_code(path) for path in project.modules}) == 1


def device_code(path: Path) -> tuple[bytes, ...]:
    data = path.read_bytes()
    containers = read_device_code(data, read_image(data)).containers
    assert containers
    return tuple(data[one.offset : one.offset + one.size] for one in containers)


def test_relocatable_device_code_is_linked_once(project: Project) -> None:
    calling = "extern __device__ int other(int);\n__global__ void twice(int *x) { *x = other(*x); }\n"
    project.write(
        WITH_CUDA.replace("kernel.cu", "kernel.cu other.cu").replace(
            "include(", "set(CMAKE_CUDA_SEPARABLE_COMPILATION ON)\ninclude("
        ),
        kernel_cu=calling + "int doubled(int x) { return 2 * x; }\n",
        other_cu="__device__ int other(int x) { return 2 * x; }\n",
    )
    targets = list(PYTHONS)[:2]
    project.build(*(PYTHONS[target] for target in targets))
    commands = (project.root / "build" / "build.ninja").read_text()
    assert commands.count("build CMakeFiles/_C_kernels.dir/cmake_device_link.o") == 1
    assert commands.count("cmake_device_link.o:") == 1
    for target in targets:
        assert imported(target, project.root / "build").startswith("42")
    assert len({device_code(path) for path in project.modules}) == 1


def test_each_soabi_counts_once(project: Project, tmp_path: Path) -> None:
    python = next(iter(PYTHONS.values()))
    twin = tmp_path / "twin"
    twin.symlink_to(python)
    project.write(SIMPLE.format(arguments=""), common_cpp=ON_CPU)
    log = project.build(python, twin, python)
    assert len([line for line in log if "binding.cpp" in line]) == 1
    assert len(project.modules) == 1


@pytest.mark.parametrize(
    "arguments", ["", "PYTHONS", 'PYTHONS ""', 'PYTHONS "${nothing}" OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}"']
)
def test_an_empty_list_means_the_running_python(project: Project, arguments: str) -> None:
    project.write(SIMPLE.format(arguments=arguments), common_cpp=ON_CPU)
    project.build()
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert [path.name for path in project.modules] == [f"_C{suffix}"]


def test_a_list_given_in_the_project_goes_before_that_of_the_command_line(project: Project) -> None:
    one, other = list(PYTHONS.items())[:2]
    project.write(SIMPLE.format(arguments=f"PYTHONS {one[1]}"), common_cpp=ON_CPU)
    project.build(other[1])
    assert [path.name.split(".")[1] for path in project.modules] == [f"{one[0].soabi_tag}-x86_64-linux-gnu"]


def test_a_stable_abi_makes_one_file_for_several(project: Project) -> None:
    with_gil = [target for target in PYTHONS if not target.free_threaded]
    oldest = with_gil[0]
    project.write(SIMPLE.format(arguments=f"STABLE_ABI {oldest.python_version}"), common_cpp=ON_CPU)
    log = project.build(PYTHONS[oldest], *PYTHONS.values())  # free-threaded ones have no say
    assert [path.name for path in project.modules] == ["_C.abi3.so"]
    compiled = [line for line in log if "binding.cpp" in line]
    assert len(compiled) == 1
    assert f"-DPy_LIMITED_API=0x3{oldest.minor:02x}0000" in compiled[0]
    for target in with_gil:
        assert imported(target, project.root / "build", "print(_C.doubled(21))") == "42"


def test_a_stable_abi_hides_what_does_not_belong_to_it(project: Project) -> None:
    project.write(SIMPLE.format(arguments="STABLE_ABI 3.10"), common_cpp=ON_CPU)
    source = project.root / "src" / "binding.cpp"
    source.write_text(
        BINDING.replace("PyLong_FromLong(", "PyUnicode_READ_CHAR(number, 0) + PyLong_FromLong(")
    )
    with pytest.raises(AssertionError, match=r"PyUnicode_READ_CHAR.* was not declared"):
        project.build(PYTHONS[Target(11)])


def test_the_same_tree_elsewhere_gives_the_same_bytes(tmp_path: Path) -> None:
    text = BINDING.replace('built_for", PY_VERSION_HEX', 'line", __LINE__ + sizeof(__FILE__)')
    common = "namespace { int hidden(int x) { return 2 * x; } }\nconst char *file() { return __FILE__; }\n"
    built = []
    for name in ("one", "a/longer/path"):
        project = Project(tmp_path / name)
        project.write(
            SIMPLE.format(arguments=""), common_cpp=common + "int doubled(int x) { return hidden(x); }\n"
        )
        (project.root / "src" / "binding.cpp").write_text(text)
        project.build(PYTHONS[Target(11)])
        built.append(project.modules[0].read_bytes())
    assert built[0] == built[1]
    assert str(tmp_path).encode() not in built[0]


def fake_torch(directory: Path) -> dict[str, str]:
    """What `wheelfuse build` says about a torch, here one that is made up of a header and libraries."""
    libraries_of_torch(directory)
    return {
        "WHEELFUSE_TORCH_LIB": str(directory / "lib"),
        "WHEELFUSE_TORCH_CUDA": "",
        "WHEELFUSE_TORCH_CXX11_ABI": "0",
    }


def test_torch_is_compiled_against_and_not_searched_for_at_run_time(project: Project, tmp_path: Path) -> None:
    common = WITHOUT_PYTHON + "#include <torch/library.h>\nint doubled(int x) { return of_torch(x); }\n"
    project.write(SIMPLE.format(arguments="TORCH"), common_cpp=common)
    log = project.build(PYTHONS[Target(11)], env=fake_torch(tmp_path / "torch"))
    for flag in (
        "-DTORCH_EXTENSION_NAME=_C",
        "-DTORCH_API_INCLUDE_EXTENSION_H",
        "-D_GLIBCXX_USE_CXX11_ABI=0",
        "-std=gnu++20",
    ):
        assert all(flag in line for line in log), flag
    found = image(project.modules[0])
    used = [name for name in found.needed if "torch" in name or "c10" in name]
    assert used == ["libtorch.so", "libtorch_cpu.so"]  # the first for what it leads to
    assert found.runpath == ()


def test_a_compiler_cache_is_used_where_there_is_one(project: Project, tmp_path: Path) -> None:
    project.write(SIMPLE.format(arguments=""), common_cpp=ON_CPU)
    cache = tmp_path / "bin" / "ccache"
    cache.parent.mkdir()
    cache.write_text(f'#!/bin/sh\necho cached >> {tmp_path}/cached\nexec "$@"\n')
    cache.chmod(0o755)
    env = {"PATH": f"{cache.parent}{os.pathsep}{PROGRAMS}"}
    assert project.configure(env=env).returncode == 0
    assert run("cmake", "--build", project.root / "build", env=env).returncode == 0
    assert (tmp_path / "cached").read_text().splitlines() == ["cached"] * 2

    for option in (f"-DCMAKE_CXX_COMPILER_LAUNCHER={project.root}/launcher", "-DWHEELFUSE_COMPILER_CACHE="):
        shutil.rmtree(project.root / "build")
        (tmp_path / "cached").unlink(missing_ok=True)
        assert project.configure(options=(option,), env=env).returncode == 0
        assert run("cmake", "--build", project.root / "build", env=env).returncode == 0
        assert not (tmp_path / "cached").exists()


def test_what_it_makes_is_installed(project: Project, tmp_path: Path) -> None:
    project.write(
        SIMPLE.format(arguments="DESTINATION pkg MODULE _C TARGET mine").replace("TARGET _C ", ""),
        common_cpp=ON_CPU,
    )
    targets = list(PYTHONS)[:2]
    project.build(*(PYTHONS[target] for target in targets))
    done = run("cmake", "--install", project.root / "build", "--prefix", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out" / "pkg").iterdir())) == 2
    for target in targets:
        assert imported(target, tmp_path / "out" / "pkg").startswith("42")


FAKE = """\
#!/bin/sh
echo '{{"version": "3.11", "soabi": "{soabi}", "suffix": ".{soabi}.so", "free_threaded": {threads}, \
"include": "/nowhere", "headers": {headers}}}'
"""
REFUSALS = {
    "no target": ("SOURCES a.cpp", "TARGET is missing"),
    "no sources": ("TARGET x", "x: SOURCES is missing"),
    "something else": ("_C TARGET x SOURCES a.cpp", "x: does not know _C"),
    "a stable ABI that is none": ("TARGET x SOURCES a.cpp STABLE_ABI cp310", "takes a version such as 3.10, not cp310"),
    "kernels without CUDA": ("TARGET x SOURCES a.cpp b.cu", "x: .cu files need the argument CUDA"),
    "CUDA not enabled": ("TARGET x SOURCES a.cpp b.cu CUDA", "call wheelfuse_enable_cuda() before"),
    "no such interpreter": ("TARGET x SOURCES a.cpp PYTHONS /nowhere/python3", "/nowhere/python3 does not answer"),
    "no headers": ("TARGET x SOURCES a.cpp PYTHONS ${CMAKE_SOURCE_DIR}/bare", "no Python.h in '/nowhere'"),
    "no SOABI": ("TARGET x SOURCES a.cpp PYTHONS ${CMAKE_SOURCE_DIR}/none", "is it a CPython?"),
    "too old for the stable ABI": (
        "TARGET x SOURCES a.cpp STABLE_ABI 3.12 PYTHONS ${CMAKE_SOURCE_DIR}/good", "take a CPython 3.12 or newer",
    ),
    "free-threaded": (
        "TARGET x SOURCES a.cpp STABLE_ABI 3.10 PYTHONS ${CMAKE_SOURCE_DIR}/threads", "with the GIL",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), REFUSALS.values(), ids=REFUSALS)
def test_a_call_that_makes_no_sense_is_refused(project: Project, arguments: str, message: str) -> None:
    lists = f"project(x LANGUAGES NONE)\ninclude(WheelfuseExtension)\nwheelfuse_add_extension({arguments})\n"
    project.write(lists, a_cpp="", b_cu="")
    for name, soabi, threads, headers in (
        ("bare", "cpython-311", "false", "false"),
        ("none", "", "false", "true"),
        ("good", "cpython-311", "false", "true"),
        ("threads", "cpython-311t", "true", "true"),
    ):
        fake = project.root / "src" / name
        fake.write_text(FAKE.format(soabi=soabi, threads=threads, headers=headers))
        fake.chmod(0o755)
    done = project.configure()
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())


ENABLING = """\
project(x LANGUAGES NONE)
include(WheelfuseExtension)
wheelfuse_enable_cuda({optional})
message(STATUS "found: ${{WHEELFUSE_CUDA_FOUND}}")
"""


@pytest.mark.parametrize("optional", ["", "OPTIONAL"])
def test_a_cuda_home_without_nvcc_is_no_cuda(project: Project, tmp_path: Path, optional: str) -> None:
    project.write(ENABLING.format(optional=optional))
    done = project.configure(env={"CUDACXX": "", "CUDA_HOME": str(tmp_path)})
    said = " ".join((done.stdout + done.stderr).split())
    assert f"there is no nvcc in CUDA_HOME, which is {tmp_path}" in said
    assert ("found: FALSE" in said) == (done.returncode == 0) == bool(optional)


def test_nvcc_is_found_without_being_named(project: Project) -> None:
    project.write(ENABLING.format(optional="").replace("NONE", "CXX"))
    done = project.configure(env={"CUDACXX": "", "PATH": f"{PROGRAMS}{os.pathsep}{Path(nvcc()).parent}"})
    assert "found: TRUE" in done.stdout, done.stderr


def test_scikit_build_core_finds_it(tmp_path: Path) -> None:
    lists = SIMPLE.format(arguments="DESTINATION pkg")
    (tmp_path / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.25)\n{lists}")
    (tmp_path / "binding.cpp").write_text(BINDING)
    (tmp_path / "common.cpp").write_text(ON_CPU)
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["scikit-build-core", "wheelfuse"]\nbuild-backend = "scikit_build_core.build"\n'
        '[project]\nname = "pkg"\nversion = "1"\n'
    )
    code = "import scikit_build_core.build as backend; print(backend.build_wheel('dist'))"
    done = run(sys.executable, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tmp_path / "dist").iterdir()
    zipfile.ZipFile(wheel).extractall(tmp_path / "out")
    running = Target(sys.version_info.minor, bool(sysconfig.get_config_var("Py_GIL_DISABLED")))
    assert imported(running, tmp_path / "out" / "pkg").startswith("42")


def test_its_directory_is_told() -> None:
    done = run(sys.executable, "-m", "wheelfuse.building.cmake", env={"PYTHONPATH": str(MODULES.parents[2])})
    assert Path(done.stdout.strip(), "WheelfuseExtension.cmake").is_file()
