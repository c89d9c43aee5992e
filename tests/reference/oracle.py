"""What the operators of the reference package must give, computed with torch's own operators, on any device.

Where a result must be exact to the bit, float32 steps are done in float64 and rounded, which gives what IEEE 754 says:
torch's own square roots and divisions of float32 need not.
"""

from __future__ import annotations

import torch

SMALLEST_SCALE = 2.0**-120


def _float32(exact: torch.Tensor) -> torch.Tensor:
    return exact.to(torch.float32)


def rms_norm_fp8(
    x: torch.Tensor, weight: torch.Tensor, epsilon: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """e4m3 values and float32 scales of the rows of *x*, as `csrc/kernels/kernels.h` defines them."""
    mean = _float32(x.double().square().mean(-1, keepdim=True) + epsilon)
    root = _float32(_float32(mean.double().sqrt()).double().reciprocal())
    y = x.float() * root * weight.float()
    scales = _float32(y.abs().amax(-1, keepdim=True).double() / 448).clamp_min(SMALLEST_SCALE)
    values = y * _float32(scales.double().reciprocal())
    return to_e4m3(values), scales.squeeze(-1)


def mxfp8(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """e4m3 values and e8m0 scales (as bytes) of blocks of 32 along the rows of finite *x*."""
    length = x.shape[-1]
    padded = torch.nn.functional.pad(x.float(), (0, -length % 32))
    blocks = padded.unflatten(-1, (-1, 32)).double()
    greatest = blocks.abs().amax(-1, keepdim=True)
    exponents = torch.frexp(greatest).exponent - 1 - 8  # frexp has fractions in [0.5, 1)
    exponents = torch.where(greatest == 0, -127, exponents).clamp_min(-127)
    values = torch.ldexp(blocks, -exponents).flatten(-2)[..., :length]
    return to_e4m3(values.float()), (exponents.squeeze(-1) + 127).to(torch.uint8)


def to_e4m3(values: torch.Tensor) -> torch.Tensor:
    """The nearest e4m3 numbers, and the greatest where *values* are beyond it (torch would make those NaN)."""
    return values.clamp(-448, 448).to(torch.float8_e4m3fn)


def steps_between(one: torch.Tensor, other: torch.Tensor) -> int:
    """How many e4m3 numbers lie between two tensors of them, at the worst; NaN equals only NaN."""

    def rank(values: torch.Tensor) -> torch.Tensor:
        bits = values.view(torch.uint8).to(torch.int16)
        return torch.where(bits < 128, bits, 128 - bits)

    return int((rank(one) - rank(other)).abs().max()) if one.numel() else 0
