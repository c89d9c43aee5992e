"""How the work of a merge grows: twice the input takes twice the steps, in every dimension.

Steps are counted, not timed: lines of wheelfuse and the C functions that they call, in all threads. What libraries do
within one call does not count. A step that looks at everything for everything shows already at small sizes.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import wheelfuse
from tests.fuse.merging import options
from tests.native import library, module, soabi
from tests.wheels import build_wheel
from wheelfuse.fuse import plan
from wheelfuse.report import json, text

Work = Callable[[], object]
Files = dict[str, str | bytes]

TARGETS = ("cp38", "cp39", "cp310", "cp311", "cp312", "cp313", "cp314", "cp314t")
TWO = TARGETS[:2]
COUNTED = (str(Path(wheelfuse.__file__).parent), __file__)
TWICE = 2.05
"""What twice the size may cost: twice as much, and a little for sorting."""


def steps(work: Work) -> int:
    """How many lines of wheelfuse run, and how many C functions they call."""
    ticks = itertools.count()

    def traced(frame: FrameType, event: str, arg: object) -> Any:
        if not frame.f_code.co_filename.startswith(COUNTED):
            return None
        next(ticks)
        return traced

    def profiled(frame: FrameType, event: str, arg: object) -> None:
        if event == "c_call" and frame.f_code.co_filename.startswith(COUNTED):
            next(ticks)

    before = sys.gettrace(), sys.getprofile()
    try:
        _trace(traced, profiled)
        work()
    finally:
        _trace(*before)
    return next(ticks)


def _trace(tracer: Any, profiler: Any) -> None:
    threading.settrace(tracer)
    threading.setprofile(profiler)
    sys.settrace(tracer)
    sys.setprofile(profiler)


def growth(works: Sequence[Work]) -> float:
    """What the last doubling costs beside the one before it, of three works of which each is twice as large as the one
    before: 2 if costs are linear, 4 if they are quadratic. What does not grow does not count."""
    works[0]()  # whatever is loaded and remembered once
    small, medium, large = map(steps, works)
    return (large - medium) / (medium - small)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no thread waits for another one a different number of times."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})


def merging(paths: Sequence[Path], expect: Sequence[str], *resolve: str) -> Work:
    """A merge and its reports; if it is refused, the refusal and the reports of that."""
    given = options(*resolve, expect=expect)

    def work() -> None:
        try:
            wheelfuse.merge(paths, paths[0].parent / "out", given, force=True)
        except wheelfuse.ConflictError as error:
            assert error.problems
        outcome = wheelfuse.merge(paths, paths[0].parent / "out", given, force=True, dry_run=True)
        assert text.merge_report(outcome)
        assert json.outcome_to_json(outcome)

    return work


def wheels(directory: Path, targets: Sequence[str], files: Callable[[str], Files]) -> list[Path]:
    return [build_wheel(directory, target, files(target), requires_python=">=3.8") for target in targets]


def equal(count: int) -> Files:
    """Files that are the same in all wheels."""
    return {f"pkg/d{number // 10}/f{number}.txt": f"{number}\n" for number in range(count)}


def differing(count: int, target: str, suffix: str) -> Files:
    """As many files that differ, each in a directory with another one that does not."""
    files = {f"pkg/d{number}/x{suffix}": f"x = '{target}, {number}'\n" for number in range(count)}
    return {**files, **{f"pkg/d{number}/same.txt": "" for number in range(count)}}


def members(directory: Path, size: int) -> Work:
    return merging(wheels(directory, TWO, lambda _: dict(equal(size))), TWO)


def inputs(directory: Path, size: int) -> Work:
    """Wheels with equal files, with source of which each CPython runs its own, and with licences kept side by side."""
    targets = TARGETS[:size]

    def files(target: str) -> Files:
        return {**equal(50), **differing(20, target, ".py"), "pkg-1.0.dist-info/licenses/LICENSE": target}

    return merging(wheels(directory, targets, files), targets)


def fused_members(directory: Path, size: int) -> Work:
    """A fused wheel that is merged with another one, and split."""
    paths = wheels(directory, TARGETS[:3], lambda target: {**equal(size), **differing(10, target, ".py")})
    fused = wheelfuse.merge(paths[:2], directory / "fused", options(expect=TWO), force=True).written
    assert fused
    again = merging([fused.path, paths[2]], TARGETS[:3])
    return lambda: (again(), wheelfuse.split(fused.path, directory / "split", force=True))


def lost_files(directory: Path, size: int) -> Work:
    """A fused wheel that tells of files that were not kept, merged with another one, and split."""
    paths = wheels(directory, TARGETS[:3], lambda target: differing(size, target, ".txt"))
    given = options("**=newest", expect=TWO)
    fused = wheelfuse.merge(paths[:2], directory / "fused", given, force=True).written
    assert fused
    again = merging([fused.path, paths[2]], TARGETS[:3], "**=newest")
    return lambda: (again(), wheelfuse.split(fused.path, directory / "split", force=True))


def content(directory: Path, size: int) -> Work:
    """*size* MiB in one member that is equal, and in one that is not, so that it is read again."""

    def files(target: str) -> Files:
        return {"pkg/equal": _noise("equal", size), "pkg/own": _noise(target, size)}

    return merging(wheels(directory, TWO, files), TWO, "pkg/own=newest")


@cache
def _noise(seed: str, size: int) -> bytes:
    return random.Random(seed).randbytes(size << 20)


def conflicts(directory: Path, size: int, suffix: str = ".txt") -> Work:
    return merging(wheels(directory, TWO, lambda target: differing(size, target, suffix)), TWO)


def partial_files(directory: Path, size: int) -> Work:
    """Files that only one wheel has."""
    paths = wheels(directory, TWO, lambda target: equal(size) if target == TWO[0] else {})
    return merging(paths, TWO)


def rules(directory: Path, size: int, glob: str) -> Work:
    """A rule for each difference."""
    paths = wheels(directory, TWO, lambda target: differing(size, target, ".txt"))
    return merging(paths, TWO, *(f"{glob.format(number)}=newest" for number in range(size)))


def modules(directory: Path, size: int, *resolve: str, bound: bool = True) -> Work:
    """Extension modules that link the first of as many libraries, each of which links the next; all become one per
    CPython if the libraries are bound to it, and a conflict if they are not."""

    def files(target: str) -> Files:
        modules, libraries = _templates(target, bound)
        found: Files = {
            f"pkg/{soabi(f'm{number:04}', target)}": _named(modules, "m", number) for number in range(size)
        }
        for number in range(size):
            found[f"pkg/libl{number:04}.so"] = _named(libraries, "l", number, number + 1)
        return {**found, "pkg/load.py": "\n".join(f"'libl{number:04}.so'" for number in range(size))}

    return merging(wheels(directory, TWO, files), TWO, *resolve)


def modules_of_inputs(directory: Path, size: int) -> Work:
    """One extension module for each CPython, all of which link a library that becomes one per CPython."""
    targets = TARGETS[:size]

    def files(target: str) -> Files:
        made, linked = _templates(target, bound=True)
        return {f"pkg/{soabi('m0000', target)}": made, "pkg/libl0000.so": linked}

    return merging(wheels(directory, targets, files), targets)


def broken_modules(directory: Path, size: int) -> Work:
    """Extension modules that need what no CPython exports, and each of which links the same library that does."""
    last = library("extern char PyNowhere_Last; char *last(void) { return &PyNowhere_Last; }", "libl0001.so")

    def files(target: str) -> Files:
        made = module("m0000", target, "PyNowhere_M", runpath="$ORIGIN", beside={"libl0001.so": last})
        found: Files = {
            f"pkg/{soabi(f'm{number:04}', target)}": _named(made, "m", number) for number in range(size)
        }
        return {**found, "pkg/libl0001.so": last}

    return refused(wheels(directory, TWO, files))


def refused(paths: Sequence[Path]) -> Work:
    def work() -> None:
        with pytest.raises(wheelfuse.InvalidInput, match="PyNowhere_M"):
            wheelfuse.merge(paths, paths[0].parent / "out", options(expect=TWO))

    return work


def plain_modules(directory: Path, size: int) -> Work:
    """Extension modules for several CPythons by their suffix, which differ, so that each gets a suffix of its own."""

    def files(target: str) -> Files:
        template, _ = _templates(target, bound=True)
        return {f"pkg/m{number:04}.so": _named(template, "m", number) for number in range(size)}

    return merging(wheels(directory, TWO, files), TWO)


@cache
def _templates(target: str, bound: bool) -> tuple[bytes, bytes]:
    """An extension module that links a library, which links another one."""
    use = "extern char PyModule_Type; char *used(void) { return &PyModule_Type; }" if bound else ""
    number = f"int version(void) {{ return {target.removeprefix('cp').removesuffix('t')}; }}"
    last = library("int last(void) { return 1; }", "libl0001.so")
    first = library(f"{use}\n{number}", "libl0000.so", runpath="$ORIGIN", beside={"libl0001.so": last})
    made = module("m0000", target, "PyList_New", runpath="$ORIGIN", beside={"libl0000.so": first})
    return made, first


def _named(template: bytes, letter: str, *numbers: int) -> bytes:
    """The same object under another number, as if it had been compiled so: names keep their length."""
    for place, number in reversed(list(enumerate(numbers))):
        template = template.replace(f"{letter}{place:04}".encode(), f"{letter}{number:04}".encode())
    return template


@pytest.mark.parametrize(
    ("sizes", "make"),
    [
        pytest.param((50, 100, 200), members, id="members"),
        pytest.param((2, 4, 8), inputs, id="inputs"),
        pytest.param((50, 100, 200), fused_members, id="members of a fused wheel"),
        pytest.param((20, 40, 80), lost_files, id="lost files"),
        pytest.param((1, 2, 4), content, id="bytes"),
        pytest.param((20, 40, 80), conflicts, id="conflicts"),
        pytest.param((20, 40, 80), partial(conflicts, suffix=".py"), id="dispatched source"),
        pytest.param((50, 100, 200), partial_files, id="files of one wheel"),
        pytest.param((20, 40, 80), partial(rules, glob="pkg/d{}/x.txt"), id="rules for files"),
        pytest.param((20, 40, 80), partial(rules, glob="pkg/d{}/**"), id="rules for directories"),
        pytest.param((8, 16, 32), modules, id="modules and libraries"),
        pytest.param((8, 16, 32), partial(modules, bound=False), id="unbound libraries"),
        pytest.param((8, 16, 32), plain_modules, id="modules that get a suffix"),
        pytest.param((8, 16, 32), broken_modules, id="broken modules"),
        pytest.param((2, 4, 8), modules_of_inputs, id="modules of inputs"),
    ],
)
def test_twice_the_size_takes_twice_the_steps(
    tmp_path: Path, sizes: Sequence[int], make: Callable[[Path, int], Work]
) -> None:
    assert growth([make(tmp_path / str(size), size) for size in sizes]) < TWICE


def test_quadratic_work_is_seen() -> None:
    def linear(size: int) -> Work:
        return lambda: [str(number) for number in range(size)]

    def quadratic(size: int) -> Work:
        return lambda: [str(number) for number in range(size) for _ in range(size)]

    def in_a_thread(work: Work) -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert growth([linear(size) for size in (100, 200, 400)]) == pytest.approx(2, abs=0.1)
    assert growth([quadratic(size) for size in (50, 100, 200)]) == pytest.approx(4, abs=0.2)
    assert growth([partial(in_a_thread, quadratic(size)) for size in (50, 100, 200)]) > 3.5


def test_a_quadratic_step_of_a_merge_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that looks at all paths for each path does not pass."""
    compared = plan._compared

    def slow(originals: Any, facts: Any) -> Any:
        for _, other in itertools.product(originals[0].files, originals[0].files):
            assert other
        return compared(originals, facts)

    monkeypatch.setattr(plan, "_compared", slow)
    assert growth([members(tmp_path / str(size), size) for size in (50, 100, 200)]) > TWICE
