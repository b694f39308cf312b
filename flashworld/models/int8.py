"""The text encoder with int8 weights, for hosts where moving its eleven gigabytes takes longer than the computation.

Each output channel of a linear layer has one scale; weights are integers from -127 to 127. Inputs and everything else stay in
the networks' dtype, so this halves bytes, not arithmetic. The embedding table is not quantised. For bfloat16 on CUDA a kernel,
`int8_kernels.py`, reads the integers; otherwise torch multiplies by a converted copy of the weights.

Numerics: integers up to 127 are exact in bfloat16. The kernel sums products in float32, applies scale and bias in float32, and
rounds once; torch also rounds the product, before the scale. Quantising the weights adds a relative error of about 0.8 % to a
layer's output.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.nn.functional import linear

from flashworld.models.networks import Networks
from flashworld.models.trees import shallow_copy
from flashworld.models.triton_use import kernels_run

try:  # a name, not the module: the sources of a compiled graph are located through it
    from flashworld.models.int8_kernels import int8_linear as int8_linear_kernel
except ImportError:  # no Triton: macOS, or a torch without CUDA
    int8_linear_kernel = None

INT8_MAX = 127.0
SMALLEST_AMAX = 1e-12
"""An all-zero row has no scale of its own."""


class Int8Linear(nn.Module):
    """A linear layer with int8 weights.

    Args:
        layer: The layer to quantise, with a floating weight (out, in).
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp(min=SMALLEST_AMAX) / INT8_MAX
        self.weight = nn.Parameter((weight / scale[:, None]).round().to(torch.int8), requires_grad=False)
        self.weight_inv_scale: torch.Tensor
        self.register_buffer("weight_inv_scale", scale)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach(), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out), dtype of x"""
        return int8_linear(x, self.weight, self.weight_inv_scale, self.bias)


def int8_linear(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Multiply by int8 weights.

    Args:
        x: (..., in)
        weight: int8. (out, in)
        scale: Factor of each output channel, float32. (out,)
        bias: Added after `scale`; None adds nothing. (out,)

    Returns:
        (..., out), dtype of x
    """
    if int8_linear_kernel is not None and kernels_run(x):
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        return int8_linear_kernel(rows, weight, scale, bias).reshape(*x.shape[:-1], weight.shape[0])
    y = linear(x, weight.to(x.dtype)).float() * scale
    return (y if bias is None else y + bias.float()).to(x.dtype)


def shrink_text_encoder(networks: Networks) -> Networks:
    """The same model with an int8 text encoder.

    The argument is not changed and shares everything but the text encoder's linear weights; delete it to free them.
    """
    encoder = shallow_copy(networks.text.encoder)
    for parent in list(encoder.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear):
                setattr(parent, name, Int8Linear(child))
    return replace(networks, text=networks.text.with_encoder(encoder))
