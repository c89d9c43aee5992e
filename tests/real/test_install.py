"""Fused wheels are installed on every CPython at hand, and work there as those that were published do."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.interpreters import run_python
from tests.real.conftest import at_hand, of_each_installation, of_each_target
from tests.real.download import fetched
from tests.real.environments import PYTEST, Installer, create, import_each, run_tests
from tests.real.fusing import Fused, merge
from wheelfuse.target import Target

pytestmark = pytest.mark.real

NUMPY_TESTS = (
    "numpy._core.tests.test_array_coercion",
    "numpy._core.tests.test_cpu_features",
    "numpy._core.tests.test_numeric",
    "numpy.fft.tests.test_pocketfft",
    "numpy.linalg.tests.test_linalg",
    "numpy.random.tests.test_generator_mt19937",
    "numpy.tests.test_numpy_config",
    "numpy.tests.test_public_api",
)
"""A part of them that takes about half a minute, and has something of each subject."""


@pytest.mark.parametrize(("fused", "target", "installer"), of_each_installation(), indirect=["fused"])
def test_every_module_is_imported_and_works(
    fused: Fused, target: Target, installer: Installer, scratch: Path
) -> None:
    project, modules = fused.project, fused.modules(target)
    python = create(target, scratch / "fused", fused.path, installer, project.needs)
    outcomes = import_each(python, modules)

    failed = {module for module in modules if outcomes[module] != modules[module]}
    assert failed <= set(project.may_fail), {module: outcomes[module] for module in failed}
    if failed:
        original = create(target, scratch / "original", fused.original(target), installer, project.needs)
        as_published = import_each(original, modules)
        assert {module: outcomes[module] for module in failed} == {
            module: as_published[module] for module in failed
        }
    run_python(python, project.use)


@pytest.mark.parametrize(
    ("fused", "target"), of_each_target("numpy-2.2.6", "numpy-2.3.5"), indirect=["fused"]
)
def test_numpy_passes_its_own_tests(fused: Fused, target: Target, scratch: Path) -> None:
    python = create(target, scratch / "env", fused.path, "uv", PYTEST)
    options = []
    if target < Target(12):
        # These two look for numpy.distutils, which was dropped.
        options = ["-k", "not test_api_importable and not test_all_modules_are_expected_2"]

    assert run_tests(python, "--pyargs", *NUMPY_TESTS, *options, cwd=scratch) > 2500


def test_a_package_of_old_cpythons_can_stay_with_these_alone(scratch: Path) -> None:
    originals = fetched("projects", "numpy-2.2.6")
    outcome = merge(originals, scratch, "--resolve", "numpy/distutils/**=dispatch")
    fused = Path(outcome["output"]["path"])

    for target in at_hand("numpy-2.2.6"):
        python = create(target, scratch / str(target), fused, "uv", ())
        tried = import_each(python, ["numpy.distutils", "numpy.distutils.misc_util"])
        if target < Target(12):
            assert tried["numpy.distutils.misc_util"].startswith("numpy/distutils/misc_util.")
        else:
            (error,) = set(tried.values())
            assert error == "ModuleNotFoundError: No module named 'numpy.distutils'"


@pytest.mark.parametrize(("fused", "target"), of_each_target("markupsafe"), indirect=["fused"])
def test_markupsafe_passes_its_own_tests(fused: Fused, target: Target, scratch: Path) -> None:
    python = create(target, scratch / "env", fused.path, "uv", PYTEST)

    assert run_tests(python, own_tests("markupsafe", "tests", scratch), cwd=scratch) > 70


@pytest.mark.parametrize(("fused", "target"), of_each_target("msgpack"), indirect=["fused"])
def test_msgpack_passes_its_own_tests(fused: Fused, target: Target, scratch: Path) -> None:
    python = create(target, scratch / "env", fused.path, "uv", PYTEST)

    assert run_tests(python, own_tests("msgpack", "test", scratch), cwd=scratch) > 150


def own_tests(project: str, name: str, directory: Path) -> str:
    """Unpack the tests alone of a project's source distribution: the package beside them must not be imported."""
    (path,) = (path for path in fetched("sources") if path.name.startswith(f"{project}-"))
    root = path.name.removesuffix(".tar.gz")
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            if member.isfile() and member.name.startswith(f"{root}/{name}/"):
                archive.extract(member, directory, filter="data")
    return f"{root}/{name}"
