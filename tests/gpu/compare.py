"""On a GPU: kernels from modules that share their GPU code give the same results as from the original modules.

Needs CPython 3.12 and NumPy; of wheelfuse only what reads recipes. Prints what was compared, and fails with the first
difference.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from wheelfuse.content import reading
from wheelfuse.elf.recipe import Recipe

OWN = """
import spamcuda as spam
numbers = [number * 0.25 - 10 for number in range(256)]  # one block
result = [spam.scale(numbers, 3.0), spam.square(numbers), spam.increment(numbers)]
result.append([spam.noise_of_device(index) == spam.noise(index) for index in range(0, 16384, 97)])
"""
NAMES = """
import spamcuda._names as names
result = [names.results(), names.local()]
assert result[0][-1] == 32, result  # of the threads, as counted by the GPU
"""
CUPY = """
import hashlib, numpy, cupy
from cupy._core import set_reduction_accelerators, set_routine_accelerators
rng = numpy.random.default_rng(20261120)
result = {}
def keep(name, value):
    value = cupy.asnumpy(value)
    result[name] = [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
for accelerators in ([], ["cub"]):
    set_reduction_accelerators(accelerators); set_routine_accelerators(accelerators)
    for dtype in "bhilfd":
        a = cupy.asarray((rng.random((512, 1000)) * 100).astype(dtype))
        for name in ("sum", "prod", "min", "max", "argmin", "argmax", "cumsum"):
            keep(f"{name} {dtype} {accelerators}", getattr(a, name)(axis=1))
            if name != "cumsum" or dtype not in "fd":  # cub adds up floats in whichever order blocks come
                keep(f"{name} all {dtype} {accelerators}", getattr(a, name)())
        keep(f"sort {dtype} {accelerators}", cupy.sort(a, axis=1))
        keep(f"argsort {dtype} {accelerators}", cupy.argsort(a.ravel(), kind="stable"))
        keep(f"partition {dtype} {accelerators}", cupy.sort(cupy.partition(a, 100, axis=1)[:, :100], axis=1))
        keep(f"unique {dtype} {accelerators}", cupy.unique(a))
    keep(f"lexsort {accelerators}", cupy.lexsort(cupy.asarray(rng.integers(0, 9, (3, 50000)))))
    keep(f"histogram {accelerators}", cupy.histogram(cupy.asarray(rng.random(100000)), 100)[0])
generator = cupy.random.default_rng(7)
for name, arguments in {"random": (), "standard_normal": (), "standard_exponential": (), "integers": (0, 1000),
                        "beta": (2, 3), "gamma": (2.5,), "poisson": (4.2,), "binomial": (20, 0.3)}.items():
    keep(f"generator {name}", getattr(generator, name)(*arguments, size=100000))
keep("elementwise", cupy.sin(cupy.arange(1e6)) ** 2)
"""
_AFTER = """
import json
carriers = sorted({line.split("/")[-1].strip() for line in open("/proc/self/maps") if "-device-" in line})
print(json.dumps([result, carriers]))
"""
CUPY_TESTS = (
    "core_tests/test_cub_reduction.py", "core_tests/test_ndarray_reduction.py", "sorting_tests/test_sort.py",
    "sorting_tests/test_count.py", "statistics_tests/test_histogram.py", "random_tests/test_generator_api.py",
)  # fmt: skip
"""Tests of cupy that use the modules whose GPU code is shared: cub, thrust, the generators."""


def main(directory: Path, sdist: Path | None) -> None:
    """Compare in *directory*, where ``carry.tar.xz`` lies."""
    with tarfile.open(directory / "carry.tar.xz") as archive:
        archive.extractall(directory, filter="tar")
    for name, code in (("own", OWN), ("names", NAMES), ("cupy", CUPY)):
        shared, original = directory / "carry" / name, directory / "original" / name
        modules = restore(shared, original)
        (expected, none), (found, carriers) = run(original, code), run(shared, code)
        assert none == [] and len(carriers) == 1, f"carriers loaded: {none} and {carriers}"
        wrong = (
            [key for key in range(len(expected)) if expected[key] != found[key]]
            if isinstance(expected, list)
            else [key for key in expected if expected[key] != found[key]]
        )
        assert len(expected) == len(found) if isinstance(expected, list) else expected.keys() == found.keys()
        assert not wrong, f"{name}: different results: {wrong}"
        print(
            f"{name}: {len(expected)} results are the same, with the code of {modules} modules from {carriers[0]}"
        )
    if sdist:
        tests = [str(sdist / "tests" / "cupy_tests" / test) for test in CUPY_TESTS]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "not multi_gpu",
            *tests,
        ]
        environment = {
            **os.environ,
            "PYTHONPATH": f"{directory / 'carry' / 'cupy'}:{os.environ.get('PYTHONPATH', '')}",
        }
        done = subprocess.run(command, env=environment, cwd=sdist / "tests", capture_output=True, text=True)
        print("cupy's tests:", *done.stdout.strip().splitlines()[-12:], done.stderr[-2000:], sep="\n")
        assert done.returncode == 0, "cupy's tests failed"


def restore(shared: Path, original: Path) -> int:
    """Copy a tree, with the modules as they were before they shared their code; how many of them."""
    shutil.copytree(shared, original, symlinks=True)
    (provenance,) = shared.glob("*.dist-info/wheelfuse.json")
    count = 0
    for member in json.loads(provenance.read_text())["members"]:
        path = shared / member["path"]
        if "recipe" in member and path.exists():
            assert "undo" not in member, "the module has another name, too"
            carrier, content = (shared / member["carrier"]).read_bytes(), path.read_bytes()
            # The recipe checks the SHA-256 of what comes out.
            chunks = Recipe.from_json(member["recipe"]).apply(reading(content), reading(carrier))
            (original / member["path"]).write_bytes(b"".join(chunks))
            count += 1
    for carrier in original.rglob("*-device-*.so"):
        carrier.unlink()
    return count


def run(tree: Path, code: str) -> list[object]:
    """What *code* leaves in ``result``, and the carriers that are mapped then."""
    path = f"{tree}:{os.environ.get('PYTHONPATH', '')}"
    command = [sys.executable, "-c", code + _AFTER]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, cwd="/", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute() if len(sys.argv) > 2 else None)
