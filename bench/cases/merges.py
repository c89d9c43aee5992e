"""Merging real and huge wheels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench import deflate, inputs, programs
from bench.cases.bench import Bench
from bench.figures import paired, peak, ratio
from bench.measure import Command, Runs, remove, run
from bench.result import Figure, Result

ONNXRUNTIME = (
    "--expect",
    "cp312,cp313,cp314",
    "--resolve",
    "onnxruntime/capi/libonnxruntime_providers_cuda.so=newest",
)
CUPY = ("--expect", "cp311,cp312")
PLAIN = (*CUPY, "--no-share-device-code")

MANY, FEW = "merge, no modules", "merge, no modules, one member"

FIXED = 0.3
"""What a merge may take however small its inputs are, in seconds."""


def onnxruntime(bench: Bench) -> Result:
    """Merge of the wheels for CPython 3.12 to 3.14 (3 × 256 MB, 1.05 GB inflated), every byte of every input
    verified. `cat` copies the inputs to one file; the other peer does what one would do by hand: `wheel unpack` each,
    copy the trees into one, `wheel pack` it. merge returns when its output is on the disk (fsync), `cat && sync` does,
    too. `floor` inflates and hashes every member and hashes every file, on as many threads, and does nothing else."""
    wheels = inputs.onnxruntime()
    runs = bench.alternate(
        programs.merge("merge", wheels, bench.directory, *ONNXRUNTIME),
        *_peers(wheels, bench.directory),
    )
    return Result(runs, _against_peers(runs))


def cupy(bench: Bench) -> Result:
    """Merge of the wheels for CPython 3.11 and 3.12 (2,438 members each), GPU code left where it is, beside the peers
    of merge_onnxruntime. The overhead per member: the members of both wheels that are no shared objects are packed
    into wheels of their own, once as they are and once as one member with the same bytes; the difference of the two
    merges, in each round, by the number of members."""
    wheels = inputs.cupy()
    many, count = inputs.without_modules(bench.directory / "many", whole=False)
    few, _ = inputs.without_modules(bench.directory / "few", whole=True)
    runs = bench.alternate(
        programs.merge("merge", wheels, bench.directory, *PLAIN),
        *_peers(wheels, bench.directory),
        programs.merge(MANY, many, bench.directory, *CUPY),
        programs.merge(FEW, few, bench.directory, *CUPY),
    )
    overhead = paired(lambda long, short: (long - short) / count * 1e6, runs[MANY], runs[FEW])
    return Result(runs, (*_against_peers(runs), Figure("overhead per member", overhead, "µs", 50)))


def _peers(wheels: list[Path], directory: Path) -> tuple[Command, ...]:
    """What stands beside a merge."""
    return (
        programs.cat(wheels, directory),
        programs.cat(wheels, directory, synced=True),
        programs.floor(wheels),
        programs.repack(wheels, directory),
    )


def _against_peers(runs: Runs) -> tuple[Figure, ...]:
    merge, cat, synced, floor = (runs[name] for name in ("merge", "cat", "cat && sync", "floor"))
    above = f"(merge − {FIXED} s) / "
    return (
        Figure(f"{above}cat", paired(lambda ours, theirs: (ours - FIXED) / theirs, merge, cat), "×", 2.0),
        Figure(
            f"{above}cat && sync", paired(lambda ours, theirs: (ours - FIXED) / theirs, merge, synced), "×"
        ),
        Figure("merge / floor", ratio(merge, floor), "×"),
        Figure(
            "unpack, copy, pack / merge", ratio(runs["unpack, copy, pack"], merge), "×", 12, at_least=True
        ),
        Figure("peak memory", peak(merge) / 1e6, "MB", 120),
    )


def memory(bench: Bench) -> Result:
    """The most memory of merges of large inputs: two wheels of 7 GB inflated with a member of 4.8 GB, highly
    compressible, in zip64 files of 40 MB; two zip64 files of 4.8 GB, of one stored member; onnxruntime-gpu × 3
    (0.77 GB, 1.05 GB inflated); two generated wheels of 0.6 GB inflated each (0.2 GB as files)."""
    where = bench.directory
    runs = bench.alternate(
        programs.merge("merge, 2 × 7 GB inflated", inputs.huge(where / "huge"), where, *inputs.PAIR),
        programs.merge("merge, 2 × 4.8 GB stored", inputs.huge_stored(where / "stored"), where, *inputs.PAIR),
        programs.merge("merge, onnxruntime-gpu × 3", inputs.onnxruntime(), where, *ONNXRUNTIME),
        programs.merge(
            "merge, 2 × 0.6 GB inflated", inputs.of_bytes(where / "some", 576 << 20), where, *inputs.PAIR
        ),
    )
    return Result(runs, tuple(Figure(name, peak(taken) / 1e6, "MB", 120) for name, taken in runs.items()))


def share_cupy(bench: Bench) -> Result:
    """Merge of the wheels for CPython 3.11 and 3.12 with equal GPU code stored once, against a merge without that, plus
    the compression of the members that it changed or made: zlib's level 6 on all cores, as a program that reads them
    from files and writes nothing."""
    wheels = inputs.cupy()
    changed, size = _changed(wheels, bench.directory)
    runs = bench.alternate(
        programs.merge("merge --share-device-code", wheels, bench.directory, *CUPY, "--share-device-code"),
        programs.merge("merge", wheels, bench.directory, *PLAIN),
        programs.python("deflate", "-m", "bench.deflate", changed),
    )
    sharing, plain, compression = (runs[name] for name in ("merge --share-device-code", "merge", "deflate"))
    above = paired(lambda shared, pure, pressed: (shared - pressed) / pure, sharing, plain, compression)
    figures = (
        Figure("(merge --share-device-code − deflate) / merge", above, "×", 1.5),
        Figure("changed members", size / 1e6, "MB"),
        Figure("peak memory with --share-device-code", peak(sharing) / 1e6, "MB"),
    )
    return Result(runs, figures)


def _changed(wheels: list[Path], directory: Path) -> tuple[Path, int]:
    """What `merge --share-device-code` changes, as a directory of files, and its bytes."""
    command = programs.merge("merge --share-device-code", wheels, directory, *CUPY, "--share-device-code")
    run(replace(command, output=None), directory)
    fused = directory / "merged"
    size = deflate.changed(next(fused.iterdir()), wheels, directory / "changed")
    remove(fused)
    return directory / "changed", size
