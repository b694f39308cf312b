"""FP8 (e4m3) linear layers for the transformer's blocks, on devices that support them.

Two granularities. "per_tensor": one scale for a weight, one for an input, computed at each call; numerically identical to the
original's scheme. "per_row": one scale per output channel and one per token; more exact, at the same speed where the
device supports it. Products accumulate in float32 and are returned in bfloat16, bias (bfloat16) included: the only
combination in which torch accepts a bias, see `torch_compat`.

Numerics: scales are float32 at the multiplication. In "per_tensor" an input's scale is rounded to bfloat16 first and
the input is scaled in bfloat16, as the original does; in "per_row" both stay float32 until the rounding to e4m3.
On devices without e4m3 the same quantised values are multiplied in bfloat16 (`native=False`).
"""

from __future__ import annotations

import logging
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import linear

from flashworld.models.torch_compat import scaled_matmul
from flashworld.models.trees import shallow_copy

Fp8Mode = Literal["per_row", "per_tensor"]
E4M3_MAX = 448.0
SMALLEST_AMAX = 1e-12
"""An all-zero row has no scale of its own."""
ROWS_AT_ONCE = 8192
"""Rows of a weight quantised at a time: the largest stacked weight would otherwise need 7 GB of float32."""
MAX_FAST_INPUTS = 4096
"""Largest inner dimension with fast accumulation, which is an eighth faster: at 3072 it adds 0.001 to a relative error of
0.037, at 14336 it would add 0.003 and save half as much."""
MIN_CAPABILITY = (8, 9)
"""Compute capability of the first CUDA devices with e4m3 units."""
PROBE_ERROR = 0.1
"""Largest relative error accepted for a product of random matrices; e4m3 gives 0.04."""

logger = logging.getLogger(__name__)


class Fp8Linear(nn.Module):
    """A linear layer with an e4m3 weight and inputs quantised to e4m3 at each call.

    Args:
        weight: The weight to quantise, float32 or bfloat16. (out, in)
        bias: (out,) or None.
        mode: Granularity of the scales.
        native: Multiply in e4m3 on the device; False multiplies the quantised values in bfloat16.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, mode: Fp8Mode, *, native: bool) -> None:
        super().__init__()
        self.mode: Fp8Mode = mode
        self.native = native
        self.out_features, self.in_features = weight.shape
        quantized, inverse_scale = quantize_weight(weight.detach(), mode)
        self.weight = nn.Parameter(quantized, requires_grad=False)
        self.weight_inv_scale: torch.Tensor
        self.register_buffer("weight_inv_scale", inverse_scale)
        self.bias = None if bias is None else nn.Parameter(bias.detach().to(torch.bfloat16), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) in any floating dtype -> (..., out) in bfloat16"""
        y = self.multiply(*quantize_input(x.reshape(-1, self.in_features), self.mode))
        return y.reshape(*x.shape[:-1], self.out_features)

    def multiply(self, rows: torch.Tensor, inverse_scale: torch.Tensor) -> torch.Tensor:
        """`forward` for inputs already quantised by `quantize_input`. (tokens, out), bfloat16"""
        product = scaled_product if self.native else emulated_product
        return product(rows, inverse_scale, self.weight, self.weight_inv_scale, self.bias)

    def extra_repr(self) -> str:
        """Sizes and scheme, for printing a model."""
        return f"{self.in_features}, {self.out_features}, {self.mode}, native={self.native}"


def quantize_weight(weight: torch.Tensor, mode: Fp8Mode) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantise a weight to e4m3.

    Returns:
        e4m3 (out, in), and the float32 factor that undoes the scaling: (1,) per tensor, (1, out) per row.
    """
    if mode == "per_tensor":
        rounded, inverse_scale = _round_weight(weight.float(), dim=(0, 1))
        return rounded, inverse_scale.reshape(1)
    parts = [_round_weight(rows.float(), dim=1) for rows in weight.split(ROWS_AT_ONCE)]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts]).reshape(1, -1)


def _round_weight(weight: torch.Tensor, dim: int | tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """A float32 weight with one scale along `dim`: e4m3, and the factor that undoes the scaling."""
    scale = E4M3_MAX / weight.abs().amax(dim=dim, keepdim=True).clamp(min=SMALLEST_AMAX)
    return to_e4m3(weight * scale), scale.reciprocal()


def quantize_input(x: torch.Tensor, mode: Fp8Mode) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantise inputs to e4m3.

    Args:
        x: (tokens, in)
        mode: One scale for all, or one per token.

    Returns:
        e4m3 (tokens, in), and the float32 factor that undoes the scaling: (1,) per tensor, (tokens, 1) per row.
    """
    if mode == "per_tensor":
        x = x.to(torch.bfloat16)
        scale = (E4M3_MAX / x.abs().amax().float().clamp(min=SMALLEST_AMAX)).to(torch.bfloat16)
        return to_e4m3(x * scale), scale.float().reciprocal().reshape(1)
    amax = x.abs().amax(dim=1, keepdim=True).float().clamp(min=SMALLEST_AMAX)
    return to_e4m3(x.float() * (E4M3_MAX / amax)), amax / E4M3_MAX


def to_e4m3(x: torch.Tensor) -> torch.Tensor:
    """Round to e4m3; the clamp keeps values that rounding pushed above the maximum from becoming NaN."""
    return x.clamp(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn)


def scaled_product(
    x: torch.Tensor,
    x_inverse_scale: torch.Tensor,
    weight: torch.Tensor,
    weight_inverse_scale: torch.Tensor,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    """Multiply on the e4m3 units: x @ weight.T + bias. (tokens, out), bfloat16"""
    fast = weight.shape[1] <= MAX_FAST_INPUTS
    return scaled_matmul(x, weight, x_inverse_scale, weight_inverse_scale, bias, fast_accumulation=fast)


def emulated_product(
    x: torch.Tensor,
    x_inverse_scale: torch.Tensor,
    weight: torch.Tensor,
    weight_inverse_scale: torch.Tensor,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    """The same product of the same quantised values, multiplied in bfloat16. (tokens, out), bfloat16"""
    wide_x = (x.float() * x_inverse_scale).to(torch.bfloat16)
    wide_weight = (weight.float() * weight_inverse_scale.reshape(-1, 1)).to(torch.bfloat16)
    return linear(wide_x, wide_weight, bias)


def quantize_blocks(transformer: nn.Module, mode: Fp8Mode, *, native: bool) -> nn.Module:
    """A transformer whose blocks use `Fp8Linear`; see `quantize_linears`.

    Args:
        transformer: With the linear layers of every block under `blocks`.
        mode: Granularity of the scales, see `probe_fp8`.
        native: Multiply in e4m3 on the device.
    """
    return quantize_linears(transformer, "blocks", mode, native=native)


def quantize_linears(network: nn.Module, part: str, mode: Fp8Mode, *, native: bool) -> nn.Module:
    """A network with `Fp8Linear` layers in one of its children.

    The argument is not changed. Everything but those layers is shared with it, not copied; delete the argument to free its
    unquantised weights.

    Args:
        network: Any network.
        part: Name of the child.
        mode: Granularity of the scales, see `probe_fp8`.
        native: Multiply in e4m3 on the device.
    """
    quantized = shallow_copy(network)
    for parent in list(getattr(quantized, part).modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear):
                setattr(parent, name, Fp8Linear(child.weight, child.bias, mode, native=native))
    return quantized


def probe_fp8(device: torch.device | str) -> Fp8Mode | None:
    """The finest granularity that works on a device: "per_row", else "per_tensor", else None.

    Some devices and library versions claim to support a granularity and fail at the call, so one small product is computed
    and checked.
    """
    device = torch.device(device)
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < MIN_CAPABILITY:
        return None
    return _first_that_multiplies(device)


def _first_that_multiplies(device: torch.device) -> Fp8Mode | None:
    generator = torch.Generator(device).manual_seed(0)
    weight = torch.randn(256, 512, generator=generator, device=device)
    x = torch.randn(384, 512, generator=generator, device=device)
    bias = torch.randn(256, generator=generator, device=device)
    wanted = linear(x, weight, bias)
    for mode in ("per_row", "per_tensor"):
        try:
            error = (Fp8Linear(weight, bias, mode, native=True)(x).float() - wanted).norm() / wanted.norm()
        except RuntimeError as refusal:  # raised by torch for a granularity that the device does not support
            logger.info("FP8 %s is not available on %s: %s", mode, device, refusal)
            continue
        if float(error) < PROBE_ERROR:
            return mode
        logger.warning("FP8 %s gives wrong numbers on %s: relative error %.2g", mode, device, float(error))
    return None
