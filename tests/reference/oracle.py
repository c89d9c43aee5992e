"""What the operators of the reference package must give, computed with torch's own operators, on any device.

Where a result must be exact to the bit, float32 steps are done in float64 and rounded, which gives what IEEE 754 says:
torch's own square roots and divisions of float32 need not.
"""

from __future__ import annotations

import torch

SMALLEST_SCALE = 2.0**-64


def rms_norm_fp8(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> tuple[torch.Tensor, torch.Tensor]:
    """e4m3 values and float32 scales of the rows of *x*, as `csrc/kernels/kernels.h` defines them."""
    length = x.shape[-1]
    squares = torch.nn.functional.pad(x.float().square(), (0, -length % 4)).unflatten(-1, (-1, 4))
    a, b, c, d = squares.unbind(-1)
    mean = (((a + b) + (c + d)).double().sum(-1, keepdim=True) / length + epsilon).float()
    root = mean.double().sqrt().float().double().reciprocal().float()
    product = x.float() * weight.float()
    greatest = product.abs().amax(-1, keepdim=True)
    scales = ((greatest * root).double() / 448).float().clamp_min(SMALLEST_SCALE)
    factor = (root.double() / scales.double()).float()
    return _to_e4m3(product * factor), scales.squeeze(-1)


def mxfp8(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """e4m3 values and e8m0 scales (as bytes) of blocks of 32 along the rows of *x*."""
    length = x.shape[-1]
    blocks = torch.nn.functional.pad(x.float(), (0, -length % 32)).unflatten(-1, (-1, 32)).double()
    greatest = blocks.abs().amax(-1, keepdim=True)
    exponents = torch.frexp(greatest).exponent - 1 - 8  # frexp has fractions in [0.5, 1)
    exponents = torch.where(greatest == 0, -127, exponents).clamp_min(-127)
    values = torch.ldexp(blocks, -exponents)
    finite = greatest.isfinite()
    values = torch.where(finite, values, torch.nan).flatten(-2)[..., :length]
    scales = torch.where(finite, exponents + 127, 255)
    return _to_e4m3(values.float()), scales.squeeze(-1).to(torch.uint8)


def _to_e4m3(values: torch.Tensor) -> torch.Tensor:
    """The nearest e4m3 numbers, and the greatest where *values* are beyond it (torch may make those NaN)."""
    return values.clamp(-448, 448).to(torch.float8_e4m3fn)


def steps_between(one: torch.Tensor, other: torch.Tensor) -> int:
    """How many e4m3 numbers lie between two tensors of them, at the worst; only NaN is near NaN."""

    def rank(values: torch.Tensor) -> torch.Tensor:
        bits = values.view(torch.uint8).to(torch.int16)
        signed = torch.where(bits < 128, bits, 128 - bits)
        return torch.where(bits & 127 == 127, 10_000, signed)

    return int((rank(one) - rank(other)).abs().max()) if one.numel() else 0
