"""On a GPU: the operators of the reference package against torch's own, and how fast they are.

Needs a torch with CUDA, and nothing of wheelfuse. Prints what was checked and a table of bandwidths; fails with the
first wrong result.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from tests.reference import oracle

EPSILON = 1e-6
TYPES = (torch.bfloat16, torch.float16, torch.float32)
LENGTHS = (1, 7, 31, 32, 33, 64, 96, 128, 512, 1000, 1024, 2048, 2080, 4096, 5120, 7168, 8192, 12288, 14336)
LONG_LENGTHS = (16384, 24576, 28672, 32768, 65536, 65544, 131072, 200001)
ROUNDS = 30


def main(wheel: Path, result: Path | None, checks: bool) -> None:
    """Check and measure the package in *wheel*; write what was found to *result*, as JSON."""
    with tempfile.TemporaryDirectory() as site:
        zipfile.ZipFile(wheel).extractall(site)
        sys.path.insert(0, site)
        import wheelfuse_reference

        assert wheelfuse_reference.CUDA, f"{wheel.name} was built for the CPU alone"
        torch.manual_seed(20261120)
        checked = {check.__name__: check(wheelfuse_reference) for check in CHECKS if checks}
        for name, count in checked.items():
            print(f"{name.replace('_', ' ')}: {count} fine", flush=True)
        found = {
            "wheel": wheel.name,
            "binding": wheelfuse_reference.BINDING,
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


def agree(x: torch.Tensor, package: object, *, weight: torch.Tensor | None = None) -> int:
    """Compare both operators on *x* with the oracle: scales exactly, values within one step of e4m3."""
    if weight is None:
        weight = torch.randn(x.shape[-1], device=x.device).to(x.dtype)
    for (values, scales), (expected, exact) in (
        (package.rms_norm_fp8(x, weight, EPSILON), oracle.rms_norm_fp8(x, weight, EPSILON)),
        (package.mxfp8(x), oracle.mxfp8(x)),
    ):
        what = f"{x.dtype} {tuple(x.shape)} with strides {x.stride()}"
        assert values.shape == expected.shape and scales.shape == exact.shape, what
        scales = scales.view(exact.dtype)
        assert torch.equal(scales, exact), f"scales of {what}: {int((scales != exact).sum())} are different"
        steps = oracle.steps_between(values, expected)
        assert steps <= 1, f"values of {what} are {steps} steps away"
    return 2


def every_length(package: object) -> int:
    count = 0
    for dtype in TYPES:
        for length in LENGTHS:
            count += agree(torch.randn(257, length, device="cuda").mul(3).to(dtype), package)
        for length in LONG_LENGTHS:
            count += agree(torch.randn(33, length, device="cuda").to(dtype), package)
    return count


def every_shape(package: object) -> int:
    """Any number of dimensions; rows that are apart, one row many times, rows that only a copy makes rows."""
    count = 0
    for dtype in TYPES:
        whole = torch.randn(12, 20, 768, device="cuda").to(dtype)
        parts = [whole, whole[0, 0], whole[..., :512], whole[..., 1:513], whole[::2], whole[:, ::3, 64:704]]
        parts += [whole.transpose(0, 1), whole.transpose(0, 2), whole[..., ::2], whole[:1].expand(5, 20, 768)]
        parts += [whole[0, :1].expand(40, 768), whole.flatten()[3:-5].reshape(-1, 8)[:, :7]]
        count += sum(agree(part, package) for part in parts)
        weight = torch.randn(1536, device="cuda").to(dtype)
        count += agree(whole, package, weight=weight[::2]) + agree(whole, package, weight=weight[1:769])
    return count


def empty_inputs(package: object) -> int:
    count = 0
    for dtype in TYPES:
        for shape in ((0, 64), (4, 0), (0,), (3, 0, 32)):
            x = torch.empty(shape, device="cuda", dtype=dtype)
            values, scales = package.rms_norm_fp8(x, x.new_empty(shape[-1]), EPSILON)
            assert values.shape == x.shape and scales.shape == x.shape[:-1]
            values, scales = package.mxfp8(x)
            assert values.shape == x.shape and scales.shape == (*shape[:-1], (shape[-1] + 31) // 32)
            count += 2
    torch.cuda.synchronize()
    return count


def special_values(package: object) -> int:
    """Zeros, greatest and smallest numbers, infinities and NaN: as on the CPU, bit for bit."""
    count = 0
    for dtype in TYPES:
        info = torch.finfo(dtype)
        special = [0.0, -0.0, 1.0, 447.9, 448.0, 464.0, 480.0, 511.0, 512.0, info.max, -info.max, info.tiny]
        special += [info.smallest_normal / 4, info.eps, float("inf"), -float("inf"), float("nan")]
        for length in (7, 64, 4096, 70000):
            for value in special:
                for background in (0.0, 1e-3, 1.0):
                    x = torch.full((3, length), background).to(dtype)
                    x[1, length // 2] = value
                    for cpu, gpu in (
                        (package.mxfp8(x), package.mxfp8(x.cuda())),
                        (
                            package.rms_norm_fp8(x, x.new_ones(length), EPSILON),
                            package.rms_norm_fp8(x.cuda(), x.cuda().new_ones(length), EPSILON),
                        ),
                    ):
                        for one, other in zip(cpu, gpu, strict=True):
                            same = torch.equal(bits(one), bits(other.cpu()))
                            assert same, f"{dtype} {value} among {background}, {length} long: {one} and {other}"
                        count += 1
    return count


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """What to compare: bytes; of float32, one NaN is as good as another."""
    if tensor.dtype == torch.float32:
        return tensor.nan_to_num(nan=-1.0, posinf=-2.0)
    return tensor.view(torch.uint8)


def more_than_2_31_elements(package: object) -> int:
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


def streams(package: object) -> int:
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


def opcheck_and_compile(package: object) -> int:
    """torch's own checks of the operators, and a compiled function that calls them."""
    operators = torch.ops.wheelfuse_reference
    x, weight = torch.randn(16, 96, device="cuda"), torch.ones(96, device="cuda")
    values = torch.empty(16, 96, device="cuda", dtype=torch.uint8)  # opcheck cannot compare float8
    blocks = torch.empty(16, 3, device="cuda", dtype=torch.uint8)
    cases = (
        (operators.rms_norm_fp8, (x, weight, EPSILON)),
        (operators.rms_norm_fp8_out, (x, weight, EPSILON, values, torch.empty(16, device="cuda"))),
        (operators.mxfp8, (x,)),
        (operators.mxfp8_out, (x, values, blocks)),
    )
    for operator, arguments in cases:
        torch.library.opcheck(operator.default, arguments)

    def function(x: torch.Tensor) -> list[torch.Tensor]:
        return [part for pair in (package.rms_norm_fp8(x * 2, weight, EPSILON), package.mxfp8(x + 1)) for part in pair]

    compiled = torch.compile(function, fullgraph=True)
    assert all(torch.equal(bits(one), bits(other)) for one, other in zip(compiled(x), function(x), strict=True))
    return len(cases) + 1


CHECKS = (
    every_length,
    every_shape,
    empty_inputs,
    special_values,
    streams,
    opcheck_and_compile,
    more_than_2_31_elements,
)


def measure() -> Iterator[dict[str, object]]:
    """Bandwidths of large inputs, each beside a copy on the device that moves as many bytes."""
    for dtype in TYPES:
        for length in (512, 1024, 2048, 4096, 5120, 7168, 8192, 14336, 16384, 32768, 65536):
            yield measured("rms_norm_fp8", "contiguous", dtype, length)
        for length in (4096, 7168):
            yield measured("mxfp8", "contiguous", dtype, length)
        yield measured("rms_norm_fp8", "rows apart", dtype, 4096, gap=128)
        yield measured("mxfp8", "rows apart", dtype, 4096, gap=128)
    for length in (4100, 131072):
        yield measured("rms_norm_fp8", "contiguous", torch.bfloat16, length)
    yield measured("mxfp8", "contiguous", torch.bfloat16, 4100)


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

    source, target = torch.empty(2, moved // 2, device="cuda", dtype=torch.uint8)
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
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--json", type=Path, help="write the results here, too")
    parser.add_argument("--no-checks", action="store_true", help="measure only")
    arguments = parser.parse_args()
    main(arguments.wheel, arguments.json, not arguments.no_checks)
