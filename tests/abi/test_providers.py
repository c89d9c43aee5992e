"""Which distribution supplies a library that is not in the wheel."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase

import pytest
from packaging.utils import canonicalize_name

from wheelfuse.abi.cpython import DATA
from wheelfuse.abi.platform import is_system_library
from wheelfuse.abi.providers import Source, brings, cuda_of, provider

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOURCES = tomllib.loads((DATA / "SOURCES.toml").read_text(encoding="utf-8"))
LINES = [
    line.split()
    for line in (DATA / "providers.txt").read_text(encoding="ascii").splitlines()
    if line and not line.startswith("#")
]
LIBRARIES = [line for line in LINES if line[0] in ("library", "driver", "interpreter")]


@pytest.mark.parametrize(
    ("soname", "distribution"),
    [
        ("libtorch.so", "torch"),
        ("libtorch_cuda.so", "torch"),
        ("libtorch_python.so", "torch"),
        ("libc10_cuda.so", "torch"),
        ("libshm.so", "torch"),
        ("libcudart.so.13", "nvidia-cuda-runtime"),
        ("libcudart.so.12", "nvidia-cuda-runtime-cu12"),
        ("libcudart.so.11.0", "nvidia-cuda-runtime-cu11"),
        ("libnvrtc.so.13", "nvidia-cuda-nvrtc"),
        ("libcublas.so.12", "nvidia-cublas-cu12"),
        ("libcublasLt.so.13", "nvidia-cublas"),
        ("libcudnn.so.9", "nvidia-cudnn-cu13"),
        ("libcudnn_ops.so.9", "nvidia-cudnn-cu13"),
        ("libcufft.so.11", "nvidia-cufft-cu12"),
        ("libnccl.so.2", "nvidia-nccl-cu13"),
        ("libmkl_rt.so.2", "mkl"),
        ("libiomp5.so", "intel-openmp"),
        ("libtbb.so.12", "tbb"),
        ("libarrow.so.2100", "pyarrow"),
        ("libarrow_python.so.2100", "pyarrow"),
        ("libQt6Core.so.6", "pyqt6-qt6"),
        ("libscipy_openblas64_.so", "scipy-openblas64"),
    ],
)
def test_a_known_provider(soname: str, distribution: str) -> None:
    found = provider(soname)
    assert found and found.source is Source.DISTRIBUTION and found.distribution == distribution


@pytest.mark.parametrize("soname", ["libcuda.so.1", "libnvidia-ml.so.1"])
def test_libraries_of_the_driver(soname: str) -> None:
    found = provider(soname)
    assert found and (found.source, found.distribution, str(found)) == (Source.DRIVER, "", "the GPU driver")


@pytest.mark.parametrize("soname", ["libpython3.12.so.1.0", "libpython3.14t.so.1.0", "libpython3.so"])
def test_libraries_of_the_interpreter(soname: str) -> None:
    found = provider(soname)
    assert found and (found.source, str(found)) == (Source.INTERPRETER, "the interpreter")


@pytest.mark.parametrize(
    "soname", ["libfoo.so.1", "libcudart.so.99", "libgomp.so.1", "libcudart-1a2b3c.so.12"]
)
def test_an_unknown_provider(soname: str) -> None:
    assert provider(soname) is None


def test_what_comes_along_with_a_distribution_counts_only_where_that_is_required() -> None:
    found = provider("libgomp.so.1", ("numpy", "torch"))
    assert found and found.distribution == "torch"
    assert provider("libgomp.so.1", ("numpy",)) is None


@pytest.mark.parametrize(
    ("soname", "required", "named"),
    [
        ("libcudart.so.12", ("nvidia-cuda-runtime-cu12",), "nvidia-cuda-runtime-cu12"),
        ("libcudart.so.12", ("torch",), "torch"),
        ("libcudart.so.13", ("numpy", "torch"), "torch"),
        ("libcudart.so.13", ("cuda-toolkit",), "cuda-toolkit"),
        ("libcudart.so.13", ("torch", "nvidia-cuda-runtime"), "nvidia-cuda-runtime"),
        ("libcudart.so.13", ("numpy",), ""),
        ("libcudart.so.13", ("nvidia-cuda-runtime-cu12",), ""),
        ("libcudnn.so.9", ("nvidia-cudnn-cu12",), "nvidia-cudnn-cu12"),
        ("libcublas.so.12", ("nvidia-cudnn-cu12",), "nvidia-cudnn-cu12"),
        ("librapids_logger.so", ("libcuml-cu12",), "libcuml-cu12"),
        ("libcuda.so.1", ("torch",), ""),
    ],
)
def test_the_requirement_that_supplies_a_library(soname: str, required: tuple[str, ...], named: str) -> None:
    found = provider(soname)
    assert found and found.named_in(required) == named


def test_what_one_distribution_brings_of_another() -> None:
    assert brings("mkl", "tbb")
    assert brings("libcuvs-cu12", "rapids-logger"), "through libraft-cu12 and librmm-cu12"
    assert not brings("torch", "nvidia-curand"), "torch 2.15 does not require it"
    assert not brings("numpy", "torch")


@pytest.mark.parametrize(
    ("name", "cuda"),
    [
        ("nvidia-cublas-cu12", 12),
        ("nvidia-cudnn-cu13", 13),
        ("nvidia-cublas", 13),
        ("librmm-cu12", 12),
        ("torch", None),
    ],
)
def test_the_cuda_that_a_distribution_is_for(name: str, cuda: int | None) -> None:
    assert cuda_of(name) == cuda


def test_a_provider_narrowed_down() -> None:
    found = provider("libcudnn.so.9")
    assert found and str(found) == "nvidia-cudnn-cu13 or nvidia-cudnn-cu12 or nvidia-cudnn-cu11"
    assert str(found.among(lambda name: cuda_of(name) == 12)) == "nvidia-cudnn-cu12"
    assert found.among(lambda name: False) == found


def test_no_soname_belongs_to_two_lines() -> None:
    """A pattern, taken as a soname of its own, is matched by its own line alone: order does not matter."""
    for _, pattern, *_ in LIBRARIES:
        soname = pattern.replace("*", "x").replace("[123]", "1").replace("[12]", "1").replace("[56]", "5")
        soname = soname.replace("[mpst]", "m").replace("[gp]", "g")
        assert [other for _, other, *_ in LIBRARIES if fnmatchcase(soname, other)] == [pattern]


def test_the_table_names_normalised_distributions_and_no_library_of_the_system() -> None:
    for kind, pattern, *names in LINES:
        assert kind in ("library", "driver", "interpreter", "along", "brings")
        if kind == "library":
            assert names and names == [canonicalize_name(name) for name in names]
        if kind == "brings":
            assert pattern == canonicalize_name(pattern)
        assert not is_system_library(pattern)


def test_the_table_never_shrinks() -> None:
    assert len(LIBRARIES) >= SOURCES["providers.txt"]["counts"]["libraries"]
