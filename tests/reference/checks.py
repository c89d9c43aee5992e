"""What the operators of the reference package must do on any device, checked under the Python that runs this.

Needs torch, and nothing of wheelfuse:

    python -m tests.reference.checks DIRECTORY DEVICE [CHECK...]

where the package lies in DIRECTORY. Prints the number of cases for each check; fails with the first wrong one.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterable
from types import ModuleType

import torch

from tests.reference import oracle

EPSILON = 1e-6
TYPES = (torch.bfloat16, torch.float16, torch.float32)
LENGTHS = (1, 7, 31, 32, 33, 64, 96, 128, 512, 1000, 1024, 2048, 2080, 4096, 5120, 7168, 8192, 12288, 14336)
LONG_LENGTHS = (16384, 24576, 28672, 32768, 65536, 65544, 131072, 200001)


def load(directory: str) -> ModuleType:
    """Import the package from *directory*."""
    sys.path.insert(0, directory)
    return importlib.import_module("wheelfuse_reference")


def agree(x: torch.Tensor, package: ModuleType, weight: torch.Tensor | None = None) -> int:
    """Compare both operators on *x* with the oracle: scales exactly, values within one step of e4m3."""
    if weight is None:
        weight = torch.randn(x.shape[-1], device=x.device).to(x.dtype)
    for (values, scales), (expected, exact) in (
        (package.rms_norm_fp8(x, weight, EPSILON), oracle.rms_norm_fp8(x, weight, EPSILON)),
        (package.mxfp8(x), oracle.mxfp8(x)),
    ):
        what = f"{x.dtype} {tuple(x.shape)} with strides {x.stride()}"
        assert values.dtype == expected.dtype and values.shape == expected.shape, what
        assert scales.shape == exact.shape, what
        wrong = bits(scales) != bits(exact)
        assert not wrong.any(), f"scales of {what}: {scales[wrong][:5]} instead of {exact[wrong][:5]}"
        steps = oracle.steps_between(values, expected)
        assert steps <= 1, f"values of {what} are {steps} steps away"
    return 2


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """What to compare for equality: bytes; of float32, one NaN is as good as another."""
    return tensor.nan_to_num(nan=-1.0) if tensor.dtype == torch.float32 else tensor.view(torch.uint8)


def every_length(package: ModuleType, device: str) -> int:
    """Rows shorter and longer than every way in which kernels hold them."""
    count = 0
    for dtype in TYPES:
        for length in LENGTHS:
            x = torch.randn(257 if device == "cuda" else 5, length, device=device).mul(3)
            count += agree(x.to(dtype), package)
        for length in LONG_LENGTHS if device == "cuda" else LONG_LENGTHS[-1:]:  # there is one way on the CPU
            count += agree(torch.randn(33, length, device=device).to(dtype), package)
    return count


def every_shape(package: ModuleType, device: str) -> int:
    """Any number of dimensions; rows that are apart, one row many times, rows that only a copy makes rows."""
    count = 0
    for dtype in TYPES:
        whole = torch.randn(12, 20, 768, device=device).to(dtype)
        parts = [whole, whole[0, 0], whole[..., :512], whole[..., 1:513], whole[::2], whole[:, ::3, 64:704]]
        parts += [whole.transpose(0, 1), whole.transpose(0, 2), whole[..., ::2], whole[:1].expand(5, 20, 768)]
        parts += [whole[0, :1].expand(40, 768), whole.flatten()[3:-5].reshape(-1, 8)[:, :7]]
        count += sum(agree(part, package) for part in parts)
        weight = torch.randn(1536, device=device).to(dtype)
        count += agree(whole, package, weight[::2]) + agree(whole, package, weight[1:769])
    return count


def empty_inputs(package: ModuleType, device: str) -> int:
    """No rows, or rows of no elements."""
    count = 0
    for dtype in TYPES:
        for shape in ((0, 64), (4, 0), (0,), (3, 0, 32)):
            x = torch.empty(shape, device=device, dtype=dtype)
            values, scales = package.rms_norm_fp8(x, x.new_empty(shape[-1]), EPSILON)
            assert values.shape == x.shape and scales.shape == x.shape[:-1]
            assert (scales == oracle.SMALLEST_SCALE).all()
            values, scales = package.mxfp8(x)
            assert values.shape == x.shape and scales.shape == (*shape[:-1], (shape[-1] + 31) // 32)
            count += 2
    return count


def special_values(package: ModuleType, device: str) -> int:
    """Zeros, the greatest and smallest numbers, what lies between e4m3 numbers, infinities and NaN."""
    count = 0
    for dtype in TYPES:
        info = torch.finfo(dtype)
        special = [0.0, -0.0, 1.0, 447.9, 448.0, 464.0, 480.0, 511.0, 512.0, info.max, -info.max, info.tiny]
        special += [info.smallest_normal / 4, info.eps, 17 / 512, float("inf"), -float("inf"), float("nan")]
        for length in (7, 64, 4096, 70000) if device == "cuda" else (7, 64):
            x = torch.cat([torch.full((len(special), length), ground) for ground in (0.0, 1e-3, 1.0)])
            x[:, length // 2] = torch.tensor(special).repeat(3)
            x = x.to(dtype).to(device)
            count += len(x) * agree(x, package, torch.ones_like(x[0]))
    return count


def every_e4m3_number(package: ModuleType, device: str) -> int:
    """Each number, what lies in the middle of two, and both its neighbours: to nearest, ties to even.

    448 in each block and row makes the scale of MXFP8 1.
    """
    numbers = torch.arange(127, dtype=torch.uint8).view(torch.float8_e4m3fn).float()
    middles = (numbers[1:] + numbers[:-1]) / 2
    cases = torch.cat([numbers, *(middles.nextafter(torch.tensor(limit)) for limit in (0.0, 500.0)), middles])
    cases = torch.cat([cases, -cases])
    x = torch.full((len(cases), 32), 448.0)
    x[:, 5] = cases
    values, scales = package.mxfp8(x.to(device))
    assert (scales.view(torch.uint8) == 127).all()
    below, above, ties = middles.nextafter(torch.tensor(0.0)), middles.nextafter(torch.tensor(500.0)), middles
    rounded = torch.cat(
        [numbers, numbers[:-1], numbers[1:], numbers[torch.arange(126) + torch.arange(126) % 2]]
    )
    assert len(below) == len(above) == len(ties) == 126
    assert torch.equal(values[:, 5].float().cpu(), torch.cat([rounded, -rounded]))
    return len(cases)


def refused_arguments(package: ModuleType, device: str) -> int:
    """What the operators do not take, they refuse by name before they touch memory."""
    operators = torch.ops.wheelfuse_reference
    x, ones = torch.randn(4, 64, device=device), torch.ones(64, device=device)
    values = torch.empty(4, 64, device=device, dtype=torch.float8_e4m3fn)
    blocks = torch.empty(4, 2, device=device, dtype=torch.uint8)
    wide = torch.empty(4, 128, device=device, dtype=torch.float8_e4m3fn)
    cases: dict[str, Callable[[], object]] = {
        "input must be bfloat16, float16 or float32": lambda: package.mxfp8(x.double()),
        "input must have at least one dimension": lambda: package.mxfp8(x[0, 0]),
        "weight must have the type of input": lambda: package.rms_norm_fp8(x, ones.half()),
        "weight must have the shape [64], and has [32]": lambda: package.rms_norm_fp8(x, ones[:32]),
        "values must be float8_e4m3fn or uint8": lambda: operators.mxfp8_out(x, values.float(), blocks),
        "values must be contiguous": lambda: operators.mxfp8_out(x, wide[:, ::2], blocks),
        "values must have 256 elements": lambda: operators.mxfp8_out(x, wide, blocks),
        "scales must be uint8": lambda: operators.mxfp8_out(x, values, blocks.float()),
        "scales must have 8 elements": lambda: operators.mxfp8_out(x, values, blocks[:, :1].contiguous()),
        "scales must be float32": lambda: operators.rms_norm_fp8_out(x, ones, EPSILON, values, blocks),
    }
    if device == "cuda":
        cases["weight must be on the device of input"] = lambda: package.rms_norm_fp8(x, ones.cpu())
    for message, call in cases.items():
        try:
            call()
        except ValueError as error:
            assert message in str(error), f"{error}, instead of: {message}"
        else:
            raise AssertionError(f"not refused: {message}")
    return len(cases)


def opcheck_and_compile(package: ModuleType, device: str) -> int:
    """torch's own checks of the operators, and a compiled function that calls them."""
    operators = torch.ops.wheelfuse_reference
    x, weight = torch.randn(16, 96, device=device), torch.ones(96, device=device)
    values = torch.empty(16, 96, device=device, dtype=torch.uint8)  # opcheck cannot compare float8
    blocks = torch.empty(16, 3, device=device, dtype=torch.uint8)
    cases = (
        (operators.rms_norm_fp8, (x, weight, EPSILON)),
        (operators.rms_norm_fp8_out, (x, weight, EPSILON, values, torch.empty(16, device=device))),
        (operators.mxfp8, (x,)),
        (operators.mxfp8_out, (x, values, blocks)),
    )
    for operator, arguments in cases:
        torch.library.opcheck(operator.default, arguments)

    def function(x: torch.Tensor) -> list[torch.Tensor]:
        return [*package.rms_norm_fp8(x * 2, weight, EPSILON), *package.mxfp8(x + 1)]

    # On the CPU, the default backend needs a C++ compiler at run time.
    compiled = torch.compile(
        function, fullgraph=True, backend="inductor" if device == "cuda" else "aot_eager"
    )
    pairs = list(zip(compiled(x), function(x), strict=True))
    assert all(torch.equal(bits(one), bits(other)) for one, other in pairs)
    return len(cases) + 1


CHECKS = (
    every_length,
    every_shape,
    empty_inputs,
    special_values,
    every_e4m3_number,
    refused_arguments,
    opcheck_and_compile,
)


def run(package: ModuleType, device: str, names: Iterable[str] = ()) -> dict[str, int]:
    """Run the checks with these names, or all; how many cases each had."""
    torch.manual_seed(20261120)
    chosen = set(names) or {check.__name__ for check in CHECKS}
    counts = {}
    for check in CHECKS:
        if check.__name__ in chosen:
            counts[check.__name__] = check(package, device)
            print(f"{check.__name__}: {counts[check.__name__]}", flush=True)
    assert chosen == counts.keys()
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("device")
    parser.add_argument("checks", nargs="*")
    arguments = parser.parse_args()
    run(load(arguments.directory), arguments.device, arguments.checks)
