"""What ``load`` says of real wheels, and of broken forms of them, is what every CPython at hand makes of them.

The summary of the run prints the confusion matrix.
"""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.download import fetched
from tests.real.loading_truth import Attempt, Truth, outcomes
from tests.real.loading_variants import Variant, variants
from wheelfuse.abi.modules import parse_module
from wheelfuse.auditing.loading import load
from wheelfuse.auditing.reading import read_subject
from wheelfuse.auditing.report import Outcome
from wheelfuse.auditing.subject import Subject
from wheelfuse.target import Target

pytestmark = pytest.mark.real

WHEELS = (
    # C
    (("projects", "markupsafe"), "cp312-cp312"),
    (("projects", "markupsafe"), "cp314-cp314t"),
    (("projects", "regex"), "cp310-cp310"),
    (("projects", "cffi"), "cp311-cp311"),
    (("stable-abi", "psutil"), "cp36-abi3"),
    (("stable-abi", "psutil"), "cp314-cp314t"),
    (("audit", "loading", "pynacl"), "cp38-abi3"),
    # Cython
    (("projects", "pyyaml"), "cp313-cp313"),
    (("projects", "msgpack"), "cp314-cp314"),
    (("projects", "aiohttp"), "cp314-cp314t"),
    (("projects", "lxml"), "cp312-cp312"),
    (("projects", "pandas"), "cp313-cp313"),
    (("audit", "loading", "pyzmq"), "cp312-abi3"),
    # C++, pybind11, nanobind, SWIG
    (("projects", "kiwisolver"), "cp311-cp311"),
    (("projects", "greenlet"), "cp315-cp315"),
    (("dependencies",), "ml_dtypes-0.5.4-cp312-cp312"),
    (("audit", "loading", "manifold3d"), "cp312-cp312"),
    (("audit", "loading", "lief"), "cp312-abi3"),
    (("audit", "loading", "mecab-python3"), "cp312-cp312"),
    (("audit", "loading", "python-gdcm"), "cp312-cp312"),
    # Rust
    (("projects", "orjson"), "cp312-cp312"),
    (("stable-abi", "cryptography"), "cp39-abi3"),
    (("stable-abi", "cryptography"), "cp315-abi3.abi3t"),
    (("stable-abi", "cryptography"), "cp314-cp314t"),
    # with copies of libraries
    (("projects", "numpy-2.2.6"), "cp310-cp310"),
    (("projects", "numpy-2.3.5"), "cp314-cp314t"),
    (("projects", "psycopg2-binary"), "cp312-cp312"),
    (("projects", "psycopg2-binary"), "cp315-cp315"),
    (("audit", "loading", "shapely"), "cp312-cp312"),
    # a library that Python code opens
    (("audit", "loading", "soundfile"), "py2.py3-none"),
)
"""All that these need is in them, or in the system: nothing may be left unproved."""

PROVED = {Outcome.LOADS: "loads", Outcome.FAILS: "fails", Outcome.MISSING: "missing"}


@pytest.mark.parametrize(("keys", "tag"), WHEELS, ids=[f"{keys[-1]}-{tag}" for keys, tag in WHEELS])
def test_a_verdict_is_what_happens(
    keys: tuple[str, ...], tag: str, scratch: Path, record_property: Callable[[str, object], None]
) -> None:
    (wheel,) = (path for path in fetched(*keys) if f"{tag}-" in path.name)
    with zipfile.ZipFile(wheel) as archive:
        cells = [
            (variant, path, target, truth)
            for variant, path, found in compared(read_subject(wheel), archive, scratch)
            for target, truth in found.items()
        ]
    matrix: Counter[tuple[str, str, str]] = Counter()
    wrong = []
    for variant, path, target, truth in cells:
        verdict = load(variant.subject, path, target)
        matrix[variant.kind, verdict.outcome.value, truth.outcome] += 1
        if PROVED.get(verdict.outcome) != truth.outcome:
            wrong.append((variant.kind, path, str(target), verdict, truth))
    for (kind, said, happened), count in matrix.items():
        record_property("loading", (f"{kind or 'as published':25} {said:8} -> {happened}", count))
    assert wrong == []
    assert ("", "loads", "loads") in matrix
    kinds = {kind for kind, _, _ in matrix} - {"", "suffix of another CPython"}
    assert {kind for kind, said, _ in matrix if said == "fails"} >= kinds


def compared(
    subject: Subject, archive: zipfile.ZipFile, directory: Path
) -> list[tuple[Variant, str, dict[Target, Truth]]]:
    """Of each variant the files that it changes, or that link one of those; and what becomes of each."""
    (foreign,) = (path for path in fetched("machines", "aarch64") if "-cp313-" in path.name)
    with zipfile.ZipFile(foreign) as other:
        (machine_code,) = (other.read(name) for name in other.namelist() if name.endswith(".so"))
    asked: list[tuple[Variant, str]] = []
    attempts: list[Attempt] = []
    for number, variant in enumerate(variants(subject, archive.read, machine_code)):
        root = directory / str(number)
        install(variant, archive, directory / "original", root)
        for path in concerned(subject, variant):
            module = parse_module(path)
            file = variant.subject.files.get(path)
            is_module = module and (module.suffix != ".so" or (file and file.module))
            attempts.append(Attempt(str(root / path), module.short if module and is_module else ""))
            asked.append((variant, path))
    found = outcomes(attempts)
    return [
        (variant, path, {target: truths[number] for target, truths in found.items()})
        for number, (variant, path) in enumerate(asked)
    ]


def install(variant: Variant, archive: zipfile.ZipFile, original: Path, root: Path) -> None:
    """Lay the libraries of a variant below *root*; those that it does not change are links."""
    for path in variant.subject.sizes:
        if ".so" not in path:
            continue
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        content = variant.changes.get(path)
        if content is not None:
            (root / path).write_bytes(content)
            continue
        if not (original / path).exists():
            (original / path).parent.mkdir(parents=True, exist_ok=True)
            (original / path).write_bytes(archive.read(path))
        os.link(original / path, root / path)


def concerned(original: Subject, variant: Variant) -> list[str]:
    """The modules that a variant affects, and the first that it does not; without modules, libraries."""
    modules = [path for path in variant.subject.sizes if ".so" in path and parse_module(path)]
    if not variant.kind or not any(file.module for file in original.files.values()):
        return modules
    affected = [
        path
        for path in modules
        if path in variant.changes
        or path not in original.files
        or not original.tree.reached_from(path).isdisjoint(variant.changes)
    ]
    return affected + [path for path in modules if path not in affected][:1]
