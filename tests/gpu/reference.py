"""On a GPU: the operators of the reference package against torch's own, and how fast they are.

Needs a torch with CUDA, and nothing of wheelfuse. Prints what was checked and a table of bandwidths; fails with the
first wrong result.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import torch

from tests.reference import checks, oracle
from tests.reference.checks import EPSILON, TYPES, bits

ROUNDS = 30


def main(wheel: Path, result: Path | None, check: bool) -> None:
    """Check and measure the package in *wheel*; write what was found to *result*, as JSON."""
    with tempfile.TemporaryDirectory() as site:
        zipfile.ZipFile(wheel).extractall(site)
        package = checks.load(site)
        assert package.CUDA, f"{wheel.name} was built for the CPU alone"
        checked = {}
        if check:
            checked = checks.run(package, "cuda")
            for also in (the_same_as_on_the_cpu, streams, more_than_2_31_elements):
                checked[also.__name__] = also(package)
                print(f"{also.__name__}: {checked[also.__name__]}", flush=True)
        found = {
            "wheel": wheel.name,
            "binding": package.BINDING,
            "gpu": torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "python": platform.python_version(),
            "checked": checked,
            "bandwidth": list(measure()),
        }
    print(table(found["bandwidth"]))
    if result:
        result.write_text(json.dumps(found, indent=1) + "\n")


def the_same_as_on_the_cpu(package: ModuleType) -> int:
    """Scales and values have the same bits, in every kernel."""
    count = 0
    for dtype in TYPES:
        for length in (1, 31, 100, 512, 2048, 4100, 8192, 40000, 100_000):
            x, weight = torch.randn(37, length).to(dtype), torch.randn(length).to(dtype)
            for on_cpu, on_gpu in (
                (package.mxfp8(x), package.mxfp8(x.cuda())),
                (
                    package.rms_norm_fp8(x, weight, EPSILON),
                    package.rms_norm_fp8(x.cuda(), weight.cuda(), EPSILON),
                ),
            ):
                for one, other in zip(on_cpu, on_gpu, strict=True):
                    assert torch.equal(bits(one), bits(other.cpu())), f"{dtype} {length}"
                count += 1
    return count


def more_than_2_31_elements(package: ModuleType) -> int:
    """Whole results, compared a part at a time. The second length is one that vectors do not fit."""
    count = 0
    for rows, length in ((524_293, 4128), (524_293, 4100), (3, 720_000_000)):
        x = torch.empty(rows, length, device="cuda", dtype=torch.bfloat16)
        assert x.numel() > 2**31
        for part in x.flatten().split(2**28):
            part.normal_()
        weight = torch.randn(length, device="cuda").bfloat16()
        values, scales = package.mxfp8(x)
        scales = scales.view(torch.uint8)
        if rows > 3:
            parts = [slice(first, first + 16384) for first in range(0, rows, 16384)]
            for part in parts:
                expected, exact = oracle.mxfp8(x[part])
                assert torch.equal(scales[part], exact), f"scales from row {part.start} on"
                assert oracle.steps_between(values[part], expected) <= 1
        else:  # by blocks, of which no row is too many at once
            for first in range(0, length, 2**25):
                expected, exact = oracle.mxfp8(x[:, first : first + 2**25])
                assert torch.equal(scales[:, first // 32 : (first + 2**25) // 32], exact)
                assert oracle.steps_between(values[:, first : first + 2**25], expected) <= 1
        if rows > 3:
            values, scales = package.rms_norm_fp8(x, weight, EPSILON)
            for part in parts:
                expected, exact = oracle.rms_norm_fp8(x[part], weight, EPSILON)
                assert torch.equal(scales[part], exact), f"scales from row {part.start} on"
                assert oracle.steps_between(values[part], expected) <= 1
        del x, values, scales
        torch.cuda.empty_cache()
        count += 2 if rows > 3 else 1
    return count


def streams(package: ModuleType) -> int:
    """Work is launched on the current stream, after what was launched there before, and can be captured."""
    old, new = torch.randn(2, 4096, 4096, device="cuda").bfloat16()
    weight = torch.randn(4096, device="cuda").bfloat16()
    expected = [*oracle.rms_norm_fp8(new, weight, EPSILON), *oracle.mxfp8(new)]
    x = old.clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.cuda._sleep(200_000_000)  # clock cycles: a launch elsewhere would overtake
        x.copy_(new)
        found = [*package.rms_norm_fp8(x, weight, EPSILON), *package.mxfp8(x)]
        assert not side.query(), "the work was over too early to tell"
    torch.cuda.current_stream().wait_stream(side)
    assert all(torch.equal(*map(bits, pair)) for pair in zip(found, expected, strict=True))

    x.copy_(old)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = [*package.rms_norm_fp8(x, weight, EPSILON), *package.mxfp8(x)]
    x.copy_(new)
    graph.replay()
    assert all(torch.equal(*map(bits, pair)) for pair in zip(found, expected, strict=True))
    return 4


def measure() -> Iterator[dict[str, object]]:
    """Bandwidths of large inputs, each beside a copy on the device that moves as many bytes."""
    for dtype in TYPES:
        for length in (512, 1024, 2048, 4096, 5120, 7168, 8192, 12288, 14336, 16384, 32768, 65536):
            yield measured("rms_norm_fp8", "contiguous", dtype, length)
        for length in (4096, 7168):
            yield measured("mxfp8", "contiguous", dtype, length)
        for operator in ("rms_norm_fp8", "mxfp8"):
            yield measured(operator, "rows apart", dtype, 4096, gap=128)
    for operator in (
        "rms_norm_fp8",
        "mxfp8",
    ):  # what vectors of 16 bytes do not fit, or registers do not hold
        for length in (4100, 4099, 131072):
            yield measured(operator, "contiguous", torch.bfloat16, length)


def measured(name: str, layout: str, dtype: torch.dtype, length: int, gap: int = 0) -> dict[str, object]:
    """One kernel on 2 GiB of input."""
    rows = 2**31 // dtype.itemsize // length
    x = torch.empty(rows, length + gap, device="cuda", dtype=dtype)[:, :length]
    x.normal_()
    values = torch.empty(rows, length, device="cuda", dtype=torch.float8_e4m3fn)
    operators = torch.ops.wheelfuse_reference
    if name == "mxfp8":
        scales = torch.empty(rows, (length + 31) // 32, device="cuda", dtype=torch.uint8)
        moved = x.numel() * x.itemsize + values.numel() + scales.numel()

        def run() -> None:
            operators.mxfp8_out(x, values, scales)
    else:
        weight = torch.ones(length, device="cuda", dtype=dtype)
        scales = torch.empty(rows, device="cuda")
        moved = x.numel() * x.itemsize + values.numel() + scales.numel() * 4

        def run() -> None:
            operators.rms_norm_fp8_out(x, weight, EPSILON, values, scales)

    source, target = (torch.empty(moved // 2, device="cuda", dtype=torch.uint8) for _ in range(2))
    kernel, copy = medians(run, lambda: target.copy_(source))
    return {
        "operator": name,
        "layout": layout,
        "dtype": str(dtype).removeprefix("torch."),
        "rows": rows,
        "length": length,
        "bytes": moved,
        "milliseconds": round(kernel, 4),
        "bytes_per_second": round(moved / kernel * 1e3),
        "copy_bytes_per_second": round(moved / copy * 1e3),
        "share_of_copy": round(copy / kernel, 4),
    }


def medians(*functions: Callable[[], object]) -> list[float]:
    """The median milliseconds of each function, all of them taking turns."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(ROUNDS + 3):
        for function, taken in zip(functions, times, strict=True):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            function()
            end.record()
            end.synchronize()
            if turn >= 3:  # the first ones warm up
                taken.append(start.elapsed_time(end))
    return [statistics.median(taken) for taken in times]


def table(results: list[dict[str, object]]) -> str:
    """Bandwidths for reading."""
    lines = ["operator      input     layout       length     ms  TB/s  of a copy"]
    lines += [
        f"{one['operator']:13} {one['dtype']:9} {one['layout']:11} {one['length']:7} {one['milliseconds']:6.3f} "
        f"{one['bytes_per_second'] / 1e12:5.2f} {one['share_of_copy']:10.1%}"
        for one in results
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path, help="one for CPython 3.12, with CUDA")
    parser.add_argument("--json", type=Path, help="write the results here, too")
    parser.add_argument("--no-checks", action="store_true", help="measure only")
    arguments = parser.parse_args()
    main(arguments.wheel, arguments.json, not arguments.no_checks)
