"""Private interfaces of torch used by the networks. Read from torch 2.11.0."""

from __future__ import annotations

import torch


def scaled_matmul(
    x: torch.Tensor,
    weight: torch.Tensor,
    x_inverse_scale: torch.Tensor,
    weight_inverse_scale: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    fast_accumulation: bool = False,
) -> torch.Tensor:
    """Multiply e4m3 matrices on the device's e4m3 units: x @ weight.T + bias, accumulated in float32.

    Args:
        x: e4m3. (rows, in)
        weight: e4m3, contiguous. (out, in)
        x_inverse_scale: float32 factor that undoes the scaling of `x`: (1,), or (rows, 1) with one per row.
        weight_inverse_scale: float32 factor of `weight`: (1,), or (1, out) with one per row.
        bias: bfloat16. (out,)
        fast_accumulation: Add partial sums at less than float32 precision.

    Returns:
        bfloat16, the only output type with a bias. (rows, out)

    Raises:
        RuntimeError: the device has no such kernel.
    """
    return torch._scaled_mm(
        x, weight.t(), scale_a=x_inverse_scale, scale_b=weight_inverse_scale, bias=bias, out_dtype=torch.bfloat16,
        use_fast_accum=fast_accumulation,
    )  # fmt: skip
