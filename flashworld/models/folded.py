"""The Gaussian decoder with cheaper doublings: the same pictures from 4/9 of the products.

A 3x3 convolution after every pixel became a 2x2 square reads each pixel up to four times with the same value. Summing
the kernel's taps that meet the same pixel leaves, for each of the four places in a square, a 2x2 kernel on the small
picture. All four run as one 2x2 convolution with four times the channels; their answers are then woven together.

Numerics: taps are summed in float32 and rounded once to the dtype of the weights. Equal to the plain decoder up to
rounding; a doubling's convolution is 36 of every 127 products of the decoder, so a fifth of the work goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from einops import rearrange
from torch import nn

from flashworld.models.gaussian_decoder import GaussianDecoder
from flashworld.models.trees import shallow_copy
from flashworld.models.vae_blocks import Doubling, UpBlock

TAP_SUMS = (((1.0, 0.0, 0.0), (0.0, 1.0, 1.0)), ((1.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
"""(place in the square, tap of the small kernel, tap of the 3-tap kernel), along one axis."""


class FoldedDoubling(nn.Module):
    """What `Doubling` computes, without making the large picture first."""

    def __init__(self, doubling: Doubling) -> None:
        super().__init__()
        conv = cast(nn.Conv2d, doubling.resample[1])
        sums = torch.tensor(TAP_SUMS, device=conv.weight.device)
        kernels = torch.einsum("arh,bsw,oihw->aboirs", sums, sums, conv.weight.detach().float())
        weight = rearrange(kernels, "a b o i r s -> (a b o) i r s").to(conv.weight.dtype)
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(cast(torch.Tensor, conv.bias).detach().repeat(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, 2H, 2W), channels_last"""
        height, width = x.shape[-2:]
        squares = nn.functional.conv2d(x, self.weight, self.bias, padding=1)  # one row and column more than x
        squares = rearrange(squares, "n (a b c) h w -> a b n h w c", a=2, b=2)
        rows = [
            torch.stack([squares[a, b, :, a : a + height, b : b + width] for b in range(2)], dim=3) for a in range(2)
        ]
        return rearrange(torch.stack(rows, dim=2), "n h a w b c -> n c (h a) (w b)")


def fold_doublings(decoder: GaussianDecoder) -> GaussianDecoder:
    """A decoder whose doublings are folded; the argument stays as it is, everything else is shared with it."""
    folded = shallow_copy(decoder)
    for block in cast(Iterable[UpBlock], folded.decoder.up_blocks):
        if isinstance(block.upsampler, Doubling):
            block.upsampler = FoldedDoubling(block.upsampler)
    return folded
